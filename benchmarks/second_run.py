"""How long a second `--effort quick` takes on the same images: nothing is decoded, and no network is run on them.

python benchmarks/second_run.py SOURCE [-n 3]

The first training fills an empty cache; each of the others weighs the classes or not, in a process of its own, and its
log must not speak of decoding or of features.
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


def trained(source: str, run: Path, cache: Path, *options: str) -> tuple[float, str]:
    """Seconds of the whole command, and what it said."""
    command = [sys.executable, "-m", "keensight", "train", source, "--effort", "quick", "--run", str(run), *options]
    started = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | {"KEENSIGHT_CACHE": str(cache)}, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - started, done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("-n", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first, _ = trained(arguments.source, folder / "first", folder / "cache")
        again = []
        for number in range(arguments.n):
            weights = ("--set", f"train.class_weights={'true' if number % 2 == 0 else 'false'}")
            seconds, said = trained(arguments.source, folder / f"run-{number}", folder / "cache", *weights)
            if "decoding" in said or "computing features" in said:
                raise SystemExit(f"the second training computed again what was known:\n{said}")
            again.append(round(seconds, 2))
    figures = {
        "first_seconds": round(first, 1),
        "second_seconds_median": statistics.median(again),
        "second_seconds": again,
        "source": Path(arguments.source).name,
    }
    save("second-quick-run", arguments.n, figures, "<= 10 s, no image decoded, no backbone pass")


if __name__ == "__main__":
    main()
