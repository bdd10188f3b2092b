"""CPU time and peak memory of opening the same images in each kind of source, first and again.

python benchmarks/open_sources.py [--n 100000] [--before OLD/src]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from record import save

from keensight.core.pixels import encode_png

CLASSES = 10
CHILD = """
import sys, time
from pathlib import Path
import numpy, pandas, PIL.Image, pyarrow.parquet
import keensight as ks
from keensight.core.progress import Silent

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024 / 1e6

ks.open("digits", progress=Silent())
before = peak()
start = time.process_time()
data = ks.open(sys.argv[1], progress=Silent())
seconds = time.process_time() - start
assert len(data) == int(sys.argv[2]) and len(data.class_names) == 10, (len(data), data.class_names)
print(seconds, peak() - before)
"""


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)


def write(root: Path, n: int) -> Iterator[tuple[str, Path]]:
    """The images in each kind of source; each is made when it is asked for."""
    pixels = images(n)
    files = [encode_png(image) for image in pixels]
    labels = [f"class {i % CLASSES}" for i in range(n)]
    names = [f"{label}/{i:06d}.png" for i, label in enumerate(labels)]
    yield "folder per class", _folder(root / "folder", names, files)
    pd.DataFrame({"path": names, "label": labels}).to_csv(root / "folder" / "table.csv", index=False)
    yield "CSV table", root / "folder" / "table.csv"
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for name, file in zip(names, files, strict=True):
            archive.writestr(name, file)
    yield "zip", root / "set.zip"
    yield "tar", write_tar(root / "set.tar", zip(names, files, strict=True))
    yield "tar.gz", write_tar(root / "set.tar.gz", zip(names, files, strict=True))
    samples = [item for i, file in enumerate(files) for item in (
        (f"{i:06d}.png", file), (f"{i:06d}.cls", str(i % CLASSES).encode()))]  # fmt: skip
    yield "WebDataset", write_tar(root / "web.tar", samples)
    yield "TFRecord", write_records(root / "set.tfrecord", files)
    pd.DataFrame({"image": files, "label": labels}).to_parquet(root / "set.parquet", row_group_size=1000)
    yield "Parquet with images", root / "set.parquet"
    np.savez(root / "set.npz", images=pixels, labels=np.array(labels))
    yield ".npz", root / "set.npz"


def _folder(root: Path, names: list[str], files: list[bytes]) -> Path:
    for number in range(CLASSES):
        (root / f"class {number}").mkdir(parents=True)
    for name, file in zip(names, files, strict=True):
        (root / name).write_bytes(file)
    return root


def write_tar(path: Path, files: object) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, file in files:  # type: ignore[attr-defined]
            info = tarfile.TarInfo(name)
            info.size = len(file)
            archive.addfile(info, io.BytesIO(file))
    return path


def write_records(path: Path, files: Iterable[bytes], classes: int = CLASSES) -> Path:
    from keensight.data.sources.containers.tfrecord import _masked

    with path.open("wb") as stream:
        for i, file in enumerate(files):
            image = _feature(b"image", _message(1, _message(1, file)))
            label = _feature(b"label", _message(3, _message(1, _number(i % classes))))
            data = _message(1, image + label)
            head = struct.pack("<Q", len(data))
            stream.write(head + struct.pack("<I", _masked(head)) + data + bytes(4))
    return path


def _feature(name: bytes, value: bytes) -> bytes:
    return _message(1, _message(1, name) + _message(2, value))


def _message(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _number(len(data)) + data


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def opened(source: Path, n: int, cache: Path, code: Path | None = None) -> tuple[float, float]:
    """Seconds of CPU time (of all threads) and additional megabytes of one opening, in its own process."""
    environment = os.environ | {"KEENSIGHT_CACHE": str(cache)} | ({"PYTHONPATH": str(code)} if code else {})
    command = [sys.executable, "-c", CHILD, str(source), str(n)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--before", type=Path, help="src folder of an earlier version, for its folder reader")
    arguments = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        root, cache = Path(scratch, "sources"), Path(scratch, "cache")
        root.mkdir()
        for kind, source in write(root, arguments.n):
            for code in (None, arguments.before.resolve()) if rows == [] and arguments.before else (None,):
                place = cache / ("before" if code else "now")
                time.sleep(3)  # what changed less than two seconds ago is not kept in the index
                first, memory = opened(source, arguments.n, place, code)
                again, _ = opened(source, arguments.n, place, code)
                name = f"{kind}, earlier version" if code else kind
                rows.append([name, round(first, 2), round(again, 2), round(memory)])
                print(json.dumps(rows[-1]), file=sys.stderr)
            if source.is_file() and source.parent == root:
                source.unlink()
    save("open-sources", arguments.n, {"rows": rows})


if __name__ == "__main__":
    main()
