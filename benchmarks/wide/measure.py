"""Keensight and plain baselines on the image sets of ``sources.json``, and the sets on which Keensight loses.

    python benchmarks/wide/measure.py [NAME ...] [--half chosen|shown] [--kind WORD] [--contenders quick logistic]

Each contender is a process of its own with an empty cache, one after the other; seconds are its wall time. Its results
on a set go to ``benchmarks/results/wide/SET-CONTENDER.json``; what is there already is not run again. The table at the
end has all recorded results of the chosen sets. ``--contenders`` without a value: only the table.

Contenders: ``quick``, ``standard``, ``best`` (`keensight train --effort`); ``logistic`` and ``nearest``
(``baselines.py``), for sets with classes and for anomaly sets; ``pytorch`` (``peers/torch_loop.py``, fine-tuning of
the same network, 8 epochs at 160 px), for sets with classes, with the Python that `make peers` sets up.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sets import add_options, ensure
from sources import Source, pick

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
from record import RESULTS, save
from run import peer

HERE = Path(__file__).resolve().parent
EFFORTS = ("quick", "standard", "best")
TASKS = {
    **dict.fromkeys(EFFORTS, ("classify", "anomaly")),
    "logistic": ("classify",),
    "nearest": ("anomaly",),
    "pytorch": ("classify",),
}
"""The contenders, and the tasks that they can do."""
KEPT = ("n", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci", "loss", "ece", "ece_ci", "auroc", "auroc_ci", "C")
PYTORCH = ["torch_loop.py", "--epochs", "8"]
RIVALS = (
    (("quick", "standard", "best"), "logistic", "macro_f1"),
    (("quick", "standard", "best"), "nearest", "auroc"),
    (("standard", "best"), "pytorch", "accuracy"),
)
"""Who must not lose to whom, in what."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Loss:
    """A set on which Keensight is worse than a baseline."""

    name: str
    effort: str
    baseline: str
    metric: str
    own: float
    other: float

    def __str__(self) -> str:
        return f"{self.name}: {self.effort} {self.own:.3f}, {self.baseline} {self.other:.3f} ({self.metric})"


def command(contender: str, source: Source, table: Path, scratch: Path) -> list[str]:
    if contender not in EFFORTS:
        return [sys.executable, str(HERE / "baselines.py"), contender, str(table)]
    train = [sys.executable, "-m", "keensight", "train", str(table), "--run", str(scratch / "run"), "--json"]
    train += ["--effort", contender]
    with table.open(encoding="utf-8", newline="") as stream:
        if "group" in next(csv.reader(stream)):
            train += ["--group", "group"]
    return train + (["--task", "anomaly", "--normal", "good"] if source.task == "anomaly" else [])


def measured(contender: str, source: Source, table: Path, python: str) -> Document:
    """The results of a contender on the test images of a set.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if contender == "pytorch":
            return _pytorch(table, scratch, python)
        started = time.perf_counter()
        done = subprocess.run(
            command(contender, source, table, scratch),
            env=os.environ | {"KEENSIGHT_CACHE": str(scratch / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - started
    document = json.loads(done.stdout)
    found = document.get("test", document)
    model = {"model": document["model"]} if "model" in document else {}
    return model | {"seconds": round(seconds, 1)} | {key: rounded(found[key]) for key in KEPT if key in found}


def _pytorch(table: Path, scratch: Path, python: str) -> Document:
    """The peer reads paths from the table alone, so they become absolute."""
    absolute = scratch / "table.csv"
    with table.open(encoding="utf-8", newline="") as given, absolute.open("w", encoding="utf-8", newline="") as out:
        rows = csv.DictReader(given)
        writer = csv.DictWriter(out, ["path", "label", "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {"path": str(table.parent / row["path"])} for row in rows)
    found = peer(python, PYTORCH, absolute, ["--image-size", "160"], scratch / "epochs.jsonl")
    return {
        "seconds": found["seconds"],
        "n": found["n_test"],
        "accuracy": found["test_accuracy"],
        "accuracy_ci": found["interval_95"],
    }


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


def recorded(sources: Iterable[Source], results: Path = RESULTS) -> dict[tuple[str, str], Document]:
    """The results that are there, by set and contender."""
    paths = {(one.name, who): results / "wide" / f"{one.name}-{who}.json" for one in sources for who in TASKS}
    return {key: json.loads(path.read_text())["figures"] for key, path in paths.items() if path.exists()}


def losses(found: dict[tuple[str, str], Document]) -> list[Loss]:
    lost = []
    for efforts, baseline, metric in RIVALS:
        for (name, effort), own in found.items():
            other = found.get((name, baseline))
            if effort in efforts and other and own[metric] < other[metric]:
                lost.append(Loss(name, effort, baseline, metric, own[metric], other[metric]))
    return lost


def lines(found: dict[tuple[str, str], Document]) -> list[str]:
    """The results as a Markdown table, and the sets on which a baseline is better."""
    rows = ["| set | contender | n | accuracy | macro F1 | ECE | AUROC | seconds |", "|---" * 8 + "|"]
    for (name, contender), one in found.items():
        metrics = [f"{one[key]:.3f}" if key in one else "–" for key in ("accuracy", "macro_f1", "ece", "auroc")]
        rows.append(f"| {' | '.join([name, contender, str(one['n']), *metrics, str(one['seconds'])])} |")
    return [*rows, "", *(f"worse than a baseline: {loss}" for loss in losses(found))]


def run(sources: list[Source], arguments: argparse.Namespace) -> None:
    """Measure what is not recorded yet."""
    for source in sources:
        done = {contender for _, contender in recorded([source])}
        for contender in arguments.contenders:
            if contender in done or source.task not in TASKS[contender]:
                continue
            table = ensure(source, arguments.out, arguments.mirror)
            try:
                figures = measured(contender, source, table, arguments.python)
            except subprocess.CalledProcessError as error:
                print(f"{contender} failed on {source.name}:\n{error.stderr[-2000:]}", file=sys.stderr, flush=True)
                continue
            set_of = {"kind": source.kind, "half": source.half, "commit": source.commit}
            save(f"wide/{source.name}-{contender}", figures["n"], set_of | figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--contenders", nargs="*", choices=TASKS, default=["quick", "logistic", "nearest"])
    parser.add_argument("--python", default=str(HERE.parents[1] / ".peers" / "bin" / "python"), help="the peers' one")
    arguments = parser.parse_args()
    sources = pick(arguments.names, arguments.half, arguments.kind)
    run(sources, arguments)
    print("\n".join(lines(recorded(sources))))


if __name__ == "__main__":
    main()
