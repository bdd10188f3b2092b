"""Arrays to tf.data. Training batches are a pure function of (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.config import AugmentConfig
from keensight.core.decoded import IndexedImages
from keensight.core.parallel import processors
from keensight.nets import runtime
from keensight.nets.inputs import evaluation_batch
from keensight.nets.runtime import framework
from keensight.nets.training import augment
from keensight.nets.training.losses import image_weights
from keensight.nets.training.losses import rows as target_rows

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class TrainingPlan:
    """The images of each training step, their order and their augmentation.

    ``rows`` are dataset indices of the training set, ``targets`` their class numbers (n,) or indicators
    (n, classes), ``weights`` one weight per class. An epoch drops the images of an incomplete last batch; as the order
    changes every epoch, all images are used.
    """

    rows: NDArray[np.int64]
    targets: NDArray[Any]
    weights: NDArray[np.float32]
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return max(1, len(self.rows) // self.batch_size)

    def epoch(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Order of the images and one row of random numbers for each, for an epoch counted from 0."""
        order = np.random.default_rng([self.seed, number, 0]).permutation(len(self.rows))
        draws = [
            np.random.default_rng([self.seed, number, stream]).random((len(self.rows), count), np.float32)
            for stream, count in augment.STREAMS
        ]
        return order, np.concatenate(draws, axis=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """One of several equal slices of every batch."""

    number: int = 0
    """Counted from 0."""
    count: int = 1
    """A divisor of the batch size."""

    def of(self, size: int) -> slice:
        """Its place in ``size`` images."""
        each = size // self.count
        return slice(self.number * each, (self.number + 1) * each)


WHOLE = Slice()


def training(
    plan: TrainingPlan,
    pixels: IndexedImages,
    config: AugmentConfig,
    epochs: int,
    first: int = 0,
    part: Slice = WHOLE,
) -> tf.data.Dataset:
    """Batches for ``epochs`` epochs: (uint8 images, one-hot or 0/1 float32 targets, float32 sample weights).

    With ``first``, the number of a step, the batches before it are left out. Keras counts whole epochs and would begin
    with the first batch again, so that as many follow the last one as its epoch lacks at the beginning: all of them, if
    only the validation of the epoch before is left. Of each batch only ``part`` is read and augmented.

    On a CPU one batch is augmented at a time, because training needs the other threads; while a GPU trains, as many as
    there are CPUs, up to 8.
    """
    _, tf = framework()
    current: list[Any] = [-1, None]  # the current epoch; steps arrive in order

    def batch(step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        number, position = divmod(int(step), plan.steps)
        if current[0] != number:
            current[:] = [number, plan.epoch(number)]
        order, draws = current[1]
        chosen = order[position * plan.batch_size : (position + 1) * plan.batch_size][taken]
        targets = plan.targets[chosen]
        hot, weights = target_rows(targets, len(plan.weights)), image_weights(targets, plan.weights)
        return pixels.take(plan.rows[chosen]), draws[chosen], hot, weights

    side = pixels.shape[:2]
    taken = part.of(min(plan.batch_size, len(plan.rows)))
    n = taken.stop - taken.start

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def load(step: Any) -> Any:
        kinds = (tf.uint8, tf.float32, tf.float32, tf.float32)
        images, draws, targets, weights = tf.numpy_function(batch, [step], kinds)
        shapes = (n, *pixels.shape), (n, augment.DRAWS), (n, len(plan.weights)), (n,)
        return tuple(map(tf.ensure_shape, (images, draws, targets, weights), shapes))

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def augmented(images: Any, draws: Any, targets: Any, weights: Any) -> Any:
        return augment.apply(images, draws, config, side), targets, weights

    lacking = first and (first % plan.steps or plan.steps)
    steps = range(first, epochs * plan.steps + lacking)
    if runtime.sees_gpu(runtime.devices()):
        return _made(steps, load, augmented, parallel=min(processors(), _PARALLEL))
    both = tf.autograph.experimental.do_not_convert(lambda step: augmented(*load(step)))
    return _made(steps, both)


_PARALLEL = 8


def _made(
    numbers: range,
    load: Callable[[Any], Any],
    then: Callable[..., Any] | None = None,
    *,
    ahead: int = 2,
    parallel: int = 1,
) -> tf.data.Dataset:
    """Yield ``load`` of each number, in order and some steps ahead; ``then`` changes several of them at a time."""
    _, tf = framework()
    options = tf.data.Options()
    # There is nothing to autotune, and training would wait for the tuner: up to half a minute after its last step.
    options.autotune.enabled = False
    made = tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step).map(load, num_parallel_calls=1)
    if then is not None:
        made = made.map(then, num_parallel_calls=parallel, deterministic=True)
    return made.prefetch(ahead).with_options(options)


def plain(rows: NDArray[np.int64], targets: NDArray[Any], classes: int, pixels: IndexedImages) -> tf.data.Dataset:
    """Batches in the given order, unchanged: (uint8 images, one-hot or 0/1 float32 targets)."""
    _, tf = framework()
    size = evaluation_batch(pixels.shape)

    def batch(start: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        chosen = slice(int(start), int(start) + size)
        return pixels.take(rows[chosen]), target_rows(targets[chosen], classes)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def load(start: Any) -> Any:
        images, hot = tf.numpy_function(batch, [start], (tf.uint8, tf.float32))
        return tf.ensure_shape(images, (None, *pixels.shape)), tf.ensure_shape(hot, (None, classes))

    return _made(range(0, len(rows), size), load, ahead=1)
