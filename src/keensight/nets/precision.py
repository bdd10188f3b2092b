"""float32 or bfloat16? Measured on the machine at hand, where the training is long enough to pay for it.

The network itself stays float32; what is trained in bfloat16 is a copy of it, so that the shipped graph computes in
float32 and every later form of it gives the same figures.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.files import read_json, write_json
from keensight.errors import StoreError
from keensight.nets.backbones import Choice
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

_LONG = 3e8
"""Pixels seen in training (epochs x images x area) from which on a second of measuring pays."""
_GAIN = 1.15
"""bfloat16 must be this much faster: its rounding is coarser."""


def choose_precision(asked: str, pixels_seen: float, memory: Path | None = None) -> Choice:
    """Resolve ``auto``.

    Short trainings use float32. For long ones a forward and backward step of two convolutions is timed in
    both, and bfloat16 (with float32 weights, batch normalisation and logits) is taken where it is faster.

    Args:
        asked: ``auto``, ``float32`` or ``bfloat16``.
        pixels_seen: Epochs times images times pixels of an image.
        memory: File that remembers what was measured on this machine; None: measure each time.

    Returns:
        ``float32`` or ``bfloat16``, with the reason.
    """
    if asked != "auto":
        return Choice(asked, "as asked")
    if pixels_seen < _LONG:
        return Choice("float32", "the training is short")
    plain, brain = _measured(memory)
    name = "bfloat16" if plain > _GAIN * brain else "float32"
    return Choice(name, f"a step of two convolutions takes {brain:.3f} s in bfloat16, {plain:.3f} s in float32 here")


def training_form(model: keras.Model, precision: str) -> keras.Model:
    """The network as it is trained: itself in ``float32``; in ``bfloat16`` a copy with float32 weights and logits.

    Depthwise convolutions stay float32, as TensorFlow's gradient of their kernels is several times slower in
    bfloat16; so do layers that ask for a type of their own.

    Args:
        model: A functional Keras model; its layers' ``trainable`` is kept.
        precision: ``float32`` or ``bfloat16``.
    """
    if precision == "float32":
        return model
    keras, _ = framework()

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.DepthwiseConv2D) and layer.name != "logits":
            config["dtype"] = "mixed_bfloat16"
        return layer.__class__.from_config(config)

    form = keras.models.clone_model(model, clone_function=copy)
    form.set_weights(model.get_weights())
    return form


def _measured(memory: Path | None) -> tuple[float, float]:
    """Seconds of a step in float32 and in bfloat16, measured here or remembered."""
    _, tf = framework()
    machine = f"{platform.node()}, {os.cpu_count()} processors, TensorFlow {tf.__version__}"
    if memory is not None and memory.exists():
        with suppress(StoreError, KeyError, TypeError, ValueError):
            known = read_json(memory)[machine]
            return float(known["float32"]), float(known["bfloat16"])
    plain, brain = _step_seconds(tf.float32), _step_seconds(tf.bfloat16)
    if memory is not None:
        with suppress(StoreError):  # a cache that cannot be written costs a second, no more
            write_json(memory, {machine: {"float32": plain, "bfloat16": brain}})
    return plain, brain


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
