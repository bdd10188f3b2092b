"""Train on a dataset as a user would (one process, defaults) and record test accuracy, time and memory.

python benchmarks/accuracy.py SOURCE --name fashion-mnist-cnn --options="--model cnn"
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time

from record import save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--name", required=True)
    parser.add_argument("--bar", default="")
    parser.add_argument("--keep", help="folder for the run; left out: a temporary one")
    parser.add_argument("--options", default="", help="passed on to `keensight train`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = arguments.keep or f"{scratch}/run"
        command = [sys.executable, "-m", "keensight", "train", arguments.source, "--run", run, "--json"]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, *shlex.split(arguments.options)], stdout=subprocess.PIPE, text=True, check=True
        )
        seconds = time.perf_counter() - started
    result = json.loads(done.stdout)
    test = result["test"]
    figures = {
        "test_accuracy": round(test["accuracy"], 4),
        "interval_95": [round(bound, 4) for bound in test["accuracy_ci"]],
        "test_loss": round(test["loss"], 4),
        "n_train": result["data"]["train"],
        "n_test": test["n"],
        "options": arguments.options,
        "minutes": round(seconds / 60, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }
    save(arguments.name, 1, figures, arguments.bar)


if __name__ == "__main__":
    main()
