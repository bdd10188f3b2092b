"""Sets of 10,000 to 1,000,000 small images: seconds and peak memory of each stage, and the planted duplicates found.

The images are drawn: JPEG files of 32 px in up to 1,000 classes. Of the last twentieth each is a duplicate of another
image: the same file, the same pixels as PNG, compressed again, brighter, or mirrored. They are stored as Parquet files
with images, 100,000 in each. Every stage has its own process; its peak memory is that after its input was read.
What earlier calls measured for other numbers of images is kept.

python benchmarks/large_sets.py stages [N ...] [--only STAGES] [--scratch FOLDER] [--keep]
python benchmarks/large_sets.py formats [--n 100000]
python benchmarks/large_sets.py interrupts [--n 100000] [--times 5] --scratch FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from open_sources import write_records, write_tar
from PIL import Image
from record import RESULTS, save

SIDE, CLASSES, BLOCK, PER_FILE = 32, 1000, 1000, 100_000
COPIES = ("same file", "same pixels", "compressed again", "brighter", "mirrored")
EXACT = COPIES[:2]
ONE_IN = 20
STAGES = ("open", "headers", "decode", "duplicates", "audit", "split", "tables", "batches")
BATCH, STEPS = 128, 1000


# The images


@lru_cache(maxsize=2)
def pictures(block: int) -> NDArray[np.uint8]:
    """The pixels of 1,000 images, (1000, 32, 32, 3)."""
    rng = np.random.default_rng(block)
    canvas = np.zeros((BLOCK, SIDE, SIDE, 3), np.uint8)
    for cells, strength in ((4, 140), (8, 80), (16, 30)):
        blots = rng.integers(0, strength, (BLOCK, cells, cells, 3), dtype=np.uint8)
        canvas += blots.repeat(SIDE // cells, axis=1).repeat(SIDE // cells, axis=2)
    return canvas


def source_of(number: int, n: int) -> int:
    """The image that one of the last twentieth is a duplicate of; else itself."""
    copied = number - (n - n // ONE_IN)
    return number if copied < 0 else copied * (ONE_IN - 1) + 7


def label_of(number: int, n: int) -> str:
    return f"class {source_of(number, n) % min(CLASSES, n // 10):04d}"


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def file_of(number: int, n: int) -> bytes:
    """The bytes of an image."""
    source = source_of(number, n)
    original = encoded(Image.fromarray(pictures(source // BLOCK)[source % BLOCK]), quality=75)
    if source == number:
        return original
    image = Image.open(io.BytesIO(original)).convert("RGB")
    match COPIES[(number - (n - n // ONE_IN)) % len(COPIES)]:
        case "same pixels":
            return encoded(image, "PNG")
        case "compressed again":
            return encoded(image, quality=85)
        case "brighter":
            return encoded(image.point([round(0.85 * level + 30) for level in range(256)] * 3), quality=90)
        case "mirrored":
            return encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=90)
    return original


def write_parquet(folder: Path, n: int) -> Path:
    """The set as Parquet files with images, a row group for each 1,000."""
    folder.mkdir(parents=True)
    schema = pa.schema({"image": pa.binary(), "label": pa.string()})
    for first in range(0, n, PER_FILE):
        with pq.ParquetWriter(folder / f"images-{first // PER_FILE:04d}.parquet", schema) as writer:
            for begin in range(first, min(first + PER_FILE, n), BLOCK):
                some = range(begin, min(begin + BLOCK, n))
                columns = {"image": [file_of(i, n) for i in some], "label": [label_of(i, n) for i in some]}
                writer.write_table(pa.table(columns, schema=schema))
    return folder


class Drawn:
    """Loads images of a set whose files are drawn again."""

    def __init__(self, n: int) -> None:
        self._n = n

    def load(self, sample: Any) -> bytes:
        return file_of(int(sample.path), self._n)


# The stages, each in a process of its own: what it reads first, and the work that is measured


def _dataset(root: Path, n: int) -> Any:
    from keensight.store.run_tables import read_dataset

    return dataclasses.replace(read_dataset(root / "dataset.parquet"), reader=Drawn(n))


def _pixels(dataset: Any) -> Any:
    from keensight.data.cache import prepare, survey_spec

    return prepare(dataset, survey_spec(dataset), mode="always")


def _audit(root: Path) -> Any:
    from keensight.core.audit import AuditReport
    from keensight.core.codec import from_plain

    return from_plain(AuditReport, json.loads((root / "audit.json").read_text()))


def _saved(root: Path, report: Any) -> dict[str, Any]:
    from keensight.core.codec import to_plain

    (root / "audit.json").write_text(json.dumps(to_plain(report)))
    return {"findings": len(report.findings), "json_mb": round((root / "audit.json").stat().st_size / 1e6, 1)}


def _split(root: Path) -> Any:
    from keensight.store.run_tables import read_split

    return read_split(root / "split.csv", "")


def open_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    import keensight as ks
    from keensight.core.progress import Silent
    from keensight.store.run_tables import write_dataset

    def after(dataset: Any) -> dict[str, Any]:
        assert len(dataset) == n, len(dataset)
        write_dataset(root / "dataset.parquet", dataset)
        size = sum(sample.size for sample in dataset.samples)
        return {"classes": len(dataset.class_names), "bytes_an_image": round(size / n)}

    return lambda: ks.open(root / "images", progress=Silent()), after


def headers_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """The audit of names, digests and headers alone."""
    from keensight.data.audit.audit import audit

    dataset = _dataset(root, n)
    return lambda: audit(dataset), lambda report: _saved(root, report)


def decode_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    import keensight as ks
    from keensight.core.progress import Silent

    dataset = ks.open(root / "images", progress=Silent())
    return lambda: _pixels(dataset), lambda pixels: {"decoded": pixels.decoded, "errors": len(pixels.errors)}


def duplicates_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    from keensight.data.audit.cached import cached_duplicates

    dataset = _dataset(root, n)
    pixels = _pixels(dataset)

    def after(copies: Any) -> dict[str, Any]:
        found = {(pair.first, pair.second): pair.kind for pair in copies.pairs}
        planted = {(source_of(i, n), i): COPIES[k % len(COPIES)] for k, i in enumerate(range(n - n // ONE_IN, n))}
        figures: dict[str, Any] = {"threshold": copies.threshold}
        for kind in COPIES:
            pairs = [pair for pair, made in planted.items() if made == kind]
            hits = sum(pair in found and (found[pair] == "exact" or kind not in EXACT) for pair in pairs)
            figures[f"recall {kind}"] = round(hits / len(pairs), 4)
        figures["precision"] = round(sum(pair in planted for pair in found) / max(1, len(found)), 4)
        return figures

    return lambda: cached_duplicates(dataset, pixels), after


def audit_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    from keensight.data.audit.audit import audit

    dataset = _dataset(root, n)
    pixels = _pixels(dataset)
    return lambda: audit(dataset, pixels), lambda report: _saved(root, report)


def split_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    from keensight.data.audit.duplicates import ties
    from keensight.data.splits import make_split
    from keensight.store.run_tables import write_split

    dataset, report = _dataset(root, n), _audit(root)

    def after(split: Any) -> dict[str, Any]:
        write_split(root / "split.csv", split, dataset)
        return {part: len(split.part(part)) for part in ("train", "val", "test")}

    return lambda: make_split(dataset, exclude=report.unusable(dataset), ties=ties(report, dataset)), after


def tables_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    from keensight.store.create_run import create_run

    dataset, report, split = _dataset(root, n), _audit(root), _split(root)
    place = Path(tempfile.mkdtemp(dir=root)) / "run"
    run = create_run(place, name="drawn", source="drawn", model="cnn", command="", seed=0, versions={},
                     config_toml="")  # fmt: skip

    def write() -> None:
        run.save_dataset(dataset)
        run.save_audit(report)
        run.save_split(split, dataset)

    names = ("dataset.parquet", "audit.json", "split.csv")
    return write, lambda done: {"mb": round(sum((run.path / name).stat().st_size for name in names) / 1e6, 1)}


def batches_stage(root: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    from keensight.core.config import AugmentConfig
    from keensight.nets.training.batches import TrainingPlan, training

    dataset, split = _dataset(root, n), _split(root)
    pixels, classes = _pixels(dataset), len(dataset.labels)
    rows = split.part("train")
    plan = TrainingPlan(rows, dataset.targets()[rows], np.ones(classes, np.float32), BATCH, 0)
    augment = AugmentConfig(flip="horizontal", color="light", crop=1.0, erase=0.0)
    steps = iter(training(plan, pixels, augment, 2 + STEPS // plan.steps))
    next(steps)

    def run() -> list[float]:
        held = []
        for step in range(STEPS):
            next(steps)
            if step in (STEPS // 10, STEPS - 1):
                held.append(memory("VmRSS"))
        return held

    return run, lambda held: {"mb_after_a_tenth": round(held[0]), "mb_at_the_end": round(held[1])}


def memory(name: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024 / 1e6


def measure(name: str, root: Path, n: int) -> None:
    """One stage, in this process: CPU seconds of all threads, seconds, memory before and at most."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started it in the background
    work, after = globals()[f"{name}_stage"](root, n)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before, cpu, started = memory("VmRSS"), time.process_time(), time.perf_counter()
    print("begun", flush=True)
    try:
        done = work()
    except KeyboardInterrupt:
        os._exit(130)
    figures = {
        "cpu_seconds": round(time.process_time() - cpu, 2), "seconds": round(time.perf_counter() - started, 2),
        "before_mb": round(before), "peak_mb": round(memory("VmHWM")),
    }  # fmt: skip
    print(json.dumps(figures | after(done)))


def command(name: str, root: Path, n: int) -> list[str]:
    return [sys.executable, __file__, "stage", name, str(root), str(n)]


def environment(root: Path) -> dict[str, str]:
    """One thread for matrices: two on a core that others use, too, take CPU time while they wait for each other."""
    return os.environ | {"KEENSIGHT_CACHE": str(root / "cache"), "OPENBLAS_NUM_THREADS": "1"}


def keep(what: str, n: str, new: dict[str, Any]) -> None:
    """Save figures beside those of earlier calls."""
    path = RESULTS / "large-sets.json"
    known = json.loads(path.read_text())["figures"] if path.exists() else {}
    known.setdefault(what, {}).setdefault(n, {}).update(new)
    largest = max(map(int, known.get("stages", {n: None})))
    save("large-sets", largest, known, "memory in proportion to the images", versions={"pyarrow": pa.__version__})


def stages(n: int, names: list[str], root: Path) -> None:
    """The stages of one set, in a folder that may have it from an earlier call."""
    if not (root / "images").exists():
        write_parquet(root / "unfinished", n).rename(root / "images")
    for name in names:
        done = subprocess.run(command(name, root, n), env=environment(root), stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{name} of {n:,}: exit code {done.returncode}", file=sys.stderr)
            break
        found = json.loads(done.stdout.splitlines()[-1])
        print(n, name, found, file=sys.stderr, flush=True)
        keep("stages", str(n), {name: found})


# The kinds of sources


def write_folders(root: Path, n: int) -> Path:
    for i in range(n):
        data = file_of(i, n)
        suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
        path = root / label_of(i, n) / f"{i:07d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_webdataset(root: Path, n: int) -> Path:
    names = ((f"{i:07d}.jpg", f"{i:07d}.cls") for i in range(n))
    return write_tar(root.with_suffix(".tar"), (
        item for i, (image, label) in enumerate(names)
        for item in ((image, file_of(i, n)), (label, label_of(i, n).encode()))
    ))  # fmt: skip


def write_tfrecord(root: Path, n: int) -> Path:
    return write_records(root.with_suffix(".tfrecord"), (file_of(i, n) for i in range(n)), CLASSES)


def write_npz(root: Path, n: int) -> Path:
    images = np.concatenate([pictures(block) for block in range(-(-n // BLOCK))])[:n]
    np.savez(root.with_suffix(".npz"), images=images, labels=np.array([label_of(i, n) for i in range(n)]))
    return root.with_suffix(".npz")


SOURCES: dict[str, Callable[[Path, int], Path]] = {
    "1,000 folders of files": write_folders, "Parquet with images": write_parquet, "WebDataset tar": write_webdataset,
    "TFRecord": write_tfrecord, ".npz": write_npz,
}  # fmt: skip


def formats(n: int, scratch: Path | None) -> None:
    """Open each kind of source, in a process of its own."""
    for kind, write in SOURCES.items():
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            path = write(Path(place) / "images", n)
            time.sleep(3)  # what changed less than two seconds ago is not kept in the index
            one, again = opened(path, Path(place), n), opened(path, Path(place), n)
            found = [one["cpu_seconds"], again["cpu_seconds"], one["peak_mb"] - one["before_mb"]]
            print(kind, found, file=sys.stderr, flush=True)
            keep("formats", str(n), {kind: found})


def opened(path: Path, root: Path, n: int) -> dict[str, Any]:
    line = [sys.executable, __file__, "stage", "opening", str(path), str(n)]
    done = subprocess.run(line, env=environment(root), stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def opening_stage(path: Path, n: int) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    import keensight as ks
    from keensight.core.progress import Silent

    ks.open("digits", progress=Silent())
    return lambda: ks.open(path, progress=Silent()), lambda dataset: {"images": len(dataset)}


# Ctrl-C


def interrupts(n: int, times: int, root: Path) -> None:
    """SIGINT at even distances in each stage of a kept set: seconds until its process has ended."""
    known = json.loads((RESULTS / "large-sets.json").read_text())["figures"]["stages"][str(n)]
    for name in STAGES[:-1]:
        if name in known:
            tries = [interrupted(name, root, n, known[name]["seconds"] * (k + 0.5) / times) for k in range(times)]
            found = [seconds for seconds in tries if seconds is not None]
            print(name, found, file=sys.stderr, flush=True)
            keep("interrupts", str(n), {name: {"times": len(found), "slowest": round(max(found, default=0.0), 2)}})


REUSED = {"decode": (), "duplicates": ("pixels", "sets"), "audit": ("pixels", "sets", "copies")}
"""What of the cache a stage may find when it is interrupted, so that it has all of its work to do."""


def interrupted(name: str, root: Path, n: int, after: float) -> float | None:
    """Seconds from SIGINT to the end of the process; None: it had ended before."""
    with tempfile.TemporaryDirectory(dir=root) as empty:
        work = environment(root)
        if name in REUSED:
            work["KEENSIGHT_CACHE"] = empty
            for kind in REUSED[name]:
                (Path(empty) / kind).symlink_to(root / "cache" / kind)
        process = subprocess.Popen(
            command(name, root, n), env=work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        time.sleep(after)
        if process.poll() is not None:
            return None
        sent = time.perf_counter()
        process.send_signal(signal.SIGINT)
        code = process.wait(300)
        return time.perf_counter() - sent if code == 130 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stages", "formats", "interrupts", "stage"])
    parser.add_argument("given", nargs="*", help="stages: numbers of images")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", default=",".join(STAGES), help="stages, in their order")
    parser.add_argument("--scratch", type=Path, help="folder for the set and its cache, some 5 kB an image")
    parser.add_argument("--keep", action="store_true", help="keep the sets in --scratch, for later calls")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments.what == "stage":
        name, root, n = arguments.given
        measure(name, Path(root), int(n))
    elif arguments.what == "stages":
        for n in map(int, arguments.given or (10_000, 100_000, 1_000_000)):
            with tempfile.TemporaryDirectory(dir=arguments.scratch) as place:
                root = arguments.scratch / str(n) if arguments.keep else Path(place)
                stages(n, arguments.only.split(","), root)
    elif arguments.what == "formats":
        formats(arguments.n, arguments.scratch)
    else:
        interrupts(arguments.n, arguments.times, arguments.scratch / str(arguments.n))


if __name__ == "__main__":
    main()
