"""Augmented copies: neighbors by features are copies only if their pixels can be laid onto one another."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from keensight.core.progress import Silent
from keensight.core.records import ImageSpec
from keensight.data.audit.audit import audit, with_copies
from keensight.data.audit.augmented import find_augmented
from keensight.data.audit.duplicates import ties
from keensight.data.cache import prepare
from keensight.data.sources.readers import from_arrays

SIDE, COPIES = 96, 4


def picture(seed):
    """Blots of all sizes, as photographs have."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((SIDE, SIDE, 3))
    for cells in (3, 6, 12):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        canvas += np.asarray(blots.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 3
    return Image.fromarray(canvas.astype(np.uint8))


def augmented(image, rng):
    """Rotated, shifted, zoomed, flipped, and of another brightness."""
    angle, zoom, shift = rng.uniform(-15, 15), rng.uniform(0.9, 1.1), rng.uniform(-8, 8, 2)
    turn = np.deg2rad(angle)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * zoom
    offset = SIDE / 2 - linear @ (np.full(2, SIDE / 2) + shift)
    matrix = (*linear[0], offset[0], *linear[1], offset[1])
    changed = image.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    changed = changed.point(lambda level: level * rng.uniform(0.85, 1.0))
    return changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else changed


def a_set(images):
    data = from_arrays(np.stack([np.asarray(image) for image in images]), ["a", *"b" * (len(images) - 1)])
    return data, prepare(data, ImageSpec(SIDE, SIDE))


def found_in(images, originals, units=None):
    """The copies among images whose features are those of their originals and some noise."""
    data, pixels = a_set(images)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(max(originals) + 1, 64))[originals] + 0.3 * rng.normal(size=(len(images), 64))
    units = np.arange(len(images)) if units is None else np.asarray(units)
    rows = np.arange(len(images))
    return data, pixels, find_augmented(data, pixels, rows, features.astype(np.float32), units, Silent())


@pytest.fixture(scope="module")
def copied():
    rng = np.random.default_rng(0)
    images, originals = [], []
    for number in range(15):
        image = picture(number)
        images += [image, *(augmented(image, rng) for _ in range(COPIES - 1))]
        originals += [number] * COPIES
    return images, originals


@pytest.mark.slow
def test_copies_of_an_original_are_found_whatever_was_changed(copied):
    images, originals = copied
    _, _, found = found_in(images, originals)
    assert all(originals[pair.first] == originals[pair.second] for pair in found.pairs)
    assert len({i for pair in found.pairs for i in (pair.first, pair.second)}) >= 0.9 * len(images)
    assert {pair.kind for pair in found.pairs} == {"augmented"}


def test_images_that_are_only_neighbors_by_their_features_are_no_copies():
    images = [picture(number) for number in range(60)]
    _, _, found = found_in(images, [number // 4 for number in range(60)])
    assert found.pairs == ()


def test_images_of_one_group_are_not_compared(copied):
    images, originals = copied
    _, _, found = found_in(images, originals, units=originals)
    assert found.pairs == ()


@pytest.mark.slow
def test_an_audit_with_them_reports_one_group_of_each_original_and_keeps_its_other_findings(copied):
    images, originals = copied
    data, pixels, found = found_in(images, originals)
    before = audit(data, pixels)
    after = with_copies(before, data, pixels, found)
    (finding,) = [one for one in after.findings if one.kind == "near-duplicate"]
    assert finding.count == len(ties(after, data)) >= 15
    others = {one.kind for one in before.findings} - {"near-duplicate"}
    assert others <= {one.kind for one in after.findings}


@pytest.mark.slow
def test_copies_in_two_predefined_splits_are_a_leak(copied):
    images, originals = copied
    data, pixels, found = found_in(images, originals)
    samples = tuple(
        dataclasses.replace(sample, split="test" if number % COPIES == 0 else "train")
        for number, sample in enumerate(data.samples)
    )
    data = dataclasses.replace(data, samples=samples)
    report = with_copies(audit(data, pixels), data, pixels, found)
    (leak,) = [one for one in report.findings if one.kind == "near-leak"]
    assert leak.severity == "severe"
    assert leak.count >= 12
