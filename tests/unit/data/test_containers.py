"""Which folders and files hold their images in something else than image files."""

from pathlib import Path

import pandas as pd
import pytest

from archive_builders import PNG, class_folders, write_tar
from keensight.data.sources.readers import open_source
from keensight.errors import DataError


def _images(root: Path, n: int = 12) -> Path:
    for i in range(n):
        path = root / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG[i % 12] + bytes([i % 256, i // 256]))
    return root


def _table(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"image": list(PNG), "label": ["a", "b"] * 6}).to_parquet(path)


def test_a_picture_next_to_parquet_shards_is_reported(tmp_path: Path) -> None:
    _table(tmp_path / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "banner.png").write_bytes(PNG[0])
    data = open_source(tmp_path)
    assert len(data) == 12 and data.reading is not None
    assert data.reading.warnings == ("1 image file next to the Parquet with images not used",)


def test_a_folder_of_many_images_stays_one(tmp_path: Path) -> None:
    _table(_images(tmp_path, 204) / "copy.parquet")
    assert len(open_source(tmp_path)) == 204


def test_other_parquet_files_are_no_shards(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(_images(tmp_path) / "notes.parquet")
    assert len(open_source(tmp_path)) == 12


def test_an_archive_next_to_its_unpacked_images(tmp_path: Path) -> None:
    write_tar(_images(tmp_path) / "photos.tar", class_folders())
    assert len(open_source(tmp_path)) == 12
    (tmp_path / "photos.tar").write_bytes(b"damaged")
    assert len(open_source(tmp_path)) == 12


@pytest.mark.parametrize(("name", "hint"), [("s.mat", "loadmat"), ("data-00000-of-00001.arrow", "load_from_disk")])
def test_files_of_other_programs_are_refused_with_what_to_do(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    for source in (tmp_path / name, tmp_path):
        with pytest.raises(DataError, match="a format that is not read") as caught:
            open_source(source)
        assert hint in str(caught.value.hint)
