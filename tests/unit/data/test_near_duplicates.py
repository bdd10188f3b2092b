"""Copies by decoded pixels: planted ones are found, other images are not."""

from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from keensight.core.pixels import encode_png
from keensight.core.records import ImageSpec
from keensight.data.audit.near_duplicates import NEAR, Copies, Pair, clusters, find_near_duplicates
from keensight.data.cache import prepare
from keensight.data.sources.readers import from_arrays, open_source

pytestmark = pytest.mark.slow


def _picture(seed: int, side: int = 160) -> Image.Image:
    """Blots of all sizes, as photographs have."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((side, side, 3))
    for cells in (3, 6, 12, 24):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        canvas += np.asarray(blots.resize((side, side), Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(canvas.astype(np.uint8))


def _jpeg(image: Image.Image, path: Path, quality: int = 85) -> None:
    image.save(path, "JPEG", quality=quality)


def _copies(root: Path, side: int = 96) -> tuple[Copies, list[str]]:
    data = open_source(root)
    return find_near_duplicates(data, prepare(data, ImageSpec(side, side))), [sample.path for sample in data.samples]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty different pictures of one kind."""
    for number in range(40):
        folder = tmp_path / "source" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        _jpeg(_picture(number), folder / f"{number:02d}.jpg", 95)
    return tmp_path / "source"


def test_different_pictures_are_no_copies(root: Path) -> None:
    assert _copies(root)[0] == Copies((), NEAR)


def _changed(image: Image.Image, change: str, rng: np.random.Generator) -> Image.Image:
    if change == "resized":
        return image.resize((90, 110), Image.Resampling.BICUBIC)
    if change == "mirrored":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if change == "cropped":
        left, top = (int(place) for place in rng.integers(0, 16, 2))
        return image.crop((left, top, left + 145, top + 145))
    if change == "recoloured":
        return ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(1.15)).enhance(0.8)
    return image


@pytest.mark.parametrize("change", ["resized", "compressed", "mirrored", "cropped", "recoloured"])
def test_each_kind_of_near_copy_is_found(root: Path, change: str) -> None:
    rng = np.random.default_rng(0)
    for number in range(0, 40, 2):
        with Image.open(root / f"dog/{number:02d}.jpg") as image:
            copy = root / f"dog/{number:02d}-copy.jpg"
            _jpeg(_changed(image, change, rng), copy, 40 if change == "compressed" else 85)
    copies, paths = _copies(root)
    found = {(paths[pair.first][:6], paths[pair.second][:6]) for pair in copies.pairs}
    assert found == {(f"dog/{number:02d}",) * 2 for number in range(0, 40, 2)}
    assert {pair.kind for pair in copies.pairs} == {"mirror" if change == "mirrored" else "near"}
    assert min(pair.score for pair in copies.pairs) >= copies.threshold


def test_neither_names_nor_order_of_the_files_matter(root: Path) -> None:
    for number in range(0, 40, 4):
        with Image.open(root / f"dog/{number:02d}.jpg") as image:
            _jpeg(image.resize((90, 110)), root / f"dog/{number:02d}-copy.jpg", 70)
    data = open_source(root)
    turned = replace(data, samples=data.samples[::-1])
    found = [
        {(frozenset((one.samples[pair.first].path, one.samples[pair.second].path)), pair.score) for pair in pairs}
        for one in (data, turned) for pairs in [find_near_duplicates(one, prepare(one, ImageSpec(96, 96))).pairs]
    ]  # fmt: skip
    assert len(found[0]) == 10
    assert found[0] == found[1]


def test_the_same_pixels_in_another_file_are_an_exact_copy(root: Path) -> None:
    with Image.open(root / "cat/01.jpg") as image:
        (root / "cat/saved-again.png").write_bytes(encode_png(np.asarray(image)))
    (root / "dog/another-name.jpg").write_bytes((root / "dog/02.jpg").read_bytes())
    for side in (160, 40):  # at 40 px the JPEG is decoded at half its size, so that its pixels differ a little
        copies, paths = _copies(root, side)
        assert {(paths[pair.first], paths[pair.second], pair.kind, pair.score) for pair in copies.pairs} == {
            ("cat/01.jpg", "cat/saved-again.png", "exact", 1.0),
            ("dog/02.jpg", "dog/another-name.jpg", "exact", 1.0),
        }


@pytest.mark.parametrize("side", [8, 28, 64])
@pytest.mark.parametrize("kind", ["noise", "blank", "bars", "strokes"])
def test_pictures_that_are_alike_by_nature_are_no_copies(kind: str, side: int) -> None:
    rng = np.random.default_rng(1)
    images = np.stack([_simple(kind, side, rng) for _ in range(200)])
    data = from_arrays(images, ["a", "b"] * 100)
    found = find_near_duplicates(data, prepare(data, ImageSpec(side, side)))
    distinct = {pair for pair in found.pairs if pair.kind != "exact"}
    assert len(distinct) <= 1  # the threshold leaves one pair to chance


def _simple(kind: str, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = np.full((side, side), 255, np.uint8)
    if kind == "noise":
        return rng.integers(0, 256, (side, side), dtype=np.uint8)
    if kind == "blank":
        return image - rng.integers(0, 3, (side, side), dtype=np.uint8)
    if kind == "bars":
        left, width = rng.integers(0, side // 2), rng.integers(2, side // 2)
        image[:, left : left + width] = 0
        return image
    points = rng.integers(side // 5, side - side // 5, (4, 2))
    for one, other in pairwise(points):
        for share in np.linspace(0, 1, 4 * side):
            row, column = (one + share * (other - one)).astype(int)
            image[row : row + 1 + side // 16, column : column + 1 + side // 16] = 0
    return image


def test_clusters_join_what_hangs_together() -> None:
    pairs = [Pair(4, 7, 0.95, "near"), Pair(1, 2, 1.0, "exact"), Pair(2, 9, 0.97, "mirror")]
    assert clusters(pairs) == ((1, 2, 9), (4, 7))


def test_a_real_leak_is_found_whole(real_data) -> None:  # type: ignore[no-untyped-def]
    data = open_source(real_data("chest_xray_leaky_fixture"))
    copies = find_near_duplicates(data, prepare(data, ImageSpec(128, 128)))
    parts = [{data.samples[pair.first].split, data.samples[pair.second].split} for pair in copies.pairs]
    assert parts == [{"train", "test"}] * 160


def test_pictures_of_one_aligned_object_raise_the_threshold_and_their_copies_are_found() -> None:
    rng = np.random.default_rng(3)
    part = np.asarray(_picture(0, 96), np.float64)
    images = []
    for number in range(1, 161):
        strength = rng.uniform(0.2, 0.45)
        mixed = part * (1 - strength) + np.asarray(_picture(number, 96), np.float64) * strength
        images.append(mixed.clip(0, 255).astype(np.uint8))
    copies = [_recompressed(images[number]) for number in range(12)]
    data = from_arrays(np.stack([*images, *copies]), ["a", "b"] * 86)
    found = find_near_duplicates(data, prepare(data, ImageSpec(96, 96)))
    assert found.threshold > NEAR
    assert {(pair.first, pair.second) for pair in found.pairs} == {(number, 160 + number) for number in range(12)}


def _recompressed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    sink = BytesIO()
    Image.fromarray(image).save(sink, "JPEG", quality=85)
    with Image.open(sink) as again:
        return np.asarray(again)
