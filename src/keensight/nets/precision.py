"""float32 or bfloat16? Measured on the machine at hand, where the training is long enough to pay for it."""

from __future__ import annotations

import time
from typing import Any

from keensight.nets.backbones import Choice
from keensight.nets.runtime import framework

_LONG = 3e8
"""Pixels seen in training (epochs x images x area) from which on a second of measuring pays."""
_GAIN = 1.15
"""bfloat16 must be this much faster: its rounding is coarser."""


def choose_precision(asked: str, pixels_seen: float) -> Choice:
    """Resolve ``auto``.

    Short trainings use float32. For long ones a forward and backward step of two convolutions is timed in
    both, and bfloat16 (with float32 weights, batch normalisation and logits) is taken where it is faster.

    Args:
        asked: ``auto``, ``float32`` or ``bfloat16``.
        pixels_seen: Epochs times images times pixels of an image.

    Returns:
        ``float32`` or ``bfloat16``, with the reason.
    """
    if asked != "auto":
        return Choice(asked, "as asked")
    if pixels_seen < _LONG:
        return Choice("float32", "the training is short")
    _, tf = framework()
    plain, brain = _step_seconds(tf.float32), _step_seconds(tf.bfloat16)
    name = "bfloat16" if plain > _GAIN * brain else "float32"
    return Choice(name, f"a step of two convolutions takes {brain:.3f} s in bfloat16, {plain:.3f} s in float32 here")


def _step_seconds(kind: Any) -> float:
    """Shortest of five steps, in seconds: two 3x3 convolutions of 64 channels on 64 images of 14 px."""
    _, tf = framework()
    images = tf.cast(tf.random.stateless_normal((64, 14, 14, 64), seed=(0, 0)), kind)
    kernel = tf.Variable(tf.random.stateless_normal((3, 3, 64, 64), seed=(0, 1)))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            x = images
            for _ in range(2):
                x = tf.nn.relu(tf.nn.conv2d(x, tf.cast(kernel, kind), 1, "SAME"))
            total = tf.reduce_sum(tf.cast(x, tf.float32))
        return tape.gradient(total, [kernel, images])

    step()
    return min(_timed(step) for _ in range(5))


def _timed(step: Any) -> float:
    started = time.perf_counter()
    step()[0].numpy()
    return time.perf_counter() - started
