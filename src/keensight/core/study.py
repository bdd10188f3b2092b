"""A study: several trainings of one image set with different settings, one of which is chosen on the validation set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from keensight.core.decisions import Decisions
from keensight.core.task import Task

SCHEMA = 2
"""Number of the layout of ``study.json``; 1 had no ``fixed``."""
Kind = Literal["head", "fine-tuning", "from scratch"]
"""How the networks of a study are trained, which decides what is worth searching."""
METRICS: Mapping[str, str] = {"accuracy": "accuracy", "macro-f1": "macro F1", "loss": "loss", "map": "mAP"}
"""Name of a metric to what it is called."""
_KEYS = {"macro-f1": "macro_f1"}
"""Metrics whose key in a run's results is not their name."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One setting that a study searches: a range of numbers, or a list of values.

    Examples:
        >>> from keensight.core.study import Dimension
        >>> Dimension("train.learning_rate", low=1e-4, high=1e-2).log
        True
        >>> Dimension("train.optimizer", choices=("sgd", "adamw")).in_words
        'sgd, adamw'
    """

    name: str
    """The setting, such as ``train.learning_rate``."""
    low: float | None = None
    high: float | None = None
    whole: bool = False
    """Whether only whole numbers are tried."""
    choices: tuple[Any, ...] = ()
    """The values, if it is not a range; None is the setting's ``auto``."""

    @property
    def log(self) -> bool:
        """Whether it is searched on a logarithmic scale: a range of positive numbers over a factor of 20 or more."""
        return self.low is not None and self.high is not None and self.low > 0 and self.high / self.low >= _WIDE

    @property
    def in_words(self) -> str:
        """The range or the values, as ``--space`` takes them."""
        if self.choices:
            return ", ".join("auto" if value is None else str(value) for value in self.choices)
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def contains(self, value: Any) -> bool:
        """Whether a value can be tried."""
        if self.choices:
            return value in self.choices
        inside = isinstance(value, (int, float)) and not isinstance(value, bool)
        return inside and self.low is not None and self.high is not None and self.low <= value <= self.high


_WIDE = 20
"""Highest value by lowest, from which a range is searched on a logarithmic scale."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a study."""

    number: int
    """Counted from 0; trial 0 has the defaults, as far as the search space contains them."""
    run: str
    """Folder of its run, relative to the study."""
    settings: Mapping[str, Any]
    """The settings that were tried, by name."""
    state: Literal["running", "complete", "stopped", "failed"]
    """``stopped``: early, because other trials were better at that point."""
    value: float | None = None
    """The study's metric on the validation set; None: it was not completed."""
    seconds: float = 0.0
    epochs: int = 0
    """Epochs that were trained; 0 for a head that is fitted in one go."""
    message: str = ""
    """Why it was stopped or failed."""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """``study.json``: what is searched, by what, and what was found so far."""

    schema: int
    name: str
    state: Literal["created", "running", "finished", "failed", "interrupted"]
    created: str
    """ISO 8601, UTC."""
    source: str
    """Name of the image set."""
    command: str
    metric: str
    """``accuracy``, ``macro-f1``, ``loss`` or ``map``, on the validation set."""
    wanted: int
    """Number of trials."""
    minutes: float | None
    """After this time no trial is begun; None: no limit."""
    workers: int
    """Trials at a time."""
    decisions: Decisions
    """The settings that all trials share, as given; the images; versions and machine (of a run: ``decisions.json``)."""
    versions: Mapping[str, str] = field(default_factory=dict)
    given: tuple[Dimension, ...] = ()
    """Dimensions that the user set."""
    fixed: tuple[str, ...] | None = None
    """Settings that the user gave one value, also a default, which are not searched; None: those that differ from their
    defaults."""
    task: Task = Task.MULTICLASS
    kind: Kind = "head"
    model: str = ""
    """The architecture of trials that do not set another one; empty before the images were looked at."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What the settings of the first trial are where they are ``auto``."""
    split_digest: str = ""
    space: tuple[Dimension, ...] = ()
    """What is searched."""
    trials: tuple[Trial, ...] = ()
    spent: float = 0.0
    """Seconds of the search so far, in all processes that worked on it."""
    chosen: int | None = None
    """Number of the chosen trial, the only one that is tested."""
    test: Mapping[str, Any] = field(default_factory=dict)
    """The chosen model's results on the test set, as in its run."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Setting to its importance, 0 to 1 (fANOVA, Hutter et al. 2014); empty: too few trials."""
    message: str = ""
    """Why it failed or stopped."""

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is a loss."""
        return self.metric == "loss"

    @property
    def complete(self) -> tuple[Trial, ...]:
        """The trials that were completed, the best first."""
        sign = 1 if self.lower_is_better else -1
        found = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return tuple(sorted(found, key=lambda trial: (sign * (trial.value or 0.0), trial.number)))

    @property
    def best(self) -> Trial | None:
        """The trial with the best validation result; of equal ones the first."""
        return next(iter(self.complete), None)

    @property
    def ranked(self) -> dict[str, float]:
        """Setting to importance, the most important one first."""
        return dict(sorted(self.importance.items(), key=lambda item: -item[1]))

    def count(self, state: str) -> int:
        """Number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)


def metric_of(results: Mapping[str, Any], metric: str) -> float | None:
    """A metric from the results of a run on its validation set; None: it is not there, or is no number."""
    value = results.get("validation", {}).get(_KEYS.get(metric, metric))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
