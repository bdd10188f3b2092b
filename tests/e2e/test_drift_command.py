"""``keensight drift``: a training keeps measurements of its test images, and new images are compared with them."""

import json

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.cli.main import main
from keensight.core.drift import NUMBERS
from keensight.errors import DataError, UsageError

pytestmark = pytest.mark.slow
KINDS = ("red", "green")


def draw(folder, n, seed, darker=0):
    rng = np.random.default_rng(seed)
    for i in range(n):
        kind = i % 2
        image = rng.integers(0, 60, (24, 24, 3)) + rng.integers(90)
        image[..., kind] += 80
        place = folder / KINDS[kind] / f"{seed}-{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(image - darker, 0, 255).astype(np.uint8)).save(place)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("drift")
    draw(place / "photos", 300, 0)
    return ks.train(place / "photos", run=place / "run", model="cnn", epochs=1, image_size=24, effort="quick")


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    place = tmp_path_factory.mktemp("new")
    return draw(place / "same", 120, 1), draw(place / "dark", 120, 2, darker=70)


def test_a_bundle_keeps_measurements_of_its_test_images(run):
    evaluation, bundle = ks.evaluate(run), ks.open_bundle(run.path)
    found = bundle.reference()
    assert len(found) == evaluation.n >= 20
    known = ~np.isnan(found.values).all(axis=0)
    assert known.all(), [name for name, one in zip(NUMBERS, known, strict=True) if not one]
    confidence = np.sort(evaluation.predictions.probabilities.max(axis=1))
    np.testing.assert_allclose(np.sort(found.column("confidence")), confidence, atol=1e-6)


def test_new_images_like_the_test_images_are_no_alarm_and_darker_ones_are(run, new, capsys):
    same, dark = new
    assert main(["drift", str(run.path), str(same), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and document["n"] == 120 and not document["differs"]
    assert {one["property"] for one in document["properties"]} >= {"brightness", "confidence", "predicted class"}
    assert main(["drift", str(run.path), str(dark), "--strict"]) == 3
    out = capsys.readouterr().out
    assert "brightness" in out and out.splitlines()[-1].startswith("these images are not like the test images")
    assert main(["drift", str(run.path), str(dark), "--reference", str(dark), "--strict"]) == 0


def test_a_check_that_could_not_be_made_does_not_pass_strict(run, new, tmp_path, capsys):
    few = str(draw(tmp_path / "few", 8, 4))
    assert main(["drift", str(run.path), few]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing could be compared with the test images"
    assert main(["drift", str(run.path), few, "--strict"]) == 3
    message, hint = capsys.readouterr().err.splitlines()[-2:]
    assert message.startswith("error: nothing could be compared with the test images, so --strict does not pass (8 new")
    assert hint == "hint: give 20 or more images"
    assert main(["drift", str(run.path), few, "--reference", few, "--strict", "--json"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["properties"] == []
    assert printed.err.splitlines()[-1] == "hint: give 20 or more images, and 20 or more test images with --reference"
    assert main(["drift", str(run.path), str(new[0]), "--reference", few, "--strict"]) == 3
    assert capsys.readouterr().err.splitlines()[-1] == "hint: give 20 or more test images with --reference"


def test_predictions_can_be_compared_without_their_images(run, new, tmp_path):
    same, dark = new
    for ending in ("csv", "parquet", "json"):
        ks.write_predictions(ks.predict(run, same), tmp_path / f"found.{ending}")
        found = ks.drift(run, tmp_path / f"found.{ending}")
        assert found.n == 120 and not found.differs
        assert [one.property for one in found.shifts] == ["confidence", "out-of-distribution score", "predicted class"]
    assert found.shifts == ks.drift(run, ks.predict(run, same)).shifts
    one_class = ks.predict(run, dark / "red")
    assert ks.drift(run, one_class, reference=ks.predict(run, dark / "green")).differs


def test_what_cannot_be_read_is_counted_and_nothing_else_is_refused(run, new, tmp_path):
    broken = tmp_path / "broken"
    draw(broken, 30, 3)
    (broken / "red" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    found = ks.drift(run, broken)
    assert (found.n, found.unreadable) == (30, 1)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the images"):
        ks.drift(run, tmp_path / "bad.png")
    (tmp_path / "other.csv").write_text("path,label,probability\na.png,blue,0.5\n")
    with pytest.raises(DataError, match="blue"):
        ks.drift(run, tmp_path / "other.csv")
    with pytest.raises(UsageError):
        ks.drift(run, broken, level="often")
