"""Export a model to every format, and compare size, time to load, speed and predictions.

python benchmarks/export.py SOURCE --name plantvillage15

Trains with --effort quick, unless --run names a finished run of that source. Each export is loaded and run in its own
process, on one CPU, by the reader that is written beside it; every format gets the same decoded test images, one at a
time. Times are CPU seconds of that process.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from record import save

import keensight as ks
from keensight.core.export_formats import FORMATS
from keensight.core.progress import Silent
from keensight.nets.export.formats import check_packages
from keensight.store.bundle import open_bundle
from keensight.workflow.export_images import material

PACKAGES = ("ai-edge-litert", "onnx", "onnxruntime", "openvino", "tf2onnx")
CHILD = """
import json, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
images = np.load(sys.argv[2])
begun = time.process_time()
import reader
reader.run(images[:1])
loaded = time.process_time()
seconds, n = [], len(images)
outputs = None
for repeat in range(2):
    begin = time.process_time()
    outputs = [reader.run(images[i : i + 1])[0].copy() for i in range(n)]
    seconds.append(time.process_time() - begin)
np.save(sys.argv[3], np.concatenate(outputs))
print(json.dumps({"load_seconds": loaded - begun, "images_per_second": n / min(seconds)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--name", required=True)
    parser.add_argument("--run", help="a finished run of the source; default: train one")
    parser.add_argument("--options", default="", help="passed on to `keensight train`")
    parser.add_argument("--formats", default=",".join(name for name in FORMATS if name != "html"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(arguments.run or f"{scratch}/run")
        if arguments.run is None:
            options = ["--effort", "quick", "--run", str(run), *shlex.split(arguments.options)]
            subprocess.run([sys.executable, "-m", "keensight", "train", arguments.source, *options], check=True)
        rows, n = measured(run, arguments.source, arguments.formats.split(","), Path(scratch))
    save(f"export-{arguments.name}", n, {"rows": rows}, "int8: at least 3x smaller, gate passed", versions=installed())


def measured(run: Path, source: str, formats: list[str], scratch: Path) -> tuple[list[dict[str, Any]], int]:
    """One row a format, and the number of test images."""
    bundle = open_bundle(run)
    found = material(FORMATS["litert"], bundle, run, source, Silent())
    images = scratch / "images.npy"
    np.save(images, found.held_out)
    rows = []
    for name in formats:
        try:
            check_packages(FORMATS[name])
        except ks.UsageError:
            continue
        rows.append({"format": name, **one(run, source, name, images, scratch)})
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows, len(found.held_out)


def one(run: Path, source: str, name: str, images: Path, scratch: Path) -> dict[str, Any]:
    try:
        made = ks.export(run, to=name, data=source, out=scratch / name)
    except ks.GateError as error:
        return {"refused": error.message}
    outputs = scratch / f"{name}.npy"
    cpu = min(os.sched_getaffinity(0))
    done = subprocess.run(
        ["taskset", "-c", str(cpu), sys.executable, "-c", CHILD, str(made.path), str(images), str(outputs)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    timing = json.loads(done.stdout.strip().splitlines()[-1])
    parity = made.parity
    return {
        "bytes": made.size,
        "load_seconds": round(timing["load_seconds"], 3),
        "images_per_second": round(timing["images_per_second"], 1),
        "largest": parity.largest,
        "agreement": parity.agreement,
        "accuracy": interval(parity.accuracy),
        "original": interval(parity.original),
        "difference": interval(parity.difference),
        "worst_class": parity.worst_class,
        "worst_drop": parity.worst_drop,
        "smaller": round(parity.smaller, 3),
        "refused_as_out_of_distribution": parity.refused,
    }


def interval(found: Any) -> list[float] | None:
    return None if found is None else [round(found.value, 4), round(found.low, 4), round(found.high, 4)]


def installed() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
