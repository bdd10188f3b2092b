"""Does a temperature help on images that did not choose it? Compared with none, and with that of the lowest loss.

python benchmarks/temperature.py SOURCE --keep FILE.npz [--group COLUMN]      # logistic heads on frozen features
python benchmarks/temperature.py SOURCE --keep FILE.npz --run RUN             # a trained network, as it is
python benchmarks/temperature.py --tabulate FILE.npz ...

The first two keep logits of validation and test images. Of heads (as `--effort quick` learns them), one is learned anew
for each draw of 220, 400, 800 and 1,500 images, 18 % of which choose its penalty and the temperature; all others are
the test. Of a run, its own validation and test images are drawn anew into 35 to 560 that choose and the others. Four
draws each, groups whole. The third fits temperatures and measures them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from coverage import features_of
from numpy.typing import NDArray
from record import save

from keensight.assess.bootstrap import mean_interval
from keensight.assess.calibration import at_temperature, cross_entropies, fit_temperature
from keensight.assess.metrics import evaluate
from keensight.core.interval import Interval
from keensight.core.prototypes import softmax
from keensight.core.records import LabelSet, group_numbers

TOTALS, CHOOSING, DRAWS = (220, 400, 800, 1500), (35, 70, 140, 280, 560), 4
LEARN, CHOOSE = 0.8235, 0.1765
SHOWN = 70
"""Validation images of the draw whose intervals the table shows, as nearly as there is one with the first seed."""
WORSE = 0.005
BAR = "no draw more than 0.02 nats worse than without a temperature, and better on average"
Array = NDArray[Any]


def head_draws(source: Path, group: str | None) -> Iterator[tuple[str, Array, Array, Array, Array | None, Array]]:
    """Name, validation and test places, classes, groups and logits of each draw."""
    import keensight as ks
    from keensight.nets.models.backbones import DEFAULT_PRETRAINED
    from keensight.nets.training.images import levels_of
    from keensight.nets.training.linear_head import choose_strength, fit_head

    data, rows, features = features_of(source, group)
    targets, groups = data.targets()[rows], group_numbers([data.samples[row].group for row in rows])
    unit = np.arange(len(rows)) if groups is None else groups
    spec = ks.image_spec(data, model=DEFAULT_PRETRAINED, effort="quick")
    levels = levels_of(ks.build(data, spec, DEFAULT_PRETRAINED))
    for total in (total for total in TOTALS if total <= 0.8 * len(rows)):
        for seed in range(DRAWS):
            train, val, test = parts(targets, unit, total / len(rows), np.random.default_rng([seed, total]))
            if len(val) < 30 or len(test) < 100:
                continue
            known, own, classes = features[train], targets[train], len(data.labels)
            strength = choose_strength(known, own, classes, units=unit[train], levels=levels).strength
            head = fit_head(known, own, classes, strength, levels=levels)
            yield f"{total}_{seed}", val, test, targets, groups, head.logits(features)


def parts(targets: Array, unit: Array, fraction: float, rng: np.random.Generator) -> list[Array]:
    """Places to learn from, to choose by, and the rest; whole units, drawn within the class of their first image."""
    first = np.unique(unit, return_index=True)[1]
    where = np.full(len(first), 2)
    for number in np.unique(targets[first]):
        members = rng.permutation(np.flatnonzero(targets[first] == number))
        learn = max(1, int(len(members) * fraction * LEARN + rng.random()))
        choose = int(len(members) * fraction * CHOOSE + rng.random())
        where[members[:learn]], where[members[learn : learn + choose]] = 0, 1
    return [np.flatnonzero(where[unit] == part) for part in range(3)]


def run_draws(source: Path, group: str | None, run: Path) -> Iterator[tuple[str, Array, Array, Array, Any, Array]]:
    """The same of a finished run's validation and test images."""
    import keensight as ks
    from keensight.workflow.measure import probabilities_of
    from keensight.workflow.steps import shown

    data, classifier, split = (
        ks.open(source, group=group),
        ks.load(run).changed(temperature=1.0),
        ks.open_run(run).split,
    )
    rows = np.sort(np.concatenate([split.part("val"), split.part("test")]))
    said = probabilities_of(classifier, rows, ks.prepare(data, classifier.spec), shown(None))
    logits = np.log(np.maximum(said.astype(np.float64), 1e-45))
    targets, groups = data.targets()[rows], group_numbers([data.samples[row].group for row in rows])
    unit = np.arange(len(rows)) if groups is None else groups
    for n in CHOOSING:
        for seed in range(DRAWS):
            order = np.random.default_rng([seed, n]).permutation(unit.max() + 1)
            count = round(n / len(rows) * len(order))
            if count <= 0.6 * len(order):
                chosen = np.isin(unit, order[:count])
                yield f"{n}_{seed}", np.flatnonzero(chosen), np.flatnonzero(~chosen), targets, groups, logits


def keep(path: Path, draws: Iterator[tuple[str, Array, Array, Array, Array | None, Array]]) -> None:
    kept: dict[str, Array] = {}
    for name, val, test, targets, groups, logits in draws:
        for part, places in (("v", val), ("t", test)):
            kept |= {f"{name}_{'val' if part == 'v' else 'test'}": logits[places], f"{name}_t{part}": targets[places]}
            if groups is not None:
                kept[f"{name}_g{part}"] = groups[places]
    np.savez(path, **kept)


def least_loss(probabilities: Array, targets: Array) -> float:
    """The temperature of the least loss, from 0.05 to 20: what was used before there was a prior."""
    from scipy.optimize import minimize_scalar

    def loss(x: float) -> float:
        return float(cross_entropies(at_temperature(probabilities, np.exp(x)), targets).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-4}).x))


def changes(probabilities: Array, targets: Array, temperature: float) -> Array:
    """What a temperature adds to the loss of each image."""
    if temperature == 1:
        return np.zeros(len(targets))
    after = cross_entropies(at_temperature(probabilities, temperature), targets)
    return after - cross_entropies(probabilities, targets)


def told(found: Interval) -> list[float]:
    return [round(float(x), 4) for x in (found.value, found.low, found.high)]


def measured(path: Path) -> dict[str, Any]:
    """One set: the draw that is shown, and a summary of all."""
    file = np.load(path)
    names = sorted(name.removesuffix("_val") for name in file.files if name.endswith("_val"))
    nearest = min(
        (name for name in names if name.endswith("_0")), key=lambda name: abs(len(file[f"{name}_tv"]) - SHOWN)
    )
    rows, shown = [], {}
    for name in names:
        raw, test = (softmax(file[f"{name}_{part}"].astype(np.float64)) for part in ("val", "test"))
        val_targets, targets = file[f"{name}_tv"], file[f"{name}_tt"]
        val_groups, groups = (file.get(f"{name}_g{part}") for part in "vt")
        chosen = {"least loss": least_loss(raw, val_targets), "used": fit_temperature(raw, val_targets, val_groups)}
        without = cross_entropies(test, targets)
        changed = {how: changes(test, targets, t) for how, t in chosen.items()}
        rows.append([len(raw), *(changed[how].mean() for how in chosen), *chosen.values()])
        if name == nearest:
            labels = LabelSet(tuple(map(str, range(raw.shape[1]))))
            shown = {"n_val": len(raw), "n_test": len(test), "loss": round(float(without.mean()), 4)}
            shown["val_accuracy"] = round(float((raw.argmax(axis=1) == val_targets).mean()), 4)
            for how, t in {"none": 1.0, **chosen}.items():
                p = test if t == 1 else at_temperature(test, t)
                one = {
                    "temperature": round(t, 4),
                    "ece": told(evaluate(p, targets, labels, groups=groups).intervals["ece"]),
                }
                one |= {} if how == "none" else {"change": told(mean_interval(changed[how], targets, groups))}
                shown[how] = one
    table = np.array(rows)
    return {"draws": len(rows), "n_val": [int(table[:, 0].min()), int(table[:, 0].max())], "shown": shown} | {
        how: {
            "mean": round(float(table[:, i].mean()), 4),
            "worst": round(float(table[:, i].max()), 4),
            "worse": int((table[:, i] > WORSE).sum()),
            "temperatures": [round(float(x), 3) for x in (table[:, i + 2].min(), table[:, i + 2].max())],
            "untouched": int((table[:, i + 2] == 1).sum()),
        }
        for i, how in ((1, "least loss"), (2, "used"))
    }


def line(name: str, one: dict[str, Any]) -> str:
    """A row of the table in docs/uncertainty.md."""
    shown = one["shown"]

    def cell(how: str) -> str:
        value, low, high = shown[how]["change"]
        if shown[how]["temperature"] == 1:
            return "1: none"
        return f"{shown[how]['temperature']:.2f}: {value:+.3f} ({low:+.3f} to {high:+.3f})"

    errors = ", ".join(
        f"{shown[how]['ece'][0]:.3f} ({shown[how]['ece'][1]:.3f} to {shown[how]['ece'][2]:.3f})"
        for how in ("none", "least loss", "used")
    )
    all_draws = " | ".join(f"{one[how]['mean']:+.4f}, {one[how]['worst']:+.3f}" for how in ("least loss", "used"))
    cells = (
        name,
        f"{shown['n_val']}, {shown['n_test']:,}",
        f"{shown['loss']:.3f}",
        cell("least loss"),
        cell("used"),
        errors,
    )
    return f"| {' | '.join(cells)} | {one['draws']} | {all_draws} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--group")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--tabulate", type=Path, nargs="+")
    arguments = parser.parse_args()
    if not arguments.tabulate:
        source, group = arguments.source, arguments.group
        keep(arguments.keep, run_draws(source, group, arguments.run) if arguments.run else head_draws(source, group))
        return
    figures = {path.stem: measured(path) for path in arguments.tabulate}
    for name, one in figures.items():
        print(line(name, one))
    save("temperature", sum(one["draws"] for one in figures.values()), figures, BAR)


if __name__ == "__main__":
    main()
