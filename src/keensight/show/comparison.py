"""Comparison of two models, in words and as an HTML page; results over seeds; the learning curve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.comparison import Comparison, LearningCurve, Spread
from keensight.core.interval import Interval
from keensight.core.records import Dataset
from keensight.show.page import Picture, picture, write_page
from keensight.show.text import ends, percent, plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHA = 0.05
_SHOWN = 48


def verdict(found: Comparison) -> str:
    """Which model is better and by how much, or that there is no significant difference."""
    gain, p = found.difference, f"p = {found.p:.2g}"
    if found.p > ALPHA or gain.value == 0:
        return f"No significant difference: {points(gain)} in accuracy, {p} on {plural(found.n, 'image')}."
    better, ahead = (found.second, gain) if gain.value > 0 else (found.first, _turned(gain))
    return f"{better} is better by {points(ahead)} in accuracy, {p} on {plural(found.n, 'image')}."


def _turned(gain: Interval) -> Interval:
    return Interval(-gain.value, -gain.high, -gain.low, gain.level, gain.method)


def points(gain: Interval) -> str:
    """A difference of two fractions: ``2.1 points (95% CI 0.3 to 3.9)``."""
    return f"{100 * gain.value:.1f} points (95% CI {100 * gain.low:.1f} to {100 * gain.high:.1f})"


def in_words(found: Comparison, page: str = "") -> str:
    """What the terminal shows of a comparison."""
    one, other = found.accuracy
    lines = [
        verdict(found),
        "",
        f"first    {found.first}: accuracy {percent(one.value)} (95% CI {ends(one)})",
        f"second   {found.second}: accuracy {percent(other.value)} (95% CI {ends(other)})",
        f"changed  {plural(len(found.won), 'image')} right with the second only, {len(found.lost):,} the first",
        f"macro F1 {_signed(found.macro_f1)}",
        f"loss     {_signed(found.loss)} nats (negative: the second is better)",
        f"test     {found.test}; confidence intervals: {found.difference.method}, {found.loss.method}",
    ]
    if found.left_out:
        lines.append(f"excluded {plural(found.left_out, 'image')} that one of them was trained on or not tested on")
    lines += [f"note     {note}" for note in found.notes]
    return "\n".join([*lines, f"page     {page}"] if page else lines)


def _signed(gain: Interval) -> str:
    return f"{gain.value:+.3f} (95% CI {gain.low:+.3f} to {gain.high:+.3f})"


def write_comparison(path: Path, found: Comparison, first: Dataset, second: Dataset) -> Path:
    """Write the page of a comparison, with the images that changed, and return its path.

    Args:
        path: The HTML file.
        found: The comparison.
        first: Dataset with the images that the first model got wrong.
        second: Dataset with those that the second got wrong.

    Raises:
        StoreError: the folder cannot be written.
    """
    galleries = {"won": _gallery(found, first, won=True), "lost": _gallery(found, second, won=False)}
    return write_page(path, "compare.html", {"c": found, "verdict": verdict(found), "galleries": galleries,
                                             "macro_f1": _signed(found.macro_f1), "loss": _signed(found.loss),
                                             "points": points(found.difference)})  # fmt: skip


def _gallery(found: Comparison, dataset: Dataset, *, won: bool) -> list[tuple[Picture, str]]:
    places = {sample.path: place for place, sample in enumerate(dataset.samples)}
    chosen = found.won if won else found.lost
    return [
        (picture(dataset, places[change.path], change.truth, change.path), change.first if won else change.second)
        for change in chosen[:_SHOWN]
        if change.path in places
    ]


def spread_in_words(spreads: tuple[Spread, ...]) -> str:
    """Mean, standard deviation and range of each metric over seeds."""
    lines = [
        f"over {plural(len(spreads[0].values), 'seed')}, each with its own training and (unless predefined) split:"
    ]
    lines += [
        f"  {one.figure.replace('_', ' '):<9} {one.mean:.4f}, standard deviation {one.deviation:.4f} "
        f"(min {min(one.values):.4f}, max {max(one.values):.4f})"
        for one in spreads
    ]
    return "\n".join(lines)


def curve_sentence(curve: LearningCurve) -> str:
    """What twice the training images would gain."""
    gain = curve.doubled
    largest = curve.points[-1].images
    return (
        f"Twice the data ({2 * largest:,} instead of {largest:,} training images) would change the accuracy by about "
        f"{100 * gain.value:+.1f} percentage points (95% CI {100 * gain.low:+.1f} to {100 * gain.high:+.1f})."
    )


def curve_in_words(curve: LearningCurve) -> str:
    """The points of a learning curve and its extrapolation."""
    rows = [
        f"  {point.images:>8,} images  accuracy {percent(sum(point.accuracies) / len(point.accuracies))} "
        f"({plural(len(point.accuracies), 'random subset')})"
        for point in curve.points
    ]
    note = (
        f"A linear classifier on frozen features of {curve.model}, evaluated on "
        f"{plural(curve.val, 'validation image')}; the test set is not used. Other ways to train may differ."
    )
    return "\n".join([curve_sentence(curve), *rows, note])


def curve_figure(curve: LearningCurve) -> Figure:
    """Accuracy by number of training images, the fitted power law, and the extrapolation to twice the data."""
    import numpy as np

    from keensight.show import chart

    figure = chart.Chart(6.4, 3.6, curve_sentence(curve))
    ax = figure.subplots()
    images = np.array([point.images for point in curve.points])
    line = np.geomspace(images[0], 2 * images[-1], 60)
    ax.plot(line, [100 * (1 - curve.error(x)) for x in line], color=chart.BLUE, linewidth=1.5, label="power law")
    for point in curve.points:
        ax.plot([point.images] * len(point.accuracies), 100 * np.array(point.accuracies), "o", color=chart.BLUE,
                markersize=4, alpha=0.6)  # fmt: skip
    now = 100 * (1 - curve.error(images[-1]))
    ends = [[100 * (curve.doubled.value - curve.doubled.low)], [100 * (curve.doubled.high - curve.doubled.value)]]
    ax.errorbar([2 * images[-1]], [now + 100 * curve.doubled.value], yerr=ends, fmt="D", color=chart.RED, capsize=3,
                markersize=5, label="twice the data, 95% CI")  # fmt: skip
    ax.set_xscale("log")
    ticks = [*images.tolist(), 2 * int(images[-1])]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks], **chart.words(9))
    ax.minorticks_off()
    ax.set_xlabel("training images", **chart.words(9, chart.QUIET))
    ax.set_ylabel("validation accuracy, %", **chart.words(9, chart.QUIET))
    ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK, loc="lower right")
    chart.calm(ax)
    return figure
