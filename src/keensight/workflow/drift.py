"""Compare new images with those that a model was tested on."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.assess.drift import LEVEL, measured, of_predictions, report
from keensight.core import pixels
from keensight.core.drift import NUMBERS, DriftReport, Measured
from keensight.core.evaluation import Evaluated
from keensight.core.parallel import ordered, processors
from keensight.core.predictions import Predictions
from keensight.core.progress import Progress
from keensight.core.records import SEPARATOR, ImageInfo, LabelSet
from keensight.core.sources import Images, Source, read_source
from keensight.core.task import Task
from keensight.errors import DataError, ImageError, StoreError, UsageError
from keensight.workflow.predict import find, load
from keensight.workflow.progress import shown

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run

MOST = 1000
"""Test images whose measurements a bundle keeps: more would make the comparison find smaller differences only."""
_CHUNK = 16
_TABLES = {".csv": "read_csv", ".parquet": "read_parquet", ".json": "read_json"}
_SCORE = "out-of-distribution score"


def drift(
    model: str | Path | Run | Bundle,
    images: Images,
    *,
    reference: Images | None = None,
    level: float = LEVEL,
    progress: Progress | None = None,
) -> DriftReport:
    """Check whether new images are like those that a model was tested on.

    Brightness, contrast, sharpness, saturation, size and aspect ratio of the images, the model's confidence and
    out-of-distribution scores, and the mix of predicted classes are compared with those of the test images (see
    :mod:`keensight.assess.drift`). The probability of a false alarm is at most ``level`` if the images are independent;
    images that come in series, such as frames of a video, differ sooner.

    Args:
        model: A run or a bundle.
        images: As for :func:`predict`; or predictions, or a file that ``keensight predict --out`` wrote, of which only
            confidence, out-of-distribution score and classes are compared.
        reference: What to compare with, as ``images``; None: the test images whose measurements are in the bundle.
        level: Maximum probability of a false alarm, 0 to 1.
        progress: Where to report.

    Raises:
        StoreError: the bundle has no measurements, because it is of an earlier version, and ``reference`` is None.
        UsageError: the model is an anomaly detector.
        DataError: there are no images, or none of them can be read.

    Examples:
        >>> found = ks.drift(run, "photos/night/", reference="photos/day/")
        >>> found.differs, found.shifts[0].property
        (True, 'brightness')
    """
    from keensight.store.bundle import open_bundle

    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise UsageError(f"level is {level!r}, not a number between 0 and 1", "use one such as 0.01")
    progress = shown(progress)
    bundle = open_bundle(model if isinstance(model, (str, Path)) else model.path)
    if bundle.manifest.task == Task.ANOMALY:
        raise UsageError(
            f"{bundle.path} is an anomaly detector, and drift is found for classifiers only",
            f"score the images instead: keensight predict {shlex.quote(str(bundle.path))} IMAGE...",
        )
    labels, subspace = bundle.manifest.labels, bundle.subspace()
    known, _ = _stored(bundle) if reference is None else _measure(bundle.path, labels, reference, progress)
    new, unreadable = _measure(bundle.path, labels, images, progress)
    if not len(new):
        raise DataError("none of the images could be read", "give images, or a file that keensight predict wrote")
    found = report(known, new, labels.names, level, None if subspace is None else subspace.threshold)
    return dataclasses.replace(found, unreadable=unreadable)


def _stored(bundle: Bundle) -> tuple[Measured, int]:
    """The measurements in a bundle; of an earlier one the scores of the validation images."""
    known, subspace = bundle.reference(), bundle.subspace()
    if known is not None:
        return known, 0
    if subspace is None or not len(subspace.known):
        raise StoreError(
            f"{bundle.path} has no measurements of its test images", "give test images with --reference, or train again"
        )
    values = np.full((len(subspace.known), len(NUMBERS)), np.nan, np.float32)
    values[:, NUMBERS.index(_SCORE)] = subspace.known
    return Measured(values, np.full(len(values), -1, np.int64)), 0


def _measure(model: Path, labels: LabelSet, images: Images, progress: Progress) -> tuple[Measured, int]:
    """Measurements of images or of predictions, and the number of images that could not be read."""
    if isinstance(images, (list, tuple)) and len(images) == 1:
        images = images[0]
    if isinstance(images, Predictions):
        found = of_predictions(images)
        return _without_unknown(found)
    table = _predictions_table(images) if isinstance(images, (str, Path)) else None
    if table is not None:
        return _without_unknown(_of_table(table, labels))
    return measure_images(load(model), find(images, progress), progress)


def _without_unknown(found: Measured) -> tuple[Measured, int]:
    read = found.classes >= 0
    return Measured(found.values[read], found.classes[read]), int((~read).sum())


def measure_images(classifier: Classifier, images: Sequence[Source], progress: Progress) -> tuple[Measured, int]:
    """Predict and measure images; those that cannot be read are counted."""
    parts: list[Measured] = []
    chunks = [images[begin : begin + _CHUNK] for begin in range(0, len(images), _CHUNK)]
    work = partial(_part, classifier)
    with progress.task("measuring", len(images)) as task, closing(ordered(work, chunks, processors())) as found:
        for chunk, part in zip(chunks, found, strict=True):
            parts.append(part)
            task.advance(len(chunk))
    joined = Measured.joined(parts)
    return joined, len(images) - len(joined)


def _part(classifier: Classifier, images: Sequence[Source]) -> Measured:
    from keensight.nets.inputs import read_image

    sources = [_encoded(image, classifier) for image in images]
    read = [read_image(source, classifier.spec) for source in sources if source is not None]
    infos = [_info(source) for source in sources if source is not None]
    return measured([one.image for one in read], infos, classifier.predict_read(read))


def _encoded(image: Source, classifier: Classifier) -> bytes | NDArray[np.uint8] | None:
    try:
        return read_source(image, classifier.spec)
    except ImageError:
        return None


def _info(source: bytes | NDArray[np.uint8]) -> ImageInfo | None:
    if not isinstance(source, bytes):
        return ImageInfo("array", "RGB", source.shape[1], source.shape[0])
    try:
        return pixels.probe(source)
    except ImageError:
        return None


def reference_of(evaluation: Evaluated, decoded: Pixels) -> Measured:
    """Measurements of at most :data:`MOST` test images, for the bundle.

    Args:
        evaluation: On the test set.
        decoded: The decoded images of its dataset, at the model's input size.
    """
    count = len(evaluation.predictions)
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:MOST])
    return Measured.joined(list(_measured_rows(evaluation, decoded, chosen)))


def _measured_rows(evaluation: Evaluated, decoded: Pixels, chosen: NDArray[np.int64]) -> Iterator[Measured]:
    predictions, samples = evaluation.predictions, evaluation.samples
    for begin in range(0, len(chosen), _CHUNK):
        places = chosen[begin : begin + _CHUNK]
        some = dataclasses.replace(
            predictions,
            paths=tuple(predictions.paths[i] for i in places),
            probabilities=predictions.probabilities[places],
            ood_scores=None if predictions.ood_scores is None else predictions.ood_scores[places],
        )
        images = decoded.take(evaluation.rows[places])
        yield measured(list(images), [samples[i].info for i in places], some)


def _predictions_table(path: str | Path) -> Any | None:
    """A file of predictions as a pandas table; None: it is something else."""
    path = Path(path)
    if path.suffix.lower() not in _TABLES or not path.is_file():
        return None
    import pandas as pd

    try:
        table = getattr(pd, _TABLES[path.suffix.lower()])(path)
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a table: {error}", "give what keensight predict --out wrote"
        ) from error
    return table if {"label", "probability"} <= set(table.columns) else None


def _of_table(table: Any, labels: LabelSet) -> Measured:
    """Measurements of the rows of a file of predictions."""
    values = np.full((len(table), len(NUMBERS)), np.nan, np.float32)
    values[:, NUMBERS.index("confidence")] = table["probability"].to_numpy(dtype=np.float32, na_value=np.nan)
    if "ood_score" in table.columns:
        values[:, NUMBERS.index(_SCORE)] = table["ood_score"].to_numpy(dtype=np.float32, na_value=np.nan)
    named = table["label_1"] if "label_1" in table.columns else table["label"]
    places = {name: place for place, name in enumerate(labels.names)}
    first = [str(name).split(SEPARATOR)[0] if isinstance(name, str) else None for name in named]
    unknown = sorted({name for name in first if name and name not in places})
    if unknown:
        raise DataError(
            f"the predictions have classes that the model does not have: {', '.join(unknown[:5])}",
            "give predictions of this model",
        )
    return Measured(values, np.array([places.get(name or "", -1) for name in first], dtype=np.int64))
