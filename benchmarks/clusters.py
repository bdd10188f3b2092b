"""Coverage of intervals if images come in clusters of uneven size, such as bursts of near-duplicates.

python benchmarks/clusters.py [--repeats 500]

Simulated: from the population of ``coverage.py`` (200,000 images of five classes, a calibrated classifier) so many
clusters are drawn. Their sizes follow a power law, 1 to 30; the images of a cluster have one class, and four in five on
average are the same picture, with the same prediction. Every interval of ``assess`` is taken with the clusters as
groups. Two others stand beside some of them: that of a plain bootstrap of clusters (percentiles), and that which takes
the images as independent.

Truth is that of the population. For the slice it is the accuracy of all images, as the slices mean nothing. For the
comparison it is the difference from a second classifier, whose logits have noise of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from coverage import PRIORS, Array, Population, intervals_of, population, title
from record import save
from sklearn.metrics import average_precision_score, f1_score

from keensight.assess import abstention, anomaly, metrics, multilabel, operating_point, paired
from keensight.assess.intervals import auroc_parts, share
from keensight.assess.slices import find_slices
from keensight.core.anomaly import Limits
from keensight.core.interval import Interval
from keensight.core.predictions import Decision
from keensight.core.prototypes import softmax
from keensight.core.records import LabelSet

CLUSTERS, LARGEST, POWER, ALIKE = (20, 56, 100, 300), 30, 1.8, 0.8
BAR = "93% to 98% of the intervals contain the true value, from 56 clusters on"
RULE = Decision(threshold=0.7, set_level=0.9, set_threshold=0.2)
LABELS = LabelSet(tuple("abcde"))
_RESAMPLES = 500
_LIMITS = Limits(1.0, 1.0, 0.05, 100)
_CUT = 0.5
"""Probability from which on a label counts as there, and a class is flagged."""


@dataclass(frozen=True)
class World:
    """The population, a second classifier of the same images, and all true figures."""

    people: Population
    other: Array
    truth: dict[str, float]


def world() -> World:
    people = population(1.0)
    rng = np.random.default_rng(1)
    other = softmax(np.log(people.probabilities.astype(np.float64)) + 1.5 * rng.normal(size=people.probabilities.shape))
    return World(people, other.astype(np.float32), people.truth | further(people, other))


def further(people: Population, other: Array) -> dict[str, float]:
    """True figures of answers, sets, an operating point, several labels, anomalies and the comparison."""
    p, targets, right = people.probabilities, people.targets, people.right()
    kept, sets = RULE.accepts(p), RULE.members(p)
    assert sets is not None
    shown, held, every = p >= _CUT, targets == 0, np.eye(len(PRIORS), dtype=bool)[targets]
    second = metrics_of(other, targets)
    return {
        "answered": kept.mean(), "accuracy of answers": right[kept].mean(),
        "set coverage": sets[np.arange(len(p)), targets].mean(),
        "slice accuracy": right.mean(), "accuracy without some": right.mean(),
        "sensitivity": shown[held, 0].mean(), "specificity": 1 - shown[~held, 0].mean(),
        "subset accuracy": (shown == every).all(axis=1).mean(), "mAP": average_precision_score(every, p),
        "micro F1": f1_score(every, shown, average="micro"),
        "anomaly AUROC": auroc_parts(p[:, 0], held)[0],
        "anomaly recall": shown[held, 0].mean(), "anomaly false alarms": shown[~held, 0].mean(),
        **{f"difference of {name}": second[name] - people.truth[name] for name in second},
    }  # fmt: skip


def metrics_of(p: Array, targets: Array) -> dict[str, float]:
    predicted = p.argmax(axis=1)
    return {
        "accuracy": (predicted == targets).mean(), "loss": metrics.cross_entropy(p, targets),
        "macro_f1": f1_score(targets, predicted, average="macro"),
    }  # fmt: skip


def drawn(people: Population, clusters: int, by_class: list[Array], rng: np.random.Generator) -> tuple[Array, Array]:
    """Places in the population, and the number of each one's cluster."""
    sizes = np.arange(1, LARGEST + 1)
    chances = sizes**-POWER / (sizes**-POWER).sum()
    groups = np.repeat(np.arange(clusters), rng.choice(sizes, clusters, p=chances))
    first = rng.integers(len(people.targets), size=clusters)[groups]
    among = [by_class[target] for target in people.targets[first]]
    other = np.array(
        [some[int(chance * len(some))] for some, chance in zip(among, rng.random(len(among)), strict=True)]
    )
    return np.where(rng.random(len(groups)) < ALIKE, first, other), groups


def of_shares(p: Array, targets: Array, groups: Array | None, kinds: Array) -> Iterator[tuple[str, Interval]]:
    """Intervals of fractions of images and of areas under ROC curves, which need no bootstrap."""
    yield "accuracy", share(p.argmax(axis=1) == targets, groups)
    answers = abstention.measure(p, targets, RULE, groups=groups)
    assert answers.set_coverage is not None
    yield from (("answered", answers.answered), ("set coverage", answers.set_coverage))
    if answers.accuracy is not None:
        yield "accuracy of answers", answers.accuracy
    yield "accuracy without some", metrics.accuracy_without(p, targets, kinds == 1, groups)
    point = operating_point.measure(p[:, 0], targets == 0, _CUT, label="a", part="test", target="", groups=groups)
    yield from ((name, one) for name in ("sensitivity", "specificity") if (one := getattr(point, name)) is not None)
    odd = anomaly.evaluate(p[:, 0] / _CUT, [str(t) for t in targets], list("1234"), _LIMITS, groups=groups)
    told = (("anomaly AUROC", odd.auroc), ("anomaly recall", odd.recall), ("anomaly false alarms", odd.false_alarms))
    yield from ((name, one) for name, one in told if one is not None)
    names = None if groups is None else [str(group) for group in groups]
    slices = find_slices(p.argmax(axis=1) == targets, targets, {"site": [str(kind) for kind in kinds]}, groups=names)
    yield from (("slice accuracy", score.accuracy) for score in slices.scores)


def by_bootstrap(p: Array, other: Array, targets: Array, groups: Array) -> Iterator[tuple[str, Interval]]:
    """The intervals of ``assess`` that come of a bootstrap, and those of classes."""
    found = intervals_of(metrics.evaluate(p, targets, LABELS, groups=groups))
    yield from ((name, one) for name, one in found.items() if name != "accuracy")
    several = multilabel.evaluate(p, np.eye(len(PRIORS), dtype=int)[targets], LABELS, (_CUT,) * 5, groups=groups)
    assert several.multilabel is not None
    yield "subset accuracy", several.accuracy
    yield from (("mAP", several.multilabel.mean_average_precision), ("micro F1", several.multilabel.micro_f1))
    for name, one in paired.bootstrap(p, other, targets, groups).items():
        yield f"difference of {name}", one


def resampled(p: Array, targets: Array, groups: Array, rng: np.random.Generator) -> Iterator[tuple[str, Interval]]:
    """Percentiles of a plain bootstrap of whole clusters, for figures that are ratios of sums."""
    predicted, classes = p.argmax(axis=1), np.eye(len(PRIORS))
    hits = classes[targets] * (predicted == targets)[:, None]
    loss = metrics.cross_entropies(p, targets)[:, None]
    table = np.concatenate([np.ones((len(p), 1)), loss, hits, classes[predicted], classes[targets]], axis=1)
    units = np.stack([np.bincount(groups, weights=column) for column in table.T], axis=1)
    draws = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), _RESAMPLES) @ units
    n, loss, rest = draws[:, 0], draws[:, 1], np.split(draws[:, 2:], 3, axis=1)
    f1 = 2 * rest[0] / np.maximum(rest[1] + rest[2], 1)
    for name, values in (("accuracy", rest[0].sum(axis=1) / n), ("loss", loss / n), ("macro_f1", f1.mean(axis=1))):
        yield name, ends(values)
    for i in range(len(PRIORS)):
        occurs = rest[2][:, i] > 0
        if occurs.any():
            yield f"{i} recall", ends(rest[0][occurs, i] / rest[2][occurs, i])


def ends(values: Array) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def simulated(here: World, clusters: int, repeats: int) -> dict[str, Any]:
    by_class = [np.flatnonzero(here.people.targets == i) for i in range(len(PRIORS))]
    kept: dict[str, dict[str, list[tuple[bool, float]]]] = {"stated": {}, "bootstrap": {}, "independent": {}}
    sizes: list[int] = []
    for seed in range(repeats):
        rng = np.random.default_rng([seed, clusters])
        rows, groups = drawn(here.people, clusters, by_class, rng)
        p, other, targets = here.people.probabilities[rows], here.other[rows], here.people.targets[rows]
        kinds = rng.integers(0, 2, clusters)[groups]
        kinds[0] = 0
        sizes.append(len(rows))
        for way, found in (
            ("stated", (*of_shares(p, targets, groups, kinds), *by_bootstrap(p, other, targets, groups))),
            ("bootstrap", resampled(p, targets, groups, rng)),
            ("independent", of_shares(p, targets, None, kinds)),
        ):
            for name, one in found:
                right = one.low <= here.truth[name] <= one.high
                kept[way].setdefault(title(name) if name[0].isdigit() else name, []).append((right, one.high - one.low))
    return {"images": round(float(np.mean(sizes)), 1)} | {
        way: {
            name: {"coverage": round(float(held), 4), "width": round(float(width), 4), "n": len(rows)}
            for name, rows in found.items() for held, width in [np.mean(rows, axis=0)]
        }
        for way, found in kept.items()
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=500)
    repeats = parser.parse_args().repeats
    here, figures = world(), {}
    for clusters in CLUSTERS:
        figures[str(clusters)] = simulated(here, clusters, repeats)
        print(clusters, {name: one["coverage"] for name, one in figures[str(clusters)]["stated"].items()}, flush=True)
    save("clusters", repeats, figures, BAR)


if __name__ == "__main__":
    main()
