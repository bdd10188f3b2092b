"""Features are remembered by what the network was shown, not by the file alone."""

import numpy as np
from PIL import Image

import keensight as ks
from keensight.core.records import ImageSpec
from keensight.workflow.features import images_of


def test_the_same_files_fitted_otherwise_are_other_images(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(3):
            pixels = np.random.default_rng(i).integers(0, 256, (30, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{label}{i}.png")
    data = ks.open(tmp_path)
    split = ks.Split((0, 1, 2, 3, 4, 5), (), (), "all")
    named = [images_of(data, split, ks.prepare(data, ImageSpec(32, 32, fit))).digests for fit in ("stretch", "pad")]
    again = images_of(data, split, ks.prepare(data, ImageSpec(32, 32, "stretch"))).digests
    assert named[0] == again
    assert not set(named[0]) & set(named[1])
