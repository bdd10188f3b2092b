"""A cross-validation of the head keeps copies of an image in one fold, as the split does."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.progress import Silent

pytestmark = pytest.mark.slow


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    """Sixty scenes of classes that are drawn by lot, each photographed four times."""
    root, rng = tmp_path_factory.mktemp("set") / "bursts", np.random.default_rng(0)
    for label in ("heads", "tails"):
        (root / label).mkdir(parents=True)
    for scene in range(60):
        rough = Image.fromarray(rng.integers(0, 256, (7, 7, 3)).astype(np.uint8))
        picture = np.asarray(rough.resize((96, 96), Image.Resampling.BICUBIC)).astype(int)
        for shot in range(4):
            image = Image.fromarray((picture + 3 * shot).clip(0, 255).astype(np.uint8))
            image.save(root / ("heads", "tails")[scene % 2] / f"{scene}-{shot}.jpg", quality=95 - 8 * shot)
    return root


def test_an_accuracy_by_cross_validation_is_not_that_of_copies_seen_in_training(bursts, tmp_path):
    said = Said()
    ks.train(bursts, run=tmp_path / "run", model="efficientnet_lite0", effort="quick", image_size=96, progress=said)
    told = next(line for line in said.lines if "head fitted:" in line)
    found = re.search(r"cross-validated accuracy ([\d.]+)%", told)
    assert float(found[1]) < 75
