"""Train an anomaly detector on normal images (``--task anomaly``)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core import anomaly
from keensight.core.anomaly import ANOMALOUS, NORMAL, PATCH_MEMORY, AnomalyScores, Limits, NormalPatches, PatchSampler
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.config import RunConfig
from keensight.core.folds import deal
from keensight.core.progress import Phase, Progress
from keensight.core.records import PARTS, BundleManifest, Dataset, LabelSet, split_digest
from keensight.core.registry import did_you_mean
from keensight.core.task import Task
from keensight.errors import DataError, UsageError
from keensight.workflow.anomaly_split import as_divided, divide, seen_normals
from keensight.workflow.audit import refuse_severe
from keensight.workflow.bundle import origin, self_test_images, versions
from keensight.workflow.caveats import anomaly_caveats
from keensight.workflow.decide import Decider
from keensight.workflow.engines import detector_of
from keensight.workflow.light_form import compared_images, light_form
from keensight.workflow.prepare import Prepared, as_prepared, input_spec, prepare_data
from keensight.workflow.self_test import self_test_everywhere
from keensight.workflow.steps import build
from keensight.workflow.unused_settings import without_effect

if TYPE_CHECKING:
    import keras

    from keensight.core.decoded import Pixels
    from keensight.nets.detector import Detector
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run

_CHUNK = 64
_FEWEST, _ENOUGH = 19, 100
"""Unseen normal images that a false positive rate of 5% needs at least, and with which it is near that: of 19 the
threshold is the highest score, so that one strange image among them hides most anomalies."""
_FOLDS, _CROSS_FITTED, _FORWARD = 10, 500, 16
"""Of cross-fitting: folds, most images (their maps are held in memory), and images per forward pass."""


def normal_classes(dataset: Dataset, config: RunConfig) -> tuple[str, ...]:
    """The normal classes: those of ``data.normal``, or the one with a usual name.

    Raises:
        UsageError: there is none, one does not exist, it is a multi-label set, or the network has no pretrained
            weights.
    """
    from keensight.nets.models.backbones import ARCHITECTURES

    name = config.model.name
    if name != "auto" and not ARCHITECTURES[name].pretrained:
        raise UsageError(f"{name} has no pretrained weights, which anomaly detection needs", "remove --model")
    if dataset.task == Task.MULTILABEL:
        raise UsageError("anomaly detection needs one class per image", "give each image one class, not several labels")
    names = dataset.labels.names
    given = [name.strip() for name in (config.data.normal or "").split(",") if name.strip()]
    found = given or dataset.labels.normal()
    listed = f"the classes are {', '.join(names[:20])}"
    if not found:
        raise UsageError("the class of normal images is not recognized by its name", f"add --normal CLASS; {listed}")
    unknown = [name for name in found if name not in names]
    if unknown:
        hint = did_you_mean(unknown[0], names)
        raise UsageError(f"there is no class {unknown[0]!r}", f"{hint}; separate several by commas")
    return tuple(found)


def walk(
    decider: Decider,
    dataset: Dataset,
    normal: tuple[str, ...],
    config: RunConfig,
    progress: Progress,
    started: float,
) -> Run:
    """Decode, audit, split, fit normal images, bundle, evaluate, report.

    Args:
        decider: The run, with its decisions.
        dataset: The image set with its own classes.
        normal: The classes that are normal.
        config: Settings.
        progress: Where to report.
        started: When the command began, of ``time.perf_counter``.
    """
    from keensight.nets.models.backbones import DEFAULT_PRETRAINED
    from keensight.nets.runtime import weights_digest
    from keensight.store.bundle import add_evaluation
    from keensight.store.run_tables import save_anomalies

    run = decider.run
    name = DEFAULT_PRETRAINED if config.model.name == "auto" else config.model.name
    config = config.with_values({"model.name": name, "data.normal": ",".join(normal)})
    config = _without_borders(dataset, config, progress)
    spec = input_spec(dataset, config, name, "quick")
    prepared = prepare_data(dataset, spec, config, progress, divide=partial(divide, normal, config))
    pixels, split = prepared.pixels, prepared.split
    seen = seen_normals(prepared.findings, dataset, split, normal)
    findings = as_divided(prepared.findings, split, seen, len(_normal(dataset, split.part("test"), normal)))
    prepared = dataclasses.replace(prepared, findings=findings)
    run.save_dataset(dataset)
    run.save_audit(findings)
    if config.data.strict:
        refuse_severe(findings)
    run.save_split(split, dataset)
    decider.keep_split(split, dataset)
    decider.keep_threads()
    decider.note(model=name)
    config = as_prepared(config, spec)
    run.save_config(config.to_toml(without_effect(config, dataset, "detector")))
    run = run.update(state="training", model=name)
    detector = learn(prepared, normal, config, progress)
    package = write(detector, prepared, run, normal, name, progress)
    trusted = detector_of(package, "keras")
    self_test_everywhere(package, trusted)
    evaluation = measure(trusted, prepared, normal, progress)
    evaluation = dataclasses.replace(evaluation, seen=seen)
    evaluation = dataclasses.replace(evaluation, caveats=anomaly_caveats(evaluation, findings, split, normal))
    add_evaluation(package, evaluation)
    save_anomalies(run.path, evaluation)
    keep_pictures(run, evaluation, pixels)
    weights = weights_digest(detector.keras_model)
    results = _results(prepared, normal, name, evaluation, started) | {"weights_digest": weights}
    run = run.update(state="finished", results=results)
    report(run, stored(run))
    return run


def _without_borders(dataset: Dataset, config: RunConfig, progress: Progress) -> RunConfig:
    """Settings that stretch images of different shapes, unless the user chose: to a memory of normal patches, the black
    border of an unusual shape is an anomaly."""
    from keensight.data.input_size import shapes_differ

    if config.data.fit != "auto" or not shapes_differ(dataset):
        return config
    progress.say("the images have different shapes: stretched to one, because black borders would look like anomalies")
    return config.with_values({"data.fit": "stretch"})


def _results(
    prepared: Prepared, normal: tuple[str, ...], name: str, evaluation: AnomalyEvaluation, started: float
) -> dict[str, Any]:
    dataset, split = prepared.dataset, prepared.split
    return {
        "task": Task.ANOMALY,
        "rule": PATCH_MEMORY,
        "labels": [NORMAL, ANOMALOUS],
        "normal": list(normal),
        "model": name,
        "seconds": round(time.perf_counter() - started, 2),
        "data": {part: len(split.part(part)) for part in PARTS} | {"quarantined": len(prepared.findings.quarantined)},
        "dataset_digest": dataset.digest,
        "split_digest": split_digest(split, dataset),
        "test": evaluation.headline(),
    }


def learn(prepared: Prepared, normal: tuple[str, ...], config: RunConfig, progress: Progress) -> Detector:
    """Train a detector on normal images: the memory of patches on train, the thresholds on val.

    With fewer than 100 images in val, both are learned from train and val: the thresholds by 10-fold cross-fitting,
    from images that the memory of their fold has not seen (groups and duplicates share a fold).

    Raises:
        DataError: train or val has no normal images.
    """
    from keensight.data.cache import cache_directory
    from keensight.nets.detector import Detector, joined, levels, with_memory
    from keensight.nets.engines import freeze

    dataset, split, pixels = prepared.dataset, prepared.split, prepared.pixels
    train, val = (_normal(dataset, _readable(split.part(part), pixels), normal) for part in ("train", "val"))
    if not len(train) or not len(val):
        raise DataError("there are no normal images to train on", "add some to the training and validation sets")
    few = len(val) < _ENOUGH
    rows = np.sort(np.concatenate([train, val])) if few else train
    net = config.model
    network = levels(build(dataset, pixels.spec, net.name, weights=net.weights))
    place = cache_directory()
    frozen = freeze(joined(network), place / "networks", place / "engines.json")

    def maps(chosen: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        with progress.task("fitting normal images", len(chosen)) as task:
            yield from _counted(frozen.stream(partial(pixels.take, chunk) for chunk in _chunks(chosen)), task)

    drawn = np.sort(np.random.default_rng(config.train.seed).permutation(rows)[:_CROSS_FITTED])
    held = np.concatenate(list(maps(drawn))) if few else None
    batches = maps(rows) if held is None or len(drawn) < len(rows) else [held]
    patches = _learned(network, batches, len(rows))
    detector = Detector(with_memory(network, patches), pixels.spec, Limits(1.0, 1.0, 1.0, 0))
    if held is None:
        unseen = levels_of(detector, val, pixels, progress)
    else:
        unseen = _cross_fitted(network, held, _folds(prepared, drawn))
    detector.limits = anomaly.limits(unseen)
    told = f"{detector.limits.images} unseen normal images{' (cross-fitted)' if few else ''}"
    progress.say(f"threshold from {told}: expected false positive rate {detector.limits.rate:.1%}")
    if len(unseen) < _FEWEST:
        progress.say(f"only {len(rows)} normal training and validation images, so the threshold is uncertain")
    return detector


def _learned(network: keras.Model, batches: Iterable[NDArray[np.float32]], count: int) -> list[NormalPatches]:
    """The normal patches of each level, from ``count`` images' outputs of ``joined``."""
    from keensight.nets.detector import parted

    samplers = [PatchSampler(count * prod(tensor.shape[1:3])) for tensor in network.outputs]
    for batch in batches:
        for sampler, level in zip(samplers, parted(batch, network), strict=True):
            sampler.add(level)
    return [sampler.finish() for sampler in samplers]


def _folds(prepared: Prepared, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold of each image; what belongs together shares one."""
    from keensight.data.audit.duplicates import ties
    from keensight.data.units import unit_numbers

    units = unit_numbers(prepared.dataset.samples, rows, ties(prepared.findings, prepared.dataset))
    if len(np.unique(units)) < _FOLDS:  # all images look alike
        units = np.arange(len(rows))
    return deal(np.zeros(len(rows), np.int64), units, _FOLDS)


def _cross_fitted(network: keras.Model, values: NDArray[np.float32], folds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of each image's patches by a memory of the other folds, as from ``Detector.predict_levels``."""
    from keensight.nets.detector import inputs_of, parted, with_memory

    found = []
    for fold in np.unique(folds):
        inside, outside = values[folds == fold], values[folds != fold]
        model = with_memory(inputs_of(network), _learned(network, [outside], len(outside)))
        parts = np.array_split(inside, -(-len(inside) // _FORWARD))
        found += [np.asarray(model(parted(part, network), training=False)) for part in parts]
    return np.concatenate(found)


def _readable(rows: NDArray[np.int64], pixels: Pixels) -> NDArray[np.int64]:
    return np.array([row for row in rows if int(row) not in pixels.errors], dtype=np.int64)


def _normal(dataset: Dataset, rows: NDArray[np.int64], normal: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([row for row in rows if dataset.samples[int(row)].label in normal], dtype=np.int64)


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for begin in range(0, len(rows), _CHUNK):
        yield rows[begin : begin + _CHUNK]


def _counted(batches: Iterator[NDArray[np.float32]], task: Phase) -> Iterator[NDArray[np.float32]]:
    for batch in batches:
        task.advance(len(batch))
        yield batch


def levels_of(detector: Detector, rows: NDArray[np.int64], pixels: Pixels, progress: Progress) -> NDArray[np.float32]:
    """Patch scores of samples, float32 (n, rows, columns, levels)."""
    found = []
    with progress.task("computing anomaly scores", len(rows)) as task:
        for chunk in _chunks(rows):
            found.append(detector.predict_levels(pixels.take(chunk)))
            task.advance(len(chunk))
    return np.concatenate(found)


def write(
    detector: Detector, prepared: Prepared, run: Run, normal: tuple[str, ...], name: str, progress: Progress
) -> Bundle:
    """Write the bundle of a run's detector."""
    from keensight.core.codec import to_plain
    from keensight.nets.models.backbones import normalisation_of
    from keensight.store.bundle import SCHEMA, SelfTest, write_bundle

    record, dataset, split = run.record, prepared.dataset, prepared.split
    manifest = BundleManifest(
        schema=SCHEMA, name=dataset.name, task=Task.ANOMALY, labels=LabelSet((NORMAL, ANOMALOUS)), image=detector.spec,
        model=name, normalisation=normalisation_of(name), temperature=1.0,
        decision={"rule": PATCH_MEMORY, "normal": list(normal), "limits": to_plain(detector.limits)},
        provenance={"versions": versions(), "data": origin(dataset, split), "run": record.name,
                    "command": record.command, "seed": record.seed},
        files={},
    )  # fmt: skip
    names, images = self_test_images(dataset, split, prepared.pixels)
    exam = SelfTest(names, images, detector.predict(images).scores[:, None])
    compared = compared_images(exam, detector.spec, split.part("test"), prepared.pixels)
    return write_bundle(
        run.bundle_path, manifest=manifest, save_model=detector.keras_model.save, exam=exam,
        light=light_form(detector, compared, progress),
    )  # fmt: skip


def measure(detector: Detector, prepared: Prepared, normal: tuple[str, ...], progress: Progress) -> AnomalyEvaluation:
    """Score the test images and evaluate the scores against their classes; intervals count duplicates as one.

    Args:
        detector: The detector, as opened from its bundle.
        prepared: The image set with its own classes.
        normal: The classes that are normal.
        progress: Where to report.
    """
    from keensight.assess.anomaly import evaluate
    from keensight.data.audit.duplicates import ties
    from keensight.data.units import clusters

    dataset, pixels = prepared.dataset, prepared.pixels
    rows = _readable(prepared.split.part("test"), pixels)
    started = time.perf_counter()
    levels = levels_of(detector, rows, pixels, progress)
    scores = detector.score(levels)
    samples = [dataset.samples[int(row)] for row in rows]
    groups = clusters(dataset.samples, rows, ties(prepared.findings, dataset))
    evaluation = evaluate(scores, [sample.label for sample in samples], normal, detector.limits, groups=groups)
    seconds = time.perf_counter() - started
    anomaly_scores = AnomalyScores(
        tuple(sample.path for sample in samples), scores, maps=detector.maps(levels),
        indices=rows, truth=tuple(sample.label for sample in samples),
    )  # fmt: skip
    return dataclasses.replace(evaluation, anomaly_scores=anomaly_scores, dataset=dataset, seconds=seconds)


def keep_pictures(run: Run, evaluation: AnomalyEvaluation, pixels: Pixels) -> None:
    """Save the heatmaps for the report, so that it can be rewritten without the source."""
    from keensight.show.anomaly import overlay, picked
    from keensight.show.thumbnails import encode
    from keensight.store.pictures import save_pictures

    anomaly_scores = evaluation.anomaly_scores
    assert anomaly_scores is not None
    assert anomaly_scores.maps is not None
    assert anomaly_scores.indices is not None
    kept = {}
    for place in (place for places in picked(evaluation).values() for place in places):
        image = pixels.take(anomaly_scores.indices[place : place + 1])[0]
        shown = overlay(image, anomaly_scores.maps[place], anomaly_scores.scores[place] >= 1)
        kept[anomaly_scores.paths[place]] = encode(shown)
    save_pictures(run.pictures_path, kept)


def stored(run: Run) -> AnomalyEvaluation:
    """The stored evaluation of a detector's run, with its scores and heatmaps.

    Raises:
        StoreError: the run has none.
    """
    from keensight.store.pictures import KeptPictures
    from keensight.store.run_tables import read_anomalies

    dataset = dataclasses.replace(run.dataset, reader=KeptPictures(run.pictures_path))
    return read_anomalies(run.path, dataset)


def report(run: Run, evaluation: AnomalyEvaluation) -> Path:
    """Write the report of a detector's run, with its stored heatmaps."""
    from keensight.show.anomaly import write_anomaly_report
    from keensight.store.bundle import CARD

    config, card = run.config_path.read_text(encoding="utf-8"), run.bundle_path / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    return write_anomaly_report(run.report_path, run.record, evaluation, config, run.split, text, run.audit)
