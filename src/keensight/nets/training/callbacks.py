"""The one callback of training: it reports, keeps the best weights, stops early, and stops on NaN."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Phase
from keensight.core.records import Epoch, History
from keensight.core.training_state import TrainingState
from keensight.errors import TrainingError
from keensight.nets.runtime import framework
from keensight.nets.training.hooks import Hooks

if TYPE_CHECKING:
    from keensight.nets.training.fit import Schedule

keras, _ = framework()


class Watcher(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
    """The callback of one ``fit``.

    Args:
        numbers: The schedule.
        on_epoch: Called with each epoch's metrics.
        phase: Name of the phase in the history.
        ranking: Gives the mean average precision of the validation set, or None.
        hooks: The user's callbacks.
        hopeless: Whether to leave, given the metric reached after each epoch so far, and the number of epochs planned.
    """

    def __init__(
        self,
        numbers: Schedule,
        on_epoch: Callable[[Epoch], None] | None,
        phase: str,
        ranking: Callable[[], float | None] = lambda: None,
        hooks: Hooks | None = None,
        hopeless: Callable[[list[float], int], bool] = lambda reached, epochs: False,
    ) -> None:
        super().__init__()
        self.task: Phase | None = None
        self._numbers = numbers
        self._on_epoch = on_epoch
        self._phase = phase
        self._ranking = ranking
        self._hooks = hooks or Hooks()
        self._hopeless = hopeless
        self._epochs: list[Epoch] = []
        self._best: Epoch | None = None
        self._best_weights: list[NDArray[np.float32]] = []
        self._started = 0.0
        self._stopped = "completed"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._hooks.epoch_begin()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Tell the user's callbacks."""
        self._hooks.batch_begin(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report a step; refuse a loss that is not a number."""
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        if not math.isfinite(loss):
            step = len(self._epochs) * self._numbers.steps + batch + 1
            raise TrainingError(
                f"the loss became {loss} at step {step:,} (epoch {len(self._epochs) + 1})",
                f"lower the learning rate: --set train.learning_rate={self._numbers.learning_rate / 5:g}",
            )
        note = f"epoch {len(self._epochs) + 1}/{self._numbers.epochs} loss {loss:.3f} accuracy {accuracy:.3f}"
        if self._epochs:
            note += f" val {self._epochs[-1].reached:.3f}"
        if self.task is not None:
            self.task.advance(1, note)
        self._hooks.batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the epoch, keep its weights if they are the best, and stop early."""
        done = self._record(epoch, logs)
        self._epochs.append(done)
        if self._best is None or _merit(done) > _merit(self._best):
            self._best, self._best_weights = done, self.model.get_weights()
        elif done.epoch - self._best.epoch >= self._numbers.patience:
            self._stopped, self.model.stop_training = "early", True
        if self._hopeless([epoch.reached for epoch in self._epochs], self._numbers.epochs):
            self._stopped, self.model.stop_training = "early", True
        if self._on_epoch is not None:
            self._on_epoch(done)
        self._hooks.epoch_end(done)
        if self._hooks.stops:
            self._stopped, self.model.stop_training = "callback", True

    def state(self, *, epoch: int, step: int, averaged: bool) -> TrainingState:
        """How far the training is, after ``step`` steps of ``epoch`` (counted from 0)."""
        found = self.history()
        return TrainingState(
            self._phase, epoch, step, self._numbers.steps, found.epochs, found.best_epoch, found.stopped, averaged
        )

    @property
    def best_weights(self) -> Sequence[NDArray[np.float32]]:
        """Weights of the best epoch so far; empty before the first one is finished."""
        return self._best_weights

    def resume(self, state: TrainingState, best_weights: Sequence[NDArray[np.float32]]) -> None:
        """Continue from a state that was saved."""
        self._epochs, self._stopped = list(state.epochs), state.stopped
        self._best = state.epochs[state.best_epoch - 1] if state.best_epoch else None
        self._best_weights = list(best_weights)
        if self.task is not None:
            self.task.advance((state.epoch + state.ended) * state.steps)

    @contextmanager
    def outlasting(self) -> Iterator[None]:
        """After the first epoch, an interrupt only ends the training."""
        try:
            yield
        except KeyboardInterrupt:
            if self._best is None:
                raise
            self._stopped = "interrupted"

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch."""
        self.model.set_weights(self._best_weights)

    def history(self) -> History:
        """The training history."""
        return History(tuple(self._epochs), self._best.epoch if self._best else 0, self._stopped)

    def _record(self, epoch: int, logs: Any) -> Epoch:
        return Epoch(
            epoch=epoch + 1,
            phase=self._phase,
            steps=self._numbers.steps,
            seconds=time.perf_counter() - self._started,
            learning_rate=float(np.asarray(self.model.optimizer.learning_rate)),
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            val_loss=float(logs["val_loss"]),
            val_accuracy=float(logs["val_accuracy"]),
            val_map=self._ranking(),
        )


def _merit(epoch: Epoch) -> float:
    """The criterion of the best epoch: low loss, or mAP with several labels, whose loss rises long before mAP falls."""
    return -epoch.val_loss if epoch.val_map is None else epoch.val_map
