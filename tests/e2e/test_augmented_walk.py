"""A set of augmented copies: without splits they stay together, and with leaky ones the result says so."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keensight as ks

pytestmark = pytest.mark.slow

SIDE, ORIGINALS, COPIES = 112, 40, 5


def _original(seed):
    """Blots of all sizes; one class has a bright, the other a dark place in the middle."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((SIDE, SIDE, 3))
    for cells in (3, 6, 12):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        canvas += np.asarray(blots.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 3
    canvas[40:72, 40:72] += 30 if seed % 2 else -30
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Copies of 40 originals, rotated by up to 12 degrees with black corners, drawn at random into three splits."""
    folder, rng = tmp_path_factory.mktemp("augmented"), np.random.default_rng(0)
    rows = []
    for number in range(ORIGINALS):
        image = _original(number)
        for copy in range(COPIES):
            name = f"{rng.integers(2**60):015x}.png"
            angle = 0 if copy == 0 else rng.uniform(-12, 12)
            image.rotate(angle, Image.Resampling.BILINEAR, translate=tuple(rng.integers(-6, 7, 2).tolist())).save(
                folder / name
            )
            rows.append((name, f"class{number % 2}", number, rng.choice(["train", "val", "test"], p=[0.6, 0.2, 0.2])))
    for table, columns in (("plain.csv", 3), ("leaky.csv", 4)):
        with (folder / table).open("w", newline="") as file:
            csv.writer(file).writerows(
                [("path", "label", "original", "split")[:columns], *(row[:columns] for row in rows)]
            )
    return folder


def test_copies_of_an_original_stay_in_one_split(root, tmp_path):
    run = ks.train(root / "plain.csv", run=tmp_path / "run", label="label", effort="quick")
    split, samples = run.split, run.dataset.samples
    held = [{samples[i].metadata["original"] for i in part} for part in (split.train, split.val, split.test)]
    torn = (held[0] & held[1]) | (held[0] & held[2]) | (held[1] & held[2])
    assert len(torn) <= ORIGINALS / 4  # 36 of 40 by chance
    kinds = {caveat["kind"] for caveat in run.record.results["test"]["caveats"]}
    assert "validation-leak" not in kinds
    assert "augmented-copies" in kinds


def test_leaky_splits_are_told_beside_the_result(root, tmp_path):
    command = [
        sys.executable,
        "-m",
        "keensight",
        "train",
        "leaky.csv",
        "--label",
        "label",
        "--effort",
        "quick",
        "--run",
    ]
    shown, told = (
        subprocess.run([*command, tmp_path / name, *more], cwd=root, capture_output=True, text=True, check=True).stdout
        for name, more in (("shown", []), ("told", ["--json"]))
    )
    assert "validation images have a duplicate or an augmented copy in the training set" in " ".join(shown.split())
    found = json.loads(told)["test"]
    assert {"leak", "validation-leak", "augmented-copies"} <= {caveat["kind"] for caveat in found["caveats"]}
    assert found["cleaned_n"] < found["n"] / 4
