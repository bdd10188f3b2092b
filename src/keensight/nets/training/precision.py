"""Choose float32 or bfloat16, measured on this machine if training is long enough. The network itself stays float32; a
copy is trained in bfloat16, so that the saved model computes in float32 and gives the same results in every format.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from keensight.core.files import read_json, write_json
from keensight.errors import StoreError
from keensight.nets.models.backbones import Choice
from keensight.nets.runtime import framework

_LONG = 3e8
"""Number of pixels in training (epochs x images x area) from which a second of measuring is worthwhile."""
_GAIN = 1.15
"""bfloat16 must be this much faster: its rounding is coarser."""
_FULL = ((3, 3, 64, 64), (3, 3, 64, 64))
_BLOCK = ((1, 1, 80, 480), (3, 3, 480, 1), (1, 1, 480, 80))
"""Kernels of the timed convolutions."""


def choose_precision(asked: str, pixels_seen: float, memory: Path | None = None, *, depthwise: bool = False) -> Choice:
    """Resolve ``auto``.

    Short trainings use float32. For long ones a forward and backward step of typical convolutions is timed in both, and
    bfloat16 (with float32 weights and logits) is used if it is faster. Networks of depthwise convolutions gain little
    or nothing, because these stay float32.

    Args:
        asked: ``auto``, ``float32`` or ``bfloat16``.
        pixels_seen: Epochs times images times pixels of an image.
        memory: File that caches measurements on this machine; None: measure each time.
        depthwise: Whether the network is mostly of depthwise convolutions.

    Returns:
        ``float32`` or ``bfloat16``, with the reason.
    """
    if asked != "auto":
        return Choice(asked, "as set")
    if pixels_seen < _LONG:
        return Choice("float32", "the training is short")
    plain, brain = _measured(memory, depthwise)
    name = "bfloat16" if plain > _GAIN * brain else "float32"
    what = "a depthwise block" if depthwise else "two convolutions"
    return Choice(name, f"a step of {what} takes {brain:.3f} s in bfloat16, {plain:.3f} s in float32 on this machine")


def _measured(memory: Path | None, depthwise: bool) -> tuple[float, float]:
    """Seconds of a step in float32 and in bfloat16, measured or cached."""
    _, tf = framework()
    machine = f"{platform.node()}, {os.cpu_count()} CPUs, TensorFlow {tf.__version__}"
    machine += ", depthwise" if depthwise else ""
    known: dict[str, Any] = {}
    if memory is not None and memory.exists():
        with suppress(StoreError, KeyError, TypeError, ValueError):
            known = dict(read_json(memory))
            return float(known[machine]["float32"]), float(known[machine]["bfloat16"])
    plain, brain = _step_seconds(tf.float32, depthwise), _step_seconds(tf.bfloat16, depthwise)
    if memory is not None:
        with suppress(StoreError):  # without the cache, it is measured again
            write_json(memory, known | {machine: {"float32": plain, "bfloat16": brain}})
    return plain, brain


def _step_seconds(kind: Any, depthwise: bool) -> float:
    """Shortest of five steps, in seconds, on maps of 14 px.

    Either two 3x3 convolutions of 64 channels on 64 images, or an inverted residual block of 80 channels on 32.
    """
    _, tf = framework()
    n, shapes = (32, _BLOCK) if depthwise else (64, _FULL)
    images = tf.cast(tf.random.stateless_normal((n, 14, 14, shapes[0][2]), seed=(0, 0)), kind)
    kernels = [tf.Variable(tf.random.stateless_normal(shape, seed=(0, 1))) for shape in shapes]

    def convolve(x: Any, kernel: Any) -> Any:
        if kernel.shape[-1] == 1:  # depthwise, which networks keep in float32
            return tf.nn.depthwise_conv2d(tf.cast(x, tf.float32), kernel, [1, 1, 1, 1], "SAME")
        return tf.nn.conv2d(tf.cast(x, kind), tf.cast(kernel, kind), 1, "SAME")

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            x = images
            for kernel in kernels:
                x = tf.nn.relu(convolve(x, kernel))
            total = tf.reduce_sum(tf.cast(x, tf.float32))
        return tape.gradient(total, [*kernels, images])

    step()
    return min(_timed(step) for _ in range(5))


def _timed(step: Any) -> float:
    started = time.perf_counter()
    step()[0].numpy()
    return time.perf_counter() - started
