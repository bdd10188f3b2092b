"""Suggest which unlabeled images to label next, and label them on a local page."""

from __future__ import annotations

import csv
import io
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keensight.assess.active_learning import rank, uncertainty
from keensight.core.files import check_writable, write_text
from keensight.core.predictions import Predictions
from keensight.core.progress import Progress
from keensight.core.sanitize import guarded, unguarded
from keensight.core.sources import Images
from keensight.core.suggestions import Suggestion, Suggestions
from keensight.errors import DataError, ImageError, UsageError
from keensight.workflow.predict import predict_and_embed
from keensight.workflow.progress import shown

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.store.run import Run

_SIDE = 900
"""Longer side of the image on the page, in pixels."""
_COLUMNS = ("path", "label")


def suggest(
    model: str | Path | Run | Classifier, images: Images, *, count: int = 100, progress: Progress | None = None
) -> Suggestions:
    """Rank unlabeled images by what labeling them would bring.

    Images that the model is uncertain about come first, each unlike those before it
    (:func:`keensight.assess.active_learning.rank`). On test images, a model that is trained again with the suggested
    images is better than with as many random ones on most sets, but not on all (see the documentation).

    Args:
        model: A run, a bundle, or a loaded classifier.
        images: As for :func:`keensight.predict`.
        count: Number of images to suggest.
        progress: Where to report.

    Raises:
        DataError: nothing was given, no image can be read, or the network has no embedding.
        UsageError: ``count`` is less than 1, or the model is an anomaly detector.

    Examples:
        >>> found = ks.suggest(run, "photos/", count=10)
        >>> len(found), found.rows()[0]["rank"]
        (10, 1)
    """
    if count < 1:
        raise UsageError(f"count is {count}", "give a number of images, 1 or more")
    predictions, embeddings = predict_and_embed(model, images, progress=shown(progress))
    readable = np.isfinite(embeddings.vectors).all(axis=1) & np.isfinite(predictions.probabilities).all(axis=1)
    good = np.flatnonzero(readable)
    if not len(good):
        raise DataError(f"none of the {len(predictions):,} images can be read", "check the paths")
    doubts = uncertainty(predictions.probabilities[good], multilabel=predictions.thresholds is not None)
    order = rank(doubts, embeddings.vectors[good], count)
    items = tuple(_suggestion(predictions, int(good[row]), float(doubts[row])) for row in order)
    return Suggestions(items, predictions.labels.names, len(good), dict(predictions.errors))


def _suggestion(found: Predictions, row: int, doubt: float) -> Suggestion:
    p, names = found.probabilities[row], found.labels.names
    if found.thresholds is not None:
        label = int(np.abs(p - 0.5).argmin())
        reason = f"uncertain whether {names[label]}"
        return Suggestion(found.paths[row], names[label], float(p[label]), None, None, doubt, reason)
    first, second = (int(k) for k in np.argsort(-p, kind="stable")[:2])
    unlike = found.odd is not None and bool(found.odd[row])
    reason = f"uncertain between {names[first]} and {names[second]}" if doubt >= 0.5 else "unlike those ranked before"
    reason = f"out-of-distribution, and {reason}" if unlike else reason
    return Suggestion(found.paths[row], names[first], float(p[first]), names[second], float(p[second]), doubt, reason)


def write_suggestions(found: Suggestions, path: str | Path) -> None:
    """Write suggestions as a CSV table: rank, path, label, probability, other, other_probability, uncertainty, reason.

    Raises:
        UsageError: the path does not end in ``.csv``.
        StoreError: the file cannot be written.

    Examples:
        >>> ks.write_suggestions(ks.suggest(run, "photos/", count=10), "to_label.csv")
    """
    import pandas as pd

    check_suggestions_place(Path(path))
    table = pd.DataFrame(found.rows())
    texts = table.select_dtypes(exclude="number")
    write_text(Path(path), table.assign(**{str(name): texts[name].map(guarded) for name in texts}).to_csv(index=False))


def check_suggestions_place(path: Path) -> None:
    """Refuse a file that suggestions or labels cannot be written to.

    Raises:
        UsageError: it does not end in ``.csv``.
        StoreError: it cannot be written.
    """
    if path.suffix.lower() != ".csv":
        raise UsageError(f"cannot write {path.name} as {path.suffix or 'a file without an extension'}", "use .csv")
    check_writable(path)


class LabelingSession:
    """The images of :func:`suggest` on the review page, and the table of labels that people give them.

    Args:
        found: The suggestions.
        out: The CSV table with ``path`` (from the table's folder) and ``label``; labels in it are kept.
    """

    def __init__(self, found: Suggestions, out: Path) -> None:
        self.out, self._items, self._names, self._lock = out, found.items, found.labels, threading.Lock()
        self._labels = _read_labels(out)

    def state(self) -> dict[str, Any]:
        """The page's contents as plain values."""
        questions = [self._described(item) for item in self._items]
        return {
            "name": "Label images", "task": "label", "out": self.out.name, "labels": list(self._names),
            "questions": questions,
        }  # fmt: skip

    def decide(self, number: int, action: str, label: str = "") -> dict[str, Any]:
        """Record a label and save the table.

        Args:
            number: Number of the image.
            action: ``keep`` (the suggested class is right), ``relabel`` or ``undo``.
            label: The class, for ``relabel``.

        Raises:
            UsageError: there is no such image, action or class.
            StoreError: the file cannot be written; the label is not recorded.
        """
        if not 0 <= number < len(self._items):
            raise UsageError(f"there is no image {number}", f"there are {len(self._items)}")
        item = self._items[number]
        if action not in ("keep", "relabel", "undo"):
            raise UsageError(f"there is no action {action!r}", "available: keep, relabel, undo")
        wanted = item.label if action == "keep" else label
        if action != "undo" and wanted not in self._names:
            raise UsageError(f"{label!r} is not one of the classes", "choose one from the list")
        with self._lock:
            labels = {path: name for path, name in self._labels.items() if path != self._place(item)}
            if action != "undo":
                labels[self._place(item)] = wanted
            _write_labels(self.out, labels)
            self._labels = labels
        return self._described(item)

    def picture(self, number: int) -> bytes | None:
        """The image as PNG or JPEG, upright and of moderate size; None: not available."""
        from keensight.show.thumbnails import encode, shrunk

        if not 0 <= number < len(self._items):
            return None
        try:
            return encode(shrunk(Path(self._items[number].path).read_bytes(), _SIDE))
        except (OSError, ImageError):
            return None

    def labeled(self) -> int:
        """Number of the suggested images that have a label."""
        return sum(self._place(item) in self._labels for item in self._items)

    def _place(self, item: Suggestion) -> str:
        return os.path.relpath(item.path, self.out.parent).replace(os.sep, "/")

    def _described(self, item: Suggestion) -> dict[str, Any]:
        given = self._labels.get(self._place(item))
        return {
            "path": item.path,
            "part": item.reason,
            "given": "",
            "suggested": item.label,
            "given_probability": 0.0,
            "probability": round(item.probability, 4),
            "reason": "unlabeled",
            "decision": None if given is None else {"action": "relabel", "label": given},
        }


def label_images(  # noqa: PLR0913 - public options, by keyword
    model: str | Path | Run | Classifier,
    images: Images,
    *,
    out: str | Path,
    count: int = 100,
    port: int = 0,
    browser: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Open a local page on which people label the images that :func:`suggest` finds, and wait until it is closed.

    Args:
        model: A run, a bundle, or a loaded classifier with one class per image.
        images: Image files, folders or patterns.
        out: The CSV table of paths and labels, which ``ks.open`` reads; resumed if it exists.
        count: Number of images to suggest.
        port: Port of the page; 0: any free one.
        browser: Open it in the browser.
        progress: Where to report.

    Returns:
        The table's path, the number of suggested images, and how many have a label.

    Raises:
        DataError: as for :func:`suggest`, the table cannot be read, or the model is multi-label.
        UsageError: the port is taken, or ``out`` does not end in ``.csv``.

    Examples:
        >>> ks.label_images(run, "photos/", out="labels.csv", browser=False)  # doctest: +SKIP
    """
    from keensight.show.review import ReviewServer

    table = Path(out)
    check_suggestions_place(table)
    progress = shown(progress)
    found = suggest(model, images, count=count, progress=progress)
    if found.items[0].other is None:
        raise DataError("the page gives one class per image, but this model is multi-label", "use --out FILE.csv")
    session = LabelingSession(found, table)
    with ReviewServer(session, port) as server:
        progress.say(f"open {server.url} to label")
        progress.say(f"labels go to {table}; close with the page's button or Ctrl-C")
        server.run(open_browser=browser)
    return {"labels": str(table), "suggested": len(found), "labeled": session.labeled()}


def _read_labels(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if set(_COLUMNS) - set(reader.fieldnames or ()):
                raise DataError(f"{path} is not a table of path and label", "give another file with --out")
            return {unguarded(row["path"]): unguarded(row["label"]) for row in reader}
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the table {path} cannot be read: {error}", "give another file with --out") from error


def _write_labels(path: Path, labels: dict[str, str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(guarded, row) for row in labels.items())
    write_text(path, text.getvalue())
