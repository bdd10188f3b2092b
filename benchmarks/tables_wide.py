"""The section of docs/benchmarks.md on the image sets of ``benchmarks/wide``, for ``tables.py`` and ``measure.py``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tables_training import duration

EFFORTS = ("quick", "standard", "best")
RIVALS = (
    (EFFORTS, "logistic", "macro_f1"),
    (EFFORTS, "nearest", "auroc"),
    (("standard", "best"), "pytorch", "accuracy"),
)
"""Who must not lose to whom, in what."""
CLASSES = ((*EFFORTS, "logistic", "pytorch"), ("macro_f1", "accuracy", "ece"))
ANOMALIES = ((*EFFORTS, "nearest"), ("auroc",))
TITLES = {"macro_f1": "macro F1", "accuracy": "accuracy", "ece": "ECE", "auroc": "AUROC"}

SOURCES = Path(__file__).parent / "wide" / "sources.json"

Figures = dict[tuple[str, str], dict[str, Any]]
"""Results by set and method."""


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
        return f"{self.name} ({TITLES[self.metric]}: {self.effort} {self.own:.3f}, {self.baseline} {self.other:.3f})"


def by_set(documents: list[dict[str, Any]]) -> Figures:
    names = (document["name"].removeprefix("wide/").rpartition("-") for document in documents)
    return {(name, who): document["figures"] for (name, _, who), document in zip(names, documents, strict=True)}


def losses(found: Figures) -> list[Loss]:
    return [
        Loss(name, effort, baseline, metric, own[metric], other[metric])
        for efforts, baseline, metric in RIVALS
        for (name, effort), own in found.items()
        if effort in efforts and (other := found.get((name, baseline))) and own[metric] < other[metric]
    ]


def table(found: Figures, contenders: tuple[str, ...], metrics: tuple[str, ...]) -> list[str]:
    """One row a set and method, for anomaly sets or for the others."""
    kept = [
        key for key, one in found.items() if key[1] in contenders and ("accuracy" in one) == ("accuracy" in metrics)
    ]
    if not kept:
        return []
    rows = ["", f"| set | method | {' | '.join(TITLES[one] for one in metrics)} | n | time |"]
    rows.append("|---" * (4 + len(metrics)) + "|")
    for name, who in sorted(kept, key=lambda key: (key[0], contenders.index(key[1]))):
        one = found[name, who]
        values = [f"{one[metric]:.3f}" if metric in one else "–" for metric in metrics]
        title = f"{name}: {one['kind']} ({one['half']})"
        rows.append(f"| {' | '.join([title, who, *values, str(one['n']), duration(one['seconds'])])} |")
    return rows


def measured(found: Figures) -> str:
    """How many sets of each half each method has been measured on."""
    halves = {one["name"]: one["half"] for one in json.loads(SOURCES.read_text(encoding="utf-8"))}
    done = {half: Counter(who for name, who in found if halves[name] == half) for half in sorted(set(halves.values()))}
    told = [
        f"of the {sum(one == half for one in halves.values())} *{half}* sets, "
        + (", ".join(f"{n} by `{who}`" for who, n in sorted(counts.items())) or "none yet")
        for half, counts in done.items()
    ]
    return f"Measured so far: {'; '.join(told)}."


def wide_section(documents: list[dict[str, Any]]) -> list[str]:
    """The results on each set, and the sets on which a baseline is better."""
    found = by_set(documents)
    lost = losses(found)
    return [
        "\n## Many kinds of image sets\n",
        "Public image sets that `benchmarks/wide/sets.py` builds from the repositories in `benchmarks/wide/sources.json`, "
        "each with a fixed split. Defaults are chosen on one half of the sets (*chosen*) and only shown on the other "
        "(*shown*). `logistic` is scikit-learn's logistic regression on the last-layer features of the same network, "
        "its C from cross-validation, by group where a set has groups; `nearest` is the mean distance to the five nearest normal training images "
        "on the same features; `pytorch` is plain fine-tuning. n: test images; time: of the whole command.",
        f"\n{measured(found)}\n",
        *table(found, *CLASSES),
        *table(found, *ANOMALIES),
        f"\nA baseline has a better macro F1 (anomaly sets: AUROC; `pytorch`: accuracy) on: {'; '.join(map(str, lost)) or 'no set'}.",
        "\n`python benchmarks/wide/measure.py NAME` (measured while other work ran: the times are upper bounds).",
    ]
