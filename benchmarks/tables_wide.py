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
CLASSES = ((*EFFORTS, "lite2", "logistic", "pytorch"), ("macro_f1", "accuracy", "ece"))
ANOMALIES = ((*EFFORTS, "lite2", "nearest"), ("auroc", "recall", "false_alarms", "pixel_auroc", "pro"))
TITLES = {
    "macro_f1": "macro F1", "accuracy": "accuracy", "ece": "ECE", "auroc": "AUROC", "recall": "recall",
    "false_alarms": "false alarms", "pixel_auroc": "pixel AUROC", "pro": "PRO",
}  # fmt: skip

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


def averages(found: Figures) -> list[str]:
    """Means over the sets of each half: `quick` beside its baseline, and the lowest AUROC."""
    halves = {one["name"]: one["half"] for one in json.loads(SOURCES.read_text(encoding="utf-8"))}
    lines = []
    for baseline, metric in (("logistic", "macro_f1"), ("nearest", "auroc")):
        for half in ("chosen", "shown"):
            pairs = [
                (own[metric], found[name, baseline][metric])
                for (name, who), own in found.items()
                if who == "quick" and (name, baseline) in found and halves[name] == half
            ]
            if pairs:
                own, other = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
                least = f", at least {min(one for one, _ in pairs):.3f}" if metric == "auroc" else ""
                lines.append(
                    f"- Mean {TITLES[metric]} on {len(pairs)} {half} sets: `quick` {own:.3f}{least}; "
                    f"`{baseline}` {other:.3f} ({100 * (own - other):+.1f} points)."
                )
    return ["", *lines] if lines else []


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
        "on the same features; `lite2` is `quick` with `--model efficientnet_lite2`; `pytorch` is plain fine-tuning. n: test images; time: of the whole command. Recall and false "
        "alarms are at the detector's threshold (at most 5% of normal images expected above it); where a set has masks, "
        "pixel AUROC and per-region overlap (PRO, false positive rate up to 30%) score the heatmaps.",
        f"\n{measured(found)}",
        *averages(found),
        "",
        *table(found, *CLASSES),
        *table(found, *ANOMALIES),
        f"\nA baseline has a better macro F1 (anomaly sets: AUROC; `pytorch`: accuracy) on: {'; '.join(map(str, lost)) or 'no set'}.",
        "\n`python benchmarks/wide/measure.py NAME` (measured while other work ran: the times are upper bounds).",
    ]


HEADS = {
    "validation": "one validation set",
    "cross": "cross-validated",
    "refit": "fitted to both",
    "averaged": "averaged",
}


def head_section(documents: list[dict[str, Any]]) -> list[str]:
    """How the regularization of the head is chosen, on each set; and the sets that get worse."""
    found = {document["name"].removeprefix("head/"): document["figures"] for document in documents}
    metrics = ("accuracy", "macro_f1", "loss")
    lines = [
        "\n### How the head is chosen\n",
        "Test results of the classifier head of `quick`: with the regularization of the lowest loss on one validation set; "
        "of the lowest loss in grouped 5-fold cross-validation over training and validation images; fitted to both, with "
        "logit adjustment where that is chosen; and that averaged with a discriminant analysis, as `quick` does.\n",
        "| set | n | " + " | ".join(f"{TITLES.get(one, one)}: {' / '.join(HEADS.values())}" for one in metrics) + " |",
        "|---" * (2 + len(metrics)) + "|",
    ]
    sizes = {document["name"].removeprefix("head/"): document["n"] for document in documents}
    for name in sorted(found):
        cells = [" / ".join(f"{found[name][way][one]:.3f}" for way in HEADS) for one in metrics]
        lines.append(f"| {name} ({found[name]['half']}) | {sizes[name]} | {' | '.join(cells)} |")
    for half in ("chosen", "shown"):
        some = [one for one in found.values() if one["half"] == half]
        if some:
            means = [" / ".join(f"{_mean(some, way, one):.3f}" for way in HEADS) for one in metrics]
            lines.append(f"| **mean of {len(some)} {half}** | | {' | '.join(means)} |")
    for way, other, words in (("refit", "validation", "Fitted to both is worse than with one validation set"),
                              ("averaged", "refit", "Averaged is worse than logistic regression alone")):  # fmt: skip
        worse = sorted(name for name, one in found.items() if one[way]["macro_f1"] < one[other]["macro_f1"])
        lines.append(f"\n{words}, by macro F1, on: {', '.join(worse) or 'no set'}.")
    lines.append("\n`python benchmarks/wide/head.py`")
    return lines


def _mean(some: list[dict[str, Any]], way: str, metric: str) -> float:
    return float(sum(one[way][metric] for one in some) / len(some))


def ood_section(documents: list[dict[str, Any]]) -> list[str]:
    """Out-of-distribution detection between the sets, and how many good images it refuses."""
    lines = [
        "\n### Out-of-distribution images of other sets\n",
        "Each set with a frame of 224 px in turn is the known one, and the test images of each other set of its half are "
        "out-of-distribution. *Refused*: its own test images above the threshold, where at most the *expected* part "
        "should be, if they are like the validation images. *Found*: images of the other sets above it.\n",
        "| set | expected | refused | n | AUROC: mean | AUROC: lowest | found |",
        "|---|---|---|---|---|---|---|",
    ]
    for document in documents:
        half = document["name"].rpartition("-")[2]
        for name, one in sorted(document["figures"]["sets"].items()):
            value, low, high = one["refused"]
            lines.append(
                f"| {name} ({half}) | {one['expected']:.3f} | {value:.3f} ({low:.3f} to {high:.3f}) | {one['n']} | "
                f"{one['auroc']:.3f} | {one['lowest'][1]:.3f}: {one['lowest'][0]} | {one['found']:.3f} |"
            )
    return [*lines, "\n`python benchmarks/wide/ood.py --half HALF`"]


def copies_section(documents: list[dict[str, Any]]) -> list[str]:
    """Augmented copies: planted ones, and what is found in the sets as they are."""
    lines = [
        "\n### Augmented copies\n",
        "Planted: five copies of each original, rotated by up to 20 degrees, shifted, zoomed, sheared, flipped and of another "
        "brightness. *Tied*: images that are in one unit with another copy of their original; *mixed*: units with images "
        "of two originals. `python benchmarks/wide/copies.py NAME ... --half chosen --planted`\n",
        "| copies of | originals | images | tied | mixed |",
        "|---|---|---|---|---|",
    ]
    real = []
    for document in documents:
        half = document["name"].rpartition("-")[2]
        for name, one in sorted(document["figures"]["sets"].items()):
            if "originals" in one:
                tied = f"{one['tied']} ({one['tied'] / one['n']:.0%})"
                lines.append(f"| {name} | {one['originals']} | {one['n']} | {tied} | {one['mixed']} |")
                continue
            leaks = " | ".join(f"{one[part][0]} of {one[part][1]}" for part in ("val", "test"))
            real.append(
                f"| {name} ({half}) | {one['n']:,} | {one['by_pixels']} | {one['by_features']} | {leaks} | {one['seconds']} |"
            )
    return [
        *lines,
        "\nThe sets as they are, with their groups and splits: images with a copy in another group that the audit finds, and "
        "further ones by features; validation and test images with a copy in the training set; CPU seconds of the "
        "search by features. brain_mri_augmented (whose copies are grouped) and blood4_augmented consist of copies; "
        "in brick_crack, neu_steel and dtd10 crops of one photo overlap. On elpv (cells of solar modules, all with the same "
        "busbars) and magnetic_tile (a tile under several lights) the search by pixels takes images for duplicates that "
        "are similar by their regular structure. `python benchmarks/wide/copies.py --half HALF`\n",
        "| set | images | by pixels | by features | validation | test | seconds |",
        "|---|---|---|---|---|---|---|",
        *real,
    ]


PLANTED = ("precision", "estimated", "recall")


def planted(found: dict[str, Any]) -> str:
    """Precision, estimated precision and recall of the suspects."""
    return " / ".join(f"{found[one]:.2f}" for one in PLANTED) if found["suspects"] else "none"


def labels_section(documents: list[dict[str, Any]]) -> list[str]:
    """Planted label errors on each set, with one class per image and with several labels."""
    title = f"{' / '.join(PLANTED)}"
    lines = [
        "\n### Planted label errors on many kinds of sets\n",
        "At most 2,000 images of each set, on the features of `quick`; 5% of the labels are changed, at random or to classes "
        "that look alike, in two draws. *Collages* are multi-label sets made of up to three images each, whose features are "
        "their mean and whose labels are their classes (one image per group; –: fewer than 200): 5% of the labels that are present are removed (*missing*), or as "
        f"many others are added as well (*mixed*). Cells: {title} of the suspicious labels; *as given*: suspicious labels "
        "before anything was changed, with classes and in collages. Detectable below 0.60: classes too similar, no label "
        "is called suspicious.\n",
        "| set | classes | detectable | as given | random | alike | collages: missing | collages: mixed |",
        "|---" * 8 + "|",
    ]
    for half in ("chosen", "shown"):
        for document in documents:
            one = document["figures"]
            if one["half"] == half:
                several = one["collages"]
                name = document["name"].removeprefix("labels/")
                given = ", ".join(str(some["as_given"]) for some in (one, several) if some)
                cells = [f"{name} ({half})", one["classes"], f"{one['detectable']:.2f}", given]
                cells += [planted(one["random"]), planted(one["alike"])]
                cells += [planted(several[kind]) if several else "–" for kind in ("missing", "mixed")]
                lines.append(f"| {' | '.join(map(str, cells))} |")
        lines += _pooled(half, [one["figures"] for one in documents if one["figures"]["half"] == half])
    return [*lines, "\n`python benchmarks/wide/labels.py`"]


def _pooled(half: str, figures: list[dict[str, Any]]) -> list[str]:
    """The mean over the sets with suspects."""
    if not figures:
        return []
    cells = [f"**mean of {len(figures)} {half}**", "", "", ""]
    for kind in ("random", "alike", "missing", "mixed"):
        some = [one.get(kind) or (one["collages"] or {}).get(kind) for one in figures]
        some = [one for one in some if one and one["suspects"]]
        means = {key: sum(one[key] for one in some) / len(some) for key in PLANTED} if some else {}
        cells.append(planted({"suspects": len(some), **means}) + f" (of {len(some)})")
    return [f"| {' | '.join(cells)} |"]
