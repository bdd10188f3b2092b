"""Results by subgroup of the images, in words and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keensight.core.evaluation import Slices, SliceScore
from keensight.core.statements import set_name
from keensight.show.text import clean, ends, percent, plural, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED, _DRAWN = 3, 30


def sentence(found: Slices) -> str:
    """The subgroups that are significantly worse, or that there is none."""
    weak = found.weakest()
    tested = f"{plural(len(found.scores), 'subgroup')} tested"
    if not found.scores:
        return f"No subgroup of the {set_name(found.part)} has {found.smallest} images or more."
    if not weak:
        return f"No subgroup is significantly worse than the rest ({tested})."
    named = "; ".join(_named(score) for score in weak[:_NAMED])
    more = f"; and {plural(len(weak) - _NAMED, 'more subgroup')}" if len(weak) > _NAMED else ""
    return f"Significantly worse than the rest ({tested}): {named}{more}."


def _named(score: SliceScore) -> str:
    return (
        f"{clean(score.column)} {clean(score.value)}: accuracy {percent(score.accuracy.value)} "
        f"(95% CI {ends(score.accuracy)}, n = {score.n:,}) vs. {percent(score.rest)} on all other images"
    )


def caution(found: Slices) -> str:
    """How the subgroups were tested, and what a weak one means."""
    text = f"Test: {found.method}; the chance of any false alarm is at most {percent(found.alpha, 0)}."
    if found.groups is not None:
        text += (
            f" The images come in {plural(found.groups, 'group')}; a subgroup needs at least ten of them, and its "
            "confidence interval accounts for how similar the images of a group are."
        )
    return text + " A weak subgroup shows where to look, not why: the cause may be something else that differs there."


def too_small(found: Slices) -> str:
    """The values with too few images to test, or nothing."""
    if not found.small:
        return ""
    told = "; ".join(
        f"{clean(small.column)}: {plural(small.values, 'value')} ({plural(small.images, 'image')}, such as "
        f"{', '.join(shorten(example, 24) for example in small.examples[:3])})"
        for small in found.small
    )
    return f"Not tested, too few images: {told}."


def figure(found: Slices) -> Figure:
    """Accuracy of each subgroup with its 95% CI, column by column; weak ones are red, the whole set is a line.

    Of more than 30 subgroups, those of the lowest accuracy are drawn.
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
        color, interval = (chart.RED if score.weak else chart.BLUE), score.accuracy
        ax.plot([interval.low, interval.high], [place, place], color=color, linewidth=2, alpha=0.5)
        ax.plot([interval.value], [place], "o", color=color, markersize=6)
    labels = [f"{shorten(score.column, 22)}: {shorten(score.value, 24)}  (n = {score.n:,})" for score in scores]
    ax.set_yticks(range(len(scores)), labels, **chart.words(8.5))
    ax.set_ylim(len(scores) - 0.4, -0.6)
    ax.set_xlabel(f"accuracy with 95% CI; dashed: all {found.n:,} images", **chart.words(9, chart.QUIET))
    chart.calm(ax, "x")
    return drawn
