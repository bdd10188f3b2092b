"""Search settings: train several times, choose by the validation set, and test only the chosen model."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from keensight.core.codec import from_plain
from keensight.core.config import RunConfig
from keensight.core.config import settings as known_settings
from keensight.core.options import SeedsOptions, with_options
from keensight.core.progress import Phase, Progress
from keensight.core.records import Dataset, Epoch
from keensight.core.registry import did_you_mean
from keensight.core.study import METRICS, SCHEMA, StudyRecord, Trial, metric_of
from keensight.core.task import Task
from keensight.core.trackers import Track, TrackedRun, Tracking
from keensight.errors import InterruptedRun, KeensightError, StoreError, TrainingError, UsageError
from keensight.store.run import open_run
from keensight.workflow.bundle import versions
from keensight.workflow.decide import begun, settings_of
from keensight.workflow.prepare import open_source, refuse_unsplittable
from keensight.workflow.progress import shown
from keensight.workflow.sampler import Sampler, refuse_without_optuna
from keensight.workflow.search_space import Space, kind_of, parse_space, search_space
from keensight.workflow.steps import Source, configure, start_weights
from keensight.workflow.trackers import tracking
from keensight.workflow.trial_processes import Events, Message, TrialProcess, answer_of, next_event

if TYPE_CHECKING:
    from keensight.store.study import Study

_TRIALS = 20


@with_options(SeedsOptions)
def tune(  # noqa: PLR0913 - public options, by keyword
    source: Source,
    trials: int = _TRIALS,
    *,
    space: Space | None = None,
    metric: str | None = None,
    minutes: float | None = None,
    workers: int = 1,
    study: str | Path | None = None,
    config: RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    command: str = "",
    track: Track = None,
    progress: Progress | None = None,
    **options: Unpack[SeedsOptions],
) -> Study:
    """Search settings: train several times with different ones, choose by the validation set, test the chosen model.

    All trials have the same images, audit and split, and share decoded images and features of frozen networks through
    the cache. Each is a run in the study's folder. None of them is evaluated on the test set; that is done once, in the
    end, for the chosen one. The best validation result of many trials tends to be too optimistic: the test result
    counts.

    The first trial has the default settings. The next ones are drawn by Optuna's TPE, and those that are worse than
    others in the middle of their training are stopped (ASHA).

    Args:
        source: The path of an image set, or the name of a sample set (see :func:`open`). Images in memory have to be
            saved first, because trials have processes of their own.
        trials: Number of trials.
        space: What is searched: setting to a range, such as ``{"train.learning_rate": (1e-4, 1e-2)}``, or to values,
            such as ``{"train.optimizer": ["sgd", "adamw"]}``; None: a space that fits the model and the effort.
        metric: ``accuracy``, ``macro-f1``, ``loss`` or, of several labels, ``map``, on the validation set; None:
            accuracy, or mAP.
        minutes: After this time no trial begins, and those under way are stopped if one was completed.
        workers: Trials at a time, each with one CPU thread if there are several.
        study: Folder of the study; None: a new one under ``studies/``.
        config: Settings; None: the defaults.
        settings: Changes to them, such as ``{"train.epochs": 5}``; they are not searched.
        command: The command line, for the record.
        track: Experiment trackers, as for :func:`train`; each trial is a run inside that of the study.
        progress: Where to report.
        **options: Settings that all trials share, as for :func:`train`; ``seed`` is also that of the search.

    Returns:
        The study; ``study.run`` is the chosen run, with its test results.

    Raises:
        DataError: the images cannot be used; nothing has been written then.
        UsageError: Optuna is not installed, or a setting, range or metric is not allowed.
        TrainingError: no trial was completed.
        InterruptedRun: Ctrl-C, or a notebook's stop button; :func:`resume_study` continues.

    Examples:
        >>> study = ks.tune("photos/", trials=20, minutes=30)  # doctest: +SKIP
        >>> [trial.state for trial in study.trials], study.run.record.results["chosen"]["trials"]
        (['complete', 'complete'], 2)
    """
    from keensight.store.study import create_study, locked_study, study_folder

    refuse_without_optuna()
    chosen = configure(config, settings, **options)
    _check_numbers(trials, workers, minutes)
    fixed = _fixed(chosen, settings, options)
    given = parse_space(space or {}, fixed)
    _check_config(chosen)
    if not isinstance(source, (str, Path)):
        raise UsageError(
            "the images to tune with are in memory, and trials have processes of their own",
            "save the images as a folder or a table of files, and give its path",
        )
    progress = shown(progress)
    tracker = tracking(track, progress.say)
    dataset, _ = open_source(source, chosen, progress)
    refuse_unsplittable(dataset, chosen)
    place = study_folder(None if study is None else Path(study), dataset.name)
    record = StudyRecord(
        schema=SCHEMA, name=place.absolute().name, state="created", created=_now(), source=dataset.name,
        command=command, metric=_metric(metric, dataset.task), wanted=trials, minutes=minutes, workers=workers,
        decisions=begun(dataset, _for_trials(chosen, workers), source, place), versions=versions(), given=given,
        fixed=tuple(fixed), task=dataset.task,
    )  # fmt: skip
    made = create_study(place, record)
    with locked_study(place):
        return _Search(made, dataset, None, tracker, progress).run()


def resume_study(
    study: str | Path | Study, source: str | Path | None = None, *, track: Track = None,
    progress: Progress | None = None,
) -> Study:  # fmt: skip
    """Continue a study that was interrupted or killed.

    Trials that are complete stay; those that were under way continue from their last checkpoint.

    Args:
        study: The study or its folder.
        source: Where its images are now; None: where the study found them.
        track: Experiment trackers, as for :func:`train`; there it is a new run, with the trials from here on.
        progress: Where to report.

    Returns:
        The finished study; one that was finished before is returned as it is.

    Raises:
        StoreError: it is not a study, or another process is working on it.
        DataError: the images have changed since it began.

    Examples:
        >>> ks.resume_study(study).record.state
        'finished'
    """
    from keensight.store.study import locked_study, open_study
    from keensight.workflow.decide import source_of

    refuse_without_optuna()
    progress = shown(progress)
    handle = open_study(study if isinstance(study, (str, Path)) else study.path)
    if handle.record.state == "finished":
        progress.say(f"the study {handle.path} is finished already")
        return handle
    tracker = tracking(track, progress.say)
    known = handle.record.decisions
    place = None if source is None else str(source)
    dataset, _ = open_source(place or source_of(handle, known), settings_of(handle, known, place), progress)
    with locked_study(handle.path):
        return _Search(open_study(handle.path), dataset, place, tracker, progress).run()


def _check_numbers(trials: int, workers: int, minutes: float | None) -> None:
    if trials < 1 or workers < 1:
        raise UsageError("a study needs at least one trial and one worker", "for example 20 trials")
    if minutes is not None and minutes <= 0:
        raise UsageError(f"{minutes:g} minutes are no time to search", "give a number above 0")


def _check_config(config: RunConfig) -> None:
    from keensight.nets.models.backbones import ARCHITECTURES

    if config.data.task == Task.ANOMALY:
        raise UsageError(
            "tuning is for classifiers: anomaly detectors have no settings to search",
            "train one with its defaults: keensight train SOURCE --task anomaly",
        )
    if config.model.name != "auto":
        ARCHITECTURES[config.model.name]  # a wrong name is refused before any work
    start_weights(config.model.weights)


def _fixed(
    config: RunConfig, settings: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings that were given, and those that differ from their defaults."""
    defaults, named = RunConfig().by_name(), {setting.option: setting.dotted for setting in known_settings()}
    given = {*(settings or {}), *(named.get(name) for name, value in (options or {}).items() if value is not None)}
    return {name: value for name, value in config.by_name().items() if name in given or value != defaults[name]}


def _for_trials(config: RunConfig, workers: int) -> RunConfig:
    """The settings of all trials: one thread each, if there are several at a time."""
    return config if workers == 1 else config.with_values({"train.threads": 1})


def _metric(asked: str | None, task: Task) -> str:
    several = task == Task.MULTILABEL
    name = asked or ("map" if several else "accuracy")
    known = [one for one in METRICS if several or one != "map"]
    if name not in known:
        why = "of one class per image there is no mAP" if name == "map" else f"there is no metric {name!r}"
        raise UsageError(why, did_you_mean(name, known))
    return name


def _now() -> str:
    from keensight.store.run import now

    return now()


class _Search:
    """One process's work on a study.

    Args:
        study: The study, which this process holds.
        dataset: Its images.
        source: Where they are; None: where they were when it began.
        tracker: Follows the study.
        progress: Where to report.
    """

    def __init__(
        self, study: Study, dataset: Dataset, source: str | None, tracker: Tracking, progress: Progress
    ) -> None:
        self._study, self._dataset, self._source = study, dataset, source
        self._tracker, self._progress = tracker, progress
        self._events: Events = Events()
        self._processes: list[TrialProcess] = []
        self._numbers = count()
        self._tracked: dict[int, Tracking] = {}
        self._began: dict[int, float] = {}
        self._started, self._before = time.monotonic(), study.record.spent
        self._exhausted = False

    def run(self) -> Study:
        """Search, choose and test; the study says how it ended."""
        self._study = self._study.update(state="running", message="")
        try:
            with ExitStack() as ending:
                ending.callback(self._end)
                self._prepare()
                if self._study.record.chosen is None:
                    self._search()
                self._choose()
            self._publish()
        except KeyboardInterrupt:
            self._note("interrupted", "stopped by the user")
            raise InterruptedRun(
                f"stopped; completed trials are saved in the study {self._study.path}", self._study.next_step
            ) from None
        except KeensightError as error:
            self._note("failed", error.message)
            raise
        return self._study

    def _note(self, state: str, message: str) -> None:
        self._study = self._study.update(state=state, message=message, spent=self._spent())
        for follower in (*self._tracked.values(), self._tracker):
            follower.failed(message)

    def _spent(self) -> float:
        return round(self._before + time.monotonic() - self._started, 1)

    def _prepare(self) -> None:
        """Audit, split and model for all trials, unless an earlier process has made them."""
        first, record = self._new_process(), self._study.record
        if not record.model:
            first.send("prepare")
            found = answer_of(first, self._events, self._progress)
            given = settings_of(self._study, record.decisions)
            config = given.with_values({"model.name": found["model"]})
            fixed = _fixed(given) if record.fixed is None else {name: given.by_name()[name] for name in record.fixed}
            space = search_space(config, self._dataset, record.given, fixed)
            self._progress.say(f"model: {found['model']} ({found['reason']})")
            self._study = self._study.update(
                model=found["model"], kind=kind_of(config), split_digest=found["split"], space=space,
                defaults=found["defaults"],
            )  # fmt: skip
        for one in self._study.record.space:
            self._progress.say(f"searching {one.name}: {one.in_words}")
        record = self._study.record
        run = TrackedRun(
            record.name, self._study.path, record.source, record.model, self._config().train.seed, record.command,
            record.versions,
        )  # fmt: skip
        self._tracker.started(run, self._config())

    def _config(self) -> RunConfig:
        """The settings of a trial that sets nothing."""
        config = settings_of(self._study, self._study.record.decisions)
        return config.with_values({"model.name": self._study.record.model})

    def _first(self) -> dict[str, Any]:
        """Every setting of the first trial; ``auto`` as a number where the space has numbers only."""
        values = self._config().by_name()
        for one in self._study.record.space:
            if not one.contains(values[one.name]):
                values[one.name] = self._study.record.defaults.get(one.name)
        return values

    def _new_process(self) -> TrialProcess:
        alone = self._study.record.workers == 1
        made = TrialProcess(
            self._study.path.absolute(), next(self._numbers), self._source, alone, self._events
        )  # fmt: skip
        self._processes.append(made)
        return made

    def _search(self) -> None:
        """Run trials until there are enough, or the time is over."""
        record = self._study.record
        sampler = Sampler(self._study, self._first())
        waiting = sampler.unfinished()
        idle = [*self._processes]
        idle += [self._new_process() for _ in range(min(record.workers, record.wanted) - len(idle))]
        busy: dict[TrialProcess, int] = {}
        known = len(record.trials) - len(waiting)
        with self._progress.task("tuning", record.wanted, "trials") as task:
            task.advance(min(known, record.wanted), self._best())
            while True:
                while idle and (number := self._next(sampler, waiting, len(busy))) is not None:
                    process = idle.pop()
                    busy[process] = number
                    self._begin(process, number, sampler.settings(number))
                if not busy:
                    return
                event = next_event(self._events)
                if event is None:
                    continue
                if event[0] in busy:
                    self._handle(event[0], event[1], sampler, busy, idle, task)
                elif event[1] is None and event[0] in idle:  # killed between two trials
                    idle.remove(event[0])
                    self._processes.remove(event[0])
                    idle.append(self._new_process())

    def _next(self, sampler: Sampler, waiting: list[int], under_way: int) -> int | None:
        """Number of the next trial; None: no more begins now."""
        if waiting:
            return waiting.pop(0)
        begun = len([trial for trial in self._study.record.trials if trial.state != "running"]) + under_way
        if self._exhausted or begun >= self._study.record.wanted or self._late():
            return None
        number = sampler.ask()
        if number is None:
            self._exhausted = True
            self._progress.say("all combinations of the values were tried")
        return number

    def _late(self) -> bool:
        minutes = self._study.record.minutes
        return minutes is not None and self._spent() >= 60 * minutes

    def _begin(self, process: TrialProcess, number: int, settings: Mapping[str, Any]) -> None:
        place = self._study.trial_path(number)
        self._study = self._study.with_trial(Trial(number, f"{place.parent.name}/{place.name}", settings, "running"))
        self._began[number] = time.monotonic()
        self._tracked[number] = self._tracker.child()
        process.trial = number
        process.send("trial", number=number, settings=settings)

    def _handle(
        self, process: TrialProcess, message: Message | None, sampler: Sampler, busy: dict[TrialProcess, int],
        idle: list[TrialProcess], task: Phase,
    ) -> None:  # fmt: skip
        number = busy[process]
        if message is None:  # it died: another one takes its place
            del busy[process]
            self._processes.remove(process)
            idle.append(self._new_process())
            why = process.why_dead()
            with suppress(StoreError):  # it has not begun yet
                open_run(self._study.trial_path(number)).update(state="failed", message=why)
            self._ended(sampler, number, {"state": "failed", "message": why})
        elif message["is"] in ("done", "refused"):
            idle.append(process)
            del busy[process]
            self._ended(sampler, number, {"state": "failed", **message})
        else:
            self._follow(process, number, message, sampler)
            return
        task.advance(1, self._best())

    def _follow(self, process: TrialProcess, number: int, message: Message, sampler: Sampler) -> None:
        """Note what a trial reports, and say whether it goes on."""
        match message["is"]:
            case "started":
                config = RunConfig().with_values(message["settings"])
                path = self._study.trial_path(number)
                run = TrackedRun(
                    f"{self._study.record.name}-{path.name}", path, self._study.record.source, message["model"],
                    config.train.seed,
                )  # fmt: skip
                self._tracked[number].started(run, config)
            case "epoch":
                self._tracked[number].epoch(from_plain(Epoch, _with_nan(message["epoch"])))
            case "reached":
                complete = self._study.record.count("complete")
                worse = sampler.should_stop(number, message["value"], message["fraction"], complete)
                if complete and self._late():
                    process.send("stop", why=f"stopped after {self._study.record.minutes:g} minutes of search")
                elif worse:
                    done = f"{message['fraction']:.0%} of its schedule"
                    process.send("stop", why=f"stopped early at {done}: other trials were better at that point")
                else:
                    process.send("go")

    def _ended(self, sampler: Sampler, number: int, message: Message) -> None:
        """Record how a trial ended."""
        begun = next(trial for trial in self._study.record.trials if trial.number == number)
        state, told = message["state"], message.get("message", "")
        value = metric_of(message.get("results", {}), self._study.record.metric)
        if state == "complete" and value is None:
            state, told = "failed", f"its {METRICS[self._study.record.metric]} is not a number"
        seconds = float(message.get("seconds", time.monotonic() - self._began[number]))
        trial = dataclasses.replace(
            begun, state=state, value=value, seconds=round(seconds, 2), epochs=int(message.get("epochs", 0)),
            message=told,
        )  # fmt: skip
        # In this order: what the record lacks is asked for again, what the sampler lacks is found finished.
        self._study = self._study.with_trial(trial).update(spent=self._spent())
        sampler.tell(trial)
        follower = self._tracked.pop(number)
        if state == "complete":
            config = self._study.trial_path(number) / "config.toml"
            follower.finished(message["results"], {config.name: config})
        else:
            follower.failed(told)
        self._progress.say(self._in_words(trial))

    def _in_words(self, trial: Trial) -> str:
        tried = ", ".join(f"{name}={_short(value)}" for name, value in trial.settings.items())
        if trial.value is None:
            return f"trial {trial.number} ({tried}): {trial.message or trial.state}"
        best = self._study.record.best
        first = ", the best so far" if best is not None and best.number == trial.number else ""
        return f"trial {trial.number} ({tried}): {METRICS[self._study.record.metric]} {trial.value:.4f}{first}"

    def _best(self) -> str:
        best = self._study.record.best
        return "" if best is None else f"best {best.value:.4f} (trial {best.number})"

    def _choose(self) -> None:
        """Choose the trial that is best on the validation set, and test it."""
        record, best = self._study.record, self._study.record.best
        if best is None:
            why = next((trial.message for trial in reversed(record.trials) if trial.message), "")
            raise TrainingError(f"no trial was completed{f': {why}' if why else ''}", "see the logs in the study")
        if record.chosen is None:  # once: the test set must not be used for a second one
            self._study = self._study.update(chosen=best.number, importance=self._importance())
        chosen = self._study.record.chosen
        process = self._new_process() if not self._processes else self._processes[0]
        process.send("test", number=chosen, trials=len(record.trials))
        answer = answer_of(process, self._events, self._progress)
        self._study = self._study.update(test=answer["results"]["test"])

    def _importance(self) -> dict[str, float]:
        if len(self._study.record.complete) < _FEWEST or len(self._study.record.space) < 2:
            return {}
        return Sampler(self._study, {}).importance()

    def _publish(self) -> None:
        """The study's page, and the end of its record."""
        from keensight.show.study import write_study

        spent = self._spent()
        write_study(self._study.path, dataclasses.replace(self._study.record, state="finished", spent=spent))
        self._study = self._study.update(state="finished", spent=spent)
        run = self._study.run
        paths = (self._study.page_path, run.report_path, run.config_path, run.bundle_path)
        self._tracker.finished(run.record.results, {path.name: path for path in paths})

    def _end(self) -> None:
        """End the processes; those that train save what they have done."""
        for process in self._processes:
            process.close()
        for process in self._processes:
            process.wait()


_FEWEST = 4
"""Completed trials from which on importance is estimated."""


def _with_nan(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: an undefined metric arrives as null."""
    return {name: math.nan if value is None and name != "val_map" else value for name, value in epoch.items()}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "auto" if value is None else str(value)
