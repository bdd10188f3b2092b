"""The ROC curve of one class against the rest, with the chosen threshold."""

from __future__ import annotations

from matplotlib.figure import Figure

from keensight.core.evaluation import OperatingPoint
from keensight.core.statements import set_name
from keensight.errors import UsageError
from keensight.show import chart
from keensight.show.chart import Chart, calm, title, words
from keensight.show.text import shorten


def roc(point: OperatingPoint) -> Figure:
    """Sensitivity against the false positive rate over all thresholds, with the chosen one marked.

    Args:
        point: Result of ``ks.operating_point``.

    Raises:
        UsageError: all images are of the class, or none is.

    Examples:
        >>> point = ks.operating_point(ks.evaluate(run), "night", threshold=0.5)
        >>> ks.show.roc(point).savefig("roc.png")
    """
    if point.auroc is None or point.sensitivity is None or point.specificity is None:
        raise UsageError(
            f"there is no ROC curve of {point.label!r}: all images are of the class, or none is",
            "evaluate on images of both kinds",
        )
    figure = Chart(5.2, 5.0, point.sentence() + ".")
    ax = figure.subplots()
    calm(ax)
    ax.grid(visible=True, axis="both", color=chart.FAINT, linewidth=0.7)
    ax.plot([0, 1], [0, 1], color=chart.QUIET, linewidth=0.8, linestyle=(0, (3, 3)))
    x, y = zip(*((false, true) for _, false, true in point.curve), strict=True)
    ax.plot(x, y, color=chart.BLUE, linewidth=2)
    false, true = 1 - point.specificity.value, point.sensitivity.value
    ax.errorbar(
        false, true, color=chart.RED, marker="o", markersize=7, markeredgecolor="white", elinewidth=1.2,
        xerr=[[point.specificity.high - point.specificity.value], [point.specificity.value - point.specificity.low]],
        yerr=[[true - point.sensitivity.low], [point.sensitivity.high - true]],
        label=f"threshold {point.threshold:.3f} with 95% CI",
    )  # fmt: skip
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    ax.set_aspect("equal")
    ax.set_xlabel("false positive rate (1 - specificity)", fontsize=9, color=chart.INK)
    ax.set_ylabel("sensitivity (true positive rate)", fontsize=9, color=chart.INK)
    ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK, loc="lower right")
    area = point.auroc
    title(ax, f"ROC curve, AUROC {area.value:.3f} (95% CI {area.low:.3f} to {area.high:.3f})")
    below = f"{shorten(point.label, 30)} against the rest, {set_name(point.part)} (n = {point.n:,})"
    ax.text(0.97, 0.16, below, transform=ax.transAxes, ha="right", **words(9, chart.QUIET))
    return figure
