"""Where a network can be cut in two, and the cost of each half."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from keensight.nets.keras_private import sources

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Cut:
    """A layer whose output is the only input of the layers above it."""

    layer: str
    below: float
    """Fraction of the network's multiplications that this layer and those below it make, 0 to 1."""


def cuts(model: keras.Model) -> tuple[Cut, ...]:
    """All cuts: layers at which a single tensor connects the lower and upper part of a functional model, in order.

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
        # Earlier tensors must not be used after this layer.
        if open_until <= number:
            found.append(Cut(layer.name, done / total))
        open_until = max(open_until, last_use[number])
    return tuple(found)


def multiplications(layer: Any) -> int:
    """Multiply-adds of a layer for one image: convolutions and dense layers; others are ignored."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    # A kernel is applied once at each position of the output; a depthwise one has no sum over channels.
    places = prod(layer.output.shape[1:-1])
    return int(prod(kernel.shape)) * int(places)
