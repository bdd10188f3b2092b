"""Which settings a study tries next, and which trials it stops early: Optuna, asked one trial at a time.

The sampler is TPE (Bergstra et al. 2011); trials are stopped by asynchronous successive halving (ASHA, Li et al. 2020):
a third of the trials continues beyond 11% of its schedule, and a third of these beyond 33%. Fractions of the schedule
are compared, not epochs, because a longer schedule is further from its end after as many epochs.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from keensight.core.study import Dimension, StudyRecord, Trial
from keensight.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from keensight.store.study import Study

_FIRST_RUNG, _REDUCTION = 11, 3
_LEAST = 3
"""Trials that are completed before any is stopped: of the first ones, ASHA would keep only each new best one."""
_RANDOM = 10
"""Trials that are drawn at random, at most, before TPE has enough to go by."""
_NUMBER = "trial"
"""Attribute with the number of a trial; Optuna also counts draws whose settings were tried before."""
_AGAIN = 30
"""Draws for settings that were not tried yet, before one of them is looked for."""
_MOST = 100_000
"""Combinations of values that are looked at."""


def refuse_without_optuna() -> None:
    """Refuse to search where Optuna is not installed.

    Raises:
        UsageError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise UsageError("keensight tune needs Optuna, which is not installed", "pip install 'keensight[tune]'")


class Sampler:
    """The sampler of one study; its journal is in the study's folder, so that a later process continues it.

    The trials are a function of the seed and of the results so far: the sampler is made again for each.

    Args:
        study: The study, with its search space; only one process at a time may have its sampler.
        defaults: Value of each setting of the space that the first trial has, as far as the space contains it.

    Raises:
        StoreError: the journal is damaged.
    """

    def __init__(self, study: Study, defaults: Mapping[str, Any]) -> None:
        record = study.record
        self._seed = int(record.decisions.settings["train.seed"])
        self._space = record.space
        self._sign = -1.0 if record.lower_is_better else 1.0
        self._random = max(2, min(_RANDOM, record.wanted // 3))
        with _quiet():
            self._storage = _storage(study.journal_path)
            self._study = _opened(self._storage, study.journal_path, record)
        self._asked: dict[int, Any] = {}
        if not self._study.get_trials(deepcopy=False):
            first = {one.name: defaults[one.name] for one in self._space if one.contains(defaults.get(one.name))}
            self._study.enqueue_trial(first)

    def unfinished(self) -> list[int]:
        """Numbers of the trials that a process was stopped in, which go on where they were."""
        from optuna.trial import Trial as Asked
        from optuna.trial import TrialState

        found = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        whole = self._storage.get_study_id_from_name(self._study.study_name)
        for one in found:
            number = self._storage.get_trial_id_from_study_id_trial_number(whole, one.number)
            if _NUMBER in one.user_attrs:
                self._asked[one.user_attrs[_NUMBER]] = Asked(self._study, number)
            else:  # drawn, but not begun
                self._study.tell(one.number, state=TrialState.FAIL)
        return sorted(self._asked)

    def settings(self, number: int) -> dict[str, Any]:
        """The settings of a trial that was asked for."""
        return dict(self._asked[number].params)

    def ask(self) -> int | None:
        """Begin a trial; None: all settings of the space were tried.

        Returns:
            Its number.
        """
        from optuna.trial import TrialState

        for again in reversed(range(_AGAIN + 1)):
            if not again and not self._enqueue_untried():
                break
            with _quiet():
                self._study.sampler = self._sampler()
                asked = self._study.ask({one.name: _distribution(one) for one in self._space})
            others = self._study.get_trials(deepcopy=False)[: asked.number]
            same = [one for one in others if one.params == asked.params and one.state != TrialState.WAITING]
            if not same:
                number = sum(_NUMBER in one.user_attrs for one in others)
                asked.set_user_attr(_NUMBER, number)
                self._asked[number] = asked
                return number
            # Its result is known: the sampler learns that there is nothing new, and draws again.
            known = next((one for one in same if one.state == TrialState.COMPLETE), None)
            if known is None:
                self._study.tell(asked, state=TrialState.PRUNED if _measured(asked) else TrialState.FAIL)
            else:
                self._study.tell(asked, known.value)
        return None

    def _enqueue_untried(self) -> bool:
        """Let the next trial have a combination of values that none had; whether there is one."""
        if not all(one.choices for one in self._space):
            return False
        tried = {tuple(one.params.get(each.name) for each in self._space) for one in self._study.get_trials(False)}
        untried = [one for one in islice(product(*(each.choices for each in self._space)), _MOST) if one not in tried]
        if untried:
            chosen = random.Random(self._seed + len(tried)).choice(untried)
            self._study.enqueue_trial(dict(zip((each.name for each in self._space), chosen, strict=True)))
        return bool(untried)

    def should_stop(self, number: int, reached: float, fraction: float, complete: int) -> bool:
        """Whether to stop a trial early.

        Args:
            number: The trial.
            reached: Accuracy (mAP) on the validation set after an epoch.
            fraction: How much of its schedule is done, 0 to 1.
            complete: Trials that are completed.
        """
        asked, step = self._asked[number], round(100 * fraction)
        known = self._study.get_trials(deepcopy=False)[asked.number].intermediate_values
        if step in known or step >= 100:
            return False
        asked.report(self._sign * reached, step)
        return bool(asked.should_prune()) and complete >= _LEAST

    def tell(self, trial: Trial) -> None:
        """Record how a trial ended."""
        from optuna.trial import TrialState

        asked = self._asked.pop(trial.number)
        asked.set_user_attr("run", trial.run)
        if trial.state == "complete":
            self._study.tell(asked, trial.value)
        else:
            measured = trial.state == "stopped" and _measured(asked)
            self._study.tell(asked, state=TrialState.PRUNED if measured else TrialState.FAIL)

    def importance(self) -> dict[str, float]:
        """Setting to its importance for the metric, 0 to 1, the largest first; empty if there are too few trials."""
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        with _quiet(), suppress(Exception):  # equal values everywhere, or too few trials: there is nothing to explain
            found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=self._seed))
            return {name: round(float(value), 4) for name, value in found.items()}
        return {}

    def _sampler(self) -> Any:
        from optuna.samplers import TPESampler

        begun = len(self._study.get_trials(deepcopy=False))
        return TPESampler(
            seed=(self._seed * 100_003 + begun) % 2**32, n_startup_trials=self._random, constant_liar=True
        )


def _measured(asked: Any) -> bool:
    """Whether an epoch of a trial was reported: else Optuna has nothing to go by."""
    return bool(asked.study.get_trials(deepcopy=False)[asked.number].intermediate_values)


def _storage(journal: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    _repair(journal)
    place = str(journal)
    try:
        return JournalStorage(JournalFileBackend(place, lock_obj=JournalFileOpenLock(place)))
    except (ValueError, KeyError, AssertionError) as error:
        raise _damaged(journal, error) from error


def _damaged(journal: Path, error: Exception) -> StoreError:
    return StoreError(f"{journal} cannot be read: {error}", "the file is damaged; start a new study")


def _opened(storage: Any, journal: Path, record: StudyRecord) -> Any:
    import optuna
    from optuna.pruners import SuccessiveHalvingPruner

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            storage=storage,
            study_name=record.name,
            direction="minimize" if record.lower_is_better else "maximize",
            pruner=SuccessiveHalvingPruner(min_resource=_FIRST_RUNG, reduction_factor=_REDUCTION),
            load_if_exists=True,
        )
    except (ValueError, KeyError, AssertionError) as error:
        raise _damaged(journal, error) from error


def _repair(journal: Path) -> None:
    """Remove what a killed process has left: half a line, and the lock of the file.

    The study's own lock is held, so that no other process writes the journal.
    """
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file():
        whole = journal.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            with journal.open("r+b") as file:
                file.truncate(end)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes on experimental arguments, which are not for users of a command."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _distribution(one: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.choices:
        return CategoricalDistribution(one.choices)
    assert one.low is not None and one.high is not None, "a range has both ends"
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)
