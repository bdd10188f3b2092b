import numpy as np
import pytest

from keensight.nets.training.features import extract


class Pixels:
    shape = (4, 4, 3)

    def __init__(self):
        self.taken = []

    def take(self, indices):
        self.taken += [int(i) for i in indices]
        return np.full((len(indices), 4, 4, 3), 1, np.uint8) * np.asarray(indices, np.uint8)[:, None, None, None]


class Net:
    shape = (2,)

    def chunk(self, shape):
        return 2

    def stream(self, batches):
        for batch in batches:
            yield batch()[:, 0, 0, :2].astype(np.float32)


class Known:
    def __init__(self):
        self.rows = {}

    def find(self, digests):
        return {digest: self.rows[digest] for digest in digests if digest in self.rows}

    def add(self, digests, rows):
        self.rows.update(zip(digests, rows, strict=True))


def test_each_distinct_image_is_computed_once_and_never_again():
    pixels, known = Pixels(), Known()
    rows, digests = np.array([5, 3, 7, 3]), ["e", "c", "s", "c"]
    first = extract(Net, pixels, rows, digests, known)
    np.testing.assert_array_equal(first[:, 0], [5, 3, 7, 3])
    assert sorted(pixels.taken) == [3, 5, 7]
    pixels.taken.clear()
    again = extract(lambda: pytest.fail("the network is not needed"), pixels, rows, digests, known)
    np.testing.assert_array_equal(again, first)
    assert not pixels.taken


def test_the_cache_on_disk_keeps_rows_by_network_and_digest(tmp_path, monkeypatch):
    from keensight.data.cache import clear, usage
    from keensight.data.feature_cache import FeatureCache

    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path))
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    FeatureCache("net", 3).add(list("abcd"), rows)
    found = FeatureCache("net", 3).find(["d", "x", "a"])
    assert set(found) == {"a", "d"}
    np.testing.assert_array_equal(found["d"], rows[3])
    assert not FeatureCache("other", 3).find(["a"])
    assert not FeatureCache("net", 4).find(["a"])  # rows of another length count as damaged
    assert usage().bytes > 0
    clear()
    assert not any(tmp_path.rglob("*.rows"))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    from keensight.data.feature_cache import FeatureCache

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "file"))
    FeatureCache("net", 3).add(["a"], np.zeros((1, 3), np.float32))
    assert not FeatureCache("net", 3).find(["a"])
