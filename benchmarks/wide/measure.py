"""Keensight and plain baselines on the image sets of ``sources.json``, and the sets on which Keensight loses.

    python benchmarks/wide/measure.py [NAME ...] [--half chosen|shown] [--kind WORD] [--contenders quick logistic]

Each contender is a process of its own with an empty cache, one after the other; seconds are its wall time. Its results
on a set go to ``benchmarks/results/wide/SET-CONTENDER.json``; what is there already is not run again. The table at the
end has all recorded results of the chosen sets. ``--contenders`` without a value: only the table.

Contenders: ``quick``, ``standard``, ``best`` (`keensight train --effort`; their heatmaps are compared with masks by
``localize.py``); ``lite2``, ``quick`` with a larger network of the extra ``lite``; ``logistic`` and ``nearest``
(``baselines.py``), for sets with classes and for anomaly sets; ``pytorch`` (``peers/torch_loop.py``, fine-tuning of the
same network, 8 epochs at 160 px), for sets with classes, with the Python that `make peers` sets up.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from image_sources import Source, pick
from sets import add_options, ensure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
from record import RESULTS, save
from run import VERSIONS, peer
from tables_wide import EFFORTS, by_set, wide_section

HERE = Path(__file__).resolve().parent
TASKS = {
    **dict.fromkeys(EFFORTS, ("classify", "anomaly")),
    "lite2": ("classify", "anomaly"),
    "logistic": ("classify",),
    "nearest": ("anomaly",),
    "pytorch": ("classify",),
}
"""The contenders, and the tasks that they can do."""
KEPT = ("n", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci", "loss", "ece", "ece_ci", "auroc", "auroc_ci", "C",
        "recall", "false_alarms", "expected_false_alarms", "pixel_auroc", "pro")  # fmt: skip
OWN = {effort: ["--effort", effort] for effort in EFFORTS}
OWN["lite2"] = ["--effort", "quick", "--model", "efficientnet_lite2"]
"""Keensight's contenders, and their options."""
PYTORCH = ["torch_loop.py", "--epochs", "8"]

Document = dict[str, Any]


def command(contender: str, source: Source, table: Path, scratch: Path) -> list[str]:
    if contender not in OWN:
        return [sys.executable, str(HERE / "baselines.py"), contender, str(table)]
    train = [sys.executable, "-m", "keensight", "train", str(table), "--run", str(scratch / "run"), "--json"]
    train += OWN[contender]
    if "group" in columns(table):
        train += ["--group", "group"]
    return train + (["--task", "anomaly", "--normal", "good"] if source.task == "anomaly" else [])


def columns(table: Path) -> list[str]:
    with table.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


def _localization(run: Path, table: Path) -> Document:
    done = subprocess.run(
        [sys.executable, str(HERE / "localize.py"), str(run), str(table)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


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
        if contender in OWN and "mask" in columns(table):
            found |= _localization(scratch / "run", table)
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


def versions(contender: str, python: str) -> dict[str, str]:
    """Of the packages that a contender needs beside Keensight's own."""
    if contender != "pytorch":
        return {"scikit-learn": version("scikit-learn")}
    done = subprocess.run([python, "-c", VERSIONS], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


def recorded(sources: Iterable[Source], results: Path = RESULTS) -> list[Document]:
    """The results of the sets that are there."""
    paths = (results / "wide" / f"{source.name}-{contender}.json" for source in sources for contender in TASKS)
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def run(sources: list[Source], arguments: argparse.Namespace) -> None:
    """Measure what is not recorded yet."""
    for source in sources:
        done = {contender for _, contender in by_set(recorded([source]))}
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
            used = versions(contender, arguments.python)
            save(f"wide/{source.name}-{contender}", figures["n"], set_of | figures, versions=used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--contenders", nargs="*", choices=TASKS, default=["quick", "logistic", "nearest"])
    parser.add_argument("--python", default=str(HERE.parents[1] / ".peers" / "bin" / "python"), help="the peers' one")
    arguments = parser.parse_args()
    sources = pick(arguments.names, arguments.half, arguments.kind)
    run(sources, arguments)
    print("\n".join(wide_section(recorded(sources))))


if __name__ == "__main__":
    main()
