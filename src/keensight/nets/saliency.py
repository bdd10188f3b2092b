"""Where in an image a network found what it said: Grad-CAM and its faithful relatives.

The gradient of a class' logit says how much each value of a map (h, w, channels) counts. Three ways to make one number
a place of it:

- ``gradcam`` (Selvaraju et al. 2017): each channel weighs by its gradient's mean over all places;
- ``hirescam`` (Draelos and Carin 2020): value times gradient, place by place; where the rest of the network is linear
  (a mean and a dense layer) the sum over all places is the logit itself, less its bias;
- ``layercam`` (Jiang et al. 2021): the same with what counts against the class left out.

A network that takes its features from several maps has one map of each; each is scaled up and they are added, as the
logit is their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress, Silent
from keensight.core.registry import did_you_mean
from keensight.errors import UsageError
from keensight.nets.cuts import cuts
from keensight.nets.embed import embedding
from keensight.nets.flat import flat
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

    from keensight.nets.infer import Classifier

METHOD = "hirescam"


_BATCH = 32


class Explainer:
    """Makes heatmaps for one classifier: what in an image speaks for a class.

    Args:
        classifier: Its network may be flat or nested; a classifier that averages over mirror images has the mean of
            both heatmaps, an enrolled class that of the cosine to its mean.
        method: ``gradcam``, ``hirescam`` or ``layercam``.

    Raises:
        UsageError: the network is subclassed or has no maps, or there is no such method.
    """

    def __init__(self, classifier: Classifier, method: str = METHOD) -> None:
        keras, tf = framework()
        if method not in _METHODS:
            raise UsageError(f"there is no method {method!r} to explain with", did_you_mean(method, list(_METHODS)))
        model = flat(classifier.keras_model)
        maps = fine_maps(model)
        inner = embedding(model)
        lower = keras.Model(model.input, maps)
        self._lower = tf.function(lambda images: lower(images, training=False), reduce_retracing=True, autograph=False)
        self._upper = keras.Model(maps, [model.output] if inner is None else [model.output, inner])
        self._classifier = classifier
        self._side = min(map(_places, maps))
        self._weigh = _METHODS[method]

    @property
    def side(self) -> int:
        """Places along the longer side of the coarsest map."""
        return self._side

    def heatmaps(
        self, images: NDArray[np.uint8], targets: NDArray[np.int64], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """What speaks for a class, place by place.

        Args:
            images: uint8 (n, H, W, 3), as the classifier takes them.
            targets: Number of the class to explain, shape (n,).
            progress: Where to report.

        Returns:
            float32 (n, H, W), 0 to 1: the hottest place of each image is 1, what counts against the class is 0. All 0
            where nothing speaks for the class.
        """
        found = np.zeros(images.shape[:3], np.float32)
        with (progress or Silent()).task("explaining", len(images)) as task:
            for begin in range(0, len(images), _BATCH):
                some = slice(begin, begin + _BATCH)
                found[some] = self._evidence(images[some], targets[some])
                task.advance(len(found[some]))
        np.maximum(found, 0, out=found)
        found /= np.maximum(found.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
        return found

    def _evidence(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
        """Signed, (n, H, W)."""
        found = self._one_way(images, targets)
        if self._classifier.mirror:
            found = found + self._one_way(images[:, :, ::-1], targets)[:, :, ::-1]
        return found

    def _one_way(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
        _, tf = framework()
        maps = tf.nest.flatten(self._lower(tf.constant(images)))
        with tf.GradientTape() as tape:
            # Cut at all maps at once: what reaches the logit through a later map is that one's to show.
            tape.watch(maps)
            score = tf.reduce_sum(self._scores(tf.nest.flatten(self._upper(maps, training=False)), targets))
        pairs = zip(maps, tape.gradient(score, maps, unconnected_gradients="zero"), strict=True)
        # A share of the logit per area, whatever the map's own number of places.
        scaled = [tf.image.resize(self._weigh(a, g) * a.shape[1] * a.shape[2], images.shape[1:3]) for a, g in pairs]
        return np.asarray(tf.add_n(scaled))[..., 0]

    def _scores(self, outputs: list[Any], targets: NDArray[np.int64]) -> Any:
        """Logit of each image's class, or the cosine to the mean of an enrolled class, shape (n,)."""
        _, tf = framework()
        logits, prototypes = outputs[0], self._classifier.prototypes
        trained = logits.shape[-1]
        scores = tf.gather(logits, np.minimum(targets, trained - 1), batch_dims=1)
        if not self._classifier.enrolled or prototypes is None:
            return scores
        means = tf.math.l2_normalize(tf.gather(tf.constant(prototypes.means, tf.float32), targets), axis=1)
        ways = tf.math.l2_normalize(outputs[1] - tf.constant(prototypes.centre, tf.float32), axis=1)
        return tf.where(targets < trained, scores, tf.reduce_sum(means * ways, axis=1))


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
    """The tensors (n, h, w, channels) that the ways from a flat network's output back to its image meet first.

    These are what pooling or flattening takes the places out of; a map of one place tells none, and is passed.
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
            waiting += _made_from(tensor)
    maps = [tensor for tensor in found.values() if _made_from(tensor)]
    if not maps:
        raise UsageError(f"{model.name} has no map (n, h, w, channels) before its output", _CONVOLVE)
    return maps


def fine_maps(model: keras.Model) -> list[Any]:
    """The last maps of a flat network if one of them has 7 places along a side, else the last map before that does.

    A map of 3 x 3 places says little of where. The map to go back to is one that all else comes from, so that nothing
    passes it by; a network without such keeps its last maps.
    """
    maps = last_maps(model)
    if max(map(_places, maps)) >= _PLACES:
        return maps
    outputs = [model.get_layer(cut.layer).output for cut in cuts(model)]
    finer = [tensor for tensor in outputs if len(tensor.shape) == 4 and _places(tensor) >= _PLACES]
    return finer[-1:] or maps


def _places(tensor: Any) -> int:
    """Along the longer side."""
    return int(max(tensor.shape[1:3]))


_PLACES = 7
_CONVOLVE = "only networks with convolutions or other maps of places can be explained"


def _made_from(tensor: Any) -> list[Any]:
    operation, node, _ = tensor._keras_history
    return list(operation._inbound_nodes[node].input_tensors)
