"""A study of several trainings: as a table, as figures, and as an HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from keensight.core.study import METRICS, StudyRecord, Trial
from keensight.core.task import Task
from keensight.show import chart
from keensight.show.page import svg, write_page
from keensight.show.text import clean, duration, percent, plural, short_names, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LISTED = 10
"""Trials in the terminal."""
_COLUMNS = ("trial", "seconds", "epochs", "ended")
"""Columns of the page's table that are no settings."""
HISTORY, IMPORTANCE, PAGE = "history.png", "importance.png", "study.html"


def value_in_words(record: StudyRecord, value: float | None) -> str:
    """A metric as people read it: a percentage, or nats."""
    if value is None:
        return "-"
    return percent(value) if record.metric == "accuracy" else f"{value:.4f}"


def setting_in_words(value: Any) -> str:
    """The value of a setting, short."""
    if value is None:
        return "auto"
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def result_sentence(record: StudyRecord) -> str:
    """The result on the test set, which counts; empty if there is none."""
    return scores_in_words("test", record.test) if record.test else ""


def scores_in_words(part: str, scores: Mapping[str, Any]) -> str:
    """The main result among the scores of a run on one split, with its confidence interval and n."""
    key, name = ("map", "mAP") if "map" in scores else ("accuracy", "accuracy")
    low, high = scores[f"{key}_ci"]
    interval = f"(95% CI {percent(low)} to {percent(high)}, n = {scores['n']:,})"
    return f"{part} {name} {percent(scores[key])} {interval}"


def doubts(record: StudyRecord) -> list[str]:
    """What makes the test result doubtful, and what a constant guess reaches, as lines of the terminal."""
    told = []
    for caveat in record.test.get("caveats", ()):
        told += [f"caution: {clean(caveat['message'])}", f"  {clean(caveat['advice'])}" if caveat["advice"] else ""]
    return [line for line in (*told, baseline(record)) if line]


def baseline(record: StudyRecord) -> str:
    """What always predicting the most common class, or set of labels, reaches; empty if it was not recorded."""
    if "baseline_accuracy" not in record.test:
        return ""
    what = "set of labels" if record.task == Task.MULTILABEL else "class"
    return f"baseline (always predict the most common {what}): {percent(record.test['baseline_accuracy'])}"


def caution(record: StudyRecord) -> str:
    """What the best validation result of several trials is worth."""
    trials = plural(len(record.trials), "trial")
    return (
        f"The best validation result of {trials} tends to be too optimistic, because it is the best of them by luck, "
        "too. The test result counts: only the chosen model was tested, once, after it was chosen."
    )


def in_words(record: StudyRecord, run: str, page: str) -> str:
    """What the terminal shows of a finished study."""
    best = record.best
    assert best is not None, "a finished study has a best trial"
    metric = METRICS[record.metric]
    lines = [
        result_sentence(record),
        *doubts(record),
        f"chosen among {plural(len(record.trials), 'trial')} by validation {metric}: trial {best.number}, "
        f"{value_in_words(record, best.value)} (the best of several tends to be too optimistic: the test result "
        "counts)",
        "",
        *_table(record, record.complete[:_LISTED]),
    ]
    if len(record.complete) > _LISTED:
        lines.append(f"and {len(record.complete) - _LISTED:,} more; the page lists all")
    ended = [f"{count:,} {what}" for what, count in _counts(record).items() if count]
    lines += ["", f"trials  {', '.join(ended)}, in {duration(record.spent)}"]
    if record.importance:
        lines.append("matters " + ", ".join(f"{name} {share:.0%}" for name, share in record.ranked.items()))
    return "\n".join([*lines, f"page    {page}", f"run     {run}"])


def _counts(record: StudyRecord) -> dict[str, int]:
    return {
        "complete": record.count("complete"), "stopped early": record.count("stopped"), "failed": record.count("failed")
    }  # fmt: skip


def _table(record: StudyRecord, trials: Sequence[Trial]) -> list[str]:
    names = [one.name for one in record.space]
    rows = [["trial", METRICS[record.metric], "seconds", *short_names(names)]]
    rows += [
        [str(one.number), value_in_words(record, one.value), f"{one.seconds:.1f}",
         *(setting_in_words(one.settings.get(name)) for name in names)]
        for one in trials
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def study_history(study: Any) -> chart.Chart:
    """The metric of each trial in the order in which they began, and the best so far.

    Args:
        study: A study, or its record.

    Examples:
        >>> ks.show.study_history(study).savefig("history.png")
    """
    record: StudyRecord = getattr(study, "record", study)
    metric, best = METRICS[record.metric], record.best
    told = "No trial was completed." if best is None else (
        f"Validation {metric} of {plural(len(record.complete), 'completed trial')}; the best is trial {best.number} "
        f"with {value_in_words(record, best.value)}."
    )  # fmt: skip
    figure = chart.Chart(7.4, 3.4, told)
    ax = figure.subplots()
    done = sorted(record.complete, key=lambda trial: trial.number)
    numbers, values = [one.number for one in done], np.array([one.value for one in done], dtype=np.float64)
    others = [one.number for one in record.trials if one.value is None]
    for number in others:
        ax.axvline(number, color=chart.FAINT, linewidth=1, zorder=0)
    if done:
        so_far = (np.minimum if record.lower_is_better else np.maximum).accumulate(values)
        ax.step(numbers, so_far, where="post", color=chart.RED, linewidth=1.4, label="best so far")
        ax.plot(numbers, values, "o", color=chart.BLUE, markersize=5, label="trial")
    if record.chosen is not None and best is not None:
        chosen = values[numbers.index(best.number)]
        ax.plot([best.number], chosen, "o", color=chart.BLUE, markersize=9, markerfacecolor="none", label="chosen")
    chart.calm(ax)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    ax.set_xlabel("trial" + (" (gray lines: stopped early or failed)" if others else ""), **chart.words(9, chart.QUIET))
    ax.set_ylabel(f"validation {metric}", **chart.words(9, chart.QUIET))
    if done:
        ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK)
    return figure


def study_importance(study: Any) -> chart.Chart:
    """How much of the metric's variation each setting explains (fANOVA).

    Args:
        study: A study, or its record.

    Examples:
        >>> ks.show.study_importance(study).savefig("importance.png")
    """
    record: StudyRecord = getattr(study, "record", study)
    found = dict(reversed([*record.ranked.items()]))
    told = "Too few trials to estimate the importance of settings." if not found else (
        "Importance of settings: " + ", ".join(f"{name} {share:.0%}" for name, share in record.ranked.items()) + "."
    )  # fmt: skip
    figure = chart.Chart(7.4, 1.1 + 0.32 * max(1, len(found)), told)
    ax = figure.subplots()
    if not found:
        ax.set_axis_off()
        ax.text(0.5, 0.5, told, ha="center", va="center", **chart.words(10, chart.QUIET))
        return figure
    bars = ax.barh([shorten(name, 34) for name in found], [100 * share for share in found.values()], 0.6,
                   color=chart.BLUE)  # fmt: skip
    ax.bar_label(bars, [f"{share:.0%}" for share in found.values()], padding=3, fontsize=9, color=chart.QUIET)
    chart.calm(ax, "x")
    ax.margins(x=0.1)
    ax.set_xlabel("importance, %", **chart.words(9, chart.QUIET))
    return figure


def write_study(folder: Path, record: StudyRecord) -> Path:
    """Write the page of a study and its figures as PNG; returns the path of the page.

    Args:
        folder: The folder of the study.
        record: What is shown.

    Raises:
        StoreError: the folder cannot be written.
    """
    from keensight.show.figures import save

    history, importance = study_history(record), study_importance(record)
    save(history, folder / HISTORY)
    save(importance, folder / IMPORTANCE)
    others = [one for one in record.trials if one.state != "complete"]
    rows = [
        (
            one,
            value_in_words(record, one.value),
            [setting_in_words(one.settings.get(each.name)) for each in record.space],
        )
        for one in (*record.complete, *others)
    ]
    context = {
        "s": record,
        "best_trial": record.best,
        "best_value": "" if record.best is None else value_in_words(record, record.best.value),
        "metric": METRICS[record.metric],
        "test": result_sentence(record),
        "doubtful": {"caveats": record.test.get("caveats", ())},
        "baseline": baseline(record),
        "caution": caution(record),
        "columns": short_names([one.name for one in record.space], _COLUMNS),
        "rows": rows,
        "counts": {what: count for what, count in _counts(record).items() if count},
        "history": svg(history, "history"),
        "importance": svg(importance, "importance") if record.importance else "",
    }
    return write_page(folder / PAGE, "study.html", context)
