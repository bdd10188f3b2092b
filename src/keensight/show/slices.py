"""Where a model is weak, in words and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keensight.core.evaluation import Slices, SliceScore
from keensight.show.text import clean, percent, plural, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED, _DRAWN = 3, 30


def sentence(found: Slices) -> str:
    """The weakest slices by name, or that there is none."""
    weak = found.weakest()
    looked = f"{plural(len(found.scores), 'slice')} of {found.smallest} images or more"
    if not found.scores:
        return f"No slice of the {found.part} part holds {found.smallest} images or more."
    if not weak:
        return f"No slice is weaker than the rest beyond chance (looked at {looked})."
    named = "; ".join(_named(score) for score in weak[:_NAMED])
    more = f"; and {plural(len(weak) - _NAMED, 'more slice')}" if len(weak) > _NAMED else ""
    return f"Weaker than the rest beyond chance, of {looked}: {named}{more}."


def _named(score: SliceScore) -> str:
    low, high = score.accuracy.low, score.accuracy.high
    return (
        f"{clean(score.column)} {clean(score.value)}: {percent(score.accuracy.value)} right "
        f"({percent(low)} to {percent(high)}, n = {score.n:,}) against {percent(score.rest)} of the rest"
    )


def caution(found: Slices) -> str:
    """How far the slices can be trusted."""
    text = f"Tested by {found.method}: the chance of any false alarm is {percent(found.alpha, 0)} at most."
    if found.groups is not None:
        text += (
            f" Images come in {plural(found.groups, 'group')}; a slice needs ten of them, and its interval takes the "
            "images of a group as alike as they are."
        )
    return text + " A weak slice says where to look, not why: what differs there may be another thing."


def too_small(found: Slices) -> str:
    """The values that were passed over for too few images, or nothing."""
    if not found.small:
        return ""
    told = "; ".join(
        f"{clean(small.column)}: {plural(small.values, 'value')} ({plural(small.images, 'image')}, such as "
        f"{', '.join(shorten(example, 24) for example in small.examples[:3])})"
        for small in found.small
    )
    return f"Too few images to say anything: {told}."


def figure(found: Slices) -> Figure:
    """Accuracy of each slice with its interval, column by column; weak ones are red, the whole part a line.

    Of more than 30 slices those of the lowest accuracy are drawn.
    """
    from keensight.show import chart

    scores = list(found.scores)
    if len(scores) > _DRAWN:
        kept = sorted(scores, key=lambda score: score.accuracy.value)[:_DRAWN]
        scores = [score for score in scores if score in kept]
    drawn = chart.Chart(7.5, 1.0 + 0.24 * max(len(scores), 1), sentence(found))
    ax = drawn.subplots()
    ax.axvline(found.accuracy, color=chart.QUIET, linewidth=1, linestyle="--")
    for place, score in enumerate(scores):
        colour, interval = (chart.RED if score.weak else chart.BLUE), score.accuracy
        ax.plot([interval.low, interval.high], [place, place], color=colour, linewidth=2, alpha=0.5)
        ax.plot([interval.value], [place], "o", color=colour, markersize=6)
    labels = [f"{shorten(score.column, 22)}: {shorten(score.value, 24)}  (n = {score.n:,})" for score in scores]
    ax.set_yticks(range(len(scores)), labels, **chart.words(8.5))
    ax.set_ylim(len(scores) - 0.4, -0.6)
    ax.set_xlabel(f"accuracy with its interval; dashed: all {found.n:,} images", **chart.words(9, chart.QUIET))
    chart.calm(ax, "x")
    return drawn
