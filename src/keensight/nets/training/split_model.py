"""Where a network can be cut in two, and what each half costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from keensight.nets.keras_private import sources
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Cut:
    """A layer whose output is all that the layers above it need."""

    layer: str
    below: float
    """Share of the network's multiplications that this layer and those below it make, 0 to 1."""
    values: int
    """Numbers that an image's activation holds here."""


def cuts(model: keras.Model) -> tuple[Cut, ...]:
    """Every place where one tensor joins a functional model's lower part to its upper part, in order.

    Args:
        model: A functional Keras model with one input and one output.
    """
    layers = [layer for layer in model.layers if layer.__class__.__name__ != "InputLayer"]
    position = {id(layer): number for number, layer in enumerate(layers)}
    last_use = [number for number, _ in enumerate(layers)]
    for number, layer in enumerate(layers):
        for source in sources(layer):
            if id(source) in position:
                last_use[position[id(source)]] = number
    costs = [multiplications(layer) for layer in layers]
    total = max(sum(costs), 1)
    found, open_until, done = [], -1, 0
    for number, layer in enumerate(layers[:-1]):
        done += costs[number]
        # Earlier tensors must all have had their last reader by now: this layer at the latest.
        if open_until <= number:
            found.append(Cut(layer.name, done / total, prod(layer.output.shape[1:])))
        open_until = max(open_until, last_use[number])
    return tuple(found)


def multiplications(layer: Any) -> int:
    """Multiply-adds of a layer for one image: convolutions and dense layers; others count as nothing."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    # A kernel is applied once at each place of the output; a depthwise one has no sum over channels.
    places = prod(layer.output.shape[1:-1])
    return int(prod(kernel.shape)) * int(places)


def halves(model: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
    """The parts of a functional model below and above a cut; both share their layers with it.

    Args:
        model: A functional Keras model.
        layer: Name of a cut.

    Returns:
        Images to activations, and activations to the model's output.
    """
    keras, _ = framework()
    joint = model.get_layer(layer).output
    return keras.Model(model.input, joint, name="lower"), keras.Model(joint, model.output, name="upper")
