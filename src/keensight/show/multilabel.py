"""Figures of a multi-label evaluation: average precision, counts and co-occurrence of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keensight.core.evaluation import Evaluation, LabelScore, MultilabelScores
from keensight.errors import UsageError
from keensight.show import chart
from keensight.show.chart import Chart, calm, title, words
from keensight.show.given import evaluation_of
from keensight.show.text import plural, shorten

_WIDTH = 9.0
_ANNOTATED = 16
"""Beyond this, counts do not fit into the cells."""
_BESIDE = 8
"""Beyond this, two matrices do not fit side by side."""


def average_precision(evaluation: Any) -> Figure:
    """Average precision of each label as bars, best first, with what guessing would reach (the prevalence).

    Args:
        evaluation: A multi-label ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: the model is not multi-label.

    Examples:
        >>> ks.show.average_precision(ks.evaluate(tagger)).savefig("average_precision.png")
    """
    record, scores = _scores(evaluation)
    figure = Chart(_WIDTH, height(record), precision_words(scores))
    draw_precision(figure.subplots(), scores)
    return figure


def label_counts(evaluation: Any) -> Figure:
    """True positives, false negatives and false positives of each label, as bars.

    Args:
        evaluation: A multi-label ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: the model is not multi-label.

    Examples:
        >>> ks.show.label_counts(ks.evaluate(tagger)).savefig("label_counts.png")
    """
    record, scores = _scores(evaluation)
    figure = Chart(_WIDTH, height(record), counts_words(scores))
    draw_counts(figure.subplots(), scores)
    return figure


def co_occurrence(evaluation: Any) -> Figure:
    """How many images have both of two labels: true labels beside predicted labels, or above them if there are many.

    Args:
        evaluation: A multi-label ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: the model is not multi-label.

    Examples:
        >>> ks.show.co_occurrence(ks.evaluate(tagger)).savefig("co_occurrence.png")
    """
    record, scores = _scores(evaluation)
    side, told = _side(record), together_words(record, scores)
    if len(record.labels) > _BESIDE:
        figure = Chart(side, 2 * side, told)
        draw_together(figure.subplots(2, 1), record, scores)
        return figure
    figure = Chart(2 * side, side, told)
    draw_together(figure.subplots(1, 2, sharey=True), record, scores)
    return figure


def together_charts(evaluation: Evaluation, scores: MultilabelScores) -> list[Figure]:
    """:func:`co_occurrence` for a page: of many labels, a figure for each matrix, so that they fit its pages."""
    if len(evaluation.labels) <= _BESIDE:
        return [co_occurrence(evaluation)]
    side, told = _side(evaluation), together_words(evaluation, scores)
    figures = [Chart(side, side, f"Images with both labels, {which}. {told}") for which in ("true", "predicted")]
    draw_together([figure.subplots() for figure in figures], evaluation, scores)
    return [*figures]


def draw_precision(ax: Axes, scores: MultilabelScores) -> None:
    """Draw :func:`average_precision` into ``ax``."""
    rows = sorted(scores.per_label, key=lambda row: -(row.average_precision or 0.0))
    places = np.arange(len(rows))
    found = [row.average_precision or 0.0 for row in rows]
    bars = ax.barh(places, found, 0.7, color=chart.BLUE)
    notes = ["not in this set" if row.average_precision is None else f"{row.average_precision:.2f}" for row in rows]
    ax.bar_label(bars, notes, padding=3, fontsize=8.5, color=chart.QUIET)
    ax.plot([row.base_rate for row in rows], places, "|", color=chart.RED, markersize=11, markeredgewidth=2,
            label="guessing")  # fmt: skip
    _name_rows(ax, rows)
    ax.set_xlim(0, 1.08)
    ax.legend(frameon=False, fontsize=8.5, labelcolor=chart.INK, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    title(ax, "Average precision\n")


def draw_counts(ax: Axes, scores: MultilabelScores) -> None:
    """Draw :func:`label_counts` into ``ax``."""
    rows = scores.per_label
    places = np.arange(len(rows))
    _, added, missed, found = (np.array(column) for column in zip(*(row.counts for row in rows), strict=True))
    ax.barh(places, found, 0.7, color=chart.BLUE, label="detected")
    ax.barh(places, missed, 0.7, left=found, color=chart.ORANGE, label="missed")
    bars = ax.barh(places, added, 0.7, left=found + missed, color=chart.RED, label="false positive")
    notes = [f"{f:,} / {m:,} / {a:,}" for f, m, a in zip(found, missed, added, strict=True)]
    ax.bar_label(bars, notes, padding=3, fontsize=8.5, color=chart.QUIET)
    _name_rows(ax, rows)
    ax.margins(x=0.16)
    ax.set_xlabel("images", fontsize=9, color=chart.INK)
    ax.legend(frameon=False, fontsize=8.5, labelcolor=chart.INK, loc="lower right", bbox_to_anchor=(1, 1), ncols=3,
              borderpad=0, columnspacing=1.2, handlelength=1.2)  # fmt: skip
    title(ax, "Images per label\n")  # the legend needs a line to itself


def draw_together(axes: Any, evaluation: Evaluation, scores: MultilabelScores) -> None:
    """Draw :func:`co_occurrence` into two axes: true labels, predicted labels."""
    names = [shorten(name, 22) for name in evaluation.labels.names]
    k = len(names)
    tables = [np.array(table) for table in scores.together]
    most = max(float(np.sqrt(table.max())) for table in tables) or 1.0
    for ax, table, heading in zip(axes, tables, ("true", "predicted"), strict=True):
        shown = np.ma.masked_equal(np.sqrt(table), 0.0)
        ax.imshow(shown, cmap=_blues(), vmin=0, vmax=most)
        if k <= _ANNOTATED:
            for i, j in zip(*np.nonzero(table), strict=True):
                ink = "white" if np.sqrt(table[i, j]) > 0.6 * most else chart.INK
                ax.text(j, i, f"{table[i, j]:,}", ha="center", va="center", fontsize=8, color=ink)
        ax.set_xticks(np.arange(k), names, rotation=90, **words(8))
        ax.set_yticks(np.arange(k), names, **words(8))
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_color(chart.FAINT)
        title(ax, f"Images with both labels, {heading}")


def precision_words(scores: MultilabelScores) -> str:
    """What :func:`average_precision` shows, in a sentence."""
    found = [row for row in scores.per_label if row.average_precision is not None]
    best = max(found, key=lambda row: row.average_precision or 0.0)
    worst = min(found, key=lambda row: row.average_precision or 0.0)
    return (
        f"Average precision of {plural(len(found), 'label')}, from {worst.average_precision:.2f} ({worst.label}) to "
        f"{best.average_precision:.2f} ({best.label})."
    )


def counts_words(scores: MultilabelScores) -> str:
    """What :func:`label_counts` shows, in a sentence."""
    _, added, missed, found = (sum(column) for column in zip(*(row.counts for row in scores.per_label), strict=True))
    return f"Over all labels and images: {found:,} labels detected, {missed:,} missed, {added:,} false positives."


def together_words(evaluation: Evaluation, scores: MultilabelScores) -> str:
    """What :func:`co_occurrence` shows, in a sentence."""
    true, predicted = (np.triu(np.array(table), 1) for table in scores.together)
    return (
        f"Pairs of {plural(len(evaluation.labels), 'label')} on one image: {int((true > 0).sum()):,} occur, "
        f"{int((predicted > 0).sum()):,} are predicted, "
        f"{int(((predicted > 0) & (true == 0)).sum()):,} of these never occur."
    )


def _scores(evaluation: Any) -> tuple[Evaluation, MultilabelScores]:
    record = evaluation_of(evaluation)
    if record.multilabel is None:
        raise UsageError("this evaluation is not multi-label", "use ks.show.confusion(...) instead")
    return record, record.multilabel


def height(record: Evaluation) -> float:
    """Height in inches, with one row per label."""
    return 1.2 + len(record.labels) * (0.3 if len(record.labels) <= 20 else 0.19)


def _side(record: Evaluation) -> float:
    """Inches of a matrix of the labels."""
    return float(np.clip(2.2 + 0.32 * len(record.labels), 3.6, 8.0))


def _name_rows(ax: Axes, rows: Sequence[LabelScore]) -> None:
    calm(ax, "x")
    size = 9 if len(rows) <= 20 else 7.5
    ax.set_yticks(np.arange(len(rows)), [shorten(row.label, 30) for row in rows], **words(size))
    ax.set_ylim(len(rows) - 0.4, -0.6)


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("counts", [(0, chart.BLUE + "18"), (1, chart.BLUE)])
