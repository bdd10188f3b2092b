"""A bundle leaves out of an evaluation what it learned from: its own files, and copies of them in other formats."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keensight.cli.main import main
from keensight.core.files import write_json

pytestmark = pytest.mark.slow
QUICK = ["--model", "cnn", "--epochs", "1", "--image-size", "32", "--set", "train.batch_size=16", "--json"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of 60 images; no two alike."""
    root = tmp_path_factory.mktemp("set") / "photos"
    rng = np.random.default_rng(0)
    for i in range(120):
        kind = ("warm", "cold")[i % 2]
        coarse = rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)
        coarse[..., 2 * (i % 2)] //= 2
        (root / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(root / kind / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def run(photos):
    place = photos.parent / "run"
    assert main(["train", str(photos), *QUICK, "--run", str(place)]) == 0
    return place


def copied(photos, name, save):
    for path in photos.rglob("*.png"):
        target = photos.parent / name / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        save(Image.open(path), target / path.stem)
    return photos.parent / name


def as_jpeg(image, path):
    image.resize((72, 72)).save(path.with_suffix(".jpg"), quality=60)


def as_bmp(image, path):
    image.save(path.with_suffix(".bmp"))


def evaluated(capsys, model, source):
    capsys.readouterr()
    assert main(["evaluate", str(model), str(source), "--json"]) == 0
    told = capsys.readouterr()
    return json.loads(told.out), told.err


@pytest.mark.parametrize("model", ["run", "run/bundle"])
@pytest.mark.parametrize(
    ("name", "save", "kind"),
    [("photos", None, "same_file"), ("b", as_bmp, "same_pixels"), ("j", as_jpeg, "look_alike")],
)
def test_what_a_model_learned_from_is_left_out(run, photos, capsys, model, name, save, kind):
    source = photos if save is None else copied(photos, name, save)
    found, said = evaluated(capsys, run.parent / model, source)
    counts = json.loads((run / "run.json").read_text())["results"]["data"]
    assert found["test"]["n"] == counts["test"]
    assert found["left_out"][kind] == counts["train"] + counts["val"] == sum(found["left_out"].values())
    assert f"{found['left_out'][kind]} training images not evaluated" in said
    assert found["notes"] == []


def test_a_bundle_of_schema_3_says_that_it_cannot_tell(run, photos, capsys, tmp_path):
    old = shutil.copytree(run / "bundle", tmp_path / "old")
    (old / "learned.npz").unlink()
    manifest = json.loads((old / "manifest.json").read_text(encoding="utf-8"))
    del manifest["files"]["learned.npz"]
    write_json(old / "manifest.json", manifest | {"schema": 3})
    found, said = evaluated(capsys, old, photos)
    assert found["test"]["n"] == 120
    assert "does not record what it was trained on: the 120 evaluated images may include training images" in said
    assert found["notes"]
    assert found["notes"][0] in said


def test_where_nothing_is_left_the_error_says_why(run, photos, capsys, tmp_path):
    only = tmp_path / "only"
    rows = [line.split(",") for line in (run / "split.csv").read_text().splitlines()[1:]]
    for path in (row[0] for row in rows if row[3] == "train"):
        (only / path).parent.mkdir(parents=True, exist_ok=True)
        as_bmp(Image.open(photos / path), (only / path).with_suffix(""))
    assert main(["evaluate", str(run / "bundle"), str(only)]) != 0
    said = capsys.readouterr().err
    assert "there are no images to evaluate" in said
    assert "80 training images not evaluated: 80 the same pixels" in said


def test_a_comparison_of_two_bundles_leaves_out_what_either_learned_from(run, photos, capsys, tmp_path):
    assert main(["train", str(photos), *QUICK, "--seed", "5", "--run", str(tmp_path / "other")]) == 0
    capsys.readouterr()
    assert main(["compare", str(run / "bundle"), str(tmp_path / "other" / "bundle"), str(photos), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    learned = [
        {line.split(",")[0] for line in (place / "split.csv").read_text().splitlines()[1:] if ",test" not in line}
        for place in (run, tmp_path / "other")
    ]
    neither = 120 - len(learned[0] | learned[1])
    assert found["n"] == neither
    assert found["left_out"] == 120 - neither
    assert found["left_out_by"] == {"same_file": 120 - neither, "same_pixels": 0, "look_alike": 0}
    assert any("training images not evaluated" in note for note in found["notes"])
