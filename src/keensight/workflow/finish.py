"""From a trained classifier to a finished run: calibrate, bundle, evaluate, analyze, report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keensight.core.audit import AuditReport
from keensight.core.codec import to_plain
from keensight.core.config import RunConfig
from keensight.core.drift import Measured
from keensight.core.effort import EFFORTS
from keensight.core.evaluation import Evaluated, Slices
from keensight.core.interval import Interval
from keensight.core.labels import LabelSuspects
from keensight.core.predictions import Predictions
from keensight.core.progress import Progress
from keensight.core.prototypes import Prototypes
from keensight.core.records import PARTS, Dataset, History, Part, Split, split_digest
from keensight.core.task import Task
from keensight.errors import DataError
from keensight.workflow.bundle import bundle
from keensight.workflow.calibrate import averages_mirror_images, decide, mirrored_if_it_pays
from keensight.workflow.caveats import caveats_of
from keensight.workflow.classification import keep_pictures
from keensight.workflow.drift import reference_of
from keensight.workflow.engines import classifier_of
from keensight.workflow.evaluate import report, report_text, slices_of
from keensight.workflow.explain import keep_heatmaps
from keensight.workflow.features import Features, features_of
from keensight.workflow.fit import transfers
from keensight.workflow.label_errors import check_labels, wanted
from keensight.workflow.measure import EvaluationSet, measure, validation_accuracy
from keensight.workflow.prototypes import known_of
from keensight.workflow.self_test import self_test_everywhere

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier
    from keensight.nets.training.transfer import HeldOut
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run

_MANY_PASSES = 1000
"""With at least this many images, LiteRT's speed outweighs the conversion."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The results of training."""

    classifier: Classifier
    history: History
    dataset: Dataset
    split: Split
    pixels: Pixels
    findings: AuditReport
    config: RunConfig
    """Every ``auto`` decided."""
    normalisation: str | None = None
    """Description of an adopted network's normalization; None: that of the architecture."""
    held_out: HeldOut | None = None
    """What to calibrate on in place of the validation set, where the head was fitted to that too."""

    @property
    def tuned(self) -> bool:
        """Whether the network itself was trained, here or elsewhere, not only its head."""
        return self.adopted or self.history.tuned

    @property
    def adopted(self) -> bool:
        """Whether the network was trained elsewhere, on unknown images."""
        return self.normalisation is not None


def finish(run: Run, trained: Trained, progress: Progress, started: float) -> Run:
    """Calibrate on the validation set, bundle, run the self-test, evaluate on the test set, analyze, report.

    With ``train.evaluate_on`` ``validation``, the test set is not used: the run has a bundle, and the metrics on the
    validation set in its results, but no evaluation and no report.

    Args:
        run: The run, with everything before training saved.
        trained: The results of training.
        progress: Where to report.
        started: When the command began, of ``time.perf_counter``.

    Raises:
        GateError: the bundle fails its self-test.
        StoreError: something cannot be written.
        KeyboardInterrupt: the user had stopped the training; a bundle of its best weights is kept, not measured.
    """
    run.save_history(trained.history)
    if trained.history.stopped == "interrupted":
        _bundled(run, trained, progress)
        raise KeyboardInterrupt
    with quicker(trained, progress) as features:
        trained = _decided(trained, features, progress)
        _keep_held_out(run, trained)
        trained, means = _knowing(trained, features, progress)
        package = _bundled(run, trained, progress, means)
        trusted = classifier_of(package, "keras")  # from here on only the bundle loaded from disk is used
        self_test_everywhere(package, trusted)
        trained = dataclasses.replace(trained, classifier=trusted)
        if trained.config.train.evaluate_on == "validation":
            return _untested(run, trained, measure(trusted, _unseen(trained), progress, features), started)
        evaluation = measure(trusted, evaluation_images(trained, "test"), progress, features)
        validation = validation_accuracy(trusted, _unseen(trained), progress, features)
    return conclude(run, trained, evaluation, validation, progress, started)


NOT_TESTED = "not tested: it was evaluated on the validation set only"
"""The message of a finished run without test results, which earlier versions show too."""


def _untested(run: Run, trained: Trained, evaluation: Evaluated, started: float) -> Run:
    """The end of a run that is only compared with others."""
    results = {**_facts(trained, started), "validation": _without_caveats(evaluation)}
    return run.update(state="finished", results=results, message=NOT_TESTED)


def _without_caveats(evaluation: Evaluated) -> dict[str, Any]:
    return {name: value for name, value in evaluation.headline().items() if name != "caveats"}


def conclude(  # noqa: PLR0913 - what was measured, and where it goes
    run: Run,
    trained: Trained,
    evaluation: Evaluated,
    validation: Interval,
    progress: Progress,
    started: float,
    more: Mapping[str, Any] | None = None,
) -> Run:
    """Save the evaluation on the test set, analyze it, and write the report.

    Args:
        run: The run, with its bundle.
        trained: The results of training; its classifier is that of the bundle.
        evaluation: On the test set.
        validation: The accuracy on the validation set.
        progress: Where to report.
        started: When the command began, of ``time.perf_counter``.
        more: Further results.
    """
    from keensight.store.bundle import open_bundle

    evaluation = dataclasses.replace(
        evaluation, caveats=caveats_of(evaluation, trained.findings, trained.split, validation)
    )
    _keep_evaluation(run, open_bundle(run.path), evaluation, reference_of(evaluation, trained.pixels))
    weak = _keep_slices(run, evaluation, trained.pixels)
    suspects = _check_labels(run, trained, evaluation, progress)
    most = EFFORTS[trained.config.train.effort].heatmaps
    keep_heatmaps(run, trained.classifier, evaluation, trained.pixels, most, progress)
    keep_pictures(
        run, evaluation, () if suspects is None else [one.path for one in (*suspects.suspects, *suspects.doubtful)]
    )
    results = {**_facts(trained, started), **_found(evaluation, weak, suspects), **(more or {})}
    run = run.update(state="finished", results=results, message="")
    report(run, evaluation=evaluation)
    return run


@contextmanager
def quicker(trained: Trained, progress: Progress) -> Iterator[Features | None]:
    """A way to features that is quicker than the classifier's own; None if it is not worthwhile."""
    dataset, split, pixels = trained.dataset, trained.split, trained.pixels
    with features_of(dataset, split, pixels, progress, trained=trained.tuned) as features:
        yield features if not trained.tuned or _passes(trained) > _MANY_PASSES else None


def _passes(trained: Trained) -> int:
    """Number of passes of a pretrained network after training; 0 for one trained from scratch."""
    return 3 * len(trained.split.val) + 2 * len(trained.split.test) if transfers(trained.config) else 0


def evaluation_images(trained: Trained, part: Part) -> EvaluationSet:
    """The validation or test images of a training."""
    from keensight.data.audit.duplicates import seen, ties

    dataset, split, findings = trained.dataset, trained.split, trained.findings
    copies = seen(findings, dataset, split, part)
    rows = split.part(part)
    return EvaluationSet(dataset, rows, trained.pixels, dataset.truth(), part, ties(findings, dataset), copies)


def _unseen(trained: Trained) -> EvaluationSet:
    """The validation images, or where the head was fitted to them, all of its images, each predicted without it."""
    images = evaluation_images(trained, "val")
    return images if trained.held_out is None else with_held_out(images, trained.held_out)


def with_held_out(images: EvaluationSet, held_out: HeldOut) -> EvaluationSet:
    """The images of a cross-validation in place of ``images``."""
    from keensight.nets.training.losses import objective_of

    probabilities = objective_of(images.truth).probabilities(held_out.logits)
    return dataclasses.replace(images, rows=held_out.rows, seen=(), held_out=probabilities)


def _decided(trained: Trained, features: Features | None, progress: Progress) -> Trained:
    classifier = choose(trained.classifier, _unseen(trained), trained.config, progress, features)
    return dataclasses.replace(trained, classifier=classifier)


def choose(
    classifier: Classifier,
    images: EvaluationSet,
    config: RunConfig,
    progress: Progress,
    features: Features | None = None,
) -> Classifier:
    """Choose test-time augmentation, temperature and decision rule. The arguments are those of
    :func:`keensight.workflow.calibrate.decide`.

    Averaging over mirror images needs validation images that the head was not fitted to.
    """
    if averages_mirror_images(config) and images.held_out is None:
        classifier = mirrored_if_it_pays(classifier, images, progress, features)
    return decide(classifier, images, config.decision, progress, features)


def _knowing(trained: Trained, features: Features | None, progress: Progress) -> tuple[Trained, Prototypes | None]:
    """Add the subspace of training embeddings, and compute class means of a single-label set.

    A network from elsewhere may have no embedding, no training images available, or classes without any.
    """
    classifier, dataset, split = trained.classifier, trained.dataset, trained.split
    if not classifier.embeds or not split.train:
        return trained, None
    known = known_of(classifier, dataset, split, trained.pixels, features=features, progress=progress)
    if trained.config.decision.ood:
        trained = dataclasses.replace(trained, classifier=classifier.changed(subspace=known.subspace()))
    if dataset.task == Task.MULTILABEL or not known.covers(len(dataset.labels)):
        return trained, None
    return trained, known.prototypes(len(dataset.labels))


def _bundled(run: Run, trained: Trained, progress: Progress, means: Prototypes | None = None) -> Bundle:
    record = run.record
    return bundle(
        trained.classifier,
        trained.dataset,
        trained.split,
        run.bundle_path,
        name=trained.config.model.name,
        provenance={"run": record.name, "command": record.command, "seed": record.seed, **_adoption(trained)},
        prototypes=means,
        normalisation=trained.normalisation,
        pixels=trained.pixels,
        quick=trained.history.stopped == "interrupted",  # the user waits for the prompt
        light=trained.config.train.evaluate_on == "test",  # it is compared on test images, and takes seconds
        progress=progress,
    )


def _adoption(trained: Trained) -> dict[str, bool]:
    return {"adopted": True} if trained.adopted else {}


def _keep_evaluation(run: Run, package: Bundle, evaluation: Evaluated, reference: Measured) -> None:
    from keensight.store.bundle import add_evaluation

    add_evaluation(package, evaluation, reference)
    run.save_evaluation(evaluation, report_text(evaluation))


def _keep_held_out(run: Run, trained: Trained) -> None:
    if trained.held_out is None:
        return
    images = _unseen(trained)
    assert images.held_out is not None
    samples = images.dataset.samples
    run.save_held_out(
        Predictions(
            tuple(samples[int(row)].path for row in images.rows),
            trained.classifier.labels,
            images.held_out.astype(np.float32),
            thresholds=trained.classifier.thresholds,
            indices=images.rows,
            truth=images.targets,
        )
    )


def _keep_slices(run: Run, evaluation: Evaluated, pixels: Pixels) -> Slices | None:
    weak = slices_of(evaluation, pixels)
    if weak is not None:
        run.save_slices(weak)
    return weak


def _check_labels(run: Run, trained: Trained, evaluation: Evaluated, progress: Progress) -> LabelSuspects | None:
    """The label check, if enabled; a set that is too small for it is not an error."""
    if not wanted(trained.config):
        return None
    dataset, split, pixels = trained.dataset, trained.split, trained.pixels
    try:
        found = check_labels(
            dataset, split, config=trained.config, pixels=pixels, audit=trained.findings, evaluation=evaluation,
            progress=progress,
        )  # fmt: skip
    except DataError as error:
        progress.say(f"no label check: {error.message}")
        return None
    run.save_label_suspects(found)
    run.log(found.sentence())
    return found


def _facts(trained: Trained, started: float) -> dict[str, Any]:
    """The results that need no evaluation."""
    from keensight.nets.runtime import weights_digest

    dataset, split = trained.dataset, trained.split
    return {
        "task": dataset.task,
        "labels": list(dataset.labels.names),
        "model": trained.config.model.name,
        "seconds": round(time.perf_counter() - started, 2),
        "data": {part: len(split.part(part)) for part in PARTS} | {"quarantined": len(trained.findings.quarantined)},
        "dataset_digest": dataset.digest,
        "split_digest": split_digest(split, dataset),
        "weights_digest": weights_digest(trained.classifier.keras_model),
        **_adoption(trained),
    }


def _found(evaluation: Evaluated, weak: Slices | None, suspects: LabelSuspects | None) -> dict[str, Any]:
    results: dict[str, Any] = {"test": evaluation.headline()}
    results |= {} if suspects is None else {"label_check": suspects.headline()}
    results |= {} if weak is None else {"weak_slices": [to_plain(score) for score in weak.weakest()]}
    return results
