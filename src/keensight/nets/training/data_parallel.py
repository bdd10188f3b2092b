"""Data-parallel training on JAX: what each worker process of a group runs.

All processes compute one step together, each on its slice of the batch; XLA adds the collective operations that make
the result that of the whole batch, batch normalization included. What is trained is the network itself, of built-in
layers (the copy of :mod:`.training_copy` is TensorFlow's). The variables are the same in all processes, so each decides
alike about the best epoch and when to stop, and only the first one writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.decoded import IndexedImages
from keensight.core.records import Epoch
from keensight.core.training_state import Arrays, Begun, Checkpoints, TrainingState
from keensight.errors import TrainingError
from keensight.nets import runtime
from keensight.nets.inputs import evaluation_batch
from keensight.nets.keras_private import averages_of
from keensight.nets.training import batches
from keensight.nets.training.fit import compile_for, plan
from keensight.nets.training.job import Given, Outcome
from keensight.nets.training.losses import objective_of
from keensight.nets.training.losses import rows as target_rows

_EVERY = 10
"""Steps between two looks at the loss: each look waits for the step."""
_WAIT_SECONDS = 600
"""How long a worker waits for slower ones; that one is lost is known at once."""
_GROUPS = ("model", "fixed", "optimizer")
"""Variables that are trained, the other ones of the model, and the optimizer's."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One process of a group."""

    number: int
    """Counted from 0."""
    count: int

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.number == 0


class Report:
    """Hears how far the training is; this one says nothing."""

    def begin(self, number: int) -> None:
        """It begins, or goes on, after ``number`` steps."""

    def step(self, number: int, note: str) -> None:
        """``number`` steps are done."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is finished."""


@contextmanager
def joined(address: str, rank: Rank) -> Iterator[None]:
    """Be one process of a group, with one CPU thread, inside the ``with`` block.

    Args:
        address: Host and port of the first process.
        rank: Which one this is.

    Raises:
        TrainingError: the processes do not see each other as one group.
    """
    flags = f"--xla_cpu_multi_thread_eigen=false --xla_cpu_collective_timeout_seconds={_WAIT_SECONDS}"
    os.environ.update({
        "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "NPROC": "1", "XLA_FLAGS": flags,
        "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1",
    })  # fmt: skip
    _yield_to_steps()
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # A step under way when the next one begins would exchange its messages in another order elsewhere.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.distributed.initialize(address, rank.count, rank.number, initialization_timeout=_WAIT_SECONDS)
    seen = (jax.process_count(), jax.device_count(), jax.local_device_count())
    if seen != (rank.count, rank.count, 1):
        raise TrainingError(
            f"worker {rank.number} of {rank.count} sees {seen[0]} processes with {seen[1]} devices in all, so it would "
            "train alone",
            "this is a fault of JAX's set-up on that machine; train without --workers",
        )
    _, tensorflow = runtime.framework()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    yield
    jax.distributed.shutdown()


def _yield_to_steps() -> None:
    """Let threads that begin from now on interrupt no computation (Linux).

    Gloo's thread polls without a pause while the computing one, whose message it is, holds their lock. With one CPU
    for both, each exchange took 4 ms, which is the scheduler's tick, and takes 0.1 ms this way (Linux 6.18).
    """
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):  # not every sandbox lets it be set
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def agree(values: Sequence[Any], what: str) -> str:
    """SHA-256 of arrays that must be the same in all processes.

    Raises:
        TrainingError: they are not.
    """
    from jax.experimental import multihost_utils

    digest = hashlib.sha256()
    for value in values:
        digest.update(np.ascontiguousarray(value).tobytes())
    mine = np.frombuffer(digest.digest(), np.uint8)
    every = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1, len(mine))
    others = [number for number, one in enumerate(every) if (one != every[0]).any()]
    if others:
        raise TrainingError(
            f"the {what} of worker {', '.join(map(str, others))} are not those of worker 0",
            "the workers need the same versions of Keensight, Keras and JAX, and the same kind of CPU; train again",
        )
    return digest.hexdigest()


class _Network:
    """A compiled Keras model whose variables are spread over the processes of a group, each having all of them."""

    def __init__(self, model: Any, given: Given, rank: Rank) -> None:
        import jax
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        self.model, self._rank = model, rank
        numbers, train = given.plan.numbers, given.plan.config.train
        self._objective = objective_of(given.targets, train.class_weights)
        self._loss = self._objective.loss(train.label_smoothing)
        compile_for(model, given.plan.config, numbers, self._objective)
        self.optimizer = model.optimizer
        self._averages = None
        if numbers.ema:
            places = {id(variable): number for number, variable in enumerate(self.optimizer.variables)}
            self._averages = [places[id(variable)] for variable in averages_of(self.optimizer)]
        mesh = Mesh(np.array(jax.devices()), ("data",))
        everywhere, sliced = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
        self._everywhere = partial(jax.make_array_from_process_local_data, everywhere)
        self._sliced = partial(jax.make_array_from_process_local_data, sliced)
        self.step = jax.jit(
            self._step, donate_argnums=(0, 1),
            in_shardings=(everywhere, everywhere, sliced, sliced, sliced), out_shardings=(everywhere, everywhere),
        )  # fmt: skip
        self._forward = jax.jit(lambda trained, fixed, images: model.stateless_call(trained, fixed, images)[0])
        self._variables = (model.trainable_variables, model.non_trainable_variables, self.optimizer.variables)
        self.restore(self._variables)
        self.reset()

    def restore(self, groups: Sequence[Sequence[Any]]) -> None:
        """Take values of all variables: those that are trained, the other ones of the model, the optimizer's."""
        self.state = tuple([self._everywhere(np.asarray(one)) for one in group] for group in groups)

    def store(self, averaged: bool) -> None:
        """Give the Keras variables their values; the trained ones as averages, if these are kept."""
        trained, fixed, optimizer = self.state
        chosen = self.averaged if averaged else trained
        for variables, values in zip(self._variables, (chosen, fixed, optimizer), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(np.asarray(value))

    @property
    def averaged(self) -> list[Any]:
        """The averages of the trained variables, or these themselves."""
        return self.state[0] if self._averages is None else [self.state[2][place] for place in self._averages]

    def reset(self, totals: Sequence[Any] | None = None) -> None:
        """Begin an epoch's sums: loss, accuracy, steps."""
        self.totals = [self._everywhere(np.asarray(one)) for one in (totals or np.zeros(3, np.float32))]

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch so far."""
        loss, accuracy, steps = (float(np.asarray(one)) for one in self.totals)
        return loss / steps, accuracy / steps

    def train(self, batch: Sequence[NDArray[Any]]) -> None:
        """One step, on this process' slice of the batch."""
        self.state, self.totals = self.step(self.state, self.totals, *map(self._sliced, batch))

    def _step(self, state: Any, totals: Any, images: Any, targets: Any, weights: Any) -> Any:
        import jax

        trained, fixed, optimizer = state

        def objective(trained: Any) -> Any:
            logits, fixed_next, extra = self.model.stateless_call(
                trained, fixed, images, training=True, return_losses=True
            )
            return self._loss(targets, logits, sample_weight=weights) + sum(extra), (logits, fixed_next)

        (loss, (logits, fixed)), gradients = jax.value_and_grad(objective, has_aux=True)(trained)
        trained, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trained)
        found = (loss, self._objective.right(targets, logits).mean(), 1.0)
        return (trained, fixed, optimizer), [old + new for old, new in zip(totals, found, strict=True)]

    def logits(self, pixels: IndexedImages, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits (n, classes) of images, by the averaged weights; each process computes its share."""
        from jax.experimental import multihost_utils

        each = -(-len(rows) // self._rank.count)
        mine = np.resize(rows, each * self._rank.count)[self._rank.number * each :][:each]
        size = min(evaluation_batch(pixels.shape), each)
        trained, fixed = ([one.addressable_data(0) for one in group] for group in (self.averaged, self.state[1]))
        found = []
        for begin in range(0, each, size):
            some = np.resize(mine[begin : begin + size], size)  # always the same size, so that it is compiled once
            found.append(np.asarray(self._forward(trained, fixed, pixels.take(some)))[: each - begin])
        every = np.asarray(multihost_utils.process_allgather(np.concatenate(found)))
        return every.reshape(-1, every.shape[-1])[: len(rows)]

    def score(self, logits: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, float]:
        """Loss and accuracy of validation images."""
        hot = target_rows(targets, logits.shape[-1])
        right = np.asarray(self._objective.right(hot, logits))
        return {"val_loss": float(self._loss(hot, logits)), "val_accuracy": float(right.mean())}


def train(  # noqa: PLR0913 - callbacks by keyword
    model: Any,
    given: Given,
    pixels: IndexedImages,
    rank: Rank,
    *,
    checkpoints: Checkpoints,
    report: Report,
    followed: Callable[[int], None] = lambda step: None,
) -> Outcome:
    """Train a network together with the other processes of the group (:func:`joined`).

    Args:
        model: The network, with its initial weights; the same in all processes.
        given: What to do.
        pixels: Training images, then validation images.
        rank: Which process this is.
        checkpoints: Where the state is saved by the first process, and resumed from by all.
        report: Hears how far it is; only the first process's is used.
        followed: Called in each process after each step with its number.

    Raises:
        TrainingError: the loss became NaN or infinite, or the processes have not the same weights.
    """
    return _Training(model, given, pixels, rank, checkpoints, report, followed).run()


@dataclass
class _Training:
    """One call of :func:`train`."""

    model: Any
    given: Given
    pixels: IndexedImages
    rank: Rank
    checkpoints: Checkpoints
    report: Report
    followed: Callable[[int], None]

    def __post_init__(self) -> None:
        # It subclasses a Keras class, so it is imported late.
        from keensight.nets.training.callbacks import Watcher

        given = self.given
        self._net, self._numbers = _Network(self.model, given, self.rank), given.plan.numbers
        self._logits = np.zeros((0, given.plan.classes), np.float32)
        epoch = self.report.epoch if self.rank.first else None
        self._watcher = Watcher(self._numbers, epoch, given.plan.phase, self._ranking, hopeless=given.hopeless)
        self._watcher.set_model(self.model)
        self.model.stop_training = False

    def _ranking(self) -> float | None:
        objective = objective_of(self.given.targets)
        return objective.ranking(self._logits, self.given.val_targets)

    def run(self) -> Outcome:
        model, steps = self.model, self._numbers.steps
        begun, done = self._begin()
        agree([*model.get_weights(), np.array([begun.epoch, begun.step])], "initial weights")
        if self.rank.first:
            self.report.begin(begun.step)
        stream = self._batches(begun.step)
        epoch = begun.epoch
        while epoch < self._numbers.epochs and not (begun.stopped or model.stop_training):
            self._watcher.on_epoch_begin(epoch)
            for step in range(done, steps):
                self._net.train(next(stream))
                self._after(epoch, step + 1)
            self._end(epoch)
            epoch, done = epoch + 1, 0
        self._watcher.restore_best()
        agree(model.get_weights(), "weights")
        return Outcome(self._watcher.history(), model.get_weights())

    def _batches(self, first: int) -> Iterator[Any]:
        given = self.given
        steps = plan(
            given.plan.config.train, given.plan.config.model.name, given.rows, given.targets, given.plan.classes
        )
        made = batches.training(
            steps, self.pixels, given.plan.config.augment, self._numbers.epochs, first,
            batches.Slice(self.rank.number, self.rank.count),
        )  # fmt: skip
        return iter(made.as_numpy_iterator())

    def _after(self, epoch: int, done: int) -> None:
        """After a step: look at the loss now and then, and save if it is time."""
        number = epoch * self._numbers.steps + done
        if number % _EVERY == 0 or done == self._numbers.steps:
            loss, accuracy = self._net.means()
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} by step {number:,} (epoch {epoch + 1})",
                    f"lower the learning rate: --set train.learning_rate={self._numbers.learning_rate / 5:g}",
                )
            if self.rank.first:
                note = f"epoch {epoch + 1}/{self._numbers.epochs} loss {loss:.3f} accuracy {accuracy:.3f}"
                self.report.step(number, note)
        self.followed(number)
        if self.rank.first and done < self._numbers.steps and self.checkpoints.due(epoch_ended=False):
            self._save(epoch, done)

    def _end(self, epoch: int) -> None:
        loss, accuracy = self._net.means()
        self._logits = self._net.logits(self.pixels, self.given.val_rows)
        self._net.store(averaged=True)
        self._watcher.on_epoch_end(
            epoch, {"loss": loss, "accuracy": accuracy} | self._net.score(self._logits, self.given.val_targets)
        )
        self._net.reset()
        if self.rank.first and self.checkpoints.due(epoch_ended=True):
            self._save(epoch, self._numbers.steps)

    def _save(self, epoch: int, step: int) -> None:
        groups = dict(zip(_GROUPS, self._net.state, strict=True))
        arrays = {
            f"{name}/{number:05d}": np.asarray(value)
            for name, values in dict(groups, metrics=self._net.totals, best=self._watcher.best_weights).items()
            for number, value in enumerate(values)
        }
        self.checkpoints.save(self._watcher.state(epoch=epoch, step=step, averaged=False), arrays)

    def _begin(self) -> tuple[Begun, int]:
        """Restore the newest state; where the training goes on, and how many steps of that epoch are done.

        The first process reads it and sends it to the others: they need not see the same files at the same moment.
        """
        state, arrays = self._newest() if self.rank.first else (None, {})
        text = _sent(b"" if state is None else json.dumps(to_plain(state)).encode(), self.rank)
        if not text:
            return Begun(), 0
        state = from_plain(TrainingState, json.loads(text), "state")
        best = self.model.get_weights() if state.best_epoch else []
        wanted = dict(zip(_GROUPS, self._net.state, strict=True), metrics=self._net.totals, best=best)
        groups = {name: _listed(arrays, name) or [np.zeros(one.shape, one.dtype) for one in values]
                  for name, values in wanted.items()}  # fmt: skip
        groups = _broadcast(groups, self.rank)
        self._watcher.resume(state, groups["best"])
        self._net.restore([groups[name] for name in _GROUPS])
        self._net.store(averaged=False)
        if not state.ended:
            self._net.reset(groups["metrics"])
        return state.next, 0 if state.ended else state.step

    def _newest(self) -> tuple[TrainingState | None, Arrays]:
        """The newest state that fits the network."""
        found = self.checkpoints.newest(self.given.plan.phase)
        if found is None:
            return None, {}
        for name, wanted in zip(_GROUPS, self._net.state, strict=True):
            if [value.shape for value in _listed(found[1], name)] != [one.shape for one in wanted]:
                self.checkpoints.drop("the checkpoints do not fit this training, which starts from the beginning")
                return None, {}
        return found


def _broadcast(values: Any, rank: Rank) -> Any:
    """The first process' arrays, in all of them."""
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(values, is_source=rank.first)


def _sent(data: bytes, rank: Rank) -> bytes:
    """The first process' bytes, in all of them."""
    size = int(_broadcast(np.array(len(data), np.int32), rank))
    mine = np.frombuffer(data, np.uint8) if rank.first else np.zeros(size, np.uint8)
    return np.asarray(_broadcast(mine, rank)).astype(np.uint8).tobytes() if size else b""


def _listed(arrays: Arrays, group: str) -> list[NDArray[Any]]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(f"{group}/")]
