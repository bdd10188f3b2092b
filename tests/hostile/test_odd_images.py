"""Every file of the collection of odd and broken images, where it is available."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keensight.core.pixels import decode, probe
from keensight.core.records import ImageSpec
from keensight.errors import ImageError

pytestmark = pytest.mark.slow

READ = ("JPEG", "MPO", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SPEC = ImageSpec(64, 64)


def attempt(data: bytes) -> np.ndarray | None:
    try:
        return decode(data, SPEC)
    except ImageError:
        return None


def test_each_gives_pixels_or_a_reason_within_two_seconds(real_data: Callable[[str], Path]) -> None:
    for path in sorted((real_data("odd_images") / "files").iterdir()):
        start = time.perf_counter()
        pixels = attempt(path.read_bytes())
        assert time.perf_counter() - start < 2, path.name
        assert pixels is None or (pixels.shape == SPEC.shape and pixels.dtype == np.uint8), path.name


def test_what_pillow_reads_is_read(real_data: Callable[[str], Path]) -> None:
    folder = real_data("odd_images")
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        good = [row for row in csv.DictReader(stream) if row["outcome"] == "ok" and row["fmt"] in READ]
    paths = [folder / "files" / row["file"] for row in good]
    refused = [path.name for path in paths if path.exists() and attempt(path.read_bytes()) is None]
    # Two JPEG streams spliced into one: libjpeg paints the missing part gray and says nothing.
    assert refused == ["imagetestsuite__5482a54657765056f1a94116a8dbffe7.jpg"]
    assert len(good) > 100


@pytest.mark.parametrize("view", ["Landscape", "Portrait"])
def test_the_eight_exif_orientations_show_the_same_picture(real_data: Callable[[str], Path], view: str) -> None:
    folder = real_data("odd_images") / "exif_orientation"
    files = {k: (folder / f"{view}_{k}.jpg").read_bytes() for k in range(1, 9)}
    assert {k: probe(data).orientation for k, data in files.items()} == {k: k for k in range(1, 9)}
    upright = decode(files[1], SPEC).astype(int)
    for k, data in files.items():
        # Each was compressed on its own, with another digit drawn into it.
        assert np.abs(decode(data, SPEC) - upright).mean() < 12, k
        assert np.abs(decode(data, SPEC)[::-1, ::-1] - upright).mean() > 30, k
