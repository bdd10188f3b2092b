"""The classifier head: regularization by one validation set or by cross-validation, and its average with another.

    python benchmarks/wide/head.py [NAME ...] [--half chosen|shown] [--kind WORD]

On the features of `quick`, for each set with classes, four heads are scored on its test images. ``validation``:
fitted to the training images, with the strength that has the lowest loss on the validation images. ``cross``: the same,
with the strength of the grouped cross-validation over both. ``refit``: fitted to both, with logit adjustment where that
is chosen. ``averaged``: that, averaged with a discriminant analysis; this is what `quick` does. Results go to
``benchmarks/results/head/SET.json``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from baselines import read
from image_sources import pick
from quick_features import QuickFeatures, quick_features
from record import RESULTS, save
from sets import add_options, ensure

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


def figures(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, macro F1 over all classes, and loss in nats."""
    from sklearn.metrics import f1_score

    from keensight.nets.training.linear_head import score

    loss, accuracy = score(logits, truth)
    labels = np.arange(logits.shape[1])
    f1 = float(f1_score(truth, logits.argmax(axis=1), labels=labels, average="macro", zero_division=0))
    return {"accuracy": round(accuracy, 4), "macro_f1": round(f1, 4), "loss": round(loss, 4)}


def compare(found: QuickFeatures) -> dict[str, Any]:
    """The four heads on one set."""
    from keensight.core.progress import Silent
    from keensight.nets.training.head import HeadInputs
    from keensight.nets.training.linear_head import choose_strength, fit_head, score
    from keensight.nets.training.logit_adjustment import choose_adjustment

    x, y, classes, levels = found.vectors, found.targets, found.classes, found.levels
    both, known = np.concatenate([x["train"], x["val"]]), np.concatenate([y["train"], y["val"]])
    units = np.concatenate([found.units["train"], found.units["val"]])
    heads = {strength: fit_head(x["train"], y["train"], classes, strength, levels=levels) for strength in STRENGTHS}
    by_validation = min(STRENGTHS, key=lambda one: score(heads[one].logits(x["val"]), y["val"])[0])
    chosen = choose_strength(both, known, classes, units=units, levels=levels)
    even = np.ones(len(known), np.float32)
    inputs = HeadInputs(np.arange(len(known)), both, known, units, even, len(y["train"]), classes, levels)
    average = inputs.chosen(Silent())
    both_heads = inputs.head(average, everything=True)
    adjusted = {one: choose_adjustment(one.logits, known, units) for one in (chosen, average)}
    cross = fit_head(x["train"], y["train"], classes, chosen.strength, levels=levels)
    refit = fit_head(both, known, classes, chosen.strength, levels=levels)
    return {
        "validation": {"C": by_validation, **figures(heads[by_validation].logits(x["test"]), y["test"])},
        "cross": {"C": round(chosen.strength, 6), **figures(cross.logits(x["test"]), y["test"])},
        **{
            name: {
                "adjustment": adjusted[one].strength,
                **figures(head.logits(x["test"]) - adjusted[one].offsets, y["test"]),
            }
            for name, one, head in (("refit", chosen, refit), ("averaged", average, both_heads))
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    arguments = parser.parse_args()
    for source in pick(arguments.names, arguments.half, arguments.kind):
        if source.task == "anomaly" or (RESULTS / "head" / f"{source.name}.json").exists():
            continue
        table = ensure(source, arguments.out, arguments.mirror)
        save(f"head/{source.name}", len(read(table)["path"]), {"half": source.half} | compare(quick_features(table)))


if __name__ == "__main__":
    main()
