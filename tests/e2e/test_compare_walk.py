"""Slices, comparison, seeds and the learning curve, by commands."""

import json

import numpy as np
import pytest

from keensight.cli.main import main
from keensight.core.pixels import encode_png

pytestmark = pytest.mark.slow
QUICK = ["--model", "cnn", "--epochs", "6", "--set", "train.batch_size=32", "--image-size", "16"]


def shape(rng, kind, dark):
    """A bar, upright or lying; in dark images it is hardly there."""
    image = rng.normal(40 if dark else 120, 12, (16, 16))
    at = rng.integers(3, 12)
    bright = 6 if dark else 90
    if kind == "upright":
        image[:, at : at + 2] += bright
    else:
        image[at : at + 2] += bright
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    lines = ["image,label,camera"]
    for i in range(800):
        kind, dark = ("upright", "lying")[i % 2], i % 5 == 0
        (folder / f"{i}.png").write_bytes(encode_png(shape(rng, kind, dark)))
        lines.append(f"{i}.png,{kind},{'night' if dark else 'day'}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


@pytest.fixture(scope="module")
def runs(table):
    folder = table.parent / "runs"
    assert main(["train", str(table), *QUICK, "--seeds", "2", "--run", str(folder)]) == 0
    assert (
        main(
            [
                "train",
                str(table),
                *QUICK,
                "--epochs",
                "1",
                "--set",
                "train.learning_rate=1e-6",
                "--run",
                str(folder / "poor"),
            ]
        )
        == 0
    )
    return folder


def test_the_night_camera_is_named(runs, capsys):
    found = json.loads((runs / "seed-0" / "evaluation" / "slices.json").read_text())
    scores = {(score["column"], score["value"]): score for score in found["scores"]}
    assert scores["camera", "night"]["weak"]
    assert not scores["camera", "day"]["weak"]
    page = (runs / "seed-0" / "report.html").read_text(encoding="utf-8")
    assert "Results by subgroup" in page
    assert "camera: night" in page


def test_the_better_of_two_runs_is_named(runs, capsys):
    arguments = ["compare", str(runs / "poor"), str(runs / "seed-0"), "--out", str(runs / "page"), "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"].startswith("seed-0 is better by")
    assert found["difference"]["low"] > 0
    assert found["left_out"] == 0
    assert "Right with the second model only" in (runs / "page" / "compare.html").read_text(encoding="utf-8")


def test_images_that_one_has_learned_from_are_left_out(runs, table, capsys):
    assert main(["compare", str(runs / "seed-0"), str(runs / "seed-1"), str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    learned = [
        {line.split(",")[0] for line in (runs / seed / "split.csv").read_text().splitlines() if "test" not in line}
        for seed in ("seed-0", "seed-1")
    ]
    neither = {f"{i}.png" for i in range(800)} - learned[0] - learned[1]
    assert found["n"] == len(neither)


def test_twice_the_data_is_told_with_an_interval(table, tmp_path, capsys):
    arguments = ["learning-curve", str(table), "--image-size", "32", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert [len(point["accuracies"]) for point in found["points"]] == [4, 3, 3, 1]
    assert found["doubled"]["low"] <= found["doubled"]["value"] <= found["doubled"]["high"]
    assert (tmp_path / "learning_curve.png").stat().st_size > 5000
