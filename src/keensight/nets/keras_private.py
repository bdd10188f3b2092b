"""All use of Keras' private API: how the layers of a functional model are connected, and an optimizer's averages.

Keras may change these names in any release, so they are used only here, and
``tests/unit/nets/test_keras_private.py`` checks each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def producer(tensor: Any) -> Any:
    """The operation (a layer or a model, mostly) that a symbolic tensor is an output of."""
    return tensor._keras_history.operation


def source_tensors(tensor: Any) -> list[Any]:
    """The symbolic input tensors of the call that created ``tensor``; empty for an input of the graph."""
    operation, call, _ = tensor._keras_history
    return list(operation._inbound_nodes[call].input_tensors)


def sources(layer: Any) -> list[Any]:
    """The operations whose outputs are inputs of ``layer``, over all of its calls."""
    return [parent.operation for node in layer._inbound_nodes for parent in node.parent_nodes]


def readers(layer: Any) -> list[Any]:
    """The operations that use the output of ``layer``."""
    return [node.operation for node in layer._outbound_nodes]


def calls(layer: Any) -> int:
    """Number of calls of ``layer`` on symbolic tensors: more than one if it is shared."""
    return len(layer._inbound_nodes)


def outputs(model: Any) -> Iterator[tuple[Any, Any]]:
    """All operations of a model and of those in it, each with each of its symbolic outputs."""
    inner: list[Any] = getattr(model, "operations", None) or getattr(model, "layers", [])
    for operation in inner:
        yield from ((operation, tensor) for node in operation._inbound_nodes for tensor in node.output_tensors)
        yield from outputs(operation)


def rerun(model: Any, inputs: Any, apply: Callable[..., Any]) -> Any:
    """Walk the graph of a functional model again from other symbolic inputs.

    As ``keras.models.clone_model`` does, but without making a model of the result, which would be its own graph.

    Args:
        model: A functional model.
        inputs: One symbolic tensor for each of its inputs.
        apply: ``apply(operation, *args, **kwargs)`` gives an operation's outputs.
    """
    return model._run_through_graph(inputs, operation_fn=lambda operation: operation, call_fn=apply)


def averages_of(optimizer: Any) -> list[Any]:
    """The variables with the moving averages of the trained ones, in their order; the optimizer is built with them."""
    return list(optimizer._model_variables_moving_average)
