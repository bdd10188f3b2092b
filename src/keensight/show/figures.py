"""Matplotlib figures of Keensight's records, without pyplot: show them in a notebook or ``savefig`` them."""

from __future__ import annotations

import io
import math
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from keensight.core.audit import AuditReport
from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.files import write_bytes
from keensight.core.records import PARTS, Dataset, Epoch, History, Split
from keensight.core.statements import set_name
from keensight.errors import UsageError
from keensight.show import chart
from keensight.show.chart import Chart, calm, title, words
from keensight.show.given import evaluation_of, refuse_path
from keensight.show.misclassified import confused_pairs, find_mistakes, row_shares, spread
from keensight.show.text import percent, plural, shorten
from keensight.show.thumbnails import thumbnail

_WIDTH = 9.0  # inches: a notebook's column
_ANNOTATED = 20  # beyond this, counts do not fit into the cells
_SORTED = 20  # beyond this, classes are sorted by size
_MOST = 100  # of more classes, half as many of the largest and of the smallest are drawn


_CURVES = {
    "loss": "Loss (cross-entropy, nats)",
    "accuracy": "Accuracy",
    "map": "Mean average precision (mAP)",
}


def samples(dataset: Dataset, n: int = 25, seed: int = 0) -> Figure:
    """A grid of images with their class names, evenly from all classes.

    Args:
        dataset: With its images available; unreadable ones are skipped.
        n: Maximum number of images.
        seed: Random seed.
    """
    tiles = [
        (image, [(shorten(dataset.samples[i].label, 17), chart.INK)])
        for i in spread(dataset, n, seed)
        if (image := thumbnail(dataset, i)) is not None
    ]
    if not tiles:
        return _note(f"{dataset.name}: no image is available")
    shown = len({text for _, lines in tiles for text, _ in lines})
    return _grid(tiles, f"{plural(len(tiles), 'image')} of {dataset.name}, from {plural(shown, 'class', 'classes')}")


def class_balance(source: Dataset | AuditReport, split: Split | None = None) -> Figure:
    """Images per class as bars, stacked by split if one is given; of more than 100 classes the 50 largest and smallest.

    Args:
        source: A dataset or its audit.
        split: Training, validation and test set to distinguish; needs the dataset, as an audit has counts only.

    Raises:
        UsageError: a split was given with an audit.
    """
    names, stacks = _counts(source, split)
    totals = np.sum(list(stacks.values()), axis=0)
    if len(names) > _SORTED:
        order = np.argsort(-totals, kind="stable")
        names, totals = [names[i] for i in order], totals[order]
        stacks = {part: counts[order] for part, counts in stacks.items()}
    alt = f"{plural(len(names), 'class', 'classes')} of {totals.min():,} to {totals.max():,} images."
    heading = "Images per class" + (", largest first" if len(names) > _SORTED else "")
    if len(names) > _MOST:
        heading = f"Images per class ({_MOST // 2} largest, {_MOST // 2} smallest)"
        names = [*names[: _MOST // 2], *names[-_MOST // 2 :]]
        stacks = {p: np.r_[counts[: _MOST // 2], counts[-_MOST // 2 :]] for p, counts in stacks.items()}
    rows = len(names) > 6 or any(len(name) > 12 for name in names)
    figure = Chart(_WIDTH, 1.1 + len(names) * (0.3 if len(names) <= 20 else 0.19) if rows else 3.4, alt)
    ax = figure.subplots()
    _draw_bars(ax, names, stacks, rows)
    if split is not None:
        ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    title(ax, heading)
    return figure


def curves(history: Any) -> Chart:
    """Learning curves: loss and accuracy of the training and validation set by epoch; for multi-label, loss and mAP.

    The epoch whose weights were kept is marked; if there are several phases, they are shaded.

    Args:
        history: A ``History``, or anything with ``.history`` such as a run.

    Examples:
        >>> ks.show.curves(run).savefig("curves.png")
    """
    record = _history(history)
    if not record.epochs:
        return _note("No epoch was completed.")
    drawn = quantities(record)
    figure = Chart(_WIDTH, 3.4, " ".join(curve_words(record, quantity) for quantity in drawn))
    for ax, quantity in zip(figure.subplots(1, 2), drawn, strict=True):
        draw_curve(ax, record, quantity)
    return figure


def confusion(evaluation: Any, normalize: bool = False) -> Figure:
    """The confusion matrix: rows are true classes, columns are predicted ones.

    Blue is correct, orange is wrong; the stronger the color, the larger the fraction of the row (on a square-root
    scale, so that rare errors are visible).

    Args:
        evaluation: An ``Evaluation``, or anything with ``.evaluation`` such as a run.
        normalize: Show percentages of each row instead of counts.

    Raises:
        UsageError: the model is multi-label.

    Examples:
        >>> ks.show.confusion(ks.evaluate(run), normalize=True).savefig("confusion.png")
    """
    record = evaluation_of(evaluation)
    if record.multilabel is not None:
        raise UsageError(
            "a multi-label model has no confusion matrix",
            "look at ks.show.label_counts(...) or ks.show.co_occurrence(...) instead",
        )
    k = len(record.labels)
    side = float(np.clip(2.6 + 0.42 * k, 4.2, 8.5 if k <= _ANNOTATED else 14.0))
    unit = "% of each true class" if normalize else "images"
    heading = f"Confusion matrix, {set_name(record.part)}: {unit} (n = {record.n:,})"
    figure = Chart(max(side, 0.1 * len(heading)), side, confusion_words(record))
    draw_confusion(figure.subplots(), record, annotate=k <= _ANNOTATED, normalize=normalize)
    # Above the whole figure: with long class names, the matrix is narrower than its title.
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold", color=chart.INK)
    return figure


def mistakes(evaluation: Any, n: int = 24, dataset: Dataset | None = None) -> Figure:
    """The misclassified images, most confident first, with true class, predicted class and confidence.

    Args:
        evaluation: With its predictions and their dataset, as ``ks.evaluate`` gives it.
        n: Maximum number of images.
        dataset: The dataset with the images; default: that of the evaluation.

    Raises:
        UsageError: the evaluation has no predictions or no dataset.

    Examples:
        >>> ks.show.mistakes(ks.evaluate(run), n=12).savefig("mistakes.png")
    """
    record = evaluation_of(evaluation)
    found = find_mistakes(record)
    assert isinstance(record, Evaluated), "find_mistakes has refused any other"
    data = dataset or record.dataset
    if not found:
        return _note(f"None of {plural(record.n, 'image')} is misclassified.")
    blank = np.full((8, 8, 3), 235, dtype=np.uint8)
    tiles = []
    for item in found[:n]:
        wrong = f"{shorten(item.predicted, 13)} {percent(item.confidence, 0)}"
        if record.multilabel is not None:
            wrong = shorten(" ".join([*("-" + name for name in item.missed), *("+" + name for name in item.added)]), 18)
        image = thumbnail(data, item.index)
        lines = [(f"true: {shorten(item.truth, 12)}", chart.INK), (wrong, chart.RED)]
        tiles.append((blank if image is None else image, lines))
    told = (
        "true and predicted class" if record.multilabel is None else "true labels, missed (-) and false positives (+)"
    )
    return _grid(tiles, f"{plural(len(found), 'misclassified image')}, most confident first: {told}")


def save(figure: Figure, path: Path) -> Path:
    """Write ``figure`` as PNG at twice the screen resolution, atomically; returns ``path``.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=2 * figure.dpi)
    write_bytes(path, stream.getvalue())
    return path


def draw_curve(ax: Axes, history: History, quantity: str) -> None:
    """Draw ``loss``, ``accuracy`` or ``map`` of ``history`` into ``ax``."""
    at = [e.epoch for e in history.epochs]
    # mAP is computed on the validation set only: there is no `map` of an epoch.
    train: list[float] = [getattr(e, quantity, math.nan) for e in history.epochs]
    val: list[float] = [getattr(e, f"val_{quantity}") for e in history.epochs]
    calm(ax)
    _shade_phases(ax, history.epochs)
    # No line from phase to phase: their losses are not comparable, as only some use label smoothing.
    phases = [list(run) for _, run in groupby(range(len(at)), key=lambda i: history.epochs[i].phase)]
    for values, color, width, label in ((train, chart.RED, 1.6, "training"), (val, chart.BLUE, 2.0, "validation")):
        for run in phases:
            x, y, dots = [at[i] for i in run], [values[i] for i in run], "o" if len(run) < 4 else ""
            named = label if run is phases[-1] and not np.isnan(y).all() else "_"
            ax.plot(x, y, color=color, linewidth=width, label=named, marker=dots, markersize=4)
    if history.best_epoch in at:
        best = val[at.index(history.best_epoch)]
        ax.axvline(history.best_epoch, color=chart.QUIET, linewidth=0.8, linestyle=(0, (3, 3)))
        ax.plot([history.best_epoch], [best], "o", color=chart.BLUE, markersize=7, markeredgecolor="white",
                label=f"kept: epoch {history.best_epoch}, {best:.3f}")  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True) if len(at) > 1 else FixedLocator(at))
    ax.set_xlim(min(at) - 0.3, max(at) + 0.3)
    ax.set_xlabel("epoch", fontsize=9, color=chart.INK)
    ax.legend(frameon=False, fontsize=9, labelcolor=chart.INK)
    title(ax, _CURVES[quantity])


def draw_confusion(
    ax: Axes, evaluation: Evaluation, *, annotate: bool, normalize: bool = False, clear: bool = False
) -> None:
    """Draw the confusion matrix of ``evaluation`` into ``ax`` as seaborn's heatmap.

    With ``clear``, an empty cell is transparent and not white, for a page that may be dark.
    """
    import seaborn as sns
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(evaluation.confusion, dtype=np.int64)
    shares, k = row_shares(counts), len(counts)
    # Errors are often a hundredth of the diagonal: square root and floor make them visible.
    strength = np.where(counts > 0, np.maximum(np.sqrt(shares), 0.15), 0) * np.where(np.eye(k), 1, -1)
    middle = [(0.5, chart.RED + "00"), (0.5, chart.BLUE + "00")] if clear else [(0.5, "#ffffff")]
    colors = LinearSegmentedColormap.from_list("wrong to right", [(0, chart.RED), *middle, (1, chart.BLUE)])
    small = 9 if k <= 12 else 8 if k <= _ANNOTATED else max(5.0, 9 - k / 20)
    sns.heatmap(
        strength, ax=ax, cmap=colors, vmin=-1, vmax=1, square=True,
        annot=(100 * shares if normalize else counts) if annotate else False, fmt=".0f" if normalize else "d",
        annot_kws={"fontsize": small}, linewidths=0.5 if annotate else 0, linecolor="white",
        rasterized=not annotate, xticklabels=False, yticklabels=False, cbar=False,
    )  # fmt: skip
    names = [shorten(name, 26) for name in evaluation.labels.names]
    across = 0 if k * max(map(len, names)) <= 54 else 90  # letters that fit next to each other
    ax.set_xticks(np.arange(k) + 0.5, names, rotation=across, **words(small))
    ax.set_yticks(np.arange(k) + 0.5, names, rotation=0, **words(small))
    ax.tick_params(length=0)
    ax.set_xlabel("predicted", fontsize=10, color=chart.INK)
    ax.set_ylabel("true", fontsize=10, color=chart.INK)


def quantities(history: History) -> tuple[str, str]:
    """The two learning curves of a training: loss, and accuracy or mean average precision."""
    return ("loss", "accuracy" if history.epochs[0].val_map is None else "map")


def curve_words(history: History, quantity: str) -> str:
    """What a learning curve shows, as one sentence."""
    first, last = history.epochs[0], history.epochs[-1]
    name, called = f"val_{quantity}", "mAP" if quantity == "map" else quantity
    return (
        f"Validation {called} from {getattr(first, name):.3f} in epoch {first.epoch} to {getattr(last, name):.3f}"
        f" in epoch {last.epoch}; epoch {history.best_epoch} was kept."
    )


def confusion_words(evaluation: Evaluation) -> str:
    """What a confusion matrix shows, as one or two sentences."""
    text = f"Confusion matrix of {plural(len(evaluation.labels), 'class', 'classes')}, {plural(evaluation.n, 'image')}."
    pairs = confused_pairs(evaluation.confusion, evaluation.labels)
    if pairs:
        worst = pairs[0]
        text += f" Most frequent error: {plural(worst.count, 'image')} of {worst.truth} predicted as {worst.predicted}."
    return text


def _history(source: Any) -> History:
    found = source if isinstance(source, History) else getattr(source, "history", None)
    refuse_path(source)
    if not isinstance(found, History):
        raise UsageError(f"a {type(source).__name__} has no training history", "give a run or its history")
    return found


def _counts(source: Dataset | AuditReport, split: Split | None) -> tuple[list[str], dict[str, NDArray[np.int64]]]:
    """Class names, and counts (classes,) of each split."""
    if isinstance(source, AuditReport):
        if split is not None:
            raise UsageError("an audit does not contain the split", "give the dataset with the split")
        return list(source.counts), {"images": np.array(list(source.counts.values()), dtype=np.int64)}
    if split is None:
        return list(source.labels.names), {"images": source.counts()}
    return list(source.labels.names), {p: source.counts(split.part(p)) for p in PARTS}


def _draw_bars(ax: Axes, names: list[str], stacks: dict[str, NDArray[np.int64]], rows: bool) -> None:
    places, size = np.arange(len(names)), 9 if len(names) <= 20 else 7.5
    base = np.zeros(len(names), dtype=np.int64)
    for part, counts in stacks.items():
        color = chart.PARTS.get(part, chart.BLUE)
        if rows:
            bars = ax.barh(places, counts, 0.72, left=base, color=color, label=part)
        else:
            bars = ax.bar(places, counts, 0.6, bottom=base, color=color, label=part)
        base = base + counts
    ax.bar_label(bars, [f"{total:,}" for total in base], padding=3, fontsize=size, color=chart.QUIET)
    labels = [shorten(name, 28) for name in names]
    calm(ax, "x" if rows else "y")
    if rows:
        ax.set_yticks(places, labels, **words(size))
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.margins(x=0.08)
    else:
        ax.set_xticks(places, labels, **words(size))
        ax.margins(y=0.1)


def _shade_phases(ax: Axes, epochs: tuple[Epoch, ...]) -> None:
    phases = list(dict.fromkeys(e.phase for e in epochs))
    if len(phases) < 2:
        return
    for number, phase in enumerate(phases):
        inside = [e.epoch for e in epochs if e.phase == phase]
        if number % 2:
            ax.axvspan(min(inside) - 0.5, max(inside) + 0.5, color=chart.QUIET, alpha=0.12, linewidth=0)
        ax.text(
            min(inside) - 0.3, 1.0, f" {phase}", transform=ax.get_xaxis_transform(), va="top", **words(8, chart.QUIET)
        )


Tile = tuple[NDArray[np.uint8], list[tuple[str, str]]]
"""An image (h, w, 3) and the lines below it, each with its color."""


def _grid(tiles: list[Tile], heading: str) -> Chart:
    # Six to eight columns, whichever leaves the fewest gaps in the last row.
    columns = min(len(tiles), min((8, 7, 6), key=lambda c: -len(tiles) % c))
    rows, lines = math.ceil(len(tiles) / columns), len(tiles[0][1])
    across = _WIDTH / max(columns, 4)
    longest = max(len(text) for _, texts in tiles for text, _ in texts)
    size = min(8.0, 100 * across / max(longest, 1))  # text wider than its column would shrink all images
    figure = Chart(across * columns, rows * (across + 0.16 * lines) + 0.45, heading + ".")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, (image, texts) in zip(axes, tiles, strict=False):
        ax.set_anchor("S")  # aligns the text below a row of images
        ax.imshow(image, interpolation="nearest" if max(image.shape[:2]) <= 64 else "antialiased")
        for number, (text, color) in enumerate(texts):
            ax.annotate(text, (0.5, 0), xycoords="axes fraction", xytext=(0, -3 - 10.5 * number),
                        textcoords="offset points", ha="center", va="top", **words(size, color))  # fmt: skip
    figure.suptitle(heading, x=0.005, ha="left", fontsize=11, fontweight="bold", color=chart.INK, parse_math=False)
    return figure


def _note(text: str) -> Chart:
    """A placeholder with the reason why there is no figure."""
    figure = Chart(_WIDTH, 1.0, text)
    figure.text(0.5, 0.5, shorten(text, 90), ha="center", va="center", **words(11, chart.QUIET))
    return figure
