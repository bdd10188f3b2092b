"""Evaluation of a model, the JSON document of its results, and the report."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.evaluation import Evaluated, Evaluation, Slices
from keensight.core.options import SourceOptions, with_options
from keensight.core.progress import Progress
from keensight.core.records import PARTS, Dataset, Part, Split
from keensight.core.task import Task
from keensight.errors import DataError, StoreError, UsageError
from keensight.workflow.caveats import caveats_of
from keensight.workflow.measure import EvaluationSet, measure
from keensight.workflow.predict import engine_for, load
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, open, prepare
from keensight.workflow.tasks import is_detector, of_run
from keensight.workflow.training_overlap import left_out

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.store.run import Run


@with_options(SourceOptions)
def evaluate(
    model: str | Path | Run | Classifier,
    source: Source | None = None,
    *,
    split: Split | None = None,
    part: Part = "test",
    progress: Progress | None = None,
    **options: Unpack[SourceOptions],
) -> Evaluated:
    """Evaluate a model.

    Without a source: the run's stored results on its test set. With a source: its images of split ``part`` if it
    has splits, else all of them, without those that the model was trained or validated on. These are recognized by
    their file, by their pixels, or by a fingerprint that is robust to compression, resizing and loss of color
    (``left_out`` has their number, and what could not be checked). If the source has several splits, the accuracy
    without duplicates and near-duplicates of the others is given too (``cleaned``).

    Args:
        model: A run, a bundle, or a loaded classifier.
        source: Another image set, or None.
        split: Take ``part`` from this split of ``source`` instead, every image of it. Images that the run's model was
            fitted to, but were also predicted in a cross-validation, get those predictions.
        part: ``train``, ``val`` or ``test``.
        progress: Where to report.
        **options: How ``source`` is read (see :func:`open`).

    Returns:
        The result, with its predictions and images. Of a run that finds anomalies it is an
        :class:`~keensight.AnomalyEvaluation` instead: tell type checkers by ``isinstance``.

    Raises:
        DataError: the source has classes that the model does not know, or nothing is left to measure.
        StoreError: there is no source and the model is no finished run.

    Examples:
        >>> evaluation = ks.evaluate(run)
        >>> evaluation.part, evaluation.n, evaluation.accuracy.low < evaluation.accuracy.high
        ('test', 17, True)
        >>> ks.evaluate(run, data, split=run.split, part="val").n
        15
    """
    if source is None:
        return cast("Evaluated", _stored(model))
    if is_detector(model):
        raise UsageError(
            "an anomaly detector is evaluated on the test set of its run only",
            f"leave out SOURCE: keensight evaluate {_run_in_words(model)}",
        )
    from keensight.data.sources.assemble import OneClass

    progress = shown(progress)
    try:
        dataset = open(source, progress=progress, **options)
    except OneClass as error:
        dataset = error.dataset
    evaluation = on_source(model, dataset, split, part, progress)
    for sentence in () if evaluation.left_out is None else evaluation.left_out.sentences():
        progress.say(sentence)
    return evaluation


def _run_in_words(model: Any) -> str:
    """A run as an argument; of a bundle, or a model in memory, the run is not known."""
    from keensight.store.run import is_run

    place = getattr(model, "path", model)
    return shlex.quote(str(place)) if isinstance(place, (str, Path)) and is_run(place) else "RUN"


def on_source(
    model: str | Path | Run | Classifier, dataset: Dataset, split: Split | None, part: Part, progress: Progress
) -> Evaluated:
    """Evaluate a classifier on an open image set (see :func:`evaluate`)."""
    from keensight.data.audit.audit import audit
    from keensight.data.audit.duplicates import seen, ties

    classifier = load(model, engine_for(model, len(dataset), progress))
    rows = split.part(part) if split is not None else _of_part(dataset, part)
    targets = _targets(dataset, classifier)
    pixels = prepare(dataset, classifier.spec, progress=progress)
    rows = np.array([row for row in rows if int(row) not in pixels.errors], dtype=np.int64)
    known = None
    if split is None:
        known = left_out(model, dataset, rows, pixels, progress)
        rows = rows[~np.isin(rows, list(known.rows))]
    if not len(rows):
        why = "" if known is None or not known.rows else f": {known.sentences()[0]}"
        raise DataError(f"{dataset.name}: there are no images to evaluate{why}", "give images it was not trained on")
    findings = audit(dataset, pixels, progress=progress)
    divided = split or _given(dataset)
    copies = seen(findings, dataset, divided, part)
    held_out = None if split is None else _held_out(model, classifier, dataset, rows)
    images = EvaluationSet(dataset, rows, pixels, targets, part, ties(findings, dataset), copies, held_out)
    found = measure(classifier, images, progress)
    return dataclasses.replace(found, caveats=caveats_of(found, findings, divided), left_out=known)


def _held_out(
    model: str | Path | Run | Classifier, classifier: Classifier, dataset: Dataset, rows: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """The run's cross-validated probabilities of these images, (n, classes); None: it has not those of all."""
    from keensight.store.run import Run, is_run, open_run

    if isinstance(model, (str, Path)) and is_run(Path(model)):
        model = open_run(model)
    if not isinstance(model, Run):
        return None
    task = Task.MULTICLASS if classifier.thresholds is None else Task.MULTILABEL
    known = model.held_out(classifier.labels, task)
    if known is None or known.indices is None:
        return None
    fitted = model.dataset.samples  # by content: images of another set may have the same paths
    place = {fitted[int(row)].digest: i for i, row in enumerate(known.indices)}
    wanted = [dataset.samples[int(row)].digest for row in rows]
    return known.probabilities[[place[one] for one in wanted]] if place.keys() >= set(wanted) else None


def _given(dataset: Dataset) -> Split:
    """The predefined splits of the source."""
    given = any(sample.split for sample in dataset.samples)
    parts: dict[Part, list[int]] = {name: [] for name in PARTS}
    for i, sample in enumerate(dataset.samples if given else ()):
        parts[sample.split or "train"].append(i)
    return Split(tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]), "as predefined in the source")


def report_text(evaluation: Evaluation) -> str:
    """The metrics as text, by class or label."""
    from keensight.assess import metrics, multilabel

    if evaluation.multilabel is None:
        return metrics.report_text(evaluation)
    return multilabel.report_text(evaluation)


def document(run: Run) -> dict[str, Any]:
    """The output of ``train --json`` and ``evaluate --json`` for a finished run."""
    return {"run": str(run.path), "bundle": str(run.bundle_path), **run.record.results}


def report(run: str | Path | Run, *, evaluation: Evaluated | None = None) -> Path:
    """Write the run's HTML report, from its records and the images kept in it.

    Args:
        run: A finished run.
        evaluation: The evaluation with its images available; None: read from the run.

    Returns:
        The path of ``report.html``.

    Examples:
        >>> ks.report(run).name
        'report.html'
    """
    handle = tested(run)
    steps = of_run(handle)
    return steps.report(handle, evaluation or steps.stored(handle))


def finished(run: str | Path | Run) -> Run:
    """Open a finished run.

    Raises:
        StoreError: it is not a run, or is not finished.
    """
    from keensight.store.run import Run, open_run

    handle = run if isinstance(run, Run) else open_run(Path(run))
    if handle.record.state != "finished":
        why = f": {handle.record.message}" if handle.record.message else ""
        raise StoreError(f"the run {handle.path} is {handle.state}, not finished{why}", handle.next_step)
    return handle


def tested(run: str | Path | Run) -> Run:
    """Open a finished run that was evaluated on its test set.

    Raises:
        StoreError: it is not a run, is not finished, or was not tested.
    """
    handle = finished(run)
    if "validation" in handle.record.results and "test" not in handle.record.results:
        raise StoreError(
            f"the run {handle.path} was not tested: it was evaluated on the validation set only, to be compared with "
            "others",
            f"evaluate it on other images: keensight evaluate {shlex.quote(str(handle.path))} SOURCE",
        )
    return handle


def _stored(model: str | Path | Run | Classifier | Detector) -> Evaluated | AnomalyEvaluation:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector

    if isinstance(model, Classifier):
        raise DataError("a model on its own has no stored evaluation", "give images to evaluate it on")
    if isinstance(model, Detector):
        raise DataError("a model on its own has no stored evaluation", "give the run that it comes from")
    handle = tested(model)
    return of_run(handle).stored(handle)


def _of_part(dataset: Dataset, part: Part) -> NDArray[np.int64]:
    """Samples of a predefined split; all without splits."""
    rows = [i for i, sample in enumerate(dataset.samples) if sample.error is None]
    if any(sample.split for sample in dataset.samples):
        rows = [i for i in rows if dataset.samples[i].split == part]
    return np.array(rows, dtype=np.int64)


def _targets(dataset: Dataset, classifier: Classifier) -> NDArray[Any]:
    unknown = sorted(set(dataset.labels.names) - set(classifier.labels.names))
    if unknown:
        raise DataError(
            f"{dataset.name} has classes that the model does not have: {', '.join(unknown[:10])}",
            f"the model's classes are {', '.join(classifier.labels.names[:20])}",
        )
    if classifier.thresholds is not None:  # single-label images are images with one label
        return dataclasses.replace(dataset, labels=classifier.labels, task=Task.MULTILABEL).indicators()
    if dataset.task == Task.MULTILABEL:
        raise DataError(
            f"{dataset.name} is a multi-label set, but the model predicts one class per image",
            "evaluate it on a single-label set, or train a multi-label model",
        )
    return classifier.labels.encode([sample.label for sample in dataset.samples])


def slices_of(evaluation: Evaluation, pixels: Pixels | None = None) -> Slices | None:
    """Evaluate every slice of an evaluation's images that is large enough.

    Args:
        evaluation: With its predictions and its dataset.
        pixels: The decoded images of that dataset; None: without brightness and contrast.

    Returns:
        The slices; None if the predictions are not available. With several labels per image, right means all of them.

    Examples:
        >>> found = ks.slices_of(ks.evaluate(run))
        >>> found.part
        'test'
    """
    from keensight.assess.slices import find_slices
    from keensight.data.slice_columns import columns

    if not isinstance(evaluation, Evaluated):
        return None
    dataset, rows, predictions = evaluation.dataset, evaluation.rows, evaluation.predictions
    table, classes = columns(dataset, rows, pixels), dataset.combinations()[rows]
    return find_slices(predictions.right(), classes, table, groups=predictions.clusters, part=evaluation.part)
