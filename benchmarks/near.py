"""Planted copies: how many of them the audit finds, and how many of the pairs that it finds were planted.

Into a copy of an image set go 50 exact copies (half of them saved again as PNG), 50 resized and recompressed ones,
50 mirrored, 50 cropped by 5 to 10 % of each side and 50 of slightly changed colour, each of another image.
Pairs that the set holds before are its own and count neither way.

python benchmarks/near.py planted FOLDER
python benchmarks/near.py growth
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance
from record import save

from keensight.core.records import Dataset
from keensight.data.cache import prepare
from keensight.data.near import clusters, near_copies
from keensight.data.readers import open_source
from keensight.data.sizing import choose_spec

SUFFIXES = (".jpg", ".jpeg", ".png", ".pgm")
EACH = 50


def exact(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    return image, {"format": "PNG"}


def resized(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    scale = rng.uniform(0.5, 1.25)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC), _jpeg(rng, 40, 80)


def mirrored(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), _jpeg(rng, 70, 95)


def cropped(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    cut = rng.uniform(0.05, 0.10)
    width, height = (round(side * (1 - cut)) for side in image.size)
    left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height)), _jpeg(rng, 70, 95)


def recoloured(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(rng.uniform(0.85, 1.15))
    gains = rng.uniform(0.95, 1.05, len(image.getbands()))
    return image.point([min(255, round(gain * value)) for gain in gains for value in range(256)]), _jpeg(rng, 70, 95)


def _jpeg(rng: np.random.Generator, low: int, high: int) -> dict[str, object]:
    return {"format": "JPEG", "quality": int(rng.integers(low, high + 1))}


Change = Callable[[Image.Image, np.random.Generator], tuple[Image.Image, dict[str, object]]]
CHANGES: dict[str, Change] = {
    "exact": exact, "resized": resized, "mirrored": mirrored, "cropped": cropped, "recoloured": recoloured,
}  # fmt: skip


def plant(folder: Path, sources: list[Path], rng: np.random.Generator) -> dict[frozenset[str], str]:
    """Write the copies beside their sources; the pairs of paths, relative to ``folder``, and what was done."""
    planted = {}
    for number, path in enumerate(sources):
        name = list(CHANGES)[number // EACH]
        copy = path.with_name(f"zz_{name}_{number}.{'png' if name == 'exact' else 'jpg'}")
        if name == "exact" and number % 2:
            copy = copy.with_suffix(path.suffix)
            shutil.copyfile(path, copy)
        else:
            with Image.open(path) as image:
                plain = image if image.mode in ("L", "RGB") else image.convert("RGB")
                changed, options = CHANGES[name](plain, rng)
                changed.save(copy, **options)
        planted[frozenset(part.relative_to(folder).as_posix() for part in (path, copy))] = name
    return planted
