"""Keensight and its peers on one dataset: the same images in each part, the same weights file, the same cores.

Run with Keensight's Python; the peers run with theirs (`make peers` makes it). One after the other, each a process
of its own, Keensight with an empty cache. Seconds are wall time from the start of the process; a peer's look at the
test set is taken off. A peer's figures are those of the epoch with the best validation accuracy.

    python benchmarks/peers/run.py SOURCE --name clothing_small
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from record import save
from split import write

PEERS: dict[str, list[str]] = {
    "pytorch": ["torch_loop.py", "--epochs", "8"],
    "pytorch bfloat16": ["torch_loop.py", "--epochs", "8", "--bf16"],
    "pytorch bfloat16 short": ["torch_loop.py", "--epochs", "3", "--bf16"],
    "fastai": ["fastai_tune.py", "--freeze-epochs", "1", "--epochs", "6"],
    "keras guide": ["keras_guide.py", "--head-epochs", "5", "--epochs", "4"],
}
EFFORTS = ("quick", "standard", "best")
TARGETS = (0.80, 0.85, 0.87, 0.88, 0.89, 0.90, 0.91, 0.92, 0.93)
VERSIONS = "import importlib.metadata as m, json; print(json.dumps({p: m.version(p) for p in ('torch', 'fastai')}))"


def interval(share: float, n: int) -> list[float]:
    """Wilson's interval of a share at 95%."""
    z = 1.959964
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return [round((middle + sign * half) / (1 + z * z / n), 4) for sign in (-1, 1)]


def peer(
    python: str, script: list[str], table: Path, options: list[str], out: Path, limit: float | None = None
) -> dict[str, Any]:
    """A peer's run: its epochs, and the figures of the one that its validation set picks; ``limit`` in seconds."""
    started = time.perf_counter()
    command = [python, str(HERE / script[0]), str(table), "--out", str(out), *script[1:], *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=limit)
    wall = time.perf_counter() - started
    epochs = [json.loads(line) for line in out.read_text().splitlines()]
    best = max(epochs, key=lambda epoch: epoch["val_accuracy"])
    return {
        "options": shlex.join([*script, *options]),
        "seconds": round(wall - epochs[-1]["seconds_testing"], 1),
        "val_accuracy": best["val_accuracy"],
        "test_accuracy": best["test_accuracy"],
        "last_test_accuracy": epochs[-1]["test_accuracy"],
        "n_test": best["test_n"],
        "interval_95": interval(best["test_accuracy"], best["test_n"]),
        # In the peer's favour: the first epoch that would have tested so well, whatever validation said.
        "seconds_to": {
            f"{target:.2f}": next((e["seconds"] for e in epochs if e["test_accuracy"] >= target), None)
            for target in TARGETS
        },
        "epochs": [[e["phase"], e["seconds"], e["val_accuracy"], e["test_accuracy"]] for e in epochs],
    }


def keensight(
    effort: str, table: Path, options: list[str], scratch: Path, limit: float | None = None
) -> dict[str, Any]:
    """A training as a user starts it; to a target it takes as long as the whole of it, report included."""
    run = scratch / f"run-{effort}"
    environment = os.environ | {"KEENSIGHT_CACHE": str(scratch / f"cache-{effort}")}
    command = [sys.executable, "-m", "keensight", "train", str(table), "--run", str(run), "--effort", effort, "--json"]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, check=True,
        timeout=limit,
    )  # fmt: skip
    seconds = round(time.perf_counter() - started, 1)
    result = json.loads(done.stdout)
    epochs = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    test = result["test"]
    return {
        "options": shlex.join(["--effort", effort, *options]),
        "model": result["model"],
        "seconds": seconds,
        "val_accuracy": round(max(epoch["val_accuracy"] for epoch in epochs), 5),
        "test_accuracy": round(test["accuracy"], 5),
        "n_test": test["n"],
        "interval_95": [round(bound, 4) for bound in test["accuracy_ci"]],
        "seconds_to": {f"{target:.2f}": seconds if test["accuracy"] >= target else None for target in TARGETS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--group")
    parser.add_argument("--label")
    parser.add_argument("--python", default=str(ROOT / ".peers" / "bin" / "python"), help="the peers' Python")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--efforts", nargs="*", choices=EFFORTS, default=list(EFFORTS))
    parser.add_argument("--peer-options", default="", help="passed on to each peer, such as '--epochs 1 --limit 96'")
    parser.add_argument("--keensight-options", default="", help="passed on to `keensight train`")
    arguments = parser.parse_args()
    common = ["--image-size", str(arguments.image_size), "--seed", str(arguments.seed)]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch, table = Path(folder), Path(folder, f"{arguments.name}.csv")
        # As in a user's hands: what the split decodes here is not at hand for the trainings.
        os.environ["KEENSIGHT_CACHE"] = str(scratch / "cache")
        sizes = write(arguments.source, table, group=arguments.group, label=arguments.label, seed=arguments.seed)
        for effort in arguments.efforts:
            options = ["--seed", str(arguments.seed), *shlex.split(arguments.keensight_options)]
            figures[f"keensight {effort}"] = keensight(effort, table, options, scratch)
            print(effort, json.dumps(figures[f"keensight {effort}"]), file=sys.stderr, flush=True)
        for name in arguments.peers:
            options = [*common, *shlex.split(arguments.peer_options)]
            try:
                figures[name] = peer(arguments.python, PEERS[name], table, options, scratch / "epochs.jsonl")
            except subprocess.CalledProcessError as error:
                print(f"{name} failed:\n{error.stderr[-2000:]}", file=sys.stderr)
                continue
            print(name, json.dumps(figures[name]), file=sys.stderr, flush=True)
    done = subprocess.run([arguments.python, "-c", VERSIONS], stdout=subprocess.PIPE, text=True, check=True)
    save(f"peers-{arguments.name}", sizes["test"], figures, versions=json.loads(done.stdout))


if __name__ == "__main__":
    main()
