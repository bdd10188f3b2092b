"""Further files of a run, kept: an anomaly detector's scores, held-out predictions, pictures and settings.

Their layout belongs to the schema number of the run. ``python tests/golden/test_run_files.py`` wrote the files of
``files5`` from the records below; ``files3`` has scores without rows, as before schema 4, and ``settings`` what
``config.toml`` was like at some time.
"""

import dataclasses
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation, KindScore
from keensight.core.config import RunConfig, read_config
from keensight.core.evaluation import Caveat
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.core.task import Task
from keensight.store.pictures import KeptPictures, save_pictures
from keensight.store.run_tables import read_anomalies, read_predictions, save_anomalies, write_predictions

HERE = Path(__file__).parent / "files5"
BEFORE = Path(__file__).parent / "files3"
SETTINGS = Path(__file__).parent / "settings"
LABELS = LabelSet(("good", 'scratch "a", b', "=hole"))
DATA = Dataset("parts", "folder", LABELS, tuple(
    Sample(f"{name}/{i}.png", name, f"{i:064x}") for i, name in enumerate(LABELS.names)
))  # fmt: skip
SCORES = AnomalyScores(
    tuple(sample.path for sample in DATA.samples), np.array([0.5, 1.25, 2.0], np.float32),
    indices=np.arange(3), truth=LABELS.names,
)  # fmt: skip
FOUND = AnomalyEvaluation(
    part="test", normal=1, anomalous=2, auroc=Interval(0.75, 0.5, 1.0, 0.9, "delong"), recall=Interval(0.5, 0.25, 0.75),
    false_alarms=None, limits=Limits(1.0, 2.0, 0.05, 20), kinds=(KindScore("=hole", 1, Interval(1.0, 0.25, 1.0)),),
    seconds=0.5, seen=1, caveats=(Caveat("leak", "One image is a copy.", "Split again."),),
    anomaly_scores=SCORES, dataset=DATA,
)  # fmt: skip
HELD_OUT = Predictions(
    SCORES.paths, LABELS, np.array([[0.75, 0.25, 0], [0.25, 0.5, 0.25], [0, 0, 1]], np.float32),
    indices=np.arange(3), truth=np.arange(3),
)  # fmt: skip
SEVERAL = dataclasses.replace(
    HELD_OUT, truth=np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0]], np.uint8), thresholds=(0.5, 0.5, 0.5)
)
PICTURES = {"good/0.png": b"\x89PNG first", '../scratch "a".png': b"\xff\xd8 second"}


def write_all(folder: Path) -> None:
    (folder / "evaluation").mkdir(parents=True)
    save_anomalies(folder, FOUND)
    write_predictions(folder / "held_out.csv", HELD_OUT)
    write_predictions(folder / "several.csv", SEVERAL)
    save_pictures(folder / "evaluation" / "pictures.zip", PICTURES)


@pytest.mark.parametrize("folder", [HERE, BEFORE], ids=["now", "before schema 4"])
def test_scores_of_an_anomaly_detector_are_read(folder: Path) -> None:
    found = read_anomalies(folder, DATA)
    assert found == FOUND
    assert found.anomaly_scores is not None and found.anomaly_scores.truth == LABELS.names
    np.testing.assert_array_equal(found.anomaly_scores.scores, SCORES.scores)
    np.testing.assert_array_equal(found.anomaly_scores.indices, SCORES.indices)


def test_held_out_predictions_are_read() -> None:
    found = read_predictions(HERE / "held_out.csv", LABELS)
    assert found.paths == HELD_OUT.paths
    for name in ("probabilities", "indices", "truth"):
        np.testing.assert_array_equal(getattr(found, name), getattr(HELD_OUT, name))
    several = read_predictions(HERE / "several.csv", LABELS, Task.MULTILABEL)
    np.testing.assert_array_equal(several.truth, SEVERAL.truth)


def test_pictures_are_read() -> None:
    kept = KeptPictures(HERE / "evaluation" / "pictures.zip")
    for path, data in PICTURES.items():
        assert kept.load(Sample(path, "good", "")) == data


def test_this_version_writes_them_to_the_letter(tmp_path: Path) -> None:
    write_all(tmp_path / "now")
    for path in sorted(path for path in HERE.rglob("*") if path.is_file()):
        now = tmp_path / "now" / path.relative_to(HERE)
        if path.suffix == ".zip":  # the time is in it
            assert members(now) == members(path)
        else:
            assert now.read_bytes() == path.read_bytes(), path.name


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("path", sorted(SETTINGS.glob("*.toml")), ids=lambda path: path.stem)
def test_settings_of_earlier_versions_are_read(path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = RunConfig().with_values(read_config(path))
    assert found.train.epochs == 7
    retired = {"train.frozen", "train.views"}
    assert {str(one.message).split(" ")[0] for one in told} == (retired if path.stem == "retired" else set())


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    values = {"train.epochs": 7, "data.path": "a \x7f\t\"b\" \\ 'c' é 猫", "data.val_share": 0.1}
    made = RunConfig().with_values(values)
    (tmp_path / "config.toml").write_text(made.to_toml(), encoding="utf-8")
    again = RunConfig().with_values(read_config(tmp_path / "config.toml"))
    assert again == made


def test_settings_with_a_name_that_is_not_unicode_can_be_read(tmp_path: Path) -> None:
    made = RunConfig().with_values({"train.epochs": 7, "data.path": "caf\udce9"})
    (tmp_path / "config.toml").write_text(made.to_toml(), encoding="utf-8")
    assert RunConfig().with_values(read_config(tmp_path / "config.toml")).train.epochs == 7


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_all(HERE)
