"""Check whether a network can be trained on an image set: errors that would otherwise be silent, or obscure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.errors import UsageError
from keensight.nets.adopt import are_probabilities, named_activation
from keensight.nets.keras_private import producer
from keensight.nets.runtime import framework


def check_trainable(model: Any, labels: Sequence[str], images: NDArray[np.uint8]) -> None:
    """Refuse a network that does not map such images to one logit per class.

    Args:
        model: The model to train.
        labels: Names of the classes or labels.
        images: A few images of the set, uint8 (n, height, width, 3).

    Raises:
        UsageError: it is not a functional or sequential model with one input and one output, its input or outputs do
            not fit, or it outputs probabilities.
    """
    keras, _ = framework()
    if not isinstance(model, keras.Model):
        raise UsageError(f"expected a keras.Model, not a {type(model).__name__}", "ks.build(data, spec) makes one")
    if not getattr(model, "inputs", None):
        raise UsageError(
            f"{model.name} is subclassed or was never built, so its input and outputs are not accessible",
            "start it with keras.Input((height, width, 3)), as a sequential or functional model",
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"{model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            "give a model with one image input and one output of logits",
        )
    _check_input(model, images.shape[1:])
    _check_outputs(model, labels)
    _check_logits(model, images)


def _check_input(model: Any, shape: tuple[int, ...]) -> None:
    wanted = tuple(model.inputs[0].shape[1:])
    if len(wanted) != 3 or any(side not in (None, given) for side, given in zip(wanted, shape, strict=True)):
        raise UsageError(
            f"{model.name} takes images of shape {wanted}, but these have {shape}",
            f"start it with keras.Input({shape}), or prepare the images with ks.image_spec(data, image_size=...)",
        )


def _check_outputs(model: Any, labels: Sequence[str]) -> None:
    shape = tuple(model.outputs[0].shape[1:])
    if shape == (len(labels),):
        return
    given = f"{shape[0]} outputs" if len(shape) == 1 else f"outputs of shape {shape}"
    named = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
    raise UsageError(
        f"{model.name} has {given}, but there are {len(labels)} classes ({named})",
        f"end it in keras.layers.Dense({len(labels)}, name='logits')",
    )


def _check_logits(model: Any, images: NDArray[np.uint8]) -> None:
    end = named_activation(_last_operation(model))
    if end not in ("softmax", "sigmoid"):
        given = np.asarray(model(images, training=False), np.float64)
        if given.shape[1] == 1 or not are_probabilities(given):
            return
        end = "softmax"
    raise UsageError(
        f"{model.name} ends in a {end}, but training needs logits: a second {end} would make the probabilities wrong",
        f"remove the {end} from the last layer, keras.layers.Dense({model.outputs[0].shape[-1]}, name='logits'); a "
        "network that is already trained can be used with ks.adopt",
    )


def _last_operation(model: Any) -> Any:
    """The operation that creates the output, also in a nested model."""
    operation = producer(model.outputs[0])
    return _last_operation(operation) if isinstance(operation, framework()[0].Model) else operation
