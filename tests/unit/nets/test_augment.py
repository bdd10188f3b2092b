from dataclasses import replace

import numpy as np
import pytest

from keensight.core.config import AugmentConfig
from keensight.core.records import LabelSet
from keensight.data.flip_evidence import MirrorEvidence

OFF = AugmentConfig(flip="none", crop=1.0, shift=0.0, zoom=0.0, rotate=0.0, erase=0.0, color="none")


def _images(n=6, height=20, width=16):
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def _apply(images, config, draws=None):
    from keensight.nets.training import augment

    n, height, width, _ = images.shape
    if draws is None:
        draws = np.random.default_rng(1).random((n, augment.DRAWS), np.float32)
    return np.asarray(augment.apply(images, draws, config, (height, width)))


FOR, NEITHER = MirrorEvidence(500, 9, 8, 200, 90), MirrorEvidence(500, 9, 8, 200, 20)
AGAINST, UNLIKE = MirrorEvidence(500, 30, 1, 200, 90), MirrorEvidence(500, 30, 20, 100, 90)
CHANCE = MirrorEvidence(500, 30, 20, 200, 90)


@pytest.mark.parametrize(
    ("names", "evidence", "mirrored"),
    [
        (("cat", "dog"), None, True),
        (("T-shirt", "Ankle boot"), NEITHER, True),
        (("cat", "dog"), AGAINST, False),
        (("cat", "dog"), UNLIKE, False),
        (("apple", "juice"), CHANCE, True),
        (("0", "1", "2"), None, False),
        (("0", "1", "2"), NEITHER, False),
        (("0", "1", "2"), FOR, True),
        (("a", "b"), NEITHER, False),
        (("turn_left", "go on"), FOR, False),
        (("bright", "dark"), None, True),
    ],
)
def test_images_are_mirrored_only_where_no_class_could_change(names, evidence, mirrored):
    from keensight.nets.training.augment import resolve

    resolved = resolve(AugmentConfig(), LabelSet(names), 0.0, evidence)
    assert resolved.config.flip == ("horizontal" if mirrored else "none")
    assert len(resolved.reasons) == 2


def test_colour_is_left_alone_in_grey_images():
    from keensight.nets.training.augment import resolve

    assert resolve(AugmentConfig(), LabelSet(("cat", "dog")), grey_share=1.0).config.color == "none"
    assert resolve(AugmentConfig(), LabelSet(("cat", "dog")), grey_share=0.0).config.color == "light"


def test_disabled_means_every_change_is_off():
    from keensight.nets.training.augment import resolve

    assert resolve(AugmentConfig(enabled=False), LabelSet(("cat", "dog")), 0.0).config == replace(OFF, enabled=False)


@pytest.mark.slow
def test_all_off_leaves_every_pixel():
    np.testing.assert_array_equal(_apply(_images(), OFF), _images())


@pytest.mark.slow
def test_mirroring_is_exact_and_hits_about_half():
    images = _images(n=200)
    out = _apply(images, replace(OFF, flip="horizontal"))
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(out, images, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(out, images, strict=True)]
    assert all(f or k for f, k in zip(flipped, kept, strict=True))
    assert 70 < sum(flipped) < 130


@pytest.mark.slow
def test_shifts_move_whole_pixels_within_the_limit():
    images = np.zeros((100, 21, 21, 3), np.uint8)
    images[:, 10, 10] = 255
    out = _apply(images, replace(OFF, shift=0.1))
    where = np.array([np.argwhere(image[..., 0] == 255)[0] for image in out]) - 10
    assert (where.min(axis=0) == -2).all() and (where.max(axis=0) == 2).all()


@pytest.mark.slow
def test_erasing_changes_one_box_and_nothing_else():
    images = np.full((50, 40, 40, 3), 7, np.uint8)
    out = _apply(images, replace(OFF, erase=0.5))
    changed = (out != 7).any(axis=-1)
    for mask in changed[changed.any(axis=(1, 2))]:
        rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert len(rows) <= 21 and len(columns) <= 21


@pytest.mark.slow
def test_zoom_turn_and_colour_keep_shape_type_and_are_reproducible():
    config = AugmentConfig(flip="both", shift=0.1, zoom=0.2, rotate=20.0, erase=0.3, color="strong")
    first, second = _apply(_images(), config), _apply(_images(), config)
    assert first.dtype == np.uint8 and first.shape == _images().shape
    np.testing.assert_array_equal(first, second)
    assert (first != _images()).mean() > 0.5


def _crop(down, right, area=0.25, aspect=0.5):
    from keensight.nets.training import augment

    rows, columns = np.mgrid[:40, :40]
    image = np.stack([rows * 6, columns * 6, rows * 0], axis=-1).astype(np.uint8)[None]
    draws = np.full((1, augment.DRAWS), 0.5, np.float32)
    draws[0, 14:] = (area - 0.25) / 0.75, aspect, down, right
    return _apply(image, replace(OFF, crop=0.25), draws)[0, :, :, :2].astype(float) / 6


def test_a_crop_shows_its_part_of_the_image_at_full_size():
    top_left, bottom_right = _crop(0.0, 0.0), _crop(1.0, 1.0)
    # A quarter of the area is half of either side: 20 of 40 pixels, from the first pixel on or to the last one.
    np.testing.assert_allclose(top_left[1:-1, 20, 0], (np.arange(40)[1:-1] + 0.5) / 2 - 0.5, atol=0.2)
    np.testing.assert_allclose(bottom_right[20, 1:-1, 1], 19.5 + (np.arange(40)[1:-1]) / 2 + 0.25, atol=0.2)
    np.testing.assert_allclose(_crop(0.3, 0.9, area=1.0), np.moveaxis(np.mgrid[:40, :40], 0, -1), atol=0.2)


def test_a_crop_changes_the_aspect_ratio_a_little_and_never_leaves_the_image():
    wide = _crop(0.5, 0.5, aspect=1.0)
    height, width = (np.ptp(wide[:, 20, 0]), np.ptp(wide[20, :, 1]))
    assert width / height == pytest.approx(4 / 3, rel=0.05)
    draws = np.random.default_rng(3).random((200, 18), np.float32)
    from keensight.nets.training.augment import _crops

    high, wide, down, right = (np.asarray(value) for value in _crops(draws[:, 14:], 0.35))
    assert (high * wide).min() >= 0.3 and max(high.max(), wide.max()) <= 1
    assert (high / 2 + abs(down)).max() <= 0.5 + 1e-6 and (wide / 2 + abs(right)).max() <= 0.5 + 1e-6
