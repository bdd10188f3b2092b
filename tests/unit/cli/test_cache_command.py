"""``keensight cache``, run in this process."""

import gc
import os


def test_the_cache_grows_and_is_cleared(answer, document, photos, place):
    document("inspect", "photos")
    gc.collect()  # the images are not used any more
    held = document("cache")
    assert held == document("cache", "show")
    assert held["images"] == 8
    assert held["bytes"] > 0
    assert sum(one["bytes"] for one in held["sets"]) == held["bytes"]
    (photo_set,) = [one for one in held["sets"] if one["images"]]
    assert (photo_set["name"], photo_set["source"], photo_set["images"]) == ("photos", os.path.realpath("photos"), 8)
    told = answer("cache").out
    assert "name" in told.splitlines()[0]
    assert told.splitlines()[-1].startswith("8 decoded images (one for each size), ")
    assert answer("cache", "clear", code=2).err.startswith("error: delete everything from the cache ")
    assert document("cache", "clear", "--yes") == {
        "schema": 1, "directory": str(place / "cache"), "bytes": held["bytes"],
    }  # fmt: skip
    assert document("cache")["bytes"] == 0
    assert "0 bytes" in answer("cache").out


def test_one_set_is_cleared_by_its_name_or_its_folder(answer, document, photos, place):
    other = place / "others" / "photos"
    other.mkdir(parents=True)
    for kind in photos.iterdir():
        (other / kind.name).mkdir()
        for path in kind.iterdir():
            (other / kind.name / path.name).write_bytes(path.read_bytes() + b"!")
    document("inspect", "photos")
    document("inspect", "others/photos")
    gc.collect()
    assert answer("cache", "clear", "nothing", code=2).err == (
        "error: the cache has nothing of nothing\nhint: it has: indexes and results of checks, photos\n"
    )
    before = document("cache")
    assert before["images"] == 16
    freed = document("cache", "clear", "others/photos/", "--yes")["bytes"]
    after = document("cache")
    assert after["images"] == 8
    assert before["bytes"] - after["bytes"] == freed > 0
    assert [one["source"] for one in after["sets"] if one["images"]] == [os.path.realpath("photos")]
    document("cache", "clear", "photos", "--yes")
    assert document("cache")["images"] == 0


def test_the_limit_is_shown_and_stored(answer, document, place, monkeypatch):
    monkeypatch.delenv("KEENSIGHT_CACHE_LIMIT", raising=False)
    assert document("cache", "limit")["limit"] >= 20 * 10**9
    assert document("cache", "limit", "1.5 GiB")["limit"] == 3 << 29
    assert answer("cache", "limit").out == "limit: 1.5 GiB\n"
    assert document("cache")["limit"] == 3 << 29
    assert answer("cache", "limit", "none").out == "no limit\n"
    assert document("cache")["limit"] is None
    assert answer("cache", "limit", "much", code=2).err.startswith("error: the limit of the cache is 'much', which is")
    assert document("cache", "limit", "default")["limit"] >= 20 * 10**9
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", "7")
    assert document("cache", "limit", "50GB")["limit"] == 7 * 10**9
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", "lots")
    assert answer("cache", code=2).err.startswith("error: KEENSIGHT_CACHE_LIMIT is 'lots', which is not a size")
