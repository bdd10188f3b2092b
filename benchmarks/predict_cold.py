"""How long `keensight predict BUNDLE IMAGE` takes as a process, and its memory, without TensorFlow and with it.

python benchmarks/predict_cold.py BUNDLE IMAGE [-n 11]

The first run of each engine, which takes the self-test, is not counted. The engines take turns, so that both meet the
same state of the machine; the CPU seconds do not depend on what else it does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

from record import save


def measured(bundle: str, image: str, engine: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak memory (MB) of one process."""
    command = [sys.executable, "-m", "keensight", "predict", bundle, image, "--engine", engine, "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{engine} failed")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("image")
    parser.add_argument("-n", type=int, default=11)
    arguments = parser.parse_args()
    engines = ("litert", "keras")
    found: dict[str, list[tuple[float, float, float]]] = {engine: [] for engine in engines}
    for count in range(arguments.n + 1):
        for engine in engines:
            one = measured(arguments.bundle, arguments.image, engine)
            if count:
                found[engine].append(one)
    figures = {}
    for engine in engines:
        seconds, cpu, memory = zip(*found[engine], strict=True)
        figures[engine] = {
            "median_seconds": round(statistics.median(seconds), 3),
            "min_seconds": round(min(seconds), 3),
            "max_seconds": round(max(seconds), 3),
            "median_cpu_seconds": round(statistics.median(cpu), 3),
            "peak_mb": round(max(memory)),
        }
    figures["ratio"] = round(figures["keras"]["median_seconds"] / figures["litert"]["median_seconds"], 1)
    save(
        "predict-cold", arguments.n, figures, "<= 0.5 s, <= 150 MB, >= 10 times faster than Keras",
        versions={"ai-edge-litert": version("ai-edge-litert")},
    )  # fmt: skip


if __name__ == "__main__":
    main()
