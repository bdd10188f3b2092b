"""Runs, studies, bundles and exports are not image sets; image sets may have files of the same names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keensight.core.pixels import encode_png
from keensight.data.sources.readers import open_source
from keensight.errors import DataError
from store_builders import make_bundle, make_run

GOLDEN = Path(__file__).parents[2] / "golden"
STUDY, EXPORT = GOLDEN / "study1" / "study.json", GOLDEN / "export1" / "export.json"


def plant(root: Path) -> Path:
    """Two folders of pictures, as a run has them too."""
    for number, name in enumerate(("a", "b")):
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(encode_png(np.full((3, 4, 3), number, np.uint8)))
    return root


def refused(folder: Path) -> DataError:
    plant(folder)
    with pytest.raises(DataError) as caught:
        open_source(folder)
    return caught.value


def test_a_run_is_not_an_image_set(tmp_path: Path) -> None:
    error = refused(make_run(tmp_path / "my run").path)
    assert error.message == f"{tmp_path / 'my run'} is a run, not an image set"
    assert f"`keensight evaluate '{tmp_path / 'my run'}'`" in (error.hint or "")
    assert "`keensight train SOURCE --run FOLDER`" in (error.hint or "")


def test_a_study_is_not_an_image_set(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    shutil.copy(STUDY, tmp_path / "s" / "study.json")
    error = refused(tmp_path / "s")
    assert error.message == f"{tmp_path / 's'} is a study, not an image set"
    assert "study.html" in (error.hint or "")


def test_a_bundle_is_not_an_image_set(tmp_path: Path) -> None:
    error = refused(make_bundle(tmp_path / "b").path)
    assert error.message == f"{tmp_path / 'b'} is a bundle, not an image set"
    assert f"`keensight predict {tmp_path / 'b'} IMAGE`" in (error.hint or "")


def test_an_export_is_not_an_image_set(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    shutil.copy(EXPORT, tmp_path / "e" / "export.json")
    error = refused(tmp_path / "e")
    assert error.message == f"{tmp_path / 'e'} is an export, not an image set"
    assert f"reader.py in {tmp_path / 'e'} uses" in (error.hint or "")


@pytest.mark.parametrize(
    ("kinds", "words"), [("r", "runs"), ("rr", "runs"), ("rs", "runs and studies"), ("e", "exports")]
)
def test_a_folder_of_nothing_else_is_refused_too(tmp_path: Path, kinds: str, words: str) -> None:
    for number, kind in enumerate(kinds):
        folder = tmp_path / "runs" / str(number)
        folder.mkdir(parents=True)
        if kind == "r":
            make_run(folder)
        else:
            shutil.copy(STUDY if kind == "s" else EXPORT, folder)
        plant(folder)
    (tmp_path / "runs" / ".hidden").touch()
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "runs")
    assert caught.value.message == f"{tmp_path / 'runs'} contains only {words} of Keensight and is not an image set"


@pytest.mark.parametrize("name", ["run.json", "study.json", "manifest.json", "export.json"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"files": ["a/0.png"], "labels": ["a", "b"], "schema": 1, "state": "finished"}),
        json.dumps(["a/0.png"]), "[" * 100_000, "not JSON", "",
    ],
    ids=["object", "list", "nested", "text", "empty"],
)  # fmt: skip
def test_an_image_set_with_a_file_of_that_name_is_opened(tmp_path: Path, name: str, text: str) -> None:
    (plant(tmp_path / "set") / name).write_text(text, encoding="utf-8")
    assert open_source(tmp_path / "set").labels.names == ("a", "b")


def test_a_folder_of_runs_and_images_is_opened(tmp_path: Path) -> None:
    make_run(plant(tmp_path / "set") / "runs" / "first")
    assert open_source(tmp_path / "set").labels.names == ("a", "b")
