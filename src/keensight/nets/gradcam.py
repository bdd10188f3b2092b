"""Heatmaps: Grad-CAM, HiResCAM and LayerCAM.

The gradient of a class's logit measures how much each value of a feature map (h, w, channels) counts. Three methods
combine them into one number per position:

- ``gradcam`` (Selvaraju et al. 2017): each channel is weighted by its gradient's mean over all positions;
- ``hirescam`` (Draelos and Carin 2020): value times gradient at each position; if the rest of the network is linear (a
mean and a dense layer), the sum over all positions is the logit minus its bias;
- ``layercam`` (Jiang et al. 2021): the same without negative contributions.

Two maps are used, and both heatmaps, each scaled to 1, are added: the last one, which knows most and has few places,
and the last one before it that has 7 places along a side and that all else comes from. Alone, the first is too coarse
on small inputs and the second too restless; their sum had the smallest area under the deletion curve on two sets of
photographs (``benchmarks/saliency.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress, Silent
from keensight.core.registry import did_you_mean
from keensight.errors import UsageError
from keensight.nets.embeddings import embedding
from keensight.nets.keras_private import rerun, source_tensors
from keensight.nets.runtime import framework
from keensight.nets.training.split_model import cuts

if TYPE_CHECKING:
    import keras

    from keensight.nets.classifier import Classifier


METHOD = "hirescam"


_BATCH, _FEW = 32, 16


class Explainer:
    """Computes heatmaps for one classifier: which regions of an image contribute to a class.

    Args:
        classifier: Its network may be flat or nested. With test-time augmentation, both heatmaps are averaged; for an
            enrolled class, the cosine to its mean is explained.
        method: ``gradcam``, ``hirescam`` or ``layercam``.
        finer: Whether the finer map counts too. The last map alone gives class activation maps (Zhou et al. 2016).

    Raises:
        UsageError: the network is subclassed or has no feature maps, or there is no such method.
    """

    def __init__(self, classifier: Classifier, method: str = METHOD, *, finer: bool = True) -> None:
        keras, tf = framework()
        if method not in _METHODS:
            raise UsageError(f"there is no explanation method {method!r}", did_you_mean(method, list(_METHODS)))
        model = flat(classifier.keras_model)
        maps, fine = last_maps(model), fine_map(model) if finer else None
        inner = embedding(model)
        outputs = [*model.outputs] if inner is None else [*model.outputs, inner]
        # Cut at all last maps at once, so that paths around the last map are not attributed to it.
        uppers = [keras.Model(maps, outputs)]
        if fine is not None:
            uppers.append(keras.Model([fine], outputs))
        lower = keras.Model(model.input, [*maps, *([] if fine is None else [fine])])
        self._lower = lambda images: lower(images, training=False)
        self._compiled = tf.function(self._lower, reduce_retracing=True, autograph=False)
        self._uppers = uppers
        self._classifier = classifier
        self._last = len(maps)
        self._side = _places(maps[-1] if fine is None else fine)
        self._weigh = _METHODS[method]

    @property
    def side(self) -> int:
        """Positions along the longer side of the finer map."""
        return self._side

    def heatmaps(
        self, images: NDArray[np.uint8], targets: NDArray[np.int64], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Compute heatmaps for a class.

        Args:
            images: uint8 (n, H, W, 3), of the classifier's input size.
            targets: Number of the class to explain, shape (n,).
            progress: Where to report.

        Returns:
            float32 (n, H, W), 0 to 1: the maximum of each image is 1; regions that count against the class are 0. All 0
            if no region contributes to the class.
        """
        found = np.zeros(images.shape[:3], np.float32)
        with (progress or Silent()).task("explaining", len(images)) as task:
            for begin in range(0, len(images), _BATCH):
                some = slice(begin, begin + _BATCH)
                found[some] = self._heat(images[some], targets[some])
                task.advance(len(found[some]))
        return _scaled(found)

    def _heat(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
        found = self._evidence(images, targets)
        if self._classifier.mirror:
            mirrored = self._evidence(images[:, :, ::-1], targets)
            found = [one + other[:, :, ::-1] for one, other in zip(found, mirrored, strict=True)]
        return np.asarray(np.sum([_scaled(np.maximum(one, 0)) for one in found], axis=0), dtype=np.float32)

    def _evidence(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Signed contribution of each position of the last and the finer map to the class score, (n, H, W)."""
        _, tf = framework()
        # Compiling takes longer than a few images do.
        few = len(images) <= _FEW and not self._compiled.experimental_get_tracing_count()
        maps = tf.nest.flatten((self._lower if few else self._compiled)(tf.constant(images)))
        found = [self._weighed(self._uppers[0], maps[: self._last], targets)]
        if len(self._uppers) > 1:
            # The finer map is noisy: its values are averaged over 3 x 3 positions.
            fine = self._weighed(self._uppers[1], maps[self._last :], targets)
            found.append(tf.nn.avg_pool2d(fine, 3, 1, "SAME"))
        return [np.asarray(tf.image.resize(one, images.shape[1:3]))[..., 0] for one in found]

    def _weighed(self, upper: Any, maps: list[Any], targets: NDArray[np.int64]) -> Any:
        """The last of ``maps``, weighted by its effect on the scores: (n, h, w, 1)."""
        _, tf = framework()
        with tf.GradientTape() as tape:
            tape.watch(maps)
            score = tf.reduce_sum(self._scores(tf.nest.flatten(upper(maps, training=False)), targets))
        return self._weigh(maps[-1], tape.gradient(score, maps[-1]))

    def _scores(self, outputs: list[Any], targets: NDArray[np.int64]) -> Any:
        """Logit of each image's class, or cosine to the mean of an enrolled class, shape (n,)."""
        _, tf = framework()
        logits, prototypes = outputs[0], self._classifier.prototypes
        trained = logits.shape[-1]
        scores = tf.gather(logits, np.minimum(targets, trained - 1), batch_dims=1)
        if not self._classifier.enrolled or prototypes is None:
            return scores
        means = tf.math.l2_normalize(tf.gather(tf.constant(prototypes.means, tf.float32), targets), axis=1)
        ways = tf.math.l2_normalize(outputs[1] - tf.constant(prototypes.centre, tf.float32), axis=1)
        return tf.where(targets < trained, scores, tf.reduce_sum(means * ways, axis=1))


def _scaled(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each image's positive part (n, H, W), divided by its maximum unless that is 0."""
    return np.asarray(heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny))


def _gradcam(maps: Any, gradients: Any) -> Any:
    _, tf = framework()
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return tf.reduce_sum(weights * maps, axis=-1, keepdims=True)


def _hirescam(maps: Any, gradients: Any) -> Any:
    return framework()[1].reduce_sum(gradients * maps, axis=-1, keepdims=True)


def _layercam(maps: Any, gradients: Any) -> Any:
    _, tf = framework()
    return tf.reduce_sum(tf.nn.relu(gradients) * maps, axis=-1, keepdims=True)


_METHODS: Mapping[str, Callable[[Any, Any], Any]] = {
    "gradcam": _gradcam,
    "hirescam": _hirescam,
    "layercam": _layercam,
}


def last_maps(model: keras.Model) -> list[Any]:
    """The last feature maps (n, h, w, channels) on all paths from a flat network's output back to its input: the inputs
    of pooling or flattening. Maps with a single position are skipped. In graph order.
    """
    found: dict[int, Any] = {}
    waiting, seen = [*model.outputs], set()
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if len(tensor.shape) == 4 and tensor.shape[1] * tensor.shape[2] > 1:
            found[id(tensor)] = tensor
        else:
            waiting += source_tensors(tensor)
    order = [id(layer.output) for layer in model.layers]
    maps = sorted((x for x in found.values() if source_tensors(x)), key=lambda x: order.index(id(x)))
    if not maps:
        raise UsageError(f"{model.name} has no feature map (n, h, w, channels) before its output", _CONVOLVE)
    return maps


def fine_map(model: keras.Model) -> Any | None:
    """The last tensor (n, h, w, channels) with at least 7 positions along a side that everything after it depends on.
    None if there is none before the last map.
    """
    outputs = [model.get_layer(cut.layer).output for cut in cuts(model)]
    finer = [tensor for tensor in outputs if len(tensor.shape) == 4 and _places(tensor) >= _PLACES]
    return finer[-1] if finer and _places(finer[-1]) > _places(last_maps(model)[-1]) else None


def _places(tensor: Any) -> int:
    """Along the longer side."""
    return int(max(tensor.shape[1:3]))


_PLACES = 7
_CONVOLVE = "only networks with convolutions or other spatial feature maps can be explained"


def flat(model: keras.Model) -> keras.Model:
    """Flatten nested models; a flat functional model is returned unchanged.

    A layer's output inside a nested model belongs to another graph than the model's output, so no model can be built
    from one to the other. Of a nested model every layer is copied, with its weights, into one graph.

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
            f"{model.name} is a subclassed model, so its layers are not accessible",
            "build it as a functional model, keras.Model(inputs, outputs)",
        )


class Copier:
    """Applies copies of layers, and keeps track of the originals of their weights.

    Args:
        taken: Names that no copy may have.
    """

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self._pairs: list[tuple[Any, Any]] = []
        self._taken = taken

    def apply(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply copies of a layer's layers to symbolic tensors."""
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
        return rerun(model, inputs, self.apply)

    def _copy(self, layer: Any) -> Any:
        taken = {copy.name for _, copy in self._pairs} | self._taken
        name = layer.name if layer.name not in taken else f"{layer.name}_copy{len(self._pairs)}"
        copy = type(layer).from_config({**layer.get_config(), "name": name})
        self._pairs.append((layer, copy))
        return copy

    def fill(self) -> None:
        """Copy the weights of the originals."""
        for layer, copy in self._pairs:
            if getattr(layer, "weights", None):  # a bare operation, such as an addition, has none
                copy.set_weights(layer.get_weights())
