"""Kill workers of distributed trainings (SIGKILL), and compare with a distributed training that was left alone.

python benchmarks/worker_kills.py DATA [--kills 20] [--each 2] [--drivers 2] [--workers 2] [--seed 0] [--minutes 60]

DATA contains orl_faces. A training by several workers is first left alone. Then trainings whose workers are killed, a
random one after a random step, ``--each`` times in a training; Ray starts them again. In ``--drivers`` further
trainings the command itself is killed after a random step, and continued with ``--resume``. The digest of the weights,
and history, temperature, decision rule and test metrics, must be those of the training that was left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kills import FACES, outcome
from record import save

from keensight.core.files import append_line

OPTIONS = ("--model", "cnn", "--effort", "quick", "--image-size", "32", "--epochs", "12",
           "--set", "train.checkpoint_minutes=0.03", "--set", "train.threads=1")  # fmt: skip


def start(place: Path, words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "KEENSIGHT_CACHE": str(place / "cache")}
    with (place / "err").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "keensight", "train", *words],
            cwd=place, stdout=subprocess.DEVNULL, stderr=errors, env=environment,
        )  # fmt: skip


def begun(run: Path) -> list[int]:
    """After which steps the workers have begun, each time."""
    return [line["begun"] for line in told(run) if "begun" in line]


def step(run: Path) -> int:
    """The last step that the workers told of since they last began."""
    return next((line.get("step", line.get("begun")) for line in reversed(told(run)) if {"step", "begun"} & {*line}), 0)


def told(run: Path) -> list[dict[str, Any]]:
    try:
        whole = next(run.glob(".workers-*/progress.jsonl")).read_bytes()
    except (OSError, StopIteration):
        return []
    return [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> bool:
    """Whether it became so before the process ended."""
    while process.poll() is None:
        if ready():
            return True
        time.sleep(0.01)
    return False


def kill_workers(process: subprocess.Popen[bytes], run: Path, count: int, draw: random.Random, steps: int) -> int:
    """Kill workers, one after the other; how many were."""
    done = 0
    for number in range(count):
        after = draw.randrange(1, max(2, steps - 5))
        started = number + 1
        if not wait(process, lambda: len(begun(run)) >= started and step(run) >= after):  # noqa: B023
            break
        victims = sorted(run.glob(".workers-*/worker-*.json"))
        os.kill(json.loads(draw.choice(victims).read_text())["pid"], signal.SIGKILL)
        done += 1
    return done


def kill_driver(process: subprocess.Popen[bytes], run: Path, draw: random.Random, steps: int) -> int:
    after = draw.randrange(1, max(2, steps - 5))
    if not wait(process, lambda: bool(begun(run)) and step(run) >= after):
        return 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    return 1


def finish(process: subprocess.Popen[bytes], place: Path) -> None:
    if process.wait():
        raise RuntimeError((place / "err").read_text(errors="replace")[-1500:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=20, help="of workers")
    parser.add_argument("--each", type=int, default=2, help="kills of one training")
    parser.add_argument("--drivers", type=int, default=2, help="trainings whose command is killed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further training after these")
    given = parser.parse_args()
    draw, until = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = FACES(given.data.resolve(), place)
        words = [source, "--workers", str(given.workers), *OPTIONS]
        began = time.monotonic()
        finish(start(place, [*words, "--run", "alone"]), place)
        expected = outcome(place / "alone")
        steps = sum(epoch["steps"] for epoch in expected["history"]["epochs"])
        figures = {
            "workers": given.workers, "steps": steps, "seconds_alone": round(time.monotonic() - began, 1),
            "kills": 0, "drivers": 0, "trainings": 0, "same": 0, "different": [],
        }  # fmt: skip
        print(figures, flush=True)
        run = place / "run"
        while (left := given.kills - figures["kills"]) > 0 or figures["drivers"] < given.drivers:
            if time.monotonic() > until:
                break
            shutil.rmtree(run, ignore_errors=True)
            process = start(place, [*words, "--run", "run"])
            if left > 0:
                figures["kills"] += kill_workers(process, run, min(left, given.each), draw, steps)
            else:
                figures["drivers"] += kill_driver(process, run, draw, steps)
                process = start(place, ["--resume", "run"])
            compare(process, place, run, expected, figures)
            save("worker-kills", figures["kills"] + figures["drivers"], figures, "all the same",
                 versions={name: version(name) for name in ("jax", "ray")})  # fmt: skip


def compare(
    process: subprocess.Popen[bytes], place: Path, run: Path, expected: dict[str, Any], figures: dict[str, Any]
) -> None:
    figures["trainings"] += 1
    try:
        finish(process, place)
        found = outcome(run)
    except Exception as error:
        figures["different"].append(str(error))
        append_line(place / "err", f"--- {error}")
        return
    other = [name for name in expected if found.get(name) != expected[name]]
    figures["same"] += not other
    if other:
        figures["different"].append(", ".join(other))


if __name__ == "__main__":
    main()
