"""Planted duplicates: how many of them the audit finds, and how many of the pairs that it finds were planted.

Into a copy of a dataset go 50 exact copies (half of them saved again as PNG), 50 resized and recompressed ones,
50 mirrored, 50 cropped by 5 to 10% of each side, 50 of slightly changed color, 50 turned by 90, 180 or 270 degrees and
50 tilted by up to 20 degrees with black corners, half of these two mirrored, each of another image.
Pairs that the set holds before are its own and count neither way.

python benchmarks/near.py planted FOLDER
python benchmarks/near.py growth [N ...]
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
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageEnhance
from record import save

from keensight.core.records import Dataset, ImageSpec, LabelSet, Sample
from keensight.data.audit.near_duplicates import Copies, find_near_duplicates
from keensight.data.cache import prepare, survey_spec
from keensight.data.sources.readers import open_source

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


def turned(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    return _half_mirrored(image.rotate(90 * int(rng.integers(1, 4)), expand=True), rng), _jpeg(rng, 70, 95)


def tilted(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, dict[str, object]]:
    angle = rng.choice([-1, 1]) * rng.uniform(4, 20)
    return _half_mirrored(image.rotate(angle, Image.Resampling.BICUBIC), rng), _jpeg(rng, 70, 95)


def _half_mirrored(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _jpeg(rng: np.random.Generator, low: int, high: int) -> dict[str, object]:
    return {"format": "JPEG", "quality": int(rng.integers(low, high + 1))}


Change = Callable[[Image.Image, np.random.Generator], tuple[Image.Image, dict[str, object]]]
CHANGES: dict[str, Change] = {
    "exact": exact, "resized": resized, "mirrored": mirrored, "cropped": cropped, "recoloured": recoloured,
    "turned": turned, "tilted": tilted,
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


def found_in(folder: Path) -> tuple[dict[frozenset[str], str], Copies, float]:
    """Each pair of paths that is found, with its kind; how it was judged; processor seconds without decoding."""
    data = open_source(folder)
    pixels = prepare(data, survey_spec(data))
    started = time.process_time()
    copies = find_near_duplicates(data, pixels)
    seconds = time.process_time() - started
    paths = [sample.path for sample in data.samples]
    return {frozenset((paths[p.first], paths[p.second])): p.kind for p in copies.pairs}, copies, seconds


def planted(folder: Path, seed: int) -> None:
    """Recall of each kind of copy, and precision of all pairs found beside those that the set holds itself."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, folder.name)
        shutil.copytree(folder, copy)
        own, _, _ = found_in(copy)
        free = sorted(path for path in copy.rglob("*") if path.suffix.lower() in SUFFIXES)
        tied = {copy / path for pair in own for path in pair}
        free = [path for path in free if path not in tied]
        rng = np.random.default_rng(seed)
        chosen = [free[i] for i in rng.choice(len(free), EACH * len(CHANGES), replace=False)]
        wanted = plant(copy, chosen, rng)
        found, copies, seconds = found_in(copy)
    figures: dict[str, object] = {}
    for name in CHANGES:
        pairs = [pair for pair, kind in wanted.items() if kind == name]
        hit = [pair for pair in pairs if pair in found and (found[pair] == "exact") == (name == "exact")]
        figures[f"recall_{name}"] = round(len(hit) / len(pairs), 3)
    new = {pair: kind for pair, kind in found.items() if pair not in own}
    for name, kinds in (("exact", {"exact"}), ("near", {"near", "mirror", "rotated"})):
        judged = [pair for pair, kind in new.items() if kind in kinds]
        figures[f"precision_{name}"] = round(sum(pair in wanted for pair in judged) / len(judged), 3)
    figures |= {"pairs_of_its_own": len(own), "threshold": copies.threshold, "cpu_seconds": round(seconds, 1)}
    save(f"near-{folder.name}", EACH, figures, "exact 1.0 / 1.0, near >= 0.95 / 0.95")


class Drawn:
    """Synthetic pictures of 64 px, drawn when they are asked for: every tenth is a copy, its colors changed."""

    spec = ImageSpec(64, 64)
    shape = spec.shape
    decoded = 0

    def __init__(self, n: int) -> None:
        self.errors: dict[int, str] = {}
        self._n = n

    def __len__(self) -> int:
        return self._n

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        return np.stack([self._draw(int(i)) for i in np.asarray(indices)])

    def _draw(self, index: int) -> NDArray[np.uint8]:
        copied = index % 10 == 9
        rng = np.random.default_rng(index - copied)
        canvas = np.zeros((64, 64, 3), np.uint8)
        for cells in (4, 8, 16):
            blots = rng.integers(0, 85, (cells, cells, 3), dtype=np.uint8)
            canvas += np.repeat(np.repeat(blots, 64 // cells, axis=0), 64 // cells, axis=1)
        return canvas // 10 * 9 + 20 if copied else canvas


def grow(n: int) -> None:
    """One size, in a process of its own: processor seconds, peak memory, and the copies found."""
    samples = tuple(Sample(f"{i}.png", "all", str(i)) for i in range(n))
    pixels = Drawn(n)
    started = time.process_time()
    copies = find_near_duplicates(Dataset("drawn", "arrays", LabelSet(("all",)), samples), pixels)
    seconds = time.process_time() - started
    right = sum(pair.second == pair.first + 1 and pair.second % 10 == 9 for pair in copies.pairs)
    print(json.dumps({
        "cpu_seconds": round(seconds, 1), "recall": round(right / (n // 10), 4),
        "precision": round(right / max(1, len(copies.pairs)), 4),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))  # fmt: skip


def growth(sizes: list[int]) -> None:
    figures = {}
    for n in sizes:
        command = [sys.executable, __file__, "one", str(n)]
        figures[str(n)] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(n, figures[str(n)], file=sys.stderr, flush=True)
    save("near-growth", len(sizes), figures, "100,000 images in minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["planted", "growth", "one"])
    parser.add_argument("given", nargs="*", help="planted: a folder of images; growth: numbers of images")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "planted":
        planted(Path(arguments.given[0]), arguments.seed)
    elif arguments.what == "one":
        grow(int(arguments.given[0]))
    else:
        growth([int(n) for n in arguments.given or (1_000, 4_000, 16_000, 100_000)])


if __name__ == "__main__":
    main()
