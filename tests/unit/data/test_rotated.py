"""Rotated copies: planted ones are found at any angle, and pictures that are alike by nature are none."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from keensight.core.records import Dataset, ImageInfo, ImageSpec, LabelSet, Sample
from keensight.data.audit.duplicates import copy_findings
from keensight.data.audit.near_duplicates import find_near_duplicates
from keensight.data.audit.rotation import agreement, angles_between, distinctive, fit_maps, spectra, squares_of, turns
from keensight.data.cache import prepare
from keensight.data.sources.readers import from_arrays

pytestmark = pytest.mark.slow  # seconds in all
SIDE = 96


def picture(seed, size=(SIDE, SIDE)):
    """Blots of all sizes, as photographs have."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((size[1], size[0], 3))
    for cells in (3, 6, 12, 24):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        canvas += np.asarray(blots.resize(size, Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(canvas.astype(np.uint8))


def rotated(image, angle, *, mirrored=False):
    """Rotated as augmentation does: in its frame, with black corners."""
    turned = image.rotate(angle, Image.Resampling.BILINEAR)
    return turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else turned


def found_among(images):
    data = from_arrays(np.stack([np.asarray(image) for image in images]), ["a", *"b" * (len(images) - 1)])
    return data, find_near_duplicates(data, prepare(data, ImageSpec(*np.asarray(images[0]).shape[:2])))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [90, 180, 270, 12, -15, 37, 145])
def test_a_copy_at_any_angle_is_found_and_nothing_else(angle, mirrored):
    originals = [picture(seed) for seed in range(30)]
    copies = [rotated(image, angle, mirrored=mirrored) for image in originals[:10]]
    _, found = found_among([*originals, *copies])
    assert {(pair.first, pair.second) for pair in found.pairs} == {(i, 30 + i) for i in range(10)}
    vertically = mirrored and angle == 180  # a mirror image the other way up is one that is turned by 180 degrees
    assert {pair.kind for pair in found.pairs} == {"rotated"} or vertically
    assert min(pair.score for pair in found.pairs) >= 0.9


def test_several_changes_of_one_original_are_one_group_that_a_split_keeps_together():
    originals = [picture(seed) for seed in range(24)]
    changed = [rotated(originals[0], angle, mirrored=angle > 90) for angle in (8, 90, 172, 270)]
    data, found = found_among([*originals, *changed])
    *_, finding = copy_findings(data, None, found)
    assert finding.kind == "near-duplicate"
    assert finding.rows == ((0, 24, 25, 26, 27),)
    assert "mirrored or rotated" in finding.message


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("bar", "dot", "disk", "nut")]


@pytest.mark.parametrize("kind", ["noise", "strokes", "grid", *SLOW])
def test_simple_pictures_are_no_rotated_copies_of_one_another(kind):
    rng = np.random.default_rng(1)
    _, found = found_among([simple(kind, rng) for _ in range(120)])
    assert len([pair for pair in found.pairs if pair.kind == "rotated"]) <= 1  # the threshold leaves one pair to chance


def simple(kind, rng):
    if kind == "noise":
        return Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))
    if kind == "grid":
        line = np.where(np.arange(100) // 6 % 2, 200, 60)
        return Image.fromarray((np.minimum(line, line[:, None]) + rng.integers(-50, 50, (100, 100))).astype(np.uint8))
    image = Image.new("L", (64, 64), 255)
    middle = 12 if kind == "disk" else 0
    draw, ends = ImageDraw.Draw(image), rng.integers(12 + middle, 52 - middle, (4, 2))
    if kind == "bar":
        draw.line([tuple(ends[0]), tuple(63 - ends[0])], 0, int(rng.integers(2, 9)))
    elif kind == "nut":
        corners = np.deg2rad(60 * np.arange(6) + rng.integers(0, 60))
        draw.polygon([(32 + 24 * np.cos(one), 32 + 24 * np.sin(one)) for one in corners], 60)
        draw.ellipse([22, 22, 42, 42], 255)
    elif kind == "strokes":
        draw.line([tuple(end) for end in ends.tolist()], 0, 5)
    else:
        radius = int(rng.integers(2, 4) if kind == "dot" else rng.integers(10, 24))
        draw.ellipse([*(ends[0] - radius), *(ends[0] + radius)], 0)
    noisy = np.asarray(image, np.float32) + rng.normal(0, 3, (64, 64))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def test_an_angle_is_read_from_the_rings_and_refined_by_the_fit():
    image = picture(3).convert("L")
    pair = [np.asarray(each, np.float32)[None] for each in (image, rotated(image, 33))]
    small = [squares_of(each, np.full((1, 2), SIDE, np.float32), 64) for each in pair]
    mirrored = np.zeros(1, bool)
    angle, alike = angles_between(*(spectra(each) for each in small), mirrored)
    assert alike[0] > 0.95
    assert np.rad2deg(angle[0]) % 360 == pytest.approx(33, abs=3)
    maps = fit_maps(*small, turns(angle, mirrored), steps=8)
    assert np.rad2deg(np.arctan2(maps[0, 1, 0], maps[0, 0, 0])) == pytest.approx(33, abs=0.5)
    assert agreement(*small, maps, 2.0)[0] > 0.8
    assert agreement(*small, turns(angle + 0.5, mirrored), 2.0)[0] < 0.5


def test_a_map_that_no_augmentation_makes_does_not_count():
    image = np.asarray(picture(3).convert("L"), np.float32)[None, :64, :64]
    double = np.array([[[2.0, 0, 0], [0, 1, 0]]], np.float32)
    assert agreement(image, image, double, 2.0)[0] == 0


@pytest.mark.slow
def test_images_that_are_not_square_are_compared_in_their_own_proportions(tmp_path):
    wide = [picture(seed, (320, 192)) for seed in range(60)]
    images = [*wide, wide[0].rotate(90, expand=True), rotated(wide[1], 10)]
    samples = []
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
        info = ImageInfo("PNG", "RGB", *image.size)
        samples.append(Sample(f"{number}.png", "a", f"{number:064x}", info=info))
    data = Dataset("wide", "folder", LabelSet(("a",)), tuple(samples))
    stretched = np.stack([np.asarray(image.resize((SIDE, SIDE))) for image in images])
    pixels = prepare(from_arrays(stretched, ["a", *"b" * (len(images) - 1)]), ImageSpec(SIDE, SIDE))
    found = find_near_duplicates(data, pixels)
    assert {(pair.first, pair.second, pair.kind) for pair in found.pairs} == {(0, 60, "rotated"), (1, 61, "rotated")}


def test_blank_pictures_bars_and_dots_are_not_distinctive():
    rng = np.random.default_rng(0)
    drawn = [np.asarray(simple(kind, rng), np.float32) for kind in ("bar", "dot", "noise")]
    flat, blots = np.full((64, 64), 7, np.float32), np.asarray(picture(0, (64, 64)).convert("L"), np.float32)
    assert distinctive(np.stack([flat, *drawn, blots]), 2.0).tolist() == [False, False, False, True, True]
