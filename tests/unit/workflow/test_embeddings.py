"""Embeddings from files, and as files."""

import numpy as np
import pandas as pd
import pytest

from keensight.core.pixels import encode_png
from keensight.core.predictions import Embeddings
from keensight.errors import DataError, UsageError
from keensight.workflow.predict import find, write_embeddings

FOUND = Embeddings(
    ("a, b.png", "torn.jpg", "Ñandú.png"),
    np.array([[0.1, -2e-7, 3], [np.nan] * 3, [1 / 3, 5, 1e9]], np.float32),
    {"torn.jpg": "the file is cut short"},
)


def test_npz_comes_back_to_the_bit(tmp_path):
    write_embeddings(FOUND, tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["vectors"], FOUND.vectors)
        assert stored["vectors"].dtype == np.float32
        assert tuple(stored["paths"]) == FOUND.paths
        assert list(stored["errors"]) == ["", "the file is cut short", ""]


@pytest.mark.parametrize("ending", ["csv", "parquet", "CSV"])
def test_tables_come_back_to_the_bit(tmp_path, ending):
    path = tmp_path / f"e.{ending}"
    write_embeddings(FOUND, path)
    table = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
    assert list(table) == ["path", "e0", "e1", "e2", "error"]
    np.testing.assert_array_equal(table[["e0", "e1", "e2"]].to_numpy(np.float32), FOUND.vectors)
    assert tuple(table["path"]) == FOUND.paths
    assert list(table["error"].fillna("")) == ["", "the file is cut short", ""]


@pytest.mark.parametrize("name", ["e.json", "e"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot write embeddings"):
        write_embeddings(FOUND, tmp_path / name)


def test_images_are_files_folders_patterns_bytes_and_arrays(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(encode_png(image))
    files = [tmp_path / "1.png", tmp_path / "2.png"]
    assert find(tmp_path) == find([tmp_path]) == find(str(tmp_path / "*.png")) == files
    assert len(find(image)) == len(find([image])) == len(find(encode_png(image))) == 1
    assert [one.shape for one in find(np.stack([image] * 3))] == [image.shape] * 3
    for nothing in ([], np.zeros((0, 4, 5, 3), np.uint8)):
        with pytest.raises(DataError, match="no images were given"):
            find(nothing)
