"""A network as one flat graph, whatever models were nested in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keensight.errors import UsageError
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras


def flat(model: keras.Model) -> keras.Model:
    """The same function without nested models; a flat functional model is returned as it is.

    A layer's output inside a nested model belongs to another graph than the model's output, so that no model can be
    made from the one to the other. Of a nested model every layer is copied, with its weights, into one graph.

    Args:
        model: Functional or sequential, with one input and one output.

    Raises:
        UsageError: it, or a model in it, is subclassed and has no graph.
    """
    keras, _ = framework()
    _check(model)
    if not isinstance(model, keras.Sequential) and not any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    inputs = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    copier = Copier()
    outputs = copier.apply(model, inputs)
    copier.fill()
    return keras.Model(inputs, outputs, name=model.name)


def _check(model: Any) -> None:
    if not isinstance(model, framework()[0].Sequential) and not hasattr(model, "operations"):
        raise UsageError(
            f"{model.name} is a subclassed model: its layers cannot be seen from outside",
            "build it as a functional model, keras.Model(inputs, outputs)",
        )


class Copier:
    """Applies copies of layers, and remembers whose weights they are to get.

    Args:
        taken: Names that no copy may have.
    """

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self._pairs: list[tuple[Any, Any]] = []
        self._taken = taken

    def apply(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """What ``layer`` makes of some symbolic tensors, by copies of the layers in it."""
        keras, _ = framework()
        if isinstance(layer, keras.Sequential):
            (x,) = args
            for inner in layer.layers:
                x = self.apply(inner, x)
            return x
        if isinstance(layer, keras.Model):
            return self._inside(layer, args[0])
        return self._copy(layer)(*args, **kwargs)

    def _inside(self, model: Any, inputs: Any) -> Any:
        _check(model)
        # What clone_model does, but for the model that it makes of the result: that would be a graph of its own.
        return model._run_through_graph(inputs, operation_fn=lambda operation: operation, call_fn=self.apply)

    def _copy(self, layer: Any) -> Any:
        taken = {copy.name for _, copy in self._pairs} | self._taken
        name = layer.name if layer.name not in taken else f"{layer.name}_copy{len(self._pairs)}"
        copy = type(layer).from_config({**layer.get_config(), "name": name})
        self._pairs.append((layer, copy))
        return copy

    def fill(self) -> None:
        """Give every copy its original's weights."""
        for layer, copy in self._pairs:
            if getattr(layer, "weights", None):  # a bare operation, such as an addition, has none
                copy.set_weights(layer.get_weights())
