"""The test of a run that was only compared with others so far, because it was the one that was chosen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from keensight.core.config import RunConfig, read_config
from keensight.core.progress import Logged, Progress
from keensight.core.records import Dataset
from keensight.core.task import Task
from keensight.workflow.engines import classifier_of
from keensight.workflow.finish import Trained, conclude, evaluation_images, quicker
from keensight.workflow.light_form import compared_images, light_form
from keensight.workflow.measure import EvaluationSet, measure, validation_accuracy
from keensight.workflow.self_test import self_test_everywhere
from keensight.workflow.steps import prepare
from keensight.workflow.unused_settings import without_effect

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.data.cache import CacheMode
    from keensight.nets.classifier import Classifier
    from keensight.store.run import Run


def final_test(run: Run, dataset: Dataset, progress: Progress, chosen: Mapping[str, Any]) -> Run:
    """Evaluate the bundle of a finished run on the run's test set, and write its report.

    The weights are those that were compared: nothing is trained again.

    Args:
        run: A finished run with ``train.evaluate_on=validation``.
        dataset: Its image set.
        progress: Where to report.
        chosen: By what it was chosen, and among how many: part of its results.

    Returns:
        The run, which is now like one that was tested at once; ``validation`` and ``chosen`` stay in its results.

    Raises:
        StoreError: a file of the run is damaged, or another process is working on it.
    """
    from keensight.core.decisions import Decisions
    from keensight.nets import engines, runtime
    from keensight.store.bundle import open_bundle
    from keensight.store.run_lock import locked_run

    known: Decisions | None = run.decisions
    assert known is not None, "only a run that ks.train began can be left untested"
    started = time.perf_counter() - float(run.record.results.get("seconds", 0.0))
    progress = Logged(progress, run.log)
    with locked_run(run.path), engines.using(known.engine):
        runtime.use_threads(known.threads)
        run.save_decisions(dataclasses.replace(known, settings={**known.settings, "train.evaluate_on": "test"}))
        config = RunConfig().with_values({**read_config(run.config_path), "train.evaluate_on": "test"})
        run.save_config(config.to_toml(without_effect(config, dataset)))
        classifier = classifier_of(open_bundle(run.path), "keras")
        pixels = prepare(dataset, classifier.spec, cache=cast("CacheMode", config.data.cache), progress=progress)
        _add_light_form(run, classifier, pixels, progress)
        trained = Trained(classifier, run.history, dataset, run.split, pixels, run.audit, config)
        with quicker(trained, progress) as features:
            evaluation = measure(classifier, evaluation_images(trained, "test"), progress, features)
            validation = validation_accuracy(classifier, _unseen(run, trained), progress, features)
        kept = {"validation": run.record.results["validation"], "chosen": dict(chosen)}
        return conclude(run, trained, evaluation, validation, progress, started, kept)


def _add_light_form(run: Run, classifier: Classifier, pixels: Pixels, progress: Progress) -> None:
    """What the bundle of a run that is only compared with others does not have."""
    from keensight.store.bundle import add_light, open_bundle

    package = open_bundle(run.path)
    compared = compared_images(package.exam(), classifier.spec, run.split.part("test"), pixels)
    flatbuffer = light_form(classifier, compared, progress)
    if flatbuffer is not None:
        self_test_everywhere(add_light(package, flatbuffer), classifier)


def _unseen(run: Run, trained: Trained) -> EvaluationSet:
    """The validation images, or those of the cross-validation where the head was fitted to these, too."""
    images = evaluation_images(trained, "val")
    task = Task.MULTICLASS if trained.classifier.thresholds is None else Task.MULTILABEL
    known = run.held_out(trained.classifier.labels, task)
    if known is None or known.indices is None:
        return images
    return dataclasses.replace(images, rows=known.indices, seen=(), held_out=known.probabilities)
