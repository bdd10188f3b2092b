"""``keensight cache``, run in this process."""


def test_cache_grows_and_is_cleared(answer, document, photos, place):
    document("inspect", "photos")
    held = document("cache")
    assert held == document("cache", "show")
    assert held["images"] == 8
    assert held["bytes"] > 0
    assert document("cache", "clear") == {"schema": 1, "directory": str(place / "cache"), "bytes": held["bytes"]}
    assert document("cache")["bytes"] == 0
    assert "0 bytes" in answer("cache").out
