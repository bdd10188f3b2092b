"""Adopt a Keras network that was trained elsewhere: uint8 pixels in, logits out, built-in layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from keensight.core.registry import did_you_mean
from keensight.core.task import Task
from keensight.errors import GateError, UsageError
from keensight.nets.classifier import Classifier
from keensight.nets.gradcam import Copier, flat
from keensight.nets.inputs import evaluation_batch
from keensight.nets.keras_private import producer
from keensight.nets.models.backbones import NORMALISATIONS as IN_WORDS
from keensight.nets.models.normalise import BGR_MEAN, MEAN, STD, normalise
from keensight.nets.runtime import framework
from keensight.nets.training.losses import OBJECTIVES, Objective, Sigmoid, Softmax

if TYPE_CHECKING:
    import keras

End = Literal["softmax", "sigmoid", "linear"]

NORMALISATIONS: Mapping[str, str] = {
    "none": "in-model", "0..1": "unit", "-1..1": "tf", "imagenet": "torch", "caffe": "caffe"
}  # fmt: skip
"""Kinds of normalization that a network expects, and the mode of ``nets.models.normalise`` that it means."""
TOLERANCE = 1e-4
"""Maximum difference of a probability between the adopted and the original network."""
_LUMA = (0.299, 0.587, 0.114)
"""RGB to gray, ITU-R BT.601, as Pillow and TensorFlow have it."""
_OURS = frozenset({"image", "pixels", "normalise", "grey", "plane", "logits", "scores"})


@dataclass(frozen=True, slots=True)
class Adopted:
    """An adopted network, and what was changed."""

    model: keras.Model
    """uint8 (n, height, width, 3) to float32 logits (n, classes)."""
    end: End
    """The original activation of the last layer."""
    dropped: tuple[str, ...]
    """Layers that are only active in training and were removed: random augmentation."""


def adopt(model: keras.Model, classes: int, normalisation: str, task: Task = Task.MULTICLASS) -> Adopted:
    """Copy a network into one flat graph with normalization before it and logits at its end.

    A last softmax or sigmoid is removed, and a single output for two classes becomes two logits, so that the softmax of
    the logits equals the original output. Random augmentation is removed.

    Args:
        model: Functional or sequential, of one input (height, width[, 1 or 3]) and one output (n, classes).
        classes: Number of classes or labels.
        normalisation: How pixels from 0 to 255 must be normalized, a name in ``NORMALISATIONS``.
        task: Whether images have one class each, or any number of labels.

    Raises:
        UsageError: the network cannot be adopted; the message says why.
    """
    keras, _ = framework()
    mode = NORMALISATIONS.get(normalisation)
    if mode is None:
        raise UsageError(
            f"there is no normalization {normalisation!r}", did_you_mean(normalisation, list(NORMALISATIONS))
        )
    height, width = _checked_input(model, normalisation)
    outputs = _checked_output(model, classes, task)
    whole = flat(model)
    inner, end, weights = _end(whole)
    _check_end(model, end, outputs, classes, task)
    image = keras.Input((height, width, 3), dtype="uint8", name="image")
    copier = _Adopter(_OURS)
    x = copier.apply(keras.Model(whole.inputs[0], inner), _entry(image, model.input_shape, mode))
    logits = _logits(x, classes, outputs, weights)
    copier.fill()
    return Adopted(keras.Model(image, logits, name=model.name), end, tuple(copier.dropped))


def in_words(normalisation: str) -> str:
    """Description of an adopted network's normalization, for its manifest."""
    return IN_WORDS[NORMALISATIONS[normalisation]]


class _Adopter(Copier):
    """A copier that skips random layers, which are only active in training."""

    def __init__(self, taken: frozenset[str]) -> None:
        super().__init__(taken)
        self.dropped: list[str] = []

    def apply(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("training", None)  # kept in the graph, it would be active unless a caller says otherwise
        if not type(layer).__name__.startswith("Rand"):
            return super().apply(layer, *args, **kwargs)
        if tuple(layer.compute_output_shape(args[0].shape)) != tuple(args[0].shape):
            raise UsageError(
                f"the layer {layer.name} changes the image size randomly",
                "crop before the model, or use its size as the model's input",
            )
        self.dropped.append(layer.name)
        return args[0]


def _checked_input(model: Any, normalisation: str) -> tuple[int, int]:
    """Height and width of the input; refuses models that could not be loaded from a bundle."""
    keras, _ = framework()
    if not isinstance(model, keras.Model):
        raise UsageError(f"expected a keras.Model, not a {type(model).__name__}", "give the trained model itself")
    if not getattr(model, "inputs", None):
        raise UsageError(
            f"{model.name} is subclassed or was never built, so its layers and input size are not accessible",
            "start it with keras.Input((height, width, 3)), as a sequential or functional model",
        )
    for layer in _layers(model):
        if type(layer).__module__.split(".")[0] != "keras" or type(layer).__name__ == "Lambda":
            raise UsageError(
                f"the layer {layer.name} ({type(layer).__name__}) contains custom code, which a bundle never runs",
                "build the model from built-in Keras layers; replace a Lambda by keras.layers.Rescaling or "
                "keras.ops, for example",
            )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"{model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            "give a model with one image input and one output over the classes",
        )
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
        raise UsageError(
            f"the input of {model.name} is {shape}, but (height, width), (height, width, 1) or (height, width, 3) of "
            f"numeric type is needed",
            "wrap it: keras.Sequential([keras.Input((height, width, 3)), ..., model])",
        )
    if "int" in str(model.inputs[0].dtype) and normalisation != "none":
        raise UsageError(f"{model.name} takes integers, so it scales them itself", "set normalisation='none'")
    return int(shape[0]), int(shape[1])


def _layers(model: Any) -> Iterator[Any]:
    """Every layer, including those of nested models."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _checked_output(model: Any, classes: int, task: Task) -> int:
    """Number of outputs: one per class, or one for two classes."""
    shape = tuple(model.outputs[0].shape[1:])
    if shape == (classes,) or (shape == (1,) and classes == 2 and task == Task.MULTICLASS):
        return int(shape[0])
    given = f"{shape[0]} outputs" if len(shape) == 1 else f"outputs of shape {shape}"
    raise UsageError(
        f"{model.name} has {given}, but there are {classes} class names",
        "give labels=[...], one name per output, in order",
    )


def _check_end(model: Any, end: End, outputs: int, classes: int, task: Task) -> None:
    if task == Task.MULTILABEL and end == "softmax":
        raise UsageError(
            f"{model.name} ends in a softmax, which predicts one class, but the images can have several labels",
            "end it in a sigmoid",
        )
    if task == Task.MULTICLASS and end == "sigmoid" and outputs == classes:
        raise UsageError(
            f"{model.name} ends in a sigmoid for each of {classes} classes, but each image has one class",
            "end it in a softmax, or give a multi-label set",
        )


def _end(model: Any) -> tuple[Any, End, list[NDArray[np.float32]] | None]:
    """The tensor before the last layer, that layer's activation, and kernel and bias of a last dense layer."""
    keras, _ = framework()
    tensor, end = model.outputs[0], named_activation(producer(model.outputs[0]))
    operation = producer(tensor)
    if end is not None and not isinstance(operation, keras.layers.Dense):  # a separate activation layer
        tensor = operation.input
        operation = producer(tensor)
        if not isinstance(operation, keras.layers.Dense) or named_activation(operation) != "linear":
            return tensor, end, None
    if not isinstance(operation, keras.layers.Dense) or len(operation.input.shape) != 2:
        return tensor, end or "linear", None
    last = named_activation(operation)
    if last is None:  # such as relu: its output counts as the logits
        return tensor, end or "linear", None
    kernel = np.asarray(operation.kernel, np.float32)
    bias = np.zeros(kernel.shape[1], np.float32) if operation.bias is None else np.asarray(operation.bias, np.float32)
    return operation.input, end if end not in (None, "linear") else last, [kernel, bias]


def named_activation(operation: Any) -> End | None:
    """The activation that an operation is, or ends in."""
    found: dict[str, End] = {"softmax": "softmax", "sigmoid": "sigmoid", "linear": "linear"}
    kind = type(operation).__name__
    if kind in ("Softmax", "Sigmoid"):
        return found[kind.lower()]
    return found.get(getattr(getattr(operation, "activation", None), "__name__", ""))


def _entry(image: Any, shape: tuple[Any, ...], mode: str) -> Any:
    """Normalized pixels in the network's input shape: RGB, or gray by the usual weights."""
    layers = framework()[0].layers
    x = normalise(image, mode)
    if len(shape) == 4 and shape[3] == 3:
        return x
    gray = layers.Conv2D(1, 1, use_bias=False, trainable=False, dtype="float32", name="grey")
    x = gray(x)
    gray.set_weights([np.array(_LUMA, np.float32).reshape(1, 1, 3, 1)])
    return x if len(shape) == 4 else layers.Reshape(shape[1:], name="plane")(x)


def _logits(x: Any, classes: int, outputs: int, weights: list[NDArray[np.float32]] | None) -> Any:
    """The last layer: dense and called ``logits``, so that its input is the embedding."""
    layers = framework()[0].layers
    if weights is None and outputs == classes:
        return layers.Activation("linear", dtype="float32", name="scores")(x)
    kernel, bias = weights or [np.ones((1, 1), np.float32), np.zeros(1, np.float32)]
    if outputs != classes:  # a single output for two classes: the first class's logit is 0
        kernel, bias = np.hstack([np.zeros_like(kernel), kernel]), np.hstack([np.zeros_like(bias), bias])
    last = layers.Dense(classes, dtype="float32", name="logits")
    logits = last(x)
    last.set_weights([kernel, bias])
    return logits


def answers(model: keras.Model, images: NDArray[np.uint8], normalisation: str) -> NDArray[np.float32]:
    """The original network's outputs for pixels normalized with NumPy, (n, outputs)."""
    size, shape = evaluation_batch(images.shape[1:]), model.input_shape
    found = []
    for begin in range(0, len(images), size):
        x = _scaled(images[begin : begin + size].astype(np.float32), normalisation)
        if len(shape) == 3 or shape[3] == 1:
            x = (x @ np.array(_LUMA, np.float32)).reshape(len(x), *shape[1:])
        if "int" in str(model.inputs[0].dtype):
            x = x.round().astype(np.uint8)
        found.append(np.asarray(model(x, training=False), np.float32))
    return np.concatenate(found)


def _scaled(x: NDArray[np.float32], normalisation: str) -> NDArray[np.float32]:
    if normalisation == "caffe":
        return np.asarray(x[..., ::-1] - np.array(BGR_MEAN, np.float32))
    if normalisation == "imagenet":
        return np.asarray((x / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32))
    return np.asarray({"none": x, "0..1": x / 255, "-1..1": x / 127.5 - 1}[normalisation], np.float32)


def check_parity(model: keras.Model, adopted: Adopted, classifier: Classifier, images: NDArray[np.uint8],
                 normalisation: str) -> float:  # fmt: skip
    """Compare the original network with the adopted one.

    Args:
        model: The original network.
        adopted: The adopted network.
        classifier: The adopted network as a classifier.
        images: uint8 (n, height, width, 3).
        normalisation: As for :func:`adopt`.

    Returns:
        The largest difference of a probability.

    Raises:
        GateError: it is above ``TOLERANCE``.
        UsageError: its outputs are probabilities without a last softmax or sigmoid.
    """
    given = answers(model, images, normalisation).astype(np.float64)
    softmax = classifier.task == Task.MULTICLASS
    if adopted.end == "linear" and softmax and given.shape[1] > 1 and are_probabilities(given):
        raise UsageError(
            f"{model.name} outputs probabilities, but its last layer is not a softmax that could be removed",
            "end it in a Dense layer, with softmax or without an activation",
        )
    expected = _probabilities(given, adopted.end, OBJECTIVES[classifier.task]())
    worst = float(np.abs(classifier.predict_array(images) - expected).max())
    if not worst <= TOLERANCE:
        raise GateError(
            f"the copy of {model.name} does not reproduce the original model: a probability differs by {worst:.2g}",
            "one of its layers may be random or stateful; remove it",
        )
    return worst


def are_probabilities(given: NDArray[np.float64]) -> bool:
    """Whether rows (n, classes) are probabilities of mutually exclusive classes: nonnegative, with sum 1."""
    return bool((given >= 0).all() and np.allclose(given.sum(axis=1), 1, atol=1e-3))


def _probabilities(given: NDArray[np.float64], end: End, objective: Objective) -> NDArray[np.float64]:
    if given.shape[1] == 1 and isinstance(objective, Softmax):
        second = Sigmoid().probabilities(given) if end == "linear" else given
        return np.hstack([1 - second, second])
    return given if end != "linear" else objective.probabilities(given)


def accuracies(model: keras.Model, end: End, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> dict[str, float]:
    """The accuracy with each normalization: if the given one is wrong, another is far better.

    Args:
        model: The original network, single-label, with floating-point input.
        end: Its last activation.
        images: uint8 (n, height, width, 3).
        targets: Class numbers, shape (n,).
    """
    found = {}
    for name in NORMALISATIONS:
        probabilities = _probabilities(answers(model, images, name).astype(np.float64), end, Softmax())
        found[name] = float((probabilities.argmax(axis=1) == targets).mean())
    return found
