"""How fast `keensight predict --out` is beside bare decoding and the bare engine, and its memory by number of images.

python benchmarks/predict_batch.py BUNDLE FOLDER SMALL_BUNDLE SMALL_FOLDER [--images 800]

Rate: photos of FOLDER (with repetitions, if there are fewer) are decoded in all threads, the engine runs on the decoded
arrays in all threads, and the command's function does both and writes the table; the three take turns. Memory: the
whole command as a process, with a model of small images, on lists of 1,000, 10,000 and 100,000 paths.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from record import save

import keensight as ks
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Silent
from keensight.nets.inputs import read_image
from keensight.nets.light import LightNetwork

SIZES = (1_000, 10_000, 100_000)
TURNS = 3


def photos(folder: str, count: int) -> list[Path]:
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return list(islice(cycle(found), count))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rates(bundle: Path, paths: list[Path], scratch: Path) -> dict[str, float]:
    """Images per second: decoding alone, engine alone, both one after the other, and the whole work."""
    package = ks.open_bundle(bundle)
    spec, light = package.manifest.image, package.light()
    assert light is not None, "the bundle has no light form"
    network = LightNetwork(light)
    images = np.stack([read_image(path, spec).image for path in paths])
    slices = [images[begin : begin + network.batch] for begin in range(0, len(images), network.batch)]

    def decode() -> None:
        for _ in ordered(lambda path: read_image(path, spec), paths, processors()):
            pass

    def run() -> None:
        for _ in ordered(network, slices, processors()):
            pass

    def whole() -> None:
        ks.predict_to_file(bundle, paths, scratch / "found.csv", progress=Silent())

    whole()
    turns = [[seconds(work) for work in (decode, run, whole)] for _ in range(TURNS)]
    decoding, engine, both = (statistics.median(column) for column in zip(*turns, strict=True))
    count = len(paths)
    return {
        "decoding": round(count / decoding, 1),
        "engine": round(count / engine, 1),
        "bare": round(count / (decoding + engine), 1),
        "predict": round(count / both, 1),
        "ratio": round(statistics.median((one + two) / three for one, two, three in turns), 3),
    }


def memory(bundle: Path, paths: list[Path], count: int, scratch: Path) -> dict[str, float]:
    """Peak memory (MB) and seconds of the whole command."""
    names = "\n".join(str(path.resolve()) for path in islice(cycle(paths), count))
    (scratch / "list.txt").write_text(names)
    command = [sys.executable, "-m", "keensight", "predict", str(bundle), str(scratch / "list.txt"), "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--out", str(scratch / "found.csv")], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("predict failed")
    return {"peak_mb": round(used.ru_maxrss / 1e3), "seconds": round(time.perf_counter() - started, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder")
    parser.add_argument("small_bundle", type=Path)
    parser.add_argument("small_folder")
    parser.add_argument("--images", type=int, default=800)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = rates(arguments.bundle, photos(arguments.folder, arguments.images), scratch)
        small = photos(arguments.small_folder, SIZES[0])
        peaks = {str(count): memory(arguments.small_bundle, small, count, scratch) for count in SIZES}
    figures = {
        "photos": Path(arguments.folder).name,
        "images_per_second": found,
        "small": Path(arguments.small_folder).name,
        "memory": peaks,
        "threads": processors(),
    }
    save(
        "predict-batch", arguments.images, figures, ">= 0.9 x bare decoding plus bare engine; memory does not grow",
        versions={"ai-edge-litert": version("ai-edge-litert")},
    )  # fmt: skip


if __name__ == "__main__":
    main()
