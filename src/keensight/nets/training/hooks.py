"""The user's Keras callbacks, called as of one training, whatever phases it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keensight.core.records import Epoch, History
from keensight.errors import UsageError
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras as keras_types

_RATES = ("LearningRateScheduler", "ReduceLROnPlateau")


class Hooks:
    """Calls ``on_train_*``, ``on_epoch_*`` and ``on_train_batch_*`` of Keras callbacks.

    Their ``model`` is the user's, not the copy that is trained: it has the weights of the last finished epoch.

    Args:
        callbacks: The callbacks.
        model: The user's model; None where there are no callbacks.

    Raises:
        UsageError: one is no Keras callback, or would set the learning rate or resume a training.
    """

    def __init__(self, callbacks: Sequence[Any] = (), model: keras_types.Model | None = None) -> None:
        keras, _ = framework()
        for one in callbacks:
            _refuse_unfit(keras, one)
        self._model = model
        self._called = keras.callbacks.CallbackList(list(callbacks), model=model, verbose=0)
        self._epoch, self._begun = 0, False

    @property
    def stops(self) -> bool:
        """Whether a callback has set ``model.stop_training``."""
        return bool(getattr(self._model, "stop_training", False))

    def begin(self) -> None:
        """Before anything is trained."""
        if self._model is not None:
            self._model.stop_training = False
        self._called.on_train_begin()

    def epoch_begin(self) -> None:
        """Before an epoch."""
        self._begun = True
        self._called.on_epoch_begin(self._epoch)

    def batch_begin(self, batch: int) -> None:
        """Before a step."""
        self._called.on_train_batch_begin(batch)

    def batch_end(self, batch: int, logs: Mapping[str, Any]) -> None:
        """After a step, with the means of loss and accuracy over the epoch so far."""
        self._called.on_train_batch_end(batch, dict(logs))

    def epoch_end(self, epoch: Epoch) -> None:
        """After an epoch of any phase, with its results by Keras' names."""
        if not self._begun:  # a head that is fitted in one go
            self.epoch_begin()
        logs = {name: values[0] for name, values in History((epoch,), 1).history.items()}
        self._called.on_epoch_end(self._epoch, logs)
        self._epoch, self._begun = self._epoch + 1, False

    def end(self) -> None:
        """After the training; the model keeps its best weights, whatever a callback restores."""
        if self._model is None:
            return
        weights = self._model.get_weights()
        self._called.on_train_end()
        self._model.set_weights(weights)


def _refuse_unfit(keras: Any, callback: Any) -> None:
    if not isinstance(callback, keras.callbacks.Callback):
        raise UsageError(
            f"callbacks: {callback!r} is not a keras.callbacks.Callback", "derive it from that class, or use on_epoch"
        )
    if isinstance(callback, tuple(getattr(keras.callbacks, name) for name in _RATES)):
        raise UsageError(
            f"callbacks: {type(callback).__name__} has no effect on ks.fit, which sets the learning rate itself",
            "use the options learning_rate and schedule",
        )
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise UsageError("callbacks: ks.fit does not resume a training from BackupAndRestore", "leave it out")
