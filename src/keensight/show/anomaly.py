"""Results of an anomaly detector: heatmaps, histogram of the scores, and the report as one HTML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import FRACTIONS, GAUSSIAN, PATCH_MEMORY, AnomalyScores
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.audit import AuditReport, by_severity
from keensight.core.records import RunRecord, Split
from keensight.core.sanitize import command_without_places, toml_without_places
from keensight.errors import UsageError
from keensight.show.page import LISTED_FILES, picture, svg, write_page
from keensight.show.text import plural

_METHODS = {
    PATCH_MEMORY: "Distance to the nearest normal patch, relative to the distances between normal patches nearby, in "
    "whitened features of three levels of {model} (PatchCore, Roth et al. 2022, with the covariance of Rippel et al. "
    "2021 and the local density of Breunig et al. 2000); the score of an image is the geometric mean over the levels "
    "of its most anomalous 5% of patches, at the coarsest level of all patches",
    GAUSSIAN: "Multivariate Gaussian over patch features of two early layers of {model} (Rippel et al. 2021); the "
    "score of an image is the mean of its 5% most anomalous patches",
}
"""By the rule in the run's results, which are silent about the older one."""
_SHOWN = 12
"""Images per gallery; twice as many of the detected anomalies."""
_FULL = 4.0
"""Patch score, in units of the 99th percentile of normal patches, at which the color saturates."""
_MILD, _STRONG = np.array((255, 200, 0), np.float32), np.array((213, 30, 0), np.float32)
_GAP = 4


def overlay(image: NDArray[np.uint8], odd: NDArray[np.float32], anomalous: bool = False) -> NDArray[np.uint8]:
    """An image, and next to it the same with its anomaly heatmap, uint8 (h, 2 w + 4, 3).

    Args:
        image: uint8 (h, w, 3), the network's input.
        odd: Patch scores (rows, columns), 1 being the 99th percentile of normal patches; up to there it is clear.
        anomalous: Whether the image is above the threshold: its most anomalous 5% are then colored in any case, even
            if many normal images have single patches like these.
    """
    from PIL import Image

    height, width = image.shape[:2]
    fine = np.asarray(Image.fromarray(odd.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    clear = min(1.0, float(np.quantile(fine, 1 - FRACTIONS[0]))) if anomalous else 1.0
    strength = np.clip((fine - clear) / (_FULL - clear), 0, 1)[..., None]
    color = _MILD + (_STRONG - _MILD) * strength
    alpha = np.where(strength > 0, 0.35 + 0.5 * strength, 0.0)
    colored = (image * (1 - alpha) + color * alpha).round().astype(np.uint8)
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    return np.concatenate([image, gap, colored], axis=1)


def picked(evaluation: AnomalyEvaluation) -> dict[str, list[int]]:
    """Which images the report shows, as indices into the scores.

    Detected anomalies (evenly from all kinds, highest score first), missed anomalies (lowest score first) and false
    alarms (highest score first).

    Raises:
        UsageError: the evaluation has no scores or no dataset.
    """
    anomaly_scores, dataset = evaluation.anomaly_scores, evaluation.dataset
    if anomaly_scores is None or dataset is None:
        raise UsageError("this evaluation has no scores with their images", "evaluate again with ks.evaluate(run)")
    kinds = _kinds(anomaly_scores)
    scores = anomaly_scores.scores
    odd = {kind.kind for kind in evaluation.kinds}
    order = np.argsort(-scores, kind="stable")
    found = [int(i) for i in order if kinds[i] in odd and scores[i] >= 1]
    turn = {place: sum(kinds[other] == kinds[place] for other in found[:rank]) for rank, place in enumerate(found)}
    return {
        "found": sorted(found, key=lambda place: turn[place])[: 2 * _SHOWN],
        "missed": [int(i) for i in order[::-1] if kinds[i] in odd and scores[i] < 1][:_SHOWN],
        "false alarms": [int(i) for i in order if kinds[i] not in odd and scores[i] >= 1][:_SHOWN],
    }


def _kinds(anomaly_scores: AnomalyScores) -> list[str]:
    return list(anomaly_scores.truth or ())


def write_anomaly_report(  # noqa: PLR0913 - what a run has on file
    path: Path,
    record: RunRecord,
    evaluation: AnomalyEvaluation,
    config: str = "",
    split: Split | None = None,
    card: str = "",
    audit: AuditReport | None = None,
) -> Path:
    """Write the report and return its path.

    Args:
        path: The HTML file.
        record: The run's record.
        evaluation: With its scores, and a dataset whose images are those of :func:`overlay`.
        config: The configuration as TOML.
        split: The split; None: not shown.
        card: The model card, as Markdown.
        audit: The run's audit; None: not shown.

    Raises:
        StoreError: the folder cannot be written.
        UsageError: the evaluation has no scores.
    """
    galleries = picked(evaluation)
    context = {
        "record": dataclasses.replace(record, command=command_without_places(record.command)),
        "config": toml_without_places(config.strip()), "evaluation": evaluation, "split": split,
        "galleries": {name: _pictures(evaluation, places) for name, places in galleries.items()},
        "counts": _counts(evaluation), "histogram": svg(scores_figure(evaluation), "scores"), "full": _FULL,
        "audit": audit, "findings": by_severity(audit.findings) if audit else [], "listed": LISTED_FILES,
        "card": card, "method": _METHODS[record.results.get("rule", GAUSSIAN)].format(model=record.model),
    }  # fmt: skip
    return write_page(path, "anomaly.html", context)


def _counts(evaluation: AnomalyEvaluation) -> dict[str, int]:
    recall, false_alarms = evaluation.recall, evaluation.false_alarms
    found = round(recall.value * evaluation.anomalous) if recall else 0
    alarms = round(false_alarms.value * evaluation.normal) if false_alarms else 0
    return {"found": found, "missed": evaluation.anomalous - found, "false alarms": alarms}


def _pictures(evaluation: AnomalyEvaluation, places: Sequence[int]) -> list[dict[str, Any]]:
    anomaly_scores, dataset = evaluation.anomaly_scores, evaluation.dataset
    assert anomaly_scores is not None
    assert dataset is not None
    assert anomaly_scores.indices is not None
    shown = []
    for place in places:
        number = int(anomaly_scores.indices[place])
        sample = dataset.samples[number]
        tile = picture(dataset, number, sample.label, sample.path, side=2 * 144 + _GAP)
        shown.append({"tile": tile, "score": float(anomaly_scores.scores[place])})
    return shown


def scores_figure(evaluation: AnomalyEvaluation) -> Any:
    """Histogram of the scores of normal and anomalous images.

    Raises:
        UsageError: the evaluation has no scores.
    """
    from matplotlib.ticker import MaxNLocator

    from keensight.show import chart

    picked(evaluation)
    assert evaluation.anomaly_scores is not None
    odd = np.isin(_kinds(evaluation.anomaly_scores), [kind.kind for kind in evaluation.kinds])
    scores = np.maximum(evaluation.anomaly_scores.scores, 1e-3)
    edges = np.geomspace(min(float(scores.min()), 0.5), max(float(scores.max()), 2.0), 33)
    alt = f"Scores of {plural(int((~odd).sum()), 'normal image')} and {plural(int(odd.sum()), 'anomalous image')}."
    figure = chart.Chart(3.8, 2.7, alt)
    ax = figure.subplots()
    for chosen, name, color in ((~odd, "normal", chart.BLUE), (odd, "anomalous", chart.RED)):
        ax.hist(scores[chosen], edges.tolist(), color=color, alpha=0.65, label=f"{name} ({int(chosen.sum()):,})")
    ax.axvline(1.0, color=chart.INK, linewidth=1.2, linestyle="--")
    ax.set_xscale("log")
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128) if edges[0] <= tick <= edges[-1]]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], **chart.words(9))
    ax.minorticks_off()
    ax.set_xlabel("anomaly score (dashed: threshold)", **chart.words(9, chart.QUIET))
    ax.set_ylabel("images", **chart.words(9, chart.QUIET))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK)
    chart.calm(ax)
    return figure
