"""How often intervals contain the true value, prediction sets the true class, and a minimum precision holds.

python benchmarks/coverage.py [--repeats 1000]
python benchmarks/coverage.py FOLDER [--group COLUMN] [--repeats 20]

The first form simulates. A population of 200,000 images of five classes gives the truth: logits are normal, classes are
drawn from their softmax, and the classifier says that softmax (calibrated) or one of doubled logits (too sure). From it
so many images are drawn, one by one or in groups of four: of a group all have one class, and three in five on average
are the same picture. They are measured, and choose a rule for answers and sets, which the population then judges.

The second form splits a real dataset again and again: half to learn a logistic head on frozen features (as
`--effort quick` does), a tenth to choose penalty, temperature and rule, a tenth to be measured, the rest for the truth.
The rest has noise of its own: an interval counts as right where the interval of the difference, from both parts'
intervals (Zou and Donner 2008), holds 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import save

from keensight.assess.abstention import choose
from keensight.assess.calibration import at_temperature, brier_scores, expected_calibration_error, fit_temperature
from keensight.assess.intervals import auroc_parts
from keensight.assess.metrics import cross_entropies, evaluate
from keensight.core.evaluation import Evaluation
from keensight.core.interval import Interval
from keensight.core.prototypes import softmax
from keensight.core.records import Dataset, LabelSet, group_numbers

PRIORS = (0.30, 0.25, 0.20, 0.15, 0.10)
POPULATION, SIZES, EACH, ALIKE = 200_000, (100, 400, 1600), 4, 0.6
SET_LEVEL, PRECISION = 0.9, 0.9
WHOLE = ("accuracy", "loss", "brier", "ece", "macro_f1", "weighted_f1", "auroc")
OF_CLASS = ("precision", "recall", "f1", "auroc")
BAR = "coverage of intervals 0.93 to 0.97, of sets 0.88 to 0.92 on average; minimum precision kept in 0.90 or more"
Array = NDArray[Any]


@dataclass(frozen=True)
class Population:
    """Images whose figures are the truth."""

    probabilities: Array
    targets: Array
    truth: dict[str, float]

    def set_coverage(self, threshold: float) -> float:
        true = self.probabilities[np.arange(len(self.targets)), self.targets]
        return float((self.right() | (true >= threshold)).mean())

    def precision(self, threshold: float) -> float:
        kept = self.probabilities.max(axis=1) >= threshold
        return float(self.right()[kept].mean())

    def right(self) -> Array:
        found: Array = self.probabilities.argmax(axis=1) == self.targets
        return found


def population(sharpness: float, seed: int = 0) -> Population:
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(POPULATION, len(PRIORS))) + np.log(PRIORS)
    draws = rng.random((POPULATION, 1))
    targets = np.minimum((draws > softmax(logits).cumsum(axis=1)).sum(axis=1), len(PRIORS) - 1)
    probabilities = softmax(sharpness * logits).astype(np.float32)
    return Population(probabilities, targets, truth_of(probabilities, targets))


def truth_of(probabilities: Array, targets: Array) -> dict[str, float]:
    """Every figure, without intervals, which would take long."""
    from sklearn.metrics import precision_recall_fscore_support

    predicted, classes = probabilities.argmax(axis=1), range(probabilities.shape[1])
    precision, recall, f1, support = precision_recall_fscore_support(targets, predicted, labels=list(classes))
    areas = [auroc_parts(probabilities[:, i], targets == i)[0] for i in classes]
    found = {
        "accuracy": (predicted == targets).mean(), "loss": cross_entropies(probabilities, targets).mean(),
        "brier": brier_scores(probabilities, targets).mean(), "ece": expected_calibration_error(probabilities, targets),
        "macro_f1": f1.mean(), "weighted_f1": np.average(f1, weights=support), "auroc": np.mean(areas),
    }  # fmt: skip
    for i in classes:
        of_class = zip(OF_CLASS, (precision[i], recall[i], f1[i], areas[i]), strict=True)
        found |= {f"{i} {name}": value for name, value in of_class}
    return {name: float(value) for name, value in found.items()}


def intervals_of(found: Evaluation) -> dict[str, Interval]:
    """All of an evaluation, those of classes by their number."""
    kept = {name: one for name, one in found.intervals.items() if name in WHOLE} | {"accuracy": found.accuracy}
    for i, row in enumerate(found.per_class):
        kept |= {f"{i} {name}": one for name, one in row.intervals.items()}
    return kept


def title(name: str) -> str:
    """Classes are counted together."""
    return f"class {name.split()[1]}" if " " in name else name


class Tally:
    """What was held and what was not, by figure."""

    def __init__(self) -> None:
        self.held: dict[str, list[bool]] = {}
        self.widths: dict[str, list[float]] = {}

    def add(self, name: str, held: bool, one: Interval) -> None:
        self.held.setdefault(title(name), []).append(bool(held))
        self.widths.setdefault(title(name), []).append(one.high - one.low)

    def told(self) -> dict[str, dict[str, float]]:
        """Share held, mean width and number of intervals, by figure."""
        order = [*WHOLE, *(f"class {name}" for name in OF_CLASS)]
        return {
            name: {
                "coverage": round(float(np.mean(self.held[name])), 4),
                "width": round(float(np.mean(self.widths[name])), 4),
                "n": len(self.held[name]),
            }
            for name in order
        }


def drawn(people: Population, n: int, grouped: bool, by_class: list[Array], rng: np.random.Generator) -> Array:
    """Places in the population of ``n`` images; with groups, one after the other."""
    first = rng.integers(len(people.targets), size=n // EACH if grouped else n)
    if not grouped:
        return first
    first = np.repeat(first, EACH)
    other = [by_class[people.targets[place]][rng.integers(len(by_class[people.targets[place]]))] for place in first]
    return np.where(rng.random(n) < ALIKE, first, other)


def simulated(people: Population, n: int, grouped: bool, repeats: int) -> dict[str, Any]:
    labels = LabelSet(tuple("abcde"))
    by_class = [np.flatnonzero(people.targets == i) for i in range(len(PRIORS))]
    groups = np.arange(n) // EACH if grouped else None
    tally, sets, kept, bounds = Tally(), [], [], []
    for seed in range(repeats):
        rng = np.random.default_rng([seed, n, grouped])
        rows = drawn(people, n, grouped, by_class, rng)
        p, targets = people.probabilities[rows], people.targets[rows]
        for name, one in intervals_of(evaluate(p, targets, labels, groups=groups)).items():
            tally.add(name, one.low <= people.truth[name] <= one.high, one)
        rule = choose(p, targets, precision=PRECISION, set_level=SET_LEVEL)
        assert rule.set_threshold is not None and rule.reached is not None
        sets.append(people.set_coverage(rule.set_threshold))
        bounds.append(rule.reached)
        kept.append(people.precision(rule.threshold) >= min(rule.reached, PRECISION))
    return {
        "intervals": tally.told(),
        "set_coverage": spread(sets),
        "precision_kept": round(float(np.mean(kept)), 4),
        "precision_bound": spread(bounds),
    }


def spread(values: list[float]) -> list[float]:
    """Mean, and the range of the middle nine tenths."""
    return [round(float(x), 4) for x in (np.mean(values), *np.quantile(values, (0.05, 0.95)))]


def differs(one: Interval, other: Interval) -> bool:
    """Whether the interval of the difference misses 0 (MOVER, Zou and Donner 2008)."""
    gap = one.value - other.value
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    return not gap - below <= 0 <= gap + above


def features_of(source: Path, group: str | None) -> tuple[Dataset, Array, Array]:
    """The set, and frozen features of those of its images that can be read, by their place in it."""
    import keensight as ks
    from keensight.nets.models.backbones import DEFAULT_PRETRAINED
    from keensight.nets.training.images import features
    from keensight.workflow.features import caches, images_of
    from keensight.workflow.steps import shown

    show = shown(None)
    data = ks.open(source, group=group)
    spec = ks.image_spec(data, model=DEFAULT_PRETRAINED, effort="quick")
    pixels = ks.prepare(data, spec)
    rows = np.array([row for row in range(len(data)) if row not in pixels.errors])
    model = ks.build(data, spec, DEFAULT_PRETRAINED)
    return data, rows, features(model, images_of(data, ks.split(data), pixels), rows, caches(show))


def resplits(groups: Array, repeats: int) -> Iterator[list[Array]]:
    """Places of the images of four parts, groups whole: to learn, to choose, to be measured, and the rest."""
    for seed in range(repeats):
        names = np.random.default_rng(seed).permutation(groups.max() + 1)
        ends = (np.array([0.5, 0.6, 0.7]) * len(names)).round().astype(int)
        yield [np.flatnonzero(np.isin(groups, some)) for some in np.split(names, ends)]


def measured(data: Dataset, rows: Array, features: Array, repeats: int) -> dict[str, Any]:
    from keensight.nets.training.linear_head import choose_strength, fit_head

    targets = data.targets()[rows]
    groups = group_numbers([data.samples[row].group for row in rows])
    unit = np.arange(len(rows)) if groups is None else groups
    tally, sets, sizes, errors, kept = Tally(), [], [], [], []
    for train, val, test, rest in resplits(unit, repeats):
        known, own, classes = features[train], targets[train], len(data.labels)
        head = fit_head(known, own, classes, choose_strength(known, own, classes, units=unit[train]).strength)
        raw = softmax(head.logits(features).astype(np.float64))
        temperature = fit_temperature(raw[val], targets[val])
        p = at_temperature(raw, temperature)
        rule = choose(p[val], targets[val], precision=0.95, set_level=SET_LEVEL)
        found, true = (
            intervals_of(evaluate(p[part], targets[part], data.labels, groups=None if groups is None else groups[part]))
            for part in (test, rest)
        )
        for name in found.keys() & true.keys():
            tally.add(name, not differs(found[name], true[name]), found[name])
        both = np.concatenate([test, rest])
        held, accepted = rule.members(p[both]), rule.accepts(p[both])
        assert held is not None and rule.reached is not None
        sets.append(float(held[np.arange(len(both)), targets[both]].mean()))
        sizes.append(float(held.sum(axis=1).mean()))
        right = (p[both].argmax(axis=1) == targets[both])[accepted]
        kept.append(bool(right.mean() >= min(rule.reached, 0.95)))
        errors.append([expected_calibration_error(x[both], targets[both]) for x in (raw, p)])
        print(f"{len(sets)}: temperature {temperature:.3f}, sets {sets[-1]:.3f}", flush=True)
    before, after = zip(*errors, strict=True)
    return {
        "intervals": tally.told(),
        "images": [len(part) for part in (train, val, test, rest)],
        "set_coverage": spread(sets),
        "set_size": spread(sizes),
        "precision_kept": round(float(np.mean(kept)), 4),
        "ece_before": spread(before),
        "ece_after": spread(after),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("--group")
    parser.add_argument("--repeats", type=int)
    arguments = parser.parse_args()
    if arguments.source:
        repeats = arguments.repeats or 20
        figures = measured(*features_of(arguments.source, arguments.group), repeats)
        save(f"coverage-{arguments.source.name}", repeats, figures, BAR)
        return
    repeats, figures = arguments.repeats or 1000, {}
    for said, sharpness in (("calibrated", 1.0), ("too sure", 2.0)):
        people = population(sharpness)
        for grouped in (False, True):
            for n in SIZES:
                name = f"{n} images{f' in groups of {EACH}' if grouped else ''}, {said}"
                figures[name] = simulated(people, n, grouped, repeats)
                print(name, {key: one["coverage"] for key, one in figures[name]["intervals"].items()}, flush=True)
    save("coverage", repeats, figures, BAR)


if __name__ == "__main__":
    main()
