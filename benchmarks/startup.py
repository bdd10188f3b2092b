"""How long `keensight --help` takes as a process.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from record import save

RUNS = 11


def seconds(*arguments: str) -> float:
    """Wall time of one process, output thrown away."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "keensight", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure after one run that fills the disk cache."""
    seconds("--help")
    times = [seconds("--help") for _ in range(RUNS)]
    figures = {"median_seconds": round(statistics.median(times), 3), "max_seconds": round(max(times), 3)}
    save("startup", RUNS, figures, "<= 0.25 s")


if __name__ == "__main__":
    main()
