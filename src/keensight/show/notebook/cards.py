"""Records as small pieces of HTML for a notebook: a headline, facts, short tables, thumbnails.

Each stays below 200 kB, sets no colors (a notebook may be dark) and is escaped throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keensight.core.audit import AuditReport, by_severity
from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.reading import reading_sentence
from keensight.core.records import PARTS, Dataset, History, Split
from keensight.core.sources import read_source
from keensight.core.statements import set_name
from keensight.errors import DataError
from keensight.show.misclassified import find_mistakes, spread, worth_showing
from keensight.show.text import accuracy, clean, duration, interval, percent, plural, shorten
from keensight.show.thumbnails import data_uri, encoded_uri, shrunk, thumbnail

SIDE = 84
"""Pixels of a thumbnail's longer side."""
_PICTURES = 120_000
"""Characters that all images of one card may take."""
_ROWS, _TILES, _FAULTS, _NAME = 12, 20, 10, 40
_PIXELATED = 32


@dataclass(frozen=True, slots=True)
class Tile:
    """A thumbnail with a few words."""

    uri: str
    lines: tuple[str, ...]
    path: str = ""
    small: bool = False
    """Few pixels: magnified without smoothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """A short table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rest: str = ""
    """How many rows are not shown."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a notebook shows for one record."""

    title: str
    headline: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    tiles: tuple[Tile, ...] = ()
    chart: str = ""
    alt: str = ""
    note: str = ""


def render(card: Card) -> str:
    """The card as HTML."""
    html: str = _template().render(card=card)
    return html


@cache
def _template() -> Any:
    from keensight.show.page import environment

    return environment().get_template("card.html")


def dataset(data: Dataset) -> Card:
    """Classes of a dataset, with some of its images."""
    counts = data.counts()
    sizes = [sample.info for sample in data.samples if sample.info is not None]
    facts = [("source", data.kind), ("read as", clean(reading_sentence(data).removeprefix("read as: ")))]
    if sizes:
        facts.append(("width, height", f"{_range(i.width for i in sizes)}, {_range(i.height for i in sizes)} px"))
    unread = sum(sample.error is not None for sample in data.samples)
    facts += [("unreadable", plural(unread, "image"))] if unread else []
    order = sorted(range(len(counts)), key=lambda i: -counts[i])
    rows = tuple((_short(data.labels.names[i]), f"{counts[i]:,}") for i in order[:_ROWS])
    shown = spread(data, _TILES) if data.reader is not None else []
    return Card(
        clean(data.name),
        f"{plural(len(data), 'image')}, {plural(len(data.labels), data.task.noun, data.task.nouns)}",
        tuple(facts),
        (Table((data.task.noun, "images"), rows, _rest(len(order))),),
        within(Tile(uri, (_short(data.samples[i].label, 24),), clean(data.samples[i].path), small)
                for i in shown if (found := picture(data, i)) for uri, small in [found]),
    )  # fmt: skip


def audit(report: AuditReport) -> Card:
    """Findings of an audit, most severe first."""
    found = by_severity(report.findings)
    rows = tuple((finding.severity, clean(finding.message)) for finding in found[:_ROWS])
    unread = tuple((_short(item.path), _short(item.reason, 80)) for item in report.quarantined[:_ROWS])
    tables = [Table(("severity", "finding"), rows, _rest(len(found)))] if rows else []
    tables += [Table(("unreadable", "reason"), unread, _rest(len(report.quarantined)))] if unread else []
    return Card(
        f"Audit of {clean(report.dataset)}",
        f"{plural(report.n, 'image')}, {plural(len(report.counts), 'class', 'classes')}, "
        f"{plural(len(found), 'finding')}",
        tables=tuple(tables),
        note="" if found else "No problems found.",
    )


def split(parts: Split) -> Card:
    """How many images each split has."""
    sizes = {part: len(parts.part(part)) for part in PARTS}
    total = sum(sizes.values()) or 1
    use = {"train": "train the model", "val": "early stopping, calibration", "test": "evaluate once"}
    rows = tuple((set_name(part), f"{size:,}", percent(size / total, 0), use[part]) for part, size in sizes.items())
    table = Table(("split", "images", "fraction", "used to"), rows)
    return Card("Split", plural(sum(sizes.values()), "image"), tables=(table,), note=clean(parts.method))


def history(past: History) -> Card:
    """Learning curves of a training."""
    from keensight.show.figures import curves

    best = next((epoch for epoch in past.epochs if epoch.epoch == past.best_epoch), None)
    if best is None:
        return Card("Training", "no epoch was completed")
    reached = f"val accuracy {best.val_accuracy:.4f}" if best.val_map is None else f"val mAP {best.val_map:.4f}"
    seconds = sum(epoch.seconds for epoch in past.epochs)
    figure = curves(past)
    return Card(
        "Training",
        f"{plural(len(past.epochs), 'epoch')} in {duration(seconds)}; best: epoch {best.epoch}, "
        f"val loss {best.val_loss:.4f}, {reached}",
        chart=encoded_uri("png", figure.png(1.25)),
        alt=figure.alt,
        note={
            "early": "Early stopping: no more improvement on the validation set.",
            "callback": "Stopped by a callback.",
            "interrupted": "Interrupted.",
        }.get(past.stopped, ""),
    )


def evaluation(found: Evaluation) -> Card:
    """The metrics with confidence intervals, results by class, and the most confident mistakes."""
    facts = [("accuracy", interval(found.accuracy)), ("baseline: most common class", f"{found.baseline_accuracy:.3f}")]
    facts += [("macro F1", f"{found.macro_f1:.3f}"), ("loss", f"{found.loss:.3f} nats"), ("ECE", f"{found.ece:.3f}")]
    if found.binary is not None:
        facts += [(f"{name} ({_short(found.binary.positive, 24)})" if name == "sensitivity" else name, interval(one))
                  for name, one, *_ in found.binary.rows()]  # fmt: skip
    if found.multilabel is not None:
        facts = [("mAP", interval(found.multilabel.mean_average_precision)),
                 ("micro F1", interval(found.multilabel.micro_f1)),
                 ("all labels correct", interval(found.accuracy))]  # fmt: skip
    if found.cleaned is not None:
        facts.append((f"without {plural(found.seen, 'duplicate')}", interval(found.cleaned)))
    weakest = sorted(found.per_class, key=lambda score: score.f1)
    rows = tuple(
        (_short(score.label), *(f"{value:.3f}" for value in (score.precision, score.recall, score.f1)),
         f"{score.support:,}")
        for score in weakest[:_ROWS]
    )  # fmt: skip
    table = Table(("class, lowest F1 first", "precision", "recall", "F1", "images"), rows, _rest(len(weakest)))
    tiles = within(_mistakes(found))
    note = "Images: misclassified, most confident first." if tiles else ""
    return Card(
        f"Evaluation on the {clean(set_name(found.part))}", f"n = {found.n:,}", tuple(facts), (table,), tiles, note=note
    )


def predictions(found: Predictions) -> Card:
    """The first predictions, with the images that are files."""
    rows = found.rows(top=3)
    table = Table(
        ("image", "prediction", "probability", "next", "decision"),
        tuple((_short(row["path"]), *_prediction(row)) for row in rows[:_ROWS]),
        _rest(len(rows)),
    )
    unread = f", {len(found.errors):,} unreadable" if found.errors else ""
    tiles = within(_files(rows[:_ROWS]))
    return Card("Predictions", f"{plural(len(found), 'image')}{unread}", tables=(table,), tiles=tiles)


def run(handle: Any) -> Card:
    """What a run is, its state, and its main result."""
    record = handle.record
    test, data = record.results.get("test") or {}, record.results.get("data") or {}
    facts = [("model", record.model), ("images", clean(record.source)), ("folder", str(handle.path))]
    facts += [("splits", ", ".join(f"{name} {count:,}" for name, count in data.items()))] if data else []
    facts += [("report", str(handle.report_path))] if handle.report_path.is_file() else []
    told = record.message
    if {"accuracy", "accuracy_ci", "n"} <= test.keys():
        low, high = test["accuracy_ci"]
        told = f"test accuracy {accuracy(Interval(test['accuracy'], low, high), test['n'])}"
    return Card(f"Run {clean(record.name)}", f"{handle.state}{': ' if told else ''}{clean(told)}", tuple(facts))


def classifier(model: Any) -> Card:
    """Input, classes and size of a classifier."""
    names = model.labels.names
    listed = ", ".join(_short(name, 24) for name in names[:_ROWS]) + (", …" if len(names) > _ROWS else "")
    spec = model.spec
    facts = (
        ("input", f"uint8 ({spec.height}, {spec.width}, 3), {spec.fit}"),
        ("classes" if model.thresholds is None else "labels", listed),
        ("network", _network(model)),
    )
    headline = plural(len(names), "class", "classes")
    return Card("Classifier", headline, facts, note="model.predict(...) predicts; .keras_model is the Keras model.")


def _network(model: Any) -> str:
    if model.engine == "litert":  # to count its layers, TensorFlow would be loaded
        return "runs on LiteRT, without TensorFlow"
    net = model.keras_model
    return f"{net.name}: {net.count_params():,} parameters in {len(net.layers)} layers"


def picture(dataset: Dataset, index: int) -> tuple[str, bool] | None:
    """``data:`` URI of a thumbnail, and whether it has few pixels; None if the image is not available."""
    image = thumbnail(dataset, index, SIDE)
    return None if image is None else (data_uri(image), max(image.shape[:2]) <= _PIXELATED)


def _mistakes(found: Evaluation) -> Iterator[Tile]:
    if not isinstance(found, Evaluated) or found.dataset.reader is None:
        return
    for item in worth_showing(find_mistakes(found), _FAULTS):
        shown = picture(found.dataset, item.index)
        if shown:
            wrong = f"predicted: {_short(item.predicted, 24) or 'none'}, {percent(item.confidence, 0)}"
            yield Tile(shown[0], (f"true: {_short(item.truth, 24) or 'none'}", wrong), clean(item.path), shown[1])


def _files(rows: Iterable[dict[str, Any]]) -> Iterator[Tile]:
    for row in rows:
        path = Path(row["path"])
        try:
            image = shrunk(read_source(path), SIDE)
        except DataError:  # an array's name, or a file that was removed
            continue
        yield Tile(
            data_uri(image), (_short(row["label"] or "", 24),), clean(str(path)), max(image.shape[:2]) <= _PIXELATED
        )


def within(tiles: Iterable[Tile]) -> tuple[Tile, ...]:
    """As many of the tiles as fit into a card."""
    kept: list[Tile] = []
    room = _PICTURES
    for tile in tiles:
        room -= len(tile.uri)
        if room < 0:
            break
        kept.append(tile)
    return tuple(kept)


def _prediction(row: dict[str, Any]) -> Sequence[str]:
    if row["error"]:
        return "", "", "", _short(row["error"], 80)
    rest = ", ".join(f"{_short(name, 20)} {p:.3f}" for name, p in row["top"][1:])
    return _short(row["label"]), f"{row['probability']:.3f}", rest, row["decision"]


def _range(values: Iterable[int]) -> str:
    found = sorted(values)
    return f"{found[0]}" if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def _short(text: str, width: int = _NAME) -> str:
    return shorten(text, width)


def _rest(total: int) -> str:
    return f"and {total - _ROWS:,} more" if total > _ROWS else ""
