"""How time and disk space grow with the number of images: `keensight train --effort quick` on 1,000, 4,000 and 16,000.

Each image joins the left half of one photo to the right half of another of its class, no two photos twice: at every
size the images are as different from one another, and near-duplicates as rare.

python benchmarks/growth.py FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from record import save

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "growth.png"
SUFFIXES = (".jpg", ".jpeg", ".png")


def pairs(paths: list[str], n: int) -> list[tuple[str, str]]:
    """Two photos of one class for each image, no two photos twice; as many of each class as the folder has."""
    classes: dict[str, list[str]] = {}
    for path in paths:
        classes.setdefault(Path(path).parent.name, []).append(path)
    found: list[tuple[str, str]] = []
    rng = np.random.default_rng(0)
    for members in classes.values():
        wanted = round(n * len(members) / len(paths))
        places = rng.permutation(len(members) ** 2)[:wanted]
        found += [(members[place // len(members)], members[place % len(members)]) for place in places]
    return found


def join(number: int, halves: list[tuple[str, str]], out: Path) -> None:
    """The ``number``-th image, as large as the photo on its left."""
    left, right = halves[number]
    with Image.open(left) as one, Image.open(right) as other:
        image, other = one.convert("RGB"), other.convert("RGB").resize(one.size)
        middle = image.width // 2
        image.paste(other.crop((middle, 0, *image.size)), (middle, 0))
    image.save(out / Path(left).parent.name / f"{number:06d}.jpg", "JPEG", quality=90)


def make(paths: list[str], out: Path, n: int) -> None:
    halves = pairs(paths, n)
    for path in paths:
        (out / Path(path).parent.name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for _ in pool.map(partial(join, halves=halves, out=out), range(len(halves)), chunksize=256):
            pass


def once(paths: list[str], n: int, options: list[str]) -> dict[str, float]:
    """Seconds of a training with an empty cache, and the bytes that it leaves there."""
    with tempfile.TemporaryDirectory() as scratch:
        make(paths, Path(scratch, "images"), n)
        environment = os.environ | {"KEENSIGHT_CACHE": f"{scratch}/cache"}
        command = [sys.executable, "-m", "keensight", "train", f"{scratch}/images", "--run", f"{scratch}/run"]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--effort", "quick", "--json", *options],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        bytes_kept = sum(file.stat().st_size for file in Path(scratch, "cache").rglob("*") if file.is_file())
    return {"seconds": seconds, "cache_bytes": bytes_kept, "test_accuracy": json.loads(done.stdout)["test"]["accuracy"]}


def line(sizes: list[int], values: list[float]) -> tuple[float, float, float]:
    """Slope, intercept, and the largest relative distance of a point from the line."""
    slope, intercept = np.polyfit(sizes, values, 1)
    off = np.abs(np.array(values) / (slope * np.array(sizes) + intercept) - 1).max()
    return float(slope), float(intercept), float(off)


def draw(sizes: list[int], found: list[dict[str, float]], picture: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, key, scale, unit in zip(
        figure.subplots(1, 2), ("seconds", "cache_bytes"), (60, 1e6), ("minutes", "MB in the cache"), strict=True
    ):
        values = [one[key] / scale for one in found]
        axes.plot(sizes, values, "o")
        if len(sizes) > 1:
            slope, intercept, _ = line(sizes, values)
            axes.plot([0, sizes[-1]], [intercept, intercept + slope * sizes[-1]], linewidth=1)
        axes.set(xlabel="images", ylabel=unit, xlim=(0, None), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 4_000, 16_000])
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="passed on to `keensight train`; last")
    parser.add_argument("--name", default="growth")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    paths = sorted(str(path) for path in arguments.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
    found = []
    for n in arguments.sizes:
        found.append(once(paths, n, arguments.options))
        print(n, json.dumps(found[-1]), file=sys.stderr, flush=True)
    draw(arguments.sizes, found, arguments.picture)
    figures: dict[str, object] = {}
    for n, one in zip(arguments.sizes, found, strict=True):
        figures |= {f"seconds_{n}": round(one["seconds"]), f"cache_mb_{n}": round(one["cache_bytes"] / 1e6)}
    if len(found) > 1:
        slope, intercept, off = line(arguments.sizes, [one["seconds"] for one in found])
        figures |= {"seconds_per_1000": round(slope * 1000, 1), "seconds_at_0": round(intercept, 1)}
        figures["farthest_from_the_line"] = round(off, 3)
        figures["cache_kb_an_image"] = round(line(arguments.sizes, [one["cache_bytes"] for one in found])[0] / 1e3, 1)
    save(arguments.name, len(found), figures, "seconds on a straight line")


if __name__ == "__main__":
    main()
