"""Save and restore everything that a training's next step depends on.

That is: the model's variables, with the states of its random generators; those of the optimizer, with its averages; the
metrics of the epoch under way; the best weights so far; and what :class:`Watcher` has recorded. The batches are a pure
function of seed, epoch and step, so a resumed training begins in the middle of an epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.training_state import Arrays, Begun, Checkpoints, TrainingState
from keensight.nets.runtime import framework
from keensight.nets.training.callbacks import Watcher

keras, _ = framework()


class Saver(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
    """The callback that saves a training's state when it is time, and restores the last one when a training begins.

    Args:
        model: The compiled model that is trained.
        watcher: The callback that records the epochs; called before this one.
        averages: The callback that swaps in the averaged weights after an epoch; None: there are none.
        checkpoints: Where the states are.
        phase: Name of the phase in the history.
    """

    def __init__(self, model: Any, watcher: Watcher, averages: Any, checkpoints: Checkpoints, phase: str) -> None:
        super().__init__()
        self._watcher, self._averages, self._checkpoints = watcher, averages, checkpoints
        self._epoch, self._left_out = 0, 0
        found = checkpoints.newest(phase)
        if found is not None and not _fits(model, *found):
            checkpoints.drop("the checkpoints do not fit this training, which starts from the beginning")
            found = None
        self._state: TrainingState | None = None
        self._arrays: Arrays = {}
        if found is not None:
            self._state, self._arrays = found

    def begin(self) -> Begun:
        """Give the other callback its records and best weights; where the training goes on."""
        if self._state is None:
            return Begun()
        self._watcher.resume(self._state, _listed(self._arrays, "best"))
        return self._state.next

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore model and optimizer, and leave out the steps that are done."""
        if self._state is None:
            return
        if self._averages is not None and self._state.averaged:
            self._averages.on_epoch_end(-1)  # it then knows that they are swapped in; their values come next
        _assign(self.model.variables, _listed(self._arrays, "model"))
        _assign(self.model.optimizer.variables, _listed(self._arrays, "optimizer"))
        if not self._state.ended:
            nothing = np.zeros((1, *self.model.output_shape[1:]), np.float32)
            self.model.compute_metrics(None, nothing, nothing)  # some have no variables before their first use
            self._left_out = self._state.step
            self._skip(self._state.step)

    def _skip(self, steps: int) -> None:
        """Let the next steps do nothing: Keras counts those of a whole epoch."""
        step, left = self.model.train_function, iter(range(steps))

        def skipping(iterator: Any) -> Any:
            if next(left, None) is not None:
                return self.model.get_metrics_result()
            self.model.train_function = step
            return step(iterator)

        self.model.train_function = skipping

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restore the metrics of the epoch under way, which Keras has just set to zero."""
        self._epoch = epoch
        if self._left_out:
            _assign(self.model.metrics_variables, _listed(self._arrays, "metrics"))
        self._arrays = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Save after a step, if it is time."""
        done = batch + 1
        if done > self._left_out and self._checkpoints.due(epoch_ended=False):
            self._save(done, averaged=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save after an epoch and its validation, if that is cheap enough."""
        self._left_out = 0
        if self._checkpoints.due(epoch_ended=True):
            self._save(self.params["steps"], averaged=self._averages is not None)

    def _save(self, step: int, *, averaged: bool) -> None:
        arrays = {
            **_named("model", self.model.variables),
            **_named("optimizer", self.model.optimizer.variables),
            **_named("metrics", self.model.metrics_variables),
            **_named("best", self._watcher.best_weights),
        }
        self._checkpoints.save(self._watcher.state(epoch=self._epoch, step=step, averaged=averaged), arrays)


def _named(group: str, values: Sequence[Any]) -> dict[str, NDArray[Any]]:
    return {f"{group}/{number:05d}": np.asarray(value) for number, value in enumerate(values)}


def _listed(arrays: Arrays, group: str) -> list[NDArray[Any]]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(f"{group}/")]


def _assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _fits(model: Any, state: TrainingState, arrays: Arrays) -> bool:
    """Whether the arrays are those of this model and optimizer."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    if state.best_epoch:
        groups["best"] = model.weights
    return all(
        [tuple(value.shape) for value in _listed(arrays, name)] == [tuple(one.shape) for one in variables]
        for name, variables in groups.items()
    )
