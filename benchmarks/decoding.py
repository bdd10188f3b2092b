"""Images per second: `prepare` with an empty cache against plain Pillow (draft, convert, resize) on the same files.

python benchmarks/decoding.py FOLDER
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from record import save

from keensight.core.files import sha256
from keensight.core.records import Dataset, ImageSpec, LabelSet, Sample
from keensight.data.cache import prepare

WORKERS = 2
SUFFIXES = (".jpg", ".jpeg", ".png")


class Files:
    """Reads a sample's file, as the reader of a folder does."""

    def load(self, sample: Sample) -> bytes:
        return Path(sample.path).read_bytes()


def bare(path: str, size: int) -> bytes:
    """What one would write by hand; the pixels come back to the caller."""
    with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
        image.draft("RGB", (size, size))
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)).tobytes()


def with_pool(pool: ProcessPoolExecutor | ThreadPoolExecutor, paths: list[str], size: int) -> float:
    started = time.perf_counter()
    for _ in pool.map(partial(bare, size=size), paths, chunksize=16):
        pass
    return len(paths) / (time.perf_counter() - started)


def ours(dataset: Dataset, size: int) -> float:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["KEENSIGHT_CACHE"] = cache
        started = time.perf_counter()
        pixels = prepare(dataset, ImageSpec(size, size), mode="always", workers=WORKERS)
        rate = len(dataset) / (time.perf_counter() - started)
    assert pixels.decoded == len(dataset)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224, help="side in pixels")
    parser.add_argument("--limit", type=int, default=1500, help="files to take, evenly spread")
    parser.add_argument("--rounds", type=int, default=5, help="each method once a round; the medians count")
    arguments = parser.parse_args()
    found = sorted(str(path) for path in arguments.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = found[:: max(1, -(-len(found) // arguments.limit))]
    samples = {sha256(Path(path).read_bytes()): path for path in paths}  # also brings the files into memory
    listed = tuple(Sample(path, "all", digest) for digest, path in samples.items())
    dataset = Dataset(arguments.folder.name, "folder", LabelSet(("all",)), listed, reader=Files())
    rates: dict[str, list[float]] = {"prepare": [], "processes": [], "threads": []}
    ratios = []
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as processes, ThreadPoolExecutor(WORKERS) as threads:
        with_pool(processes, paths[:64], arguments.size)
        for _ in range(arguments.rounds):
            rates["processes"].append(with_pool(processes, list(samples.values()), arguments.size))
            rates["threads"].append(with_pool(threads, list(samples.values()), arguments.size))
            rates["prepare"].append(ours(dataset, arguments.size))
            ratios.append(rates["prepare"][-1] / max(rates["processes"][-1], rates["threads"][-1]))
    figures = {f"{name}_images_per_second": round(statistics.median(values)) for name, values in rates.items()}
    figures |= {"ratio_to_the_faster": round(statistics.median(ratios), 3), "rounds": arguments.rounds}
    save(f"decoding-{arguments.folder.name}-{arguments.size}", len(dataset), figures, "ratio >= 0.8")


if __name__ == "__main__":
    main()
