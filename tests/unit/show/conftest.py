"""Small but complete records: images with a colour per class, and a model that mixes some of them up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from keensight.core.audit import AuditReport, Finding
from keensight.core.evaluation import ClassScore, Evaluated, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.records import (
    BundleManifest,
    Dataset,
    Epoch,
    History,
    ImageSpec,
    LabelSet,
    RunRecord,
    Sample,
    Skipped,
    Split,
)
from keensight.core.task import Task
from keensight.show.report import ReportData


@dataclass(frozen=True)
class Stack:
    """Images in memory, found by the number in their path."""

    images: NDArray[np.uint8]

    def load(self, sample: Sample) -> NDArray[np.uint8]:
        return self.images[int(sample.digest) % len(self.images)]


@dataclass(frozen=True)
class World:
    dataset: Dataset
    split: Split
    evaluation: Evaluated
    history: History
    audit: AuditReport
    report: ReportData


def build_dataset(names: tuple[str, ...], each: int, side: int) -> Dataset:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (min(200, each * len(names)), side, side, 3), dtype=np.uint8)
    samples = tuple(
        Sample(f"folder/{name}/{i}.png", name, str(k * each + i)) for k, name in enumerate(names) for i in range(each)
    )
    return Dataset("small world", "arrays", LabelSet(names), samples, reader=Stack(images))


def build_evaluation(dataset: Dataset, test: tuple[int, ...], wrong: int) -> Evaluated:
    """Every answer is right with 90 %, but the first ``wrong`` images are taken for the next class."""
    k = len(dataset.labels)
    targets = dataset.targets()[list(test)]
    answers = targets.copy()
    answers[:wrong] = (answers[:wrong] + 1) % k
    probabilities = np.full((len(test), k), 0.1 / max(k - 1, 1), dtype=np.float32)
    # The first image is the most confident mistake, the second less so, and so on.
    probabilities[np.arange(len(test)), answers] = np.linspace(0.95, 0.6, len(test))
    confusion = np.zeros((k, k), dtype=int)
    np.add.at(confusion, (targets, answers), 1)
    right = float((targets == answers).mean())
    scores = tuple(
        ClassScore(name, 0.9, 0.8 - 0.1 * (i == 0), 0.85 - 0.1 * (i == 0), int((targets == i).sum()))
        for i, name in enumerate(dataset.labels.names)
    )
    figures = Evaluation(
        part="test", n=len(test), labels=dataset.labels, loss=0.31, accuracy=Interval(right, right - 0.1, right),
        top_k={"1": right, "3": 0.99}, macro_f1=0.84, weighted_f1=0.85, ece=0.02, per_class=scores,
        confusion=tuple(tuple(int(c) for c in row) for row in confusion), baseline_accuracy=1 / k,
    )  # fmt: skip
    paths = tuple(dataset.samples[i].path for i in test)
    predictions = Predictions(paths, dataset.labels, probabilities, indices=np.array(test), truth=targets)
    return Evaluated.of(figures, predictions, dataset)


def build_history(phases: tuple[str, ...] = ("train",)) -> History:
    epochs = tuple(
        Epoch(i + 1, phases[i * len(phases) // 8], 10, 1.5, 0.01, 2 - 0.2 * i, 0.1 * i, 1.8 - 0.2 * i, 0.1 + 0.1 * i)
        for i in range(8)
    )
    return History(epochs, best_epoch=6, stopped="early")


def build_audit(dataset: Dataset) -> AuditReport:
    counts = {name: sum(s.label == name for s in dataset.samples) for name in dataset.labels.names}
    findings = (
        Finding("imbalance", "info", "The classes differ in size.", 2),
        Finding("label-conflict", "severe", "1 image stands under two classes.", 1, (("a/1.png", "b/1.png"),)),
    )
    return AuditReport(
        dataset=dataset.name, n=len(dataset), counts=counts, parts={}, formats={"PNG": len(dataset)},
        modes={"RGB": len(dataset)}, sizes={"12x12": len(dataset)}, width_range=(12, 12, 12),
        height_range=(12, 12, 12), grey_share=0.25, findings=findings,
        quarantined=(Skipped("a/broken<1>.jpg", "the file is empty"),), skipped=(Skipped("Thumbs.db", "no image"),),
    )  # fmt: skip


def build_world(
    names: tuple[str, ...] = ("cat", "dog", "owl"), each: int = 20, side: int = 12, wrong: int = 3
) -> World:
    dataset = build_dataset(names, each, side)
    order = tuple(int(i) for i in np.random.default_rng(1).permutation(len(dataset)))
    a, b = len(order) // 2, 3 * len(order) // 4
    split = Split(order[:a], order[a:b], order[b:], "Stratified by class.")
    evaluation = build_evaluation(dataset, split.test, wrong)
    history, audit = build_history(), build_audit(dataset)
    record = RunRecord(
        1, "first try", "finished", "2025-01-02T03:04:05Z", "2025-01-02T03:14:05Z", dataset.name, "cnn",
        "keensight train <photos> --seed 7", 7, {"keras": "3.15.1"},
    )  # fmt: skip
    manifest = BundleManifest(
        1, "first try", Task.MULTICLASS, dataset.labels, ImageSpec(12, 12), "cnn", "x / 255", 1.25, {},
        {"data": {"digest": "abc123"}, "metrics": {"accuracy": 1.0}}, {},
    )  # fmt: skip
    report = ReportData(record, evaluation, history, audit, split, manifest, dataset, '[model]\nname = "cnn"\n')
    return World(dataset, split, evaluation, history, audit, report)


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """The builder of worlds, for tests that want a special one."""
    return build_world


@pytest.fixture(scope="session")
def world() -> World:
    return build_world()


@pytest.fixture(scope="session")
def two_phases() -> History:
    return build_history(("head", "fine-tune"))
