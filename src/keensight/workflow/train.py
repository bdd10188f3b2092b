"""The complete pipeline, from a source to a finished run."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Unpack, cast

import numpy as np

from keensight.core.audit import AuditReport
from keensight.core.comparison import Spread
from keensight.core.config import ModelConfig, RunConfig
from keensight.core.effort import EFFORTS
from keensight.core.labels import Correction
from keensight.core.options import SeedsOptions, TrainOptions, with_options
from keensight.core.progress import Logged, Progress
from keensight.core.reading import reading_lines
from keensight.core.records import Dataset, Epoch, Split
from keensight.core.task import Task
from keensight.core.trackers import Track, TrackedRun
from keensight.core.training_state import Checkpoints, StoppedEarly
from keensight.errors import InterruptedRun, KeensightError, StoreError, UsageError
from keensight.workflow import anomaly, anomaly_split
from keensight.workflow.audit import refuse_severe
from keensight.workflow.augmented_copies import tie_augmented_copies
from keensight.workflow.bundle import versions
from keensight.workflow.calibrate import check as check_decision
from keensight.workflow.choose_model import likely_model
from keensight.workflow.decide import Decider, begun
from keensight.workflow.distributed import (
    Workers,
    decode_on,
    extract_on,
    for_workers,
    refuse_other_workers,
    refuse_unsupported,
    refuse_without_work,
    what_they_do,
)
from keensight.workflow.features import Ties
from keensight.workflow.finish import Trained, finish
from keensight.workflow.fit import augmentation, head_only, run_fit, transfers
from keensight.workflow.label_errors import wanted
from keensight.workflow.prepare import Prepared, as_prepared, input_spec, open_source, prepare_data, refuse_unsplittable
from keensight.workflow.progress import shown
from keensight.workflow.refit_head import refit_head
from keensight.workflow.steps import Source, build, configure, prepare, start_weights
from keensight.workflow.trackers import tracking
from keensight.workflow.unused_settings import without_effect

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.data.cache import CacheMode
    from keensight.nets.classifier import Classifier
    from keensight.nets.training.job import Team
    from keensight.nets.training.transfer import Transferred
    from keensight.store.checkpoint import CheckpointFolder
    from keensight.store.run import Run


@with_options(TrainOptions)
def train(  # noqa: PLR0913 - public options, by keyword
    source: Source,
    *,
    run: str | Path | None = None,
    replace: bool = False,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    command: str = "",
    track: Track = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
    **options: Unpack[TrainOptions],
) -> Run:
    """Train a classifier: open, decode, audit, split, train, bundle, evaluate, report.

    Args:
        source: See :func:`open`.
        run: Folder of the run; None: a new one under ``runs/``.
        replace: Delete an earlier run in that folder first.
        config: Settings; None: the defaults.
        settings: Changes to them, such as ``{"train.epochs": 5}``.
        command: The command line, for the record.
        track: Experiment trackers that follow the run: ``"mlflow"``, ``"mlflow=http://localhost:5000"``, ``"wandb"``,
            ``"tensorboard"``, those of other packages, or objects (:class:`keensight.core.trackers.Tracker`). One that
            fails costs a warning, never the training.
        workers: Worker processes that train the network together, ``keensight.scale.train.RayWorkers(2)`` for example;
            None: this process trains it.
        progress: Where to report.
        **options: Every setting by its name, such as ``epochs=5``; they win over ``settings``.

    Returns:
        The finished run; ``run.record.results`` has the metrics.

    Raises:
        DataError: the images cannot be used; nothing has been written then.
        GateError: ``strict`` was asked for and the audit found something severe; the run says ``failed``.
        TrainingError: training broke off; the run says ``failed``.
        UsageError: a setting is not for several workers.
        InterruptedRun: Ctrl-C, or a notebook's stop button; the run says ``interrupted``, and from the first epoch on
            it keeps a bundle of the best weights so far, which was not measured (not with workers).

    Examples:
        >>> run = ks.train("photos/", model="cnn", effort="quick", epochs=2, flip="none")
        >>> run.state, run.report_path.name
        ('finished', 'report.html')
    """
    from keensight.data import cache_limit
    from keensight.nets import runtime
    from keensight.nets.models.backbones import ARCHITECTURES
    from keensight.store.create_run import create_run
    from keensight.store.manage_runs import delete_run
    from keensight.store.run import is_run

    started = time.perf_counter()
    chosen = configure(config, settings, **options)
    if chosen.model.name != "auto":
        ARCHITECTURES[chosen.model.name]  # a wrong name is refused before any work
    start_weights(chosen.model.weights)
    refuse_untestable(chosen)
    cache_limit.limit()  # a wrong one is refused before any work, too
    if workers is not None:
        refuse_unsupported(chosen, workers)
    progress = shown(progress)
    tracker = tracking(track, progress.say)
    if not isinstance(source, (str, Path)) or Path(source).exists():  # else open fails immediately
        runtime.start_in_background()
    dataset, decisions = open_source(source, chosen, progress)
    check_decision(chosen.decision, dataset.task)
    if chosen.data.task == Task.ANOMALY:
        anomaly_split.refuse_unsplittable(dataset, anomaly.normal_classes(dataset, chosen), chosen)
    else:
        refuse_unsplittable(dataset, chosen)
    if workers is not None:
        refuse_without_work(chosen.with_values({"model.name": likely_model(dataset, chosen)}), workers, len(dataset))
    place = None if run is None else Path(run)
    if replace and place is not None and is_run(place):
        refuse_to_delete_inputs(place, source, chosen)
        delete_run(place)
    handle = create_run(
        place,
        name=dataset.name,
        source=dataset.name,
        model=chosen.model.name,
        command=command,
        seed=chosen.train.seed,
        versions=versions(),
        config_toml=chosen.to_toml(),
        decisions=lambda place: dataclasses.replace(
            begun(dataset, chosen, source, place), workers=None if workers is None else workers.count
        ),
    )
    return go_on(handle, dataset, chosen, decisions, progress, started, tracker=tracker, workers=workers)


def refuse_to_delete_inputs(run: Path, source: Source, config: RunConfig) -> None:
    """Refuse to replace a run that contains what the new one is made from.

    Raises:
        UsageError: the images, a table, label corrections or the start weights are inside it.
    """
    data, weights = config.data, start_weights(config.model.weights)
    inputs = {
        "the images": source, "the table --val": data.val, "the table --test": data.test,
        "the file of corrections": data.corrections,
        "the start weights": weights if isinstance(weights, Path) else None,
    }  # fmt: skip
    for what, place in inputs.items():
        if isinstance(place, (str, Path)) and Path(place).resolve().is_relative_to(run.resolve()):
            raise UsageError(
                f"--replace would delete {what}, inside the run {run}",
                "copy them elsewhere, or give --run another folder",
            )


def refuse_untestable(config: RunConfig) -> None:
    """Refuse an anomaly detector without a test.

    Raises:
        UsageError: that is what the settings ask for.
    """
    if config.data.task == Task.ANOMALY and config.train.evaluate_on == "validation":
        raise UsageError(
            "train.evaluate_on=validation works for classification only", "an anomaly detector is always tested"
        )


class Follower(Protocol):
    """What follows a training: trackers, or a study that may end it by raising an exception after an epoch."""

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """The settings are decided."""
        ...

    def epoch(self, epoch: Epoch) -> None:
        """An epoch has ended."""
        ...

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """The run is finished."""
        ...

    def failed(self, message: str) -> None:
        """The run failed or was stopped."""
        ...


def go_on(  # noqa: PLR0913 - what a run begins with
    run: Run,
    dataset: Dataset,
    config: RunConfig,
    corrections: Sequence[Correction],
    progress: Progress,
    started: float,
    *,
    tracker: Follower | None = None,
    divided: Divided | None = None,
    workers: Workers | None = None,
) -> Run:
    """Everything after a run was created, or taken up again.

    Args:
        run: The run, with its decisions so far.
        dataset: The image set.
        config: The settings as given.
        corrections: What was applied to the dataset.
        progress: Where to report.
        started: When the command began, of ``time.perf_counter``.
        tracker: What follows the training.
        divided: Audit and split that are made already; None: they are made here.
        workers: Worker processes that train the network.
    """
    tracker = tracker or tracking(None, progress.say)
    progress = Logged(progress, run.log)
    with recorded(run, tracker):
        known = run.decisions
        assert known is not None
        refuse_other_workers(run, known, workers)
        for line in reading_lines(dataset):
            run.log(line)
        if corrections:
            run.save_corrections(corrections)
        decider = Decider(run, known)
        with decider.engine(config.train.engine, progress):
            if config.data.task == Task.ANOMALY:
                normal = anomaly.normal_classes(dataset, config)
                tracker.started(tracked(run), config)
                run = anomaly.walk(decider, dataset, normal, config, progress, started)
            else:
                run = _walk(decider, dataset, config, progress, Beside(started, tracker, divided, workers))
        tracker.finished(run.record.results, artifacts_of(run))
        return run


@dataclass(frozen=True, slots=True)
class Divided:
    """An audit and a split that several runs share."""

    findings: AuditReport
    split: Split


@dataclass(frozen=True, slots=True)
class Beside:
    """What accompanies a training."""

    started: float
    """When the command began, of ``time.perf_counter``."""
    tracker: Follower
    divided: Divided | None
    """Audit and split; None: they are made."""
    workers: Workers | None
    """Worker processes that train the network; None: this process does."""


def tracked(run: Run) -> TrackedRun:
    """A run as trackers see it."""
    record = run.record
    return TrackedRun(
        record.name, run.path, record.source, record.model, record.seed, record.command, dict(record.versions)
    )


def artifacts_of(run: Run) -> dict[str, Path]:
    """The files of a finished run that a tracker keeps."""
    paths = (run.report_path, run.config_path, run.bundle_path)
    return {path.name: path for path in paths}


def _prepared(
    decider: Decider, dataset: Dataset, config: RunConfig, model: str, progress: Progress, divided: Divided | None
) -> Prepared:
    """Images at the size of a model, audit and split; the last two are recorded."""
    spec, run = input_spec(dataset, config, model), decider.run
    if divided is None:
        probes = EFFORTS[config.train.effort].shortcuts
        prepared = prepare_data(dataset, spec, config, progress, probes=probes)
    else:
        pixels = prepare(dataset, spec, cache=cast("CacheMode", config.data.cache), progress=progress)
        prepared = Prepared(dataset, pixels, divided.findings, divided.split)
    run.save_dataset(dataset)
    run.save_audit(prepared.findings)
    if config.data.strict:
        refuse_severe(prepared.findings)
    run.save_split(prepared.split, dataset)
    return prepared


def _walk(decider: Decider, dataset: Dataset, config: RunConfig, progress: Progress, beside: Beside) -> Run:
    from keensight.data.audit.duplicates import ties
    from keensight.nets import gpu, runtime

    run = decider.run
    likely = likely_model(dataset, config)  # usually the final choice, so that images are decoded once
    decode_on(beside.workers, dataset, config, likely, progress)
    prepared = _prepared(decider, dataset, config, likely, progress, beside.divided)
    findings, split = prepared.findings, prepared.split
    choice = decider.model(dataset, split, config, progress)
    config = config.with_values({"model.name": choice.name})
    refuse_without_work(config, beside.workers, len(split.train))
    pixels = prepared.pixels
    if choice.name != likely:  # a comparison chose another one, with another input size
        spec, cache = input_spec(dataset, config, choice.name), cast("CacheMode", config.data.cache)
        pixels = prepare(dataset, spec, cache=cache, progress=progress)
    # This late, to avoid waiting for the framework's import.
    threads = decider.use_threads(config.train.threads)
    told = findings
    extract_on(beside.workers, run, dataclasses.replace(prepared, pixels=pixels), config, progress)
    if beside.divided is None:
        findings, split = tie_augmented_copies(dataset, pixels, findings, split, config, progress)
    if findings is not told:
        run.save_audit(findings)
        run.save_split(split, dataset)
        if config.data.strict:
            refuse_severe(findings)
    decider.keep_split(split, dataset)
    largest = input_spec(dataset, config, choice.name, "quick")
    progress.say(f"model: {choice.name} ({choice.reason})")
    progress.detail(f"CPU threads: {threads.name} ({threads.reason})")
    if runtime.sees_gpu((decider.decisions.device or "").split(",")):
        progress.say(f"GPU: {gpu.gpu_name()}, used by TensorFlow")
    images = Images(dataset, split, pixels, ties(findings, dataset))
    config, classifier, done = _fitted(decider, images, config, progress, beside)
    trained = Trained(classifier, done.history, dataset, split, pixels, findings, config, held_out=done.held_out)
    run = finish(run, refit_head(trained, largest, progress), progress, beside.started)
    _checkpoints(run, config, progress).clear()
    return run


def _checkpoints(run: Run, config: RunConfig, progress: Progress) -> CheckpointFolder:
    from keensight.store.checkpoint import CheckpointFolder

    return CheckpointFolder(run.checkpoints_path, config.train.checkpoint_minutes, progress.say)


@dataclass(frozen=True, slots=True)
class Images:
    """An image set, its split and its decoded images."""

    dataset: Dataset
    split: Split
    pixels: Pixels
    tied: Ties
    """Groups of duplicates."""


def _fitted(
    decider: Decider, images: Images, asked: RunConfig, progress: Progress, beside: Beside
) -> tuple[RunConfig, Classifier, Transferred]:
    """Resolve the settings and train; if memory is exhausted and they ask for it, again with smaller batches."""
    from keensight.nets.training.failures import OutOfMemory

    checkpoints = _checkpoints(decider.run, asked, progress)
    dataset, split, pixels = images.dataset, images.split, images.pixels
    tracker, workers, team = beside.tracker, beside.workers, None
    asked = for_workers(asked, split, workers)
    if workers is not None:
        team = workers.team(decider.run, asked.train.checkpoint_minutes, dataset, pixels)
        progress.say(what_they_do(asked, workers))
    while True:
        config, reasons, details = resolve(decider.with_precision(asked), dataset, split, pixels)
        decider.note(precision=config.train.precision)
        for reason in reasons:
            progress.say(reason)
        for detail in details:
            progress.detail(detail)
        decider.run.save_config(config.to_toml(without_effect(config, dataset)))
        run = decider.run.update(state="training", model=config.model.name)
        tracker.started(tracked(run), config)
        tensorboard = run.path / "tensorboard" if config.train.tensorboard else None
        try:
            done = train_network(
                dataset,
                split,
                pixels,
                config,
                progress,
                on_epoch=partial(_note_epoch, run, tracker),
                tensorboard=tensorboard,
                checkpoints=checkpoints,
                team=team,
                tied=images.tied,
            )
        except OutOfMemory as error:
            size = config.train.batch_size or 1
            if size == 1 or not config.train.halve_batch:
                raise
            progress.say(f"{error.message}: training starts again with {size // 2}")
            asked = asked.with_values({"train.batch_size": size // 2})
            decider.keep_batch_size(size // 2)
            checkpoints.clear()
        else:
            return config, *done


def train_network(  # noqa: PLR0913 - callbacks by keyword
    dataset: Dataset,
    split: Split,
    pixels: Pixels,
    config: RunConfig,
    progress: Progress,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    tensorboard: Path | None = None,
    checkpoints: Checkpoints | None = None,
    team: Team | None = None,
    tied: Ties = (),
) -> tuple[Classifier, Transferred]:
    """Build and train the network in the settings; no ``auto`` is left in them.

    Where only a head is fitted, it is fitted to the validation images too.

    Stopped by the user after an epoch, the network has its best weights, and the history says ``interrupted``.
    """
    from keensight.assess.thresholds import DEFAULT
    from keensight.nets import runtime
    from keensight.nets.classifier import Classifier
    from keensight.nets.training.fit import TrainingInterrupted
    from keensight.nets.training.transfer import Transferred

    runtime.configure(seed=config.train.seed)
    net = config.model
    model = build(dataset, pixels.spec, net.name, width=net.width, dropout=net.dropout, weights=net.weights)
    try:
        done = run_fit(
            model,
            dataset,
            split,
            pixels,
            config,
            on_epoch=on_epoch,
            tensorboard=tensorboard,
            checkpoints=checkpoints,
            team=team,
            refit=True,
            tied=tied,
            progress=progress,
        )
    except TrainingInterrupted as stop:
        done = Transferred(stop.history, None)
    thresholds = (DEFAULT,) * len(dataset.labels) if dataset.task == Task.MULTILABEL else None
    return Classifier(model, dataset.labels, pixels.spec, thresholds=thresholds), done


def _note_epoch(run: Run, tracker: Follower, epoch: Epoch) -> None:
    run.append_epoch(epoch)
    run.log(
        f"epoch {epoch.epoch} ({epoch.phase}) loss {epoch.loss:.4f} accuracy {epoch.accuracy:.4f} "
        f"val_loss {epoch.val_loss:.4f} val_accuracy {epoch.val_accuracy:.4f} "
        + (f"val_map {epoch.val_map:.4f} " if epoch.val_map is not None else "")
        + f"in {epoch.seconds:.1f} s"
    )
    tracker.epoch(epoch)


def resolve(
    config: RunConfig, dataset: Dataset, split: Split, pixels: Pixels
) -> tuple[RunConfig, list[str], list[str]]:
    """Decide every ``auto`` and every number that was not given.

    Returns:
        The resolved settings, the reasons for users, and the technical details.
    """
    from keensight.data.cache import cache_directory
    from keensight.nets.models.backbones import ARCHITECTURES
    from keensight.nets.training.fit import optimizer_of, schedule
    from keensight.nets.training.precision import choose_precision

    spec = pixels.shape
    numbers = schedule(config.train, config.model.name, len(split.train))
    epochs = 0 if head_only(config) else numbers.epochs
    seen = epochs * len(split.train) * spec[0] * spec[1]
    changes = augmentation(config, dataset, split, pixels)  # first, while the framework is still being imported
    precision = choose_precision(
        config.train.precision,
        seen,
        cache_directory() / "precision.json",
        depthwise=ARCHITECTURES[config.model.name].depthwise,
    )
    resolved = dataclasses.replace(
        config,
        data=dataclasses.replace(as_prepared(config, pixels.spec).data, task=dataset.task),
        model=config.model if transfers(config) else _from_scratch(config.model),
        train=dataclasses.replace(
            config.train,
            ema=numbers.ema,
            optimizer=optimizer_of(config.train, config.model.name),
            epochs=numbers.epochs,
            batch_size=numbers.batch_size,
            learning_rate=numbers.learning_rate,
            patience=numbers.patience,
            precision=precision.name,
            label_smoothing=config.train.label_smoothing if dataset.task == Task.MULTICLASS else 0.0,
        ),
        augment=changes.config,
    )
    checked = "yes" if wanted(resolved) else "no"
    resolved = dataclasses.replace(resolved, train=dataclasses.replace(resolved.train, label_check=checked))
    size = f"input: {spec[1]}x{spec[0]} px"
    if head_only(config):
        return resolved, [size, "training: a logistic-regression head on frozen features"], []
    reasons = [
        size,
        f"training: up to {numbers.epochs} epochs of {numbers.steps} steps, {numbers.batch_size} images each",
        *changes.reasons,
    ]
    return resolved, reasons, [f"precision: {precision.name} ({precision.reason})"]


def _from_scratch(model: ModelConfig) -> ModelConfig:
    """An architecture without ImageNet weights starts from random ones."""
    return dataclasses.replace(model, weights="none") if model.weights == "imagenet" else model


@contextmanager
def recorded(run: Run, tracker: Follower | None = None) -> Iterator[None]:
    """Hold the run while it is worked on, and record in it how that ended.

    Raises:
        StoreError: another process is working on it.
    """
    from keensight.store.run_lock import locked_run

    with locked_run(run.path), _ending(run, tracker or tracking(None, lambda line: None)):
        yield


@contextmanager
def _ending(run: Run, tracker: Follower) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _note_end(run, "interrupted", "stopped by the user", tracker)
        again = "start again"
        if run.decisions is not None:
            again = f"continue with: keensight train --resume {shlex.quote(str(run.path))}"
        if run.bundle_path.is_dir():
            again += f"; the best model so far, not yet evaluated, is in {run.bundle_path}"
        raise InterruptedRun(f"stopped; completed steps are saved in the run {run.path}", again) from None
    except StoppedEarly as stop:
        _note_end(run, "interrupted", str(stop), tracker)
        raise
    except KeensightError as error:
        _note_end(run, "failed", error.message, tracker)
        raise
    except BaseException as error:
        _note_end(run, "failed", f"{type(error).__name__}: {error}", tracker)
        raise


def _note_end(run: Run, state: Literal["failed", "interrupted"], message: str, tracker: Follower) -> None:
    # Where the disk is full or the folder was removed, the first error is what users must see; the run is then dead.
    with suppress(StoreError):
        run.update(state=state, message=message)
    tracker.failed(message)


@with_options(SeedsOptions)
def train_seeds(  # noqa: PLR0913 - public options, by keyword
    source: Source,
    count: int,
    *,
    run: str | Path | None = None,
    replace: bool = False,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    command: str = "",
    track: Track = None,
    progress: Progress | None = None,
    **options: Unpack[SeedsOptions],
) -> tuple[list[Run], tuple[Spread, ...]]:
    """Train ``count`` times, with the seeds ``train.seed``, ``train.seed`` + 1 and so on.

    Each seed has its own training and, without predefined splits, its own split; the standard deviation covers both.

    Args:
        source: What ``train`` takes.
        count: How often, 2 or more.
        run: Folder that gets ``seed-0``, ``seed-1`` and so on; None: each a new one under ``runs/``.
        replace: Delete earlier runs in these folders first.
        config: Settings; None: the defaults.
        settings: Changes to them, such as ``{"train.epochs": 5}``.
        command: The command line, for the record.
        track: As for :func:`train`; each training is a separate run there.
        progress: Where to report.
        **options: As for :func:`train`; ``seed`` is the first one.

    Returns:
        The runs, and mean and standard deviation of their test metrics.

    Raises:
        UsageError: fewer than two seeds, or the task is anomaly detection.

    Examples:
        >>> runs, spread = ks.train_seeds("photos/", 2, model="cnn", effort="quick", epochs=1)
        >>> [run.record.seed for run in runs], [one.figure for one in spread]
        ([0, 1], ['accuracy', 'macro_f1', 'loss'])
    """
    chosen = configure(config, settings, **options)
    if count < 2:
        raise UsageError("a standard deviation needs at least two seeds", "train with two or more, for example 5")
    if chosen.train.evaluate_on == "validation":
        raise UsageError("several seeds are compared by their test results", "leave train.evaluate_on out")
    if chosen.data.task == Task.ANOMALY:
        raise UsageError("several seeds work for classification only", "train an anomaly detector once")
    runs = []
    for seed in range(chosen.train.seed, chosen.train.seed + count):
        folder = None if run is None else Path(run) / f"seed-{seed}"
        made = train(
            source, run=folder, replace=replace, config=chosen, seed=seed, command=command, track=track,
            progress=progress,
        )  # fmt: skip
        runs.append(made)
    return runs, spread_of(runs)


def spread_of(runs: list[Run]) -> tuple[Spread, ...]:
    """Mean and standard deviation of the test metrics of finished runs."""
    found = []
    for name in ("accuracy", "macro_f1", "loss"):
        values = np.array([run.record.results["test"][name] for run in runs], dtype=np.float64)
        found.append(Spread(name, tuple(values.tolist()), float(values.mean()), float(values.std(ddof=1))))
    return tuple(found)
