"""Ctrl-C, SIGTERM or SIGHUP at random times in a command: exit code, messages, seconds until the end.

python benchmarks/interrupts.py SOURCE [--times 20] [--seed 0] [--within 20] [--ways cnn,quick,inspect,predict,export]
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

TRAIN = ("train", "SOURCE", "--run", "run")
WAYS = {
    "quick": (*TRAIN, "--effort", "quick"),
    "cnn": (*TRAIN, "--model", "cnn", "--epochs", "200"),
    "inspect": ("inspect", "SOURCE", "--out", "found"),
    "predict": ("predict", "MODEL", "SOURCE", "--out", "predictions.csv", "--engine", "keras"),
    "export": ("export", "MODEL", "--to", "litert", "--out", "made"),
}
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def interrupt(arguments: tuple[str, ...], after: float, number: signal.Signals) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as place, (Path(place) / "err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "keensight", *arguments], cwd=place, stdout=subprocess.DEVNULL, stderr=errors
        )
        time.sleep(after)
        ended = process.poll() is not None
        process.send_signal(number)
        sent = time.monotonic()
        code = process.wait(120)
        seconds = time.monotonic() - sent
        lines = (Path(place) / "err").read_text(errors="replace").splitlines()
    return {
        "after": round(after, 2), "signal": number.name, "ended before": ended, "code": code,
        "seconds": round(seconds, 2), "errors": sum(line.startswith("error: ") for line in lines),
        "traceback": any("Traceback" in line for line in lines), "told": lines[-2:],
    }  # fmt: skip


def good(one: dict[str, object]) -> bool:
    return bool(one["code"] == 130 and one["errors"] == 1 and not one["traceback"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=20.0, help="seconds")
    parser.add_argument("--ways", default=",".join(WAYS))
    given = parser.parse_args()
    source, draw, found = str(Path(given.source).resolve()), random.Random(given.seed), {}
    with tempfile.TemporaryDirectory() as home:
        model = str(Path(home) / "run")
        if {"predict", "export"} & set(given.ways.split(",")):
            train = ("train", source, "--run", model, "--effort", "quick", "--quiet")
            subprocess.run([sys.executable, "-m", "keensight", *train], check=True, stdout=subprocess.DEVNULL)
        for name in given.ways.split(","):
            arguments = tuple({"SOURCE": source, "MODEL": model}.get(word, word) for word in WAYS[name])
            tries = []
            while len(tries) < given.times:
                number = signal.Signals[draw.choice(SIGNALS)]
                one = interrupt(arguments, draw.uniform(0.1, given.within), number)
                print(name, one, flush=True)
                if not one["ended before"]:
                    tries.append(one)
                elif one["code"]:
                    sys.exit(f"{name} failed: {one['told']}")
            slowest = max(tries, key=lambda one: one["seconds"])
            right = sum(map(good, tries))
            found[name] = {"interrupts": len(tries), "one sentence and 130": right, "slowest": slowest, "tries": tries}
            print(f"{name}: {right} of {len(tries)}; slowest {slowest['seconds']} s")
    save("interrupts", len(found) * given.times, found, "each: one sentence, exit code 130, no traceback, within 2 s")


if __name__ == "__main__":
    main()
