"""Kill trainings (SIGKILL) at random times, resume them, and compare with trainings that were left alone.

python benchmarks/kills.py DATA [--kills 200] [--seed 0] [--only NAME ...] [--minutes 30]

DATA contains clothing_small, deeppcb_crops, orl_faces and plantvillage15. Each case is a small part of one of them. It
is first trained undisturbed, from an empty cache. Then chains of kills: a training from an empty cache is killed after
a random number of CPU seconds, resumed, killed again, and so on; the last one is let run to its end. Weights (bit for
bit), split, history but for the seconds, temperature, decision rule and test metrics must be those of the undisturbed
training. Each case gets the same CPU time, so that short trainings are killed more often than long ones.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from record import save

from keensight.core.codec import to_plain
from keensight.store.bundle import open_bundle
from keensight.store.run import open_run

OFTEN = ("--set", "train.checkpoint_minutes=0.03")
"""So that short trainings have checkpoints within epochs, too."""


@dataclass(frozen=True)
class Case:
    """One training."""

    name: str
    make: Callable[[Path, Path], str]
    """From the folders of the data and of a new set to the source."""
    options: tuple[str, ...]


def part_of(folder: str, classes: tuple[str, ...], each: int) -> Callable[[Path, Path], str]:
    """A few images of a few classes of a folder per class."""

    def make(data: Path, place: Path) -> str:
        for name in classes:
            (place / "set" / name).mkdir(parents=True)
            for path in sorted((data / folder / name).iterdir())[:each]:
                shutil.copy(path, place / "set" / name)
        return "set"

    return make


def crops_and_diseases(data: Path, place: Path) -> str:
    """A multi-label table: crop and disease of 10 images of each class."""
    rows, names = [], sorted(path.name for path in (data / "plantvillage15").iterdir() if path.is_dir())
    words = {name: {word.strip("_ ") for word in name.split("_", 1)} for name in names}
    labels = sorted(set().union(*words.values()))
    for name in names:
        for path in sorted((data / "plantvillage15" / name).iterdir())[:10]:
            shutil.copy(path, place / f"{name}-{path.name}")
            rows.append([f"{name}-{path.name}", *(int(label in words[name]) for label in labels)])
    with (place / "set.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", *labels], *rows])
    return "set.csv"


CLOTHES = part_of("clothing_small/train", ("dress", "hat", "pants"), 24)
FACES = part_of("orl_faces/orl_faces", tuple(f"s{number}" for number in range(1, 9)), 10)
CIRCUITS = part_of("deeppcb_crops", ("good", "open", "short"), 40)

CASES = (
    Case("faces, cnn, quick", FACES, ("--model", "cnn", "--effort", "quick", "--image-size", "32")),
    Case("circuits, resnet, quick", CIRCUITS,
         ("--model", "resnet", "--effort", "quick", "--image-size", "32", "--epochs", "6")),
    Case("clothes, pretrained, quick", CLOTHES, ("--effort", "quick")),
    Case("circuits, anomaly", CIRCUITS, ("--task", "anomaly", "--normal", "good")),
    Case("plants, several labels, pretrained, quick", crops_and_diseases, ("--effort", "quick", "--image-size", "96")),
    Case("clothes, pretrained, standard", CLOTHES, ("--image-size", "96")),
    Case("circuits, cnn, standard", CIRCUITS,
         ("--model", "cnn", "--image-size", "32", "--epochs", "20", "--set", "train.optimizer=adamw")),
    Case("circuits, chosen by comparison, quick", CIRCUITS, ("--effort", "quick")),
    Case("plants, several labels, cnn, best", crops_and_diseases,
         ("--model", "cnn", "--effort", "best", "--image-size", "32", "--epochs", "12")),
    Case("clothes, pretrained, best", CLOTHES, ("--effort", "best", "--image-size", "96")),
)  # fmt: skip


@dataclass
class Tally:
    """What was done and found in one case."""

    name: str
    seconds: float = 0.0
    """CPU time of the undisturbed training."""
    spent: float = 0.0
    """CPU time of all that was killed or resumed."""
    kills: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    """What the run was doing when it was killed."""
    ended: int = 0
    """Trainings that were killed and let run to their end."""
    same: int = 0
    """... of which with the same results."""
    different: list[str] = field(default_factory=list)


def outcome(path: Path) -> dict[str, Any]:
    """All that must be the same."""
    run, manifest = open_run(path), open_bundle(path).manifest
    kept = ("weights_digest", "split_digest", "dataset_digest", "test")
    found: dict[str, Any] = {name: run.record.results[name] for name in kept}
    if (path / "history.jsonl").exists():
        timeless = tuple(dataclasses.replace(epoch, seconds=0.0) for epoch in run.history.epochs)
        found["history"] = to_plain(dataclasses.replace(run.history, epochs=timeless))
    return found | {"temperature": manifest.temperature, "decision": to_plain(manifest.decision)}


def stage(run: Path) -> str:
    """What a run was doing last."""
    if not (run / "run.json").exists():
        return "reading"
    marks = {
        "report.html": "ending", "evaluation": "evaluation", "bundle": "evaluation", "history.json": "calibration",
        "checkpoints": "training", "history.jsonl": "training", "split.csv": "features, head or first steps",
    }  # fmt: skip
    return next((name for file, name in marks.items() if (run / file).exists()), "decoding and audit")


def command(run: Path, source: str, options: tuple[str, ...]) -> list[str]:
    begun = (run / "run.json").exists()
    words = ["--resume", run.name] if begun else [source, "--run", run.name, *options, *OFTEN]
    return [sys.executable, "-m", "keensight", "train", *words]


def start(words: list[str], place: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "KEENSIGHT_CACHE": str(place / "cache")}
    with (place / "err").open("ab") as errors:
        return subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=errors, env=environment)


def spent(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process so far: a busy machine then changes nothing about where a kill meets it."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(process: subprocess.Popen[bytes], most: float = float("inf")) -> float | None:
    """CPU seconds of a process that ended by itself; None: it has spent the most that it may, and still runs."""
    last = 0.0
    while process.poll() is None:
        last = max(last, spent(process))
        if last >= most:
            return None
        time.sleep(0.01)
    return last


def alone(case: Case, source: str, place: Path, tally: Tally) -> dict[str, Any]:
    """The results of a training that is left alone."""
    process = start(command(place / "alone", source, case.options), place)
    tally.seconds = round(wait(process) or 0.0, 1)
    if process.returncode:
        raise SystemExit(f"{case.name}: {(place / 'err').read_text(errors='replace')[-2000:]}")
    return outcome(place / "alone")


def chain(case: Case, source: str, place: Path, tally: Tally, draw: random.Random, kills: int) -> dict[str, Any]:
    """The results of a training that is killed several times; ``tally`` counts the kills."""
    run, expected = place / "run", tally.seconds
    for left in reversed(range(kills + 1)):
        process = start(command(run, source, case.options), place)
        most = draw.uniform(0.1, expected) if left else float("inf")
        needed = wait(process, most)
        tally.spent += most if needed is None else needed
        if needed is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        tally.kills += 1
        tally.stages[stage(run)] += 1
        # About half of what was done is done again: the start of the process, and the work since a checkpoint.
        expected = max(expected - most / 2, tally.seconds / 3)
    if process.returncode:
        raise RuntimeError((place / "err").read_text(errors="replace")[-600:])
    return outcome(run)


def compare(case: Case, tally: Tally, expected: dict[str, Any], found: dict[str, Any]) -> None:
    tally.ended += 1
    other = [name for name in expected if found.get(name) != expected[name]]
    tally.same += not other
    if other:
        tally.different.append(
            "; ".join(f"{name}: {first_difference(expected[name], found.get(name))}" for name in other)
        )
        print(tally.different[-1], flush=True)
    print(f"{case.name}: {tally.kills} kills, {tally.same} of {tally.ended} the same {dict(tally.stages)}", flush=True)


def first_difference(expected: Any, found: Any, place: str = "") -> str:
    """Where two results differ first, and how."""
    pairs: list[tuple[Any, Any, str]] = []
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = [(value, found.get(key), f"{place}.{key}") for key, value in expected.items()]
    elif isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)):
        both = zip(expected, found, strict=False)
        pairs = [(one, other, f"{place}[{number}]") for number, (one, other) in enumerate(both)]
    for one, other, where in pairs:
        if one != other:
            return first_difference(one, other, where)
    return f"{place} {expected!r:.200} became {found!r:.200}"


def clear(place: Path) -> None:
    """Delete run and cache, but for the measurements of this machine: they decide what bits a training begins with."""
    shutil.rmtree(place / "run", ignore_errors=True)
    for path in (place / "cache").iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def trials(case: Case, data: Path, draw: random.Random, links: int, tally: Tally) -> Iterator[None]:
    """One chain of kills after the other."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = case.make(data, place)
        expected = alone(case, source, place, tally)
        print(f"{case.name}: {tally.seconds} CPU seconds undisturbed", flush=True)
        while True:
            clear(place)
            try:
                compare(case, tally, expected, chain(case, source, place, tally, draw, links))
            except Exception as error:
                tally.ended += 1
                tally.different.append(str(error))
                print(f"{case.name}: {error}", flush=True)
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--links", type=int, default=5, help="kills of one training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="words in the names of cases")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further chain after these")
    given = parser.parse_args()
    cases = [case for case in CASES if all(word in case.name for word in given.only)]
    tallies = [Tally(case.name) for case in cases]
    under_way = [trials(case, given.data.resolve(), random.Random(f"{given.seed} {case.name}"), given.links, tally)
                 for case, tally in zip(cases, tallies, strict=True)]  # fmt: skip
    until = time.monotonic() + 60 * given.minutes
    while sum(tally.kills for tally in tallies) < given.kills and time.monotonic() < until:
        # The case that has had the least goes next.
        next(under_way[min(range(len(cases)), key=lambda number: tallies[number].spent)])
        keep([tally for tally in tallies if tally.ended])
    for one in under_way:
        one.close()


def keep(tallies: list[Tally]) -> None:
    """Record what was found so far."""
    rows = [dataclasses.asdict(tally) | {"stages": dict(tally.stages)} for tally in tallies]
    save("kills", sum(row["kills"] for row in rows), {"cases": rows}, "all the same")


if __name__ == "__main__":
    main()
