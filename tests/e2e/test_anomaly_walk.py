"""Anomalies from normal images alone, by commands: train, evaluate, report, predict."""

import json
import tomllib

import numpy as np
import pytest

import keensight as ks
from keensight.cli.main import main
from keensight.core.pixels import encode_png

pytestmark = pytest.mark.slow


def stripes(rng, odd):
    """Diagonal stripes at any place; an odd image has a bright blot."""
    y, x = np.mgrid[:64, :64]
    grey = 120 + 60 * np.sin((x + y + rng.integers(64)) / 4) + rng.normal(0, 4, (64, 64))
    if odd:
        cy, cx = rng.integers(16, 48, 2)
        grey[(y - cy) ** 2 + (x - cx) ** 2 < 30] = 250
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anomaly")
    rng = np.random.default_rng(0)
    for name, count in (("good", 120), ("blot", 60)):
        (folder / "set" / name).mkdir(parents=True)
        for i in range(count):
            (folder / "set" / name / f"{i}.png").write_bytes(encode_png(stripes(rng, name == "blot")))
    run = folder / "run"
    assert main(["train", str(folder / "set"), "--task", "anomaly", "--run", str(run)]) == 0
    return folder


def test_blots_are_found_and_the_document_says_how_well(walked, capsys):
    assert main(["evaluate", str(walked / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["task"], found["normal"]) == ("anomaly", ["good"])
    assert found["test"]["anomalous"] == 60  # none trains, so all test
    assert found["test"]["seen"] == 0
    assert found["test"]["auroc"] > 0.95
    assert found["test"]["auroc_ci"][0] <= found["test"]["auroc"] <= found["test"]["auroc_ci"][1]
    assert found["test"]["false_alarms"] < 0.4


def test_the_heatmap_points_at_the_blot(walked, capsys):
    image = stripes(np.random.default_rng(5), odd=False)
    image[40:50, 8:18] = 250
    (walked / "new.png").write_bytes(encode_png(image))
    maps = walked / "maps"
    assert main(["predict", str(walked / "run"), str(walked / "new.png"), "--heatmaps", str(maps), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["label"], row["probability"], row["error"]) == ("anomalous", None, None)
    assert row["score"] > 1
    assert [path.name for path in maps.iterdir()] == ["0000-new.png"]

    import keensight as ks

    (odd,) = ks.load_detector(walked / "run").predict(image).maps
    row_, column = np.unravel_index(int(odd.argmax()), odd.shape)
    side = odd.shape[0] / 64
    assert abs(row_ - 45 * side) <= 3
    assert abs(column - 13 * side) <= 3


def test_the_report_shows_both_sides_and_can_be_written_again(walked, capsys):
    page = walked / "run" / "report.html"
    before = page.read_text(encoding="utf-8")
    assert "area under the ROC curve" in before
    assert "Findings of the audit" in before
    assert "60 anomalous images are in the test set" in before
    assert "have a near-duplicate among the training or validation images" not in before
    assert "data:image/" in before
    page.unlink()
    assert main(["report", str(walked / "run")]) == 0
    assert page.read_text(encoding="utf-8") == before


def test_the_configuration_claims_no_training(walked):
    written = tomllib.loads((walked / "run" / "config.toml").read_text(encoding="utf-8"))
    assert written["train"] == {"engine": "auto", "seed": 0}
    assert written["augment"] == written["decision"] == {}
    assert (written["data"]["normal"], written["data"]["fit"]) == ("good", "pad")


def test_a_classifiers_verbs_refuse_a_detector(walked, capsys):
    assert main(["enrol", str(walked / "run"), "x", str(walked / "new.png"), "--out", str(walked / "b")]) == 2
    assert "anomaly detector" in capsys.readouterr().err


def test_a_detector_without_its_run_has_no_stored_evaluation(walked):
    with pytest.raises(ks.DataError, match="no stored evaluation") as told:
        ks.evaluate(ks.load_detector(walked / "run"))
    assert told.value.hint == "give the run that it comes from"


def test_several_seeds_are_refused_with_the_reason(walked):
    with pytest.raises(ks.UsageError, match="classification only"):
        ks.train_seeds(walked / "set", 2, task="anomaly")
    with pytest.raises(ks.UsageError, match="at least two seeds"):
        ks.train_seeds(walked / "set", 1)


def test_without_a_normal_class_the_error_names_the_classes(walked, capsys, tmp_path):
    (walked / "set" / "good").rename(walked / "set" / "plain")
    try:
        assert main(["train", str(walked / "set"), "--task", "anomaly", "--run", str(tmp_path / "r")]) == 2
    finally:
        (walked / "set" / "plain").rename(walked / "set" / "good")
    error = capsys.readouterr().err
    assert "blot, plain" in error
    assert not (tmp_path / "r").exists()


def test_images_of_different_shapes_are_stretched_unless_asked_otherwise(tmp_path, capsys):
    rng = np.random.default_rng(1)
    for name, count in (("good", 60), ("blot", 20)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(count):
            image = stripes(rng, name == "blot")[: 64 - 24 * (i % 2)]
            (tmp_path / "set" / name / f"{i}.png").write_bytes(encode_png(image))
    source, told = str(tmp_path / "set"), "the images have different shapes: stretched to one"
    for run, options, fit in (("auto", [], "stretch"), ("asked", ["--set", "data.fit=pad"], "pad")):
        folder = tmp_path / run
        assert main(["train", source, "--task", "anomaly", "--run", str(folder), *options]) == 0
        captured = capsys.readouterr()
        assert (told in captured.out + captured.err) == (fit == "stretch")
        assert tomllib.loads((folder / "config.toml").read_text())["data"]["fit"] == fit
