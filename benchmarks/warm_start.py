"""Seconds from the command to the first training step, with the images in the cache from an earlier run.

python benchmarks/warm_start.py SOURCE
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import save

CHILD = """
import sys, time
from keensight.nets import feed
from keensight.workflow import train

class Halt(Exception): pass

class Watch:
    def __init__(self): self.decoded = 0
    def say(self, message): pass
    def detail(self, message): pass
    def task(self, label, total, unit="images"):
        import contextlib
        watch = self
        class Task:
            def advance(self, amount=1, note=None):
                if label.startswith("decod"): watch.decoded += amount
                if label.startswith("train"):
                    print(time.time(), watch.decoded, flush=True)
                    raise Halt
        return contextlib.nullcontext(Task())

try:
    train(sys.argv[1], run=sys.argv[2], settings={"model.name": sys.argv[3]}, progress=Watch())
except Halt:
    pass
"""


def once(source: str, model: str, environment: dict[str, str], run: Path) -> tuple[float, int]:
    command = [sys.executable, "-c", CHILD, source, str(run), model]
    started = time.time()
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]) - started, int(out[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("-n", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "KEENSIGHT_CACHE": f"{scratch}/cache"}
        cold, decoded_cold = once(arguments.source, arguments.model, environment, Path(scratch) / "cold")
        warm = [
            once(arguments.source, arguments.model, environment, Path(scratch) / f"warm-{i}")
            for i in range(arguments.n)
        ]
    figures = {
        "source": Path(arguments.source).name,
        "warm_seconds_median": round(statistics.median(seconds for seconds, _ in warm), 2),
        "warm_seconds_max": round(max(seconds for seconds, _ in warm), 2),
        "cold_seconds": round(cold, 2),
        "decoded_cold": decoded_cold,
        "decoded_warm": sum(decoded for _, decoded in warm),
    }
    save("warm-start", arguments.n, figures, "first step <= 8 s, nothing decoded")


if __name__ == "__main__":
    main()
