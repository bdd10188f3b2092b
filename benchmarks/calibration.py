"""Is a trained model calibrated? Loss, Brier score and calibration error, before and after temperature scaling.

python benchmarks/calibration.py SOURCE --name clothing_small-quick --options="--effort quick"
python benchmarks/calibration.py SOURCE --name clothing_small-quick --run RUN

Trains as a user would, or takes a finished run; figures are of its test set, which chose nothing, with intervals of
95 %. "Before" is what the network says at temperature 1. What the rule for answers and the prediction sets do on the
same images stands beside it.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import save

import keensight as ks
from keensight.assess.calibration import at_temperature
from keensight.assess.metrics import evaluate
from keensight.core.interval import Interval
from keensight.core.records import group_numbers

FIGURES = ("loss", "brier", "ece")
BAR = "ECE after calibration at most 0.03, or its interval contains 0"


def told(found: Interval | None) -> list[float] | None:
    """Value and interval."""
    return None if found is None else [round(float(x), 4) for x in (found.value, found.low, found.high)]


def figures_of(run: ks.Run) -> dict[str, Any]:
    evaluation, predictions = run.evaluation, run.predictions
    assert evaluation.calibration is not None and evaluation.abstention is not None
    by_path = {sample.path: sample for sample in run.dataset.samples}
    samples = [by_path[path] for path in predictions.paths]
    targets = np.array([evaluation.labels.names.index(sample.label) for sample in samples])
    groups = group_numbers([sample.group for sample in samples])
    temperature, rule = evaluation.calibration.temperature, evaluation.abstention

    def measured(probabilities: NDArray[Any]) -> dict[str, Any]:
        found = evaluate(probabilities, targets, evaluation.labels, groups=groups)
        return {name: told(found.intervals[name]) for name in FIGURES}

    return {
        "accuracy": told(evaluation.accuracy),
        "n_val": rule.decision.n,
        "temperature": round(temperature, 4),
        "before": measured(at_temperature(predictions.probabilities, 1 / temperature)),
        "after": measured(predictions.probabilities),
        "set_coverage": told(rule.set_coverage),
        "set_size": None if rule.set_size is None else round(rule.set_size, 3),
        "unlike": told(rule.unlike),
        "asked": None if rule.decision.target is None else [rule.decision.target, rule.decision.asked],
        "answered": told(rule.answered),
        "accuracy_of_answers": told(rule.accuracy),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--name", required=True)
    parser.add_argument("--options", default="", help="passed on to `keensight train`")
    parser.add_argument("--run", type=Path, help="a finished run of the source, in place of training")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.run or Path(folder) / "run"
        if arguments.run is None:
            command = [sys.executable, "-m", "keensight", "train", arguments.source, "--run", str(path)]
            subprocess.run([*command, *shlex.split(arguments.options)], check=True)
        run = ks.open_run(path)
        save(f"calibration-{arguments.name}", run.evaluation.n, figures_of(run), BAR)


if __name__ == "__main__":
    main()
