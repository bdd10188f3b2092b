"""How sure a model is, as pictures and in words: reliability, and accuracy against coverage."""

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
from keensight.show.page import svg
from keensight.show.text import percent

_SIDE = 3.6


def reliability(evaluation: Any) -> Figure:
    """What was said against what was right, before and after the temperature; on the diagonal both agree.

    Args:
        evaluation: An ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: it has no calibration, as those of several labels and of older runs.
    """
    record = _record(evaluation)
    figure = Chart(_SIDE + 0.6, _SIDE, reliability_words(record))
    draw_reliability(figure.subplots(), record)
    return figure


def risk_coverage(evaluation: Any) -> Figure:
    """The accuracy of the answers against the share of images that get one, the surest first.

    Args:
        evaluation: An ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: it has no rule for answers, as those of several labels and of older runs.
    """
    record = _record(evaluation)
    figure = Chart(_SIDE + 0.6, _SIDE, coverage_words(record))
    draw_coverage(figure.subplots(), record)
    return figure


def section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the report tells of it, in words and as inline SVG; None for several labels and older runs."""
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
    unlike = (
        "" if found.unlike is None else f"It abstained on {percent(found.unlike.value)} of them as out-of-distribution."
    )
    return {
        "reliability": svg(reliability(evaluation), "reliability"),
        "reliability_words": reliability_words(evaluation),
        "coverage": svg(risk_coverage(evaluation), "coverage"),
        "coverage_words": coverage_words(evaluation),
        "changed": rows if calibration.temperature != 1 else [],
        "rule": rule_words(found),
        "answers": answers_words(found),
        "unlike": unlike,
        "sets": sets_words(found),
        "target": found.decision.target,
    }


def draw_reliability(ax: Axes, evaluation: Evaluation) -> None:
    """Draw the reliability diagram into ``ax``; the area of a point is that of its share of the answers."""
    found = evaluation.calibration
    assert found is not None
    calm(ax)
    ax.plot([0, 1], [0, 1], color=chart.QUIET, linewidth=0.8, linestyle=(0, (3, 3)))
    if found.temperature != 1:
        _points(ax, found.bins_before, evaluation.n, chart.RED, f"before, ECE {found.ece_before:.3f}", hollow=True)
    calibrated = "calibrated, " if found.temperature != 1 else ""
    _points(ax, found.bins, evaluation.n, chart.BLUE, f"{calibrated}ECE {evaluation.ece:.3f}")
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("said (mean probability of the answers)", fontsize=9, color=chart.INK)
    ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK, loc="lower right")
    title(ax, "Share of right answers")


def _points(ax: Axes, bins: tuple[ReliabilityBin, ...], n: int, color: str, label: str, hollow: bool = False) -> None:
    some = [row for row in bins if row.n]
    x, y = [row.said for row in some], [row.right for row in some]
    face = "none" if hollow else color
    ax.scatter(x, y, s=[14 + 160 * row.n / n for row in some], facecolors=face, edgecolors=color, label=label, zorder=3)


def draw_coverage(ax: Axes, evaluation: Evaluation) -> None:
    """Draw accuracy against coverage into ``ax``, and where the model's own rule stands."""
    found = evaluation.abstention
    assert found is not None
    calm(ax)
    ax.plot(*zip(*found.curve, strict=True), color=chart.BLUE, linewidth=2.0)
    if found.accuracy is not None:
        at, right = found.answered.value, found.accuracy.value
        label = f"as it decides: {percent(right)} of {percent(at, 0)}"
        ax.plot([at], [right], "o", color=chart.RED, markersize=7, label=label)
        ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK, loc="lower left")
    ax.set_xlim(0, 1.02)
    lowest = min(accuracy for _, accuracy in found.curve)
    ax.set_ylim(max(0.0, lowest - 0.15 * (1.02 - lowest) - 0.02), 1.005)
    ax.set_xlabel("share of images that get an answer, the surest first", fontsize=9, color=chart.INK)
    title(ax, "Accuracy of the answers")


def reliability_words(evaluation: Evaluation) -> str:
    """What the reliability diagram shows, as a sentence or two."""
    found = evaluation.calibration
    assert found is not None
    before = "" if found.temperature == 1 else f"; {found.ece_before:.3f} before the temperature"
    apart = (
        f"Confidence and accuracy lie {100 * evaluation.ece:.1f} percentage points apart on average "
        f"(ECE {evaluation.ece:.3f}{before})."
    )
    return f"{apart} {temperature_effect(evaluation)}".strip()


def coverage_words(evaluation: Evaluation) -> str:
    """What the curve of accuracy against coverage shows, as a sentence."""
    found = evaluation.abstention
    assert found is not None
    half = min(found.curve, key=lambda point: abs(point[0] - 0.5))[1]
    return f"Answering the surest half alone, {percent(half)} are right; answering all, {percent(found.curve[-1][1])}."


def rule_words(found: Abstention) -> str:
    """When the model answers, in plain words."""
    return rule_in_words(found.decision, refuses=found.unlike is not None)


def answers_words(found: Abstention) -> str:
    """What the rule did on the images measured, as a sentence."""
    answered = f"{percent(found.answered.value)} of these images got an answer"
    if found.accuracy is None:
        return f"{answered}."
    low, high = percent(found.accuracy.low), percent(found.accuracy.high)
    return f"{answered}, and {percent(found.accuracy.value)} of the answers are right ({low} to {high})."


def sets_words(found: Abstention) -> str:
    """What prediction sets are and what they held, as sentences; empty where none are made."""
    if found.set_coverage is None or found.set_size is None or found.set_singles is None:
        return ""
    held = found.set_coverage
    level, right = percent(found.decision.set_level or 0, 0), percent(held.value)
    single = percent(found.set_singles)
    return (
        f"Beside its answer the model gives the classes that it does not rule out (a prediction set), made so that at "
        f"least {level} of the sets hold the true class. Here {right} do ({percent(held.low)} to "
        f"{percent(held.high)}); a set has {found.set_size:.2f} classes on average, and {single} have one."
    )


def _record(evaluation: Any) -> Evaluation:
    found: Evaluation = getattr(evaluation, "evaluation", evaluation)
    if found.calibration is None or found.abstention is None:
        raise UsageError(
            "this evaluation does not say how sure the answers are",
            "evaluations of several labels, and runs of older versions, have no such figures; train again",
        )
    return found
