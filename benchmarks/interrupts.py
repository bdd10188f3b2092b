"""Ctrl-C at random times in the first 20 s of ``keensight train``: exit code, messages, seconds until the end.

python benchmarks/interrupts.py SOURCE [--times 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import save

WAYS = {"quick": ("--effort", "quick"), "cnn": ("--model", "cnn", "--epochs", "200")}


def interrupt(source: str, options: tuple[str, ...], after: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as place, (Path(place) / "err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "keensight", "train", source, "--run", "run", *options],
            cwd=place, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        code = process.wait(120)
        seconds = time.monotonic() - sent
        lines = (Path(place) / "err").read_text(errors="replace").splitlines()
    return {
        "after": round(after, 2), "code": code, "seconds": round(seconds, 2),
        "errors": sum(line.startswith("error: ") for line in lines),
        "traceback": any("Traceback" in line for line in lines), "told": lines[-2:],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw, found = random.Random(given.seed), {}
    for name, options in WAYS.items():
        tries = []
        for _ in range(given.times):
            tries.append(interrupt(str(Path(given.source).resolve()), options, draw.uniform(0.1, 20)))
            print(name, tries[-1], flush=True)
        good = sum(one["code"] == 130 and one["errors"] == 1 and not one["traceback"] for one in tries)
        slowest = max(tries, key=lambda one: one["seconds"])
        found[name] = {"interrupts": len(tries), "one sentence and 130": good, "slowest": slowest, "tries": tries}
        print(f"{name}: {good} of {len(tries)}; slowest {slowest['seconds']} s")
    save("interrupts", 2 * given.times, found, "each: one sentence, exit code 130, no traceback")


if __name__ == "__main__":
    main()
