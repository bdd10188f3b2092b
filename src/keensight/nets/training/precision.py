"""Choose float32 or 16 bits, measured on this machine if training is long enough. The network itself stays float32; a
copy is trained in 16 bits, so that the saved model computes in float32 and gives the same results in every format.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keensight.nets import runtime
from keensight.nets.gpu import gpu_name, half_precision
from keensight.nets.models.backbones import Choice
from keensight.nets.runtime import framework, remembered, sees_gpu, versions

_LONG = 3e8
"""Number of pixels in training (epochs x images x area) from which a second of measuring is worthwhile."""
_GAIN = 1.15
"""16 bits must be this much faster: their rounding is coarser."""
_GPU_IMAGES = 16
"""So many times as many images for a GPU, which would otherwise mostly wait for the next operation."""
_FULL = ((3, 3, 64, 64), (3, 3, 64, 64))
_BLOCK = ((1, 1, 80, 480), (3, 3, 480, 1), (1, 1, 480, 80))
"""Kernels of the timed convolutions."""


def choose_precision(
    asked: str,
    pixels_seen: float,
    memory: Path | None = None,
    *,
    depthwise: bool = False,
    devices: Sequence[str] | None = None,
) -> Choice:
    """Resolve ``auto``.

    Short trainings use float32. For long ones a forward and backward step of typical convolutions is timed in both
    float32 and 16 bits, and 16 bits (with float32 weights and logits) are used if they are faster: bfloat16, or float16
    on a GPU that multiplies fast only in that. Networks of depthwise convolutions gain little or nothing, because these
    stay float32.

    Args:
        asked: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        pixels_seen: Epochs times images times pixels of an image.
        memory: File that caches measurements on this machine; None: measure each time.
        depthwise: Whether the network is mostly of depthwise convolutions.
        devices: Names of devices; None: those that TensorFlow sees.

    Returns:
        ``float32``, ``bfloat16`` or ``float16``, with the reason.
    """
    if asked != "auto":
        return Choice(asked, "as set")
    if pixels_seen < _LONG:
        return Choice("float32", "the training is short")
    devices = runtime.devices() if devices is None else devices
    half = half_precision(devices)
    if half is None:
        return Choice("float32", "the GPU is not known to compute faster in 16 bits")
    on_gpu = sees_gpu(devices)
    machine = f"TensorFlow {versions()['tensorflow']}{', depthwise' if depthwise else ''}"
    machine += f", {gpu_name()}" if on_gpu else ""
    factor = _GPU_IMAGES if on_gpu else 1
    seconds = remembered(memory, machine, ["float32", half], lambda kind: _step_seconds(kind, depthwise, factor))
    name = half if seconds["float32"] > _GAIN * seconds[half] else "float32"
    what = "a depthwise block" if depthwise else "two convolutions"
    told = " and ".join(f"{seconds[kind]:.3g} s in {kind}" for kind in (half, "float32"))
    return Choice(name, f"a step of {what} takes {told} on this machine")


def _step_seconds(name: str, depthwise: bool, factor: int) -> float:
    """Shortest of five steps, in seconds, on maps of 14 px.

    Either two 3x3 convolutions of 64 channels on 64 images, or an inverted residual block of 80 channels on 32;
    ``factor`` times as many images.
    """
    _, tf = framework()
    kind = tf.as_dtype(name)
    n, shapes = (32 * factor, _BLOCK) if depthwise else (64 * factor, _FULL)
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
