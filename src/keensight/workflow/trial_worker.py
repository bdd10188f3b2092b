"""The process that trains the trials of a study, one after the other.

Run as ``python -m keensight.workflow.trial_worker DIR``, it reads one JSON object a line from standard input and writes
one a line to standard output. If its input ends, because the study was stopped or killed, the training under way stops,
too, and can be continued. Trials have processes of their own so that memory that runs out, or a crash, costs one trial
and not the study.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO

from keensight import errors
from keensight.core.codec import to_plain
from keensight.core.config import RunConfig
from keensight.core.labels import Correction
from keensight.core.progress import Phase, Silent
from keensight.core.records import Dataset, Epoch
from keensight.core.trackers import TrackedRun
from keensight.core.training_state import StoppedEarly
from keensight.errors import DataError, InterruptedRun, KeensightError

if TYPE_CHECKING:
    from keensight.store.run import Run
    from keensight.store.study import Study
    from keensight.workflow.train import Divided

Message = dict[str, Any]
_PAUSE = 0.2
"""Seconds between two reports of a phase under way."""
_TAKEN = 60
"""Seconds to wait for a process of an earlier, killed study to leave a trial's run."""


class Channel:
    """Messages to and from the study's process.

    Args:
        reading: Standard input.
        writing: Standard output.
    """

    def __init__(self, reading: BinaryIO, writing: BinaryIO) -> None:
        self._reading, self._writing = reading, writing
        self._lock = threading.Lock()
        self._arrived: SimpleQueue[Message | None] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, kind: str, /, **message: Any) -> None:
        """Write one message."""
        line = json.dumps({"is": kind, **message}, allow_nan=False).encode() + b"\n"
        with self._lock, suppress(OSError):  # the study's process is gone: the end of the input ends this one
            self._writing.write(line)
            self._writing.flush()

    def receive(self) -> Message | None:
        """Wait for the next message; None: there are no more."""
        return self._arrived.get()

    def _listen(self) -> None:
        for line in self._reading:
            self._arrived.put(json.loads(line))
        self._arrived.put(None)
        _interrupt()


def _interrupt() -> None:
    """Interrupt the main thread as Ctrl-C does, whatever it is waiting for."""
    main = threading.main_thread().ident
    if sys.platform != "win32" and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


class Relayed:
    """Progress that the study's process shows.

    Args:
        channel: Where it is sent.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        """Report one phase of ``total`` units."""
        self._channel.send("task", label=label, total=total, unit=unit)
        phase = _RelayedPhase(self._channel)
        try:
            yield phase
        finally:
            phase.flush()
            self._channel.send("end")

    def say(self, message: str) -> None:
        """Show one line that stays."""
        self._channel.send("say", text=message)

    def detail(self, message: str) -> None:
        """Show one line that only a developer wants."""
        self._channel.send("detail", text=message)


class _RelayedPhase:
    def __init__(self, channel: Channel) -> None:
        self._channel, self._amount, self._note, self._sent = channel, 0, "", 0.0
        self._lock = threading.Lock()

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Report that ``amount`` more units are done."""
        with self._lock:
            self._amount, self._note = self._amount + amount, note or self._note
            due = time.monotonic() - self._sent >= _PAUSE
        if due:
            self.flush()

    def flush(self) -> None:
        """Send what was not sent yet."""
        with self._lock:
            amount, self._amount, self._sent = self._amount, 0, time.monotonic()
        if amount:
            self._channel.send("advance", amount=amount, note=self._note)


class Reporter:
    """Follows a trial: sends its epochs, and stops it if the study says so.

    Args:
        channel: Where they are sent.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel, self._planned, self._head, self.epochs = channel, 1, 0, 0

    def started(self, run: TrackedRun, config: RunConfig) -> None:
        """Send the settings, with every ``auto`` decided."""
        self._planned = config.train.epochs or 1
        self._channel.send("started", model=run.model, settings=config.by_name())

    def epoch(self, epoch: Epoch) -> None:
        """Send an epoch, and wait whether to go on.

        Raises:
            StoppedEarly: other trials were better at this point.
        """
        self._channel.send("epoch", epoch=_finite(to_plain(epoch)))
        if epoch.phase == "head":  # the same for all trials of a network and an image size: nothing to judge by
            self._head = epoch.epoch
            return
        self.epochs = epoch.epoch - self._head  # a trial that was resumed does not begin at 1
        self._channel.send("reached", value=epoch.reached, fraction=min(1.0, self.epochs / self._planned))
        reply = self._channel.receive()
        if reply is None:  # the interrupt is on its way; a second one would meet the saving of what is done
            time.sleep(_PAUSE * 50)
            raise KeyboardInterrupt
        if reply["do"] == "stop":
            raise StoppedEarly(reply["why"])

    def finished(self, results: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
        """The results are sent with the end of the trial."""

    def failed(self, message: str) -> None:
        """The reason is sent with the end of the trial."""


def _finite(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """An undefined metric is null: JSON has no NaN."""
    return {name: None if isinstance(value, float) and value != value else value for name, value in epoch.items()}


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker needs for every trial."""

    study: Study
    dataset: Dataset
    corrections: Sequence[Correction]
    source: str
    """Where the images are."""
    config: RunConfig
    """The settings that all trials share, as given."""
    channel: Channel


def begin(folder: Path, source: str | None, channel: Channel) -> Work:
    """Open a study and its images.

    Args:
        folder: The study.
        source: Where its images are; None: where they were when it began.
        channel: The study's process.

    Raises:
        DataError: the images are not those that the study was started with.
    """
    from keensight.store.study import open_study
    from keensight.workflow.decide import identity, settings_of, source_of
    from keensight.workflow.prepare import open_source

    study = open_study(folder)
    known = study.record.decisions
    config, place = settings_of(study, known, source), source or source_of(study, known)
    dataset, corrections = open_source(place, config, Silent())
    if identity(dataset) != known.dataset:
        raise DataError(
            f"the images of {place} are not those that the study {folder} was started with",
            "restore them, or start a new study",
        )
    return Work(study, dataset, corrections, place, config, channel)


def prepare_study(work: Work) -> Message:
    """Decode, audit and split the images for all trials, and choose the model that they share.

    Returns:
        The model, why it was chosen, the digest of the split, and what the defaults are in numbers.
    """
    from keensight.core.effort import EFFORTS
    from keensight.core.records import split_digest
    from keensight.workflow.audit import refuse_severe
    from keensight.workflow.augmented_copies import tie_augmented_copies
    from keensight.workflow.choose_model import choose_model, likely_model
    from keensight.workflow.prepare import input_spec, prepare_data
    from keensight.workflow.steps import prepare

    progress, config, dataset = Relayed(work.channel), work.config, work.dataset
    spec = input_spec(dataset, config, likely_model(dataset, config))
    probes = EFFORTS[config.train.effort].shortcuts
    prepared = prepare_data(dataset, spec, config, progress, probes=probes)
    if config.data.strict:
        refuse_severe(prepared.findings)
    _use_threads(config)
    choice = choose_model(dataset, prepared.split, config, progress)
    config = config.with_values({"model.name": choice.name})
    pixels, wanted = prepared.pixels, input_spec(dataset, config, choice.name)
    if wanted != pixels.spec:
        pixels = prepare(dataset, wanted, progress=progress)
    findings, split = tie_augmented_copies(dataset, pixels, prepared.findings, prepared.split, config, progress)
    work.study.save_division(dataset, findings, split)
    return {
        "model": choice.name, "reason": choice.reason, "split": split_digest(split, dataset),
        "defaults": _automatic(config, len(split.train)),
    }  # fmt: skip


def _automatic(config: RunConfig, images: int) -> dict[str, Any]:
    """What numbers are that are not set."""
    from keensight.nets.models.backbones import ARCHITECTURES
    from keensight.nets.training.fit import schedule

    own, numbers = ARCHITECTURES[config.model.name], schedule(config.train, config.model.name, images)
    return {
        "train.learning_rate": numbers.learning_rate, "train.epochs": numbers.epochs, "train.ema": numbers.ema,
        "train.batch_size": numbers.batch_size, "train.patience": numbers.patience, "model.dropout": own.dropout,
        "model.width": own.width, "augment.crop": own.crop, "augment.erase": own.erase,
    }  # fmt: skip


def _use_threads(config: RunConfig) -> None:
    from keensight.data.cache import cache_directory
    from keensight.nets import runtime

    runtime.use_threads(config.train.threads, cache_directory() / "threads.json")


def run_trial(work: Work, number: int, settings: Mapping[str, Any], reporter: Reporter) -> Run:
    """Train a trial, or continue one that was stopped.

    Args:
        work: The study.
        number: Number of the trial.
        settings: The settings that are tried.
        reporter: What follows it.

    Returns:
        Its finished run, without a test.
    """
    from keensight.store.run import is_run, open_run
    from keensight.store.run_lock import take_over
    from keensight.workflow.decide import settings_of
    from keensight.workflow.resume import decisions_of
    from keensight.workflow.train import Divided, go_on

    started, place = time.perf_counter(), work.study.trial_path(number)
    divided = Divided(*work.study.division())
    if not is_run(place):
        return _begun(work, place, settings, reporter, divided)
    handle = open_run(place)
    if handle.record.state == "finished":
        return handle
    _wait_for(handle)
    handle = take_over(handle, unseen=True)  # the study is this process's, and so are its trials
    handle.clear_results()
    handle.log("resumed")
    config = settings_of(handle, decisions_of(handle))
    return go_on(
        handle, work.dataset, config, work.corrections, Silent(), started, tracker=reporter, divided=divided
    )  # fmt: skip


def _begun(work: Work, place: Path, settings: Mapping[str, Any], reporter: Reporter, divided: Divided) -> Run:
    from keensight.store.create_run import create_run
    from keensight.workflow.bundle import versions
    from keensight.workflow.decide import begun
    from keensight.workflow.train import go_on

    started, record = time.perf_counter(), work.study.record
    config = work.config.with_values({"model.name": record.model, **settings, "train.evaluate_on": "validation"})
    handle = create_run(
        place,
        name=work.dataset.name,
        source=work.dataset.name,
        model=config.model.name,
        command=record.command,
        seed=config.train.seed,
        versions=versions(),
        config_toml=config.to_toml(),
        decisions=partial(begun, work.dataset, config, work.source),
    )
    return go_on(
        handle, work.dataset, config, work.corrections, Silent(), started, tracker=reporter, divided=divided
    )  # fmt: skip


def _wait_for(run: Run) -> None:
    """Wait for a process that is just ending, because its study was killed."""
    until = time.monotonic() + _TAKEN
    while run.alive and time.monotonic() < until:
        time.sleep(0.5)


def evaluate_chosen(work: Work, number: int, trials: int) -> Message:
    """Evaluate the chosen trial on the test set, the only time that it is used; returns the results."""
    from keensight.store.run import open_run
    from keensight.workflow.evaluate import report
    from keensight.workflow.final_test import final_test

    run = open_run(work.study.trial_path(number))
    chosen = {"study": work.study.record.name, "metric": work.study.record.metric, "trials": trials}
    if "test" not in run.record.results:
        run = final_test(run, work.dataset, Relayed(work.channel), chosen)
    elif not run.report_path.is_file():  # stopped between the two
        report(run)
    return {"results": to_plain(run.record.results)}


def ended(work: Work, number: int, settings: Mapping[str, Any]) -> Message:
    """Train one trial and tell how it ended."""
    from keensight.store.checkpoint import CheckpointFolder

    started, reporter = time.perf_counter(), Reporter(work.channel)
    told: Message = {}
    try:
        run = run_trial(work, number, settings, reporter)
        told = {"state": "complete", "results": to_plain(run.record.results)}
    except StoppedEarly as stop:
        told = {"state": "stopped", "message": str(stop)}
        CheckpointFolder(work.study.trial_path(number) / "checkpoints", minutes=0).clear()
    except InterruptedRun:
        raise KeyboardInterrupt from None
    except KeensightError as error:
        told = {"state": "failed", "message": f"{error.message} ({error.hint})" if error.hint else error.message}
    except Exception as error:
        told = {"state": "failed", "message": f"{type(error).__name__}: {error}"}
    return {**told, "seconds": round(time.perf_counter() - started, 2), "epochs": reporter.epochs}


def serve(folder: Path, source: str | None, channel: Channel) -> None:
    """Do what the study's process asks for, until its messages end."""
    work: Work | None = None
    while (asked := channel.receive()) is not None:
        try:
            # The record has changed since: the model and the space are decided after the first request.
            work = begin(folder, source, channel) if work is None else _again(work)
            channel.send("done", **_ANSWERS[asked["do"]](work, asked))
        except KeensightError as error:
            kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == errors.__name__)
            channel.send("refused", kind=kind, message=error.message, hint=error.hint)
        except Exception as error:
            channel.send("refused", kind="TrainingError", message=f"{type(error).__name__}: {error}", hint="")


def _again(work: Work) -> Work:
    import dataclasses

    from keensight.store.study import open_study

    return dataclasses.replace(work, study=open_study(work.study.path))


_ANSWERS: Mapping[str, Callable[[Work, Message], Message]] = {
    "prepare": lambda work, asked: prepare_study(work),
    "trial": lambda work, asked: ended(work, asked["number"], asked["settings"]),
    "test": lambda work, asked: evaluate_chosen(work, asked["number"], asked["trials"]),
}


def main(arguments: Sequence[str]) -> None:
    """Run as a separate process.

    Args:
        arguments: The folder of the study, and where its images are if they were moved.
    """
    # Libraries print to standard output, which is for messages here.
    writing, reading = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the study ignores it, in the background of a shell
    folder, *source = arguments
    with suppress(KeyboardInterrupt):
        serve(Path(folder), source[0] if source else None, Channel(reading, writing))
    with suppress(OSError):
        writing.close()
    os._exit(0)  # without dismantling TensorFlow, which takes over a second


if __name__ == "__main__":
    main(sys.argv[1:])
