"""How readers of what other people made bear damaged files: inputs tried, faults found.

Each reader of ``tests/fuzz_targets.py`` gets as many mutated files as there is time for, in a process of its own. A
fault is any error but a KeensightError, a crash, an input that takes longer than 5 seconds, or one that takes more than
1 GB of memory. An input is known by its reader and its number: ``fuzz.py --only NAME --number 123`` shows it.

python benchmarks/fuzz.py --minutes 2
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

SECONDS, MEMORY = 5.0, 2**30
"""What an input may take."""
_HANGS = 60.0
"""Seconds after which a process that does not go on is ended."""


def peak() -> int:
    """The largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(name: str, start: int, seconds: float, place: Path) -> None:
    """Try inputs from a number on, and write what happened after each; the last line is the one that was under way."""
    from fuzz_targets import session

    faulthandler.enable()
    warnings.simplefilter("ignore")
    inputs, folder = session(name)
    with folder, place.open("a", buffering=1) as told:
        if not start:
            for seed in range(1, len(inputs) + 1):
                assert inputs.read(-seed) == "read", f"{name}: seed {seed} cannot be read"
        end = time.monotonic() + seconds
        number = start
        while time.monotonic() < end:
            told.write(json.dumps({"begun": number}) + "\n")
            told.write(json.dumps(attempt(inputs, number)) + "\n")
            number += 1


def attempt(inputs: Any, number: int) -> dict[str, Any]:
    before, begun = peak(), time.process_time()
    fault = ""
    try:
        outcome = inputs.read(number)
    except Exception as error:
        outcome = "fault"
        where = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} in {Path(where.filename).name}:{where.name}: {str(error)[:120]}"
    took, grown = time.process_time() - begun, peak() - before
    if not fault and took > SECONDS:
        outcome, fault = "fault", f"it takes {took:.0f} s"
    if not fault and grown > MEMORY:
        outcome, fault = "fault", f"it takes {grown / 2**30:.1f} GB"
    return {"number": number, "outcome": outcome, "fault": fault, "seconds": took, "bytes": grown}


def tried(name: str, seconds: float) -> dict[str, Any]:
    """Run a reader's process for so long; after a crash the next one begins behind the input that caused it."""
    end, rows, crashed = time.monotonic() + seconds, [], []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        place, start = Path(folder) / "told.jsonl", 0
        while (left := end - time.monotonic()) > 1 or not start:
            place.write_text("")
            ended = _watched(name, start, max(left, 1), place, Path(folder) / "cache")
            lines = [json.loads(line) for line in place.read_text().splitlines()]
            rows += [line for line in lines if "outcome" in line]
            begun = max((line["begun"] for line in lines if "begun" in line), default=None)
            if begun is None:
                raise SystemExit(f"{name} did not begin: {ended}")
            if not ended:
                break
            crashed.append({"number": begun, "outcome": "fault", "fault": ended, "seconds": 0.0, "bytes": 0})
            start = begun + 1
    rows += crashed
    faults: dict[str, int] = {}
    for row in rows:
        if row["fault"]:
            faults.setdefault(row["fault"], row["number"])
    return {
        "inputs": len(rows), "read": sum(row["outcome"] == "read" for row in rows),
        "refused": sum(row["outcome"] == "refused" for row in rows), "faults": faults,
        "slowest": round(max(row["seconds"] for row in rows), 2),
        "largest_mb": round(max(row["bytes"] for row in rows) / 1e6, 1),
    }  # fmt: skip


def _watched(name: str, start: int, seconds: float, place: Path, cache: Path) -> str:
    """How a process ended that should not have; empty: it did all it was to do."""
    command = [sys.executable, __file__, "--worker", name, "--start", str(start), "--seconds", str(seconds),
               "--place", str(place)]  # fmt: skip
    environment = os.environ | {"KEENSIGHT_CACHE": str(cache)}
    errors = place.with_suffix(".err")
    with errors.open("w") as sink, subprocess.Popen(command, env=environment, stderr=sink, stdout=sink) as process:
        size, since = -1, time.monotonic()
        while process.poll() is None:
            time.sleep(0.2)
            now = place.stat().st_size
            size, since = (now, time.monotonic()) if now != size else (size, since)
            if time.monotonic() - since > _HANGS and size > 0:
                process.kill()
                process.wait()
                return f"it hangs for {_HANGS:.0f} s"
    if not process.returncode:
        return ""
    last = (errors.read_text(errors="replace").strip().splitlines() or [""])[-1]
    return f"the process ends with {process.returncode}: {last[:120]}"


def main() -> None:
    from record import save

    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="for each reader")
    parser.add_argument("--only", action="append", default=[], help="name of a reader")
    parser.add_argument("--number", type=int, help="try this one input and show what happens")
    for hidden in ("--worker", "--place"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        return work(asked.worker, asked.start, asked.seconds, Path(asked.place))
    if asked.number is not None:
        from fuzz_targets import session

        inputs, folder = session(asked.only[0])
        with folder:
            print(inputs.read(asked.number))
        return None
    figures: dict[str, Any] = {}
    for name in asked.only or TARGETS:
        figures[name] = tried(name, 60 * asked.minutes)
        print(name, json.dumps(figures[name]), flush=True)
    if not asked.only:
        bar = "no fault: only a KeensightError, within 5 s and 1 GB"
        save("fuzz", sum(row["inputs"] for row in figures.values()), figures, bar)
    return None


if __name__ == "__main__":
    main()
