"""How long `keensight --help` takes as a process: prints one JSON line.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time

RUNS = 11
BAR = 0.25


def seconds(*arguments: str) -> float:
    """Wall time of one process, output thrown away."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "keensight", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure after one run that fills the disk cache."""
    seconds("--help")
    times = [seconds("--help") for _ in range(RUNS)]
    figures = {
        "benchmark": "startup",
        "command": "keensight --help",
        "n": RUNS,
        "median_s": round(statistics.median(times), 3),
        "min_s": round(min(times), 3),
        "max_s": round(max(times), 3),
        "bar_s": BAR,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
