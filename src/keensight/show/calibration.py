"""Calibration and abstention, as figures and in words: reliability diagram, and accuracy against coverage."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keensight.core.evaluation import Evaluation
from keensight.core.predictions import Abstention, ReliabilityBin
from keensight.core.statements import rule_in_words, temperature_effect
from keensight.errors import UsageError
from keensight.show import chart
from keensight.show.chart import Chart, calm, title
from keensight.show.given import evaluation_of
from keensight.show.page import svg
from keensight.show.text import ends, percent

_WIDTH, _HEIGHT = 3.6, 3.4
"""Inches: as wide as a phone, so that the text stays readable there."""


def reliability(evaluation: Any) -> Figure:
    """The reliability diagram: accuracy against confidence, before and after temperature scaling.

    On the diagonal both are equal: the model is calibrated.

    Args:
        evaluation: An ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: it has no calibration (multi-label models and runs of older versions).

    Examples:
        >>> ks.show.reliability(ks.evaluate(run)).savefig("reliability.png")
    """
    record = _record(evaluation)
    figure = Chart(_WIDTH, _HEIGHT, reliability_words(record))
    draw_reliability(figure.subplots(), record)
    return figure


def risk_coverage(evaluation: Any) -> Figure:
    """Accuracy against coverage, the fraction of images that get a prediction, most confident first.

    Args:
        evaluation: An ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: it has no decision rule (multi-label models and runs of older versions).

    Examples:
        >>> ks.show.risk_coverage(ks.evaluate(run)).savefig("risk_coverage.png")
    """
    record = _record(evaluation)
    figure = Chart(_WIDTH, _HEIGHT, coverage_words(record))
    draw_coverage(figure.subplots(), record)
    return figure


def section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the report shows of it, in words and as inline SVG; None for multi-label models and older runs."""
    calibration, found = evaluation.calibration, evaluation.abstention
    if calibration is None or found is None:
        return None
    before = {
        "Loss (nats)": ("loss", calibration.loss_before), "Brier score": ("brier", calibration.brier_before),
        "Calibration error (ECE)": ("ece", calibration.ece_before),
    }  # fmt: skip
    rows = [
        {"name": name, "before": value, "after": one.value, "low": one.low, "high": one.high}
        for name, (key, value) in before.items()
        if (one := evaluation.intervals.get(key)) is not None
    ]
    return {
        "reliability": svg(reliability(evaluation), "reliability"),
        "reliability_words": reliability_words(evaluation),
        "coverage": svg(risk_coverage(evaluation), "coverage"),
        "coverage_words": coverage_words(evaluation),
        "changed": rows if calibration.temperature != 1 else [],
        "rule": rule_in_words(found.decision, refuses=found.unlike is not None),
        "predicted": coverage_of_rule(found),
        "sets": sets_words(found),
        "target": found.decision.target,
    }


def draw_reliability(ax: Axes, evaluation: Evaluation) -> None:
    """Draw the reliability diagram into ``ax``; the area of a point shows how many predictions it stands for."""
    found = evaluation.calibration
    assert found is not None
    calm(ax)
    lowest = 0.5 if len(evaluation.labels) == 2 else 0.0
    ax.plot([lowest, 1], [lowest, 1], color=chart.QUIET, linewidth=0.8, linestyle=(0, (3, 3)), label="calibrated")
    if found.temperature != 1:
        _points(ax, found.bins_before, evaluation.n, chart.RED, "before temperature scaling", hollow=True)
    _points(ax, found.bins, evaluation.n, chart.BLUE, "this model")
    ax.set_xlim(lowest - 0.01, 1.02)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("confidence (mean of a bin)", fontsize=9, color=chart.INK)
    ax.figure.legend(
        frameon=False, fontsize=9, labelcolor=chart.INK, loc="outside lower left", ncols=2, markerscale=0.6
    )
    title(ax, "Accuracy by confidence")


def _points(ax: Axes, bins: tuple[ReliabilityBin, ...], n: int, color: str, label: str, hollow: bool = False) -> None:
    some = [row for row in bins if row.n]
    x, y = [row.said for row in some], [row.right for row in some]
    face = "none" if hollow else color
    ax.scatter(x, y, s=[14 + 160 * row.n / n for row in some], facecolors=face, edgecolors=color, label=label, zorder=3,
               clip_on=False)  # fmt: skip


def draw_coverage(ax: Axes, evaluation: Evaluation) -> None:
    """Draw accuracy against coverage into ``ax``, with the point of the model's own rule."""
    found = evaluation.abstention
    assert found is not None
    calm(ax)
    ax.plot(*zip(*found.curve, strict=True), color=chart.BLUE, linewidth=2.0)
    if found.accuracy is not None:
        at, right = found.answered.value, found.accuracy.value
        label = f"current rule: {percent(right)} accurate\non {percent(at, 0)} of images"
        ax.plot([at], [right], "o", color=chart.RED, markersize=7, label=label)
        ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK, loc="lower left")
    ax.set_xlim(0, 1.02)
    lowest = min(accuracy for _, accuracy in found.curve)
    ax.set_ylim(max(0.0, lowest - 0.3 * (1.02 - lowest) - 0.02), 1.005)
    ax.set_xlabel("coverage (most confident first)", fontsize=9, color=chart.INK)
    title(ax, "Accuracy by coverage")


def reliability_words(evaluation: Evaluation) -> str:
    """What the reliability diagram shows, as a sentence or two."""
    found = evaluation.calibration
    assert found is not None
    before = "" if found.temperature == 1 else f", {100 * found.ece_before:.1f} before temperature scaling"
    return (
        f"Confidence and accuracy differ by {100 * evaluation.ece:.1f} percentage points on average{before}. "
        f"{temperature_effect(evaluation)}"
    ).strip()


def coverage_words(evaluation: Evaluation) -> str:
    """What the curve of accuracy against coverage shows, as a sentence."""
    found = evaluation.abstention
    assert found is not None
    half = min(found.curve, key=lambda point: abs(point[0] - 0.5))[1]
    return (
        f"If it predicted only the most confident half of the images, {percent(half)} of the predictions would be "
        f"right; on all images, {percent(found.curve[-1][1])} are."
    )


def coverage_of_rule(found: Abstention) -> str:
    """On how many of the evaluated images the model predicted and how accurately, as sentences; empty if on all."""
    if found.answered.value == 1:
        return ""
    told = f"On these images it predicted {percent(found.answered.value)} and abstained on the rest"
    if found.unlike is not None:
        told += f" ({percent(found.unlike.value)} as out-of-distribution)"
    if found.accuracy is None:
        return f"{told}."
    return f"{told}; {percent(found.accuracy.value)} of its predictions are right (95% CI {ends(found.accuracy)})."


def sets_words(found: Abstention) -> str:
    """What prediction sets are and how well they worked, as sentences; empty where each has a single class."""
    if found.set_coverage is None or found.set_size is None or found.set_singles is None or found.set_singles == 1:
        return ""
    held, level = found.set_coverage, percent(found.decision.set_level or 0, 0)
    return (
        "Besides the prediction, the model lists every class that it cannot rule out: a prediction set (conformal "
        f"prediction). The sets are made to contain the true class for at least {level} of images; "
        f"here {percent(held.value)} do (95% CI {ends(held)}). A set has {found.set_size:.2f} classes on "
        f"average; {percent(found.set_singles)} of the sets have a single class."
    )


def _record(evaluation: Any) -> Evaluation:
    found = evaluation_of(evaluation)
    if found.calibration is None or found.abstention is None:
        raise UsageError(
            "this evaluation has no calibration results",
            "multi-label models and runs of older versions have none; train again",
        )
    return found
