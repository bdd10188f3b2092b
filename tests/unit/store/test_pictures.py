"""Small copies of the images of a report: a missing one is an error of the image, damaged ones of the run."""

from pathlib import Path

import pytest

from keensight.core.records import Sample
from keensight.errors import ImageError, StoreError
from keensight.store.pictures import KeptPictures, save_pictures


def test_pictures_come_back_by_the_path_of_their_sample(tmp_path: Path) -> None:
    save_pictures(tmp_path / "p.zip", {"../a.png": b"one", "b.png": b"two"})
    kept = KeptPictures(tmp_path / "p.zip")
    assert [kept.load(Sample(path, "ant", "")) for path in ("b.png", "../a.png")] == [b"two", b"one"]
    with pytest.raises(ImageError, match="the run has no copy of this image"):
        kept.load(Sample("c.png", "ant", ""))


def test_a_run_without_pictures_has_no_copy_of_an_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the run has no copy of this image"):
        KeptPictures(tmp_path / "p.zip").load(Sample("a.png", "ant", ""))


def test_damaged_pictures_are_an_error_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"PK")
    with pytest.raises(StoreError, match="not a readable zip file"):
        KeptPictures(tmp_path / "p.zip").load(Sample("a.png", "ant", ""))
