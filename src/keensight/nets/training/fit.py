"""Training with Keras' ``fit``, ending with the best weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import RunConfig, TrainConfig
from keensight.core.decoded import IndexedImages
from keensight.core.effort import EFFORTS
from keensight.core.progress import Progress, Silent
from keensight.core.records import Epoch, History, Split
from keensight.core.training_state import Begun, Checkpoints
from keensight.nets.models.backbones import ARCHITECTURES
from keensight.nets.runtime import framework
from keensight.nets.training import batches
from keensight.nets.training.failures import explained
from keensight.nets.training.losses import Objective, Sigmoid, objective_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keensight.nets.training.hooks import Hooks


class TrainingInterrupted(KeyboardInterrupt):
    """The user stopped a training after its first epoch; the model has the best weights so far.

    As a KeyboardInterrupt, it ends code that does not catch it.
    """

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history
        """The epochs that were finished."""


_TUNING_BATCH, _TUNING_MOST = 32, 10


@dataclass(frozen=True, slots=True)
class Schedule:
    """The training schedule, resolved from settings and dataset size."""

    epochs: int
    batch_size: int
    steps: int
    """Steps in an epoch."""
    learning_rate: float
    patience: int
    ema: float
    head_rate: float = 1.0
    """Learning rate of the last layer, as a fraction of that of the others."""


def schedule(config: TrainConfig, model: str, n_train: int) -> Schedule:
    """Resolve epochs, batch size, peak rate and patience.

    From scratch, small sets get smaller batches (32 steps per epoch if possible) and more epochs (at most 60 for
    ``standard``); large ones at least 12. Fine-tuning uses batches of 32 and at most 10 epochs.

    Args:
        config: The settings.
        model: Name of the architecture.
        n_train: Images in the training set.
    """
    architecture = ARCHITECTURES[model]
    effort = EFFORTS[config.effort]
    if architecture.pretrained:
        batch, least, most = _TUNING_BATCH, effort.tuning_least, _TUNING_MOST
        wanted = architecture.passes * effort.tuning / n_train
    else:
        batch = int(2 ** np.clip(math.floor(math.log2(max(n_train, 1) / 32)), 4, 7))
        least, most = max(5, round(12 * effort.epochs)), round(60 * effort.epochs)
        wanted = architecture.passes * effort.epochs / n_train
    batch = min(config.batch_size or batch, n_train)
    epochs = config.epochs or int(np.clip(round(wanted), least, most))
    steps = max(1, n_train // batch)
    peak = (
        architecture.learning_rate if optimizer_of(config, model) == architecture.optimizer else _PEAK[config.optimizer]
    )
    return Schedule(
        epochs=epochs,
        batch_size=batch,
        steps=steps,
        learning_rate=config.learning_rate or peak * batch / 128,
        patience=config.patience or max(5, epochs // 3),
        # An average over at most a fifth of an epoch: a longer one would still contain the initial random weights.
        ema=min(config.ema, 1 - 5 / max(steps, 10)) if config.ema else 0.0,
    )


_PEAK = {"sgd": 0.05, "adamw": 0.002}
"""Peak rates at a batch size of 128, for the optimizer that is not an architecture's default."""


def optimizer_of(config: TrainConfig, model: str) -> str:
    """``sgd`` or ``adamw``; ``auto`` is the architecture's own."""
    return ARCHITECTURES[model].optimizer if config.optimizer == "auto" else config.optimizer


def plan(
    config: TrainConfig, model: str, rows: NDArray[np.int64], targets: NDArray[Any], classes: int
) -> batches.TrainingPlan:
    """Plan the images of each training step.

    Args:
        config: The settings.
        model: Name of the architecture.
        rows: Dataset indices of the training set, shape (n,).
        targets: Class number (or indicators) of every sample of the dataset.
        classes: Number of classes.
    """
    return batches.TrainingPlan(
        rows=rows,
        targets=targets[rows],
        weights=class_weights(targets[rows], classes, config.class_weights),
        batch_size=schedule(config, model, len(rows)).batch_size,
        seed=config.seed,
    )


def class_weights(targets: NDArray[Any], classes: int, balanced: bool) -> NDArray[np.float32]:
    """One weight per class: 1, or inverse to its frequency, with mean 1 over the images.

    Labels of a multi-label set are weighted in the loss (``losses.Sigmoid``) and have 1 here.
    """
    if not balanced or targets.ndim == 2:
        return np.ones(classes, dtype=np.float32)
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return (len(targets) / (classes * counts)).astype(np.float32)


def fit(  # noqa: PLR0913 - callbacks by keyword
    model: keras.Model,
    pixels: IndexedImages,
    targets: NDArray[Any],
    split: Split,
    config: RunConfig,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
    tensorboard: Path | None = None,
    progress: Progress | None = None,
    hooks: Hooks | None = None,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train ``model`` in place; it ends with its best weights.

    Args:
        model: From ``build``: uint8 images to logits (n, classes).
        pixels: Decoded images by dataset index.
        targets: Class number of every sample of the dataset, shape (n,), or its labels as 0 and 1, (n, classes).
        split: Which samples train and which validate; the test set is not touched.
        config: Settings with no ``auto`` left in ``model.name`` and ``augment``.
        on_epoch: Called with each epoch's metrics.
        tensorboard: Folder for TensorBoard events.
        progress: Where to report.
        hooks: The user's callbacks.
        checkpoints: Where the training's state is kept, and resumed from; None: nowhere.

    Returns:
        The history; ``best_epoch`` is the one with the lowest validation loss (of several labels: the highest mAP).

    Raises:
        TrainingError: the loss became NaN or infinite; the message names the step.
        TrainingInterrupted: the user interrupted, after at least one epoch.
    """
    rows, val_rows = split.part("train"), split.part("val")
    classes = int(model.output_shape[-1])
    numbers = schedule(config.train, config.model.name, len(rows))
    steps = plan(config.train, config.model.name, rows, targets, classes)
    return drive(
        model,
        partial(batches.training, steps, pixels, config.augment, numbers.epochs),
        batches.plain(val_rows, targets[val_rows], classes, pixels),
        config,
        numbers,
        objective=objective_of(targets[rows], config.train.class_weights),
        val_targets=targets[val_rows],
        on_epoch=on_epoch,
        tensorboard=tensorboard,
        progress=progress,
        hooks=hooks,
        checkpoints=checkpoints,
    )


def drive(  # noqa: PLR0913 - data, schedule, and callbacks by keyword
    model: keras.Model,
    training: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    config: RunConfig,
    numbers: Schedule,
    *,
    objective: Objective,
    val_targets: NDArray[Any],
    on_epoch: Callable[[Epoch], None] | None = None,
    tensorboard: Path | None = None,
    progress: Progress | None = None,
    hooks: Hooks | None = None,
    phase: str = "train",
    hopeless: Callable[[list[float], int], bool] = lambda reached, epochs: False,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Run Keras' ``fit`` on prepared batches; the model ends with its best weights.

    Args:
        model: Inputs to logits.
        training: Gives the batches of all epochs from a step on: inputs, one-hot targets, sample weights.
        validation: Batches: inputs, one-hot targets.
        config: Settings with no ``auto`` left in ``train.precision``.
        numbers: The schedule.
        objective: Softmax or sigmoid.
        val_targets: Class numbers or indicators of the validation set.
        on_epoch: Called with each epoch's metrics.
        tensorboard: Folder for TensorBoard events.
        progress: Where to report.
        hooks: The user's callbacks.
        phase: Name of the phase in the history.
        hopeless: Whether to leave, given the accuracy (or mAP) reached after each epoch so far, and the number of
            epochs planned.
        checkpoints: Where the training's state is kept, and resumed from; None: nowhere.

    Raises:
        TrainingError: the loss became NaN or infinite (the message names the step), or memory is exhausted.
        DataError: an image can no longer be read.
        TrainingInterrupted: the user interrupted, after at least one epoch.
    """
    keras, _ = framework()
    # They subclass Keras classes, so they are imported late.
    from keensight.nets.training.callbacks import Watcher
    from keensight.nets.training.saver import Saver
    from keensight.nets.training.training_copy import carry, training_form

    trained = training_form(model, config.train.precision)
    if trained is model and (isinstance(objective, Sigmoid) or numbers.head_rate != 1.0):
        # A second model of the same layers is compiled, so that the saved one does not refer to our loss or optimizer.
        trained = keras.Model(model.inputs, model.outputs, name=model.name)
    compile_for(trained, config, numbers, objective)

    def ranking() -> float | None:
        """Mean average precision of the validation set: one more pass over it, for multi-label sets only."""
        if val_targets.ndim == 1:
            return None
        return objective.ranking(trained.predict(validation, verbose=0), val_targets)

    def follow(epoch: Epoch) -> None:
        """Copy the weights back after each epoch, so that callbacks see the current network."""
        carry(trained, model)
        if on_epoch is not None:
            on_epoch(epoch)

    watcher = Watcher(numbers, follow, phase, ranking, hooks, hopeless)
    watcher.set_model(trained)  # Keras does so too, unless nothing is left to train
    averages = keras.callbacks.SwapEMAWeights(swap_on_epoch=True) if numbers.ema else None
    saver = None if checkpoints is None else Saver(trained, watcher, averages, checkpoints, phase)
    # The averaged weights come first, so that our callback evaluates and keeps them.
    callbacks = [one for one in (averages, watcher, saver) if one is not None]
    if tensorboard is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(tensorboard)))
    steps = numbers.epochs * numbers.steps
    with (
        explained(numbers.batch_size),
        watcher.outlasting(),
        (progress or Silent()).task("training", steps, "steps") as watcher.task,
    ):
        begun = Begun() if saver is None else saver.begin()
        if not begun.stopped and begun.epoch < numbers.epochs:
            trained.fit(
                training(begun.step),
                initial_epoch=begun.epoch,
                epochs=numbers.epochs,
                steps_per_epoch=numbers.steps,
                validation_data=validation,
                callbacks=callbacks,
                shuffle=False,  # the batches have their own order
                verbose=0,
            )
    watcher.restore_best()
    carry(trained, model)
    return settled(watcher.history())


def settled(history: History) -> History:
    """The history of a training that the user did not interrupt.

    Raises:
        TrainingInterrupted: the user did.
    """
    if history.stopped == "interrupted":
        raise TrainingInterrupted(history)
    return history


def compile_for(model: keras.Model, config: RunConfig, numbers: Schedule, objective: Objective) -> None:
    """Compile a model: optimizer with its learning rates, loss, metric."""
    keras, _ = framework()
    train = config.train
    options = {
        "learning_rate": _learning_rate(train.schedule, numbers),
        "weight_decay": train.weight_decay,
        "use_ema": bool(numbers.ema),
        "ema_momentum": numbers.ema or 0.99,
        "ema_overwrite_frequency": None,
    }
    sgd = optimizer_of(train, config.model.name) == "sgd"
    kind = keras.optimizers.SGD if sgd else keras.optimizers.AdamW
    if sgd:
        options |= {"momentum": 0.9, "nesterov": True}
    if numbers.head_rate != 1.0:
        slow = model.get_layer("logits").trainable_variables
        optimizer = slowed(kind, slow, numbers.head_rate)(**options)
    else:
        optimizer = kind(**options)
    if train.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if train.precision == "float16":  # small gradients would become 0
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # With all variables created here, tf.function traces the step once; otherwise twice.
    optimizer.build(model.trainable_variables)
    # On a GPU, Keras would first compile the step with XLA, for each size of a batch; on a CPU it does not.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(optimizer, objective.loss(train.label_smoothing), metrics=[objective.accuracy()], jit_compile=jit)


def slowed(kind: Any, slow: Sequence[Any], factor: float) -> Any:
    """A Keras optimizer class that updates some variables at a lower learning rate.

    Args:
        kind: The class it is made of.
        slow: Keras variables.
        factor: Their rate, as a fraction of that of the others.
    """
    keras, _ = framework()

    def key(variable: Any) -> Any:
        """Which variable it is: TensorFlow's optimizers get that inside a Keras variable, JAX's the Keras variable."""
        inner = variable.value if isinstance(variable, keras.Variable) else variable
        return inner.ref() if hasattr(inner, "ref") else id(variable)

    chosen = set(map(key, slow))

    class Slowed(kind):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = learning_rate * factor if key(variable) in chosen else learning_rate
            super().update_step(gradient, variable, rate)

    return Slowed


def _learning_rate(kind: str, numbers: Schedule) -> Any:
    """Keras schedules: a warm-up from a tenth of the peak, then a cosine to zero (Smith 2018; Loshchilov 2017)."""
    keras, _ = framework()
    if kind == "constant":
        return numbers.learning_rate
    total = numbers.epochs * numbers.steps
    warm_up = round(total * (0.2 if kind == "one-cycle" else 0.02))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=numbers.learning_rate / 10,
        decay_steps=max(1, total - warm_up),
        alpha=0.0,
        warmup_target=numbers.learning_rate,
        warmup_steps=max(1, warm_up),
    )
