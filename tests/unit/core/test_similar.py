"""Search among embeddings."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from keensight.core import similar
from keensight.core.predictions import Embeddings
from keensight.core.similar import search
from keensight.errors import DataError


def embeddings(vectors, prefix="a"):
    return Embeddings(tuple(f"{prefix}{i}" for i in range(len(vectors))), np.asarray(vectors, np.float32))


def test_it_finds_what_scikit_learn_finds():
    rng = np.random.default_rng(0)
    album, asked = (rng.normal(size=(n, 16)) * np.arange(1, 17) + 3 for n in (400, 300))
    found = search(embeddings(asked, "q"), embeddings(album), 5)
    scaler = StandardScaler().fit(album)
    search_by = NearestNeighbors(n_neighbors=5, metric="cosine").fit(scaler.transform(album))
    distances, rows = search_by.kneighbors(scaler.transform(asked))
    assert (found.rows == rows).all()
    assert found.cosines == pytest.approx(1 - distances, abs=1e-5)
    assert found.paths(0) == [f"a{row}" for row in rows[0]]


def test_an_image_is_not_found_for_itself():
    album = embeddings(np.eye(4) + 0.1)
    found = search(album, album, 3)
    assert all(i not in found.rows[i] for i in range(4))


def test_an_album_of_one_image_and_numbers_that_never_change_are_no_trouble():
    found = search(embeddings([[1, 2]], "q"), embeddings([[1, 2]]), 1)
    assert found.cosines[0, 0] == pytest.approx(1)
    found = search(embeddings([[3, 1.0]], "q"), embeddings([[7, 0], [7, 1], [7, 3]]), 1)
    assert found.rows[0, 0] in (0, 1)
    assert np.isfinite(found.cosines).all()


def test_unreadable_images_are_neither_found_nor_asked():
    nothing = [np.nan] * 2
    found = search(embeddings([[1, 0], nothing], "q"), embeddings([nothing, [1, 0.1], [0, 1]]), 2)
    assert found.rows[0].tolist() == [1, 2]
    assert found.paths(1) == []
    assert np.isnan(found.cosines[1]).all()
    assert found.errors == ("q1",)


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(DataError, match="fewer than 3 images"):
        search(embeddings(np.eye(2), "q"), embeddings(np.eye(2)), 3)
    with pytest.raises(DataError, match="cannot be compared"):
        search(embeddings(np.eye(2), "q"), embeddings(np.eye(3)), 1)


def test_an_album_has_one_image_fewer_for_its_own():
    album = embeddings(np.random.default_rng(0).normal(size=(5, 3)))
    assert search(album, album, 4).rows.shape == (5, 4)
    with pytest.raises(DataError, match="fewer than 5 images"):
        search(album, album, 5)


def test_no_image_is_found_for_itself_in_later_chunks(monkeypatch):
    monkeypatch.setattr(similar, "_CHUNK", 3)
    album = embeddings(np.random.default_rng(0).normal(size=(10, 4)))
    assert all(i not in row for i, row in enumerate(search(album, album, 9).rows))
