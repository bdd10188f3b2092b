"""The only path from images to probabilities and embeddings, for evaluation, prediction and export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keensight.core import ood
from keensight.core.parallel import ordered
from keensight.core.predictions import Decision, Embeddings, Predictions
from keensight.core.progress import Progress, Silent
from keensight.core.prototypes import Prototypes, cosines, joined, unknown
from keensight.core.records import ImageSpec, LabelSet
from keensight.core.sources import Images, Source, singles
from keensight.core.task import Task
from keensight.errors import DataError, StoreError
from keensight.nets.embeddings import LAYER, both, embedding, head
from keensight.nets.inputs import Read, check_images, check_input, evaluation_batch
from keensight.nets.network import Deferred, Engine, KerasNetwork, Network, Outputs, Part, answered, named, part_of

if TYPE_CHECKING:
    import keras

    from keensight.nets.light import LightNetwork


_SETTINGS = ("labels", "temperature", "prototypes", "mirror", "thresholds", "decision", "subspace")
_INSIDE = ("temperature", "mirror")
"""Those that are part of the light form."""


class Answers(NamedTuple):
    """A classifier's outputs for n images of its input size."""

    probabilities: NDArray[np.float32]
    """Shape (n, classes); rows sum to 1, except for a multi-label model."""
    vectors: NDArray[np.float32]
    """Embeddings, shape (n, d); d is 0 for a network without a last dense layer."""
    unknown: NDArray[np.bool_]
    """Shape (n,): images similar to none of the classes."""
    ood_scores: NDArray[np.float32]
    """Shape (n,): out-of-distribution scores; 0 without OOD detection."""


class Classifier:
    """A trained model with its labels and preprocessing.

    Args:
        model: A Keras model from uint8 (n, height, width, 3) to logits (n, trained classes).
        labels: Class names in the order of the logits, then those of classes enrolled later.
        spec: How an image becomes the model's input.
        temperature: Logits are divided by it before the softmax (Guo et al. 2017); 1: as trained.
        prototypes: Class means for enrolled classes (see ``core.prototypes``); None: there are none.
        mirror: Test-time augmentation: average the logits of an image and its mirror image.
        thresholds: Thresholds of a multi-label model, whose probabilities are sigmoids. None: single-label, with a
            softmax.
        decision: When the model predicts or abstains; None: it always predicts.
        subspace: Where training embeddings lie, to refuse images unlike them; None: none is refused.
        light: The light form of the model, with this temperature and test-time augmentation, to predict on in place of
            Keras.

    Raises:
        StoreError: the network, the labels and the class means do not belong together.

    Examples:
        >>> model = ks.load(run)
        >>> model.predict("photos/day/000.bmp").rows()[0]["label"]
        'day'
        >>> model.class_names, model.keras_model.output_shape
        (('day', 'night'), (None, 2))
    """

    def __init__(  # noqa: PLR0913 - public options, by keyword
        self,
        model: keras.Model | Deferred,
        labels: LabelSet,
        spec: ImageSpec,
        temperature: float = 1.0,
        prototypes: Prototypes | None = None,
        mirror: bool = False,
        thresholds: tuple[float, ...] | None = None,
        decision: Decision | None = None,
        subspace: ood.Subspace | None = None,
        *,
        light: LightNetwork | None = None,
    ) -> None:
        self._model = model
        self._light = light
        self.labels = labels
        self.spec = spec
        self.temperature = temperature
        self.prototypes = prototypes
        self.mirror = mirror
        self.thresholds = thresholds
        self.decision = decision
        self.subspace = subspace
        self.task = Task.MULTICLASS if thresholds is None else Task.MULTILABEL
        check_input((self.keras_model.input_shape[1:]) if light is None else light.shape, spec)
        self._network: Network = light or self._keras_network()
        self.enrolled: int = len(labels) - self._network.outputs[0]
        """Number of classes, the last ones, that were enrolled after training."""
        _check_fit(self._network, labels, prototypes, thresholds)
        _check_subspace(self._network, subspace)

    @classmethod
    def open(cls, path: Path, labels: LabelSet, spec: ImageSpec, **settings: Any) -> Classifier:
        """Load a ``.keras`` file in Keras' safe mode; for the settings see the class.

        Raises:
            StoreError: Keras cannot load the file, or it does not fit the labels.
        """
        from keensight.nets.models.weights import open_model

        return cls(open_model(path), labels, spec, **settings)

    def changed(self, **settings: Any) -> Classifier:
        """Return the same network with other ``labels``, ``temperature``, ``prototypes``, ``mirror``, ``thresholds``,
        ``decision`` or ``subspace``; with another temperature or test-time augmentation it runs on Keras."""
        now = {name: getattr(self, name) for name in _SETTINGS}
        same = all(settings.get(name, now[name]) == now[name] for name in _INSIDE)
        light = self._light if same else None
        return Classifier(self._model, spec=self.spec, light=light, **(now | settings))

    def on_light(self, light: LightNetwork) -> Classifier:
        """The same classifier on the light form of its model."""
        return Classifier(self._model, spec=self.spec, light=light, **{name: getattr(self, name) for name in _SETTINGS})

    @property
    def keras_model(self) -> keras.Model:
        """The network: uint8 (n, height, width, 3) to logits (n, trained classes). A model on the light form loads it,
        and with it TensorFlow, on first use.

        Raises:
            StoreError: Keras cannot load it.
        """
        return self._model.get() if isinstance(self._model, Deferred) else self._model

    @property
    def engine(self) -> Engine:
        """What the network runs on: ``keras``, or ``litert`` without TensorFlow."""
        return "keras" if self._light is None else "litert"

    def _keras_network(self) -> KerasNetwork:
        model, inner = self.keras_model, embedding(self.keras_model)
        forward = both(model, self.mirror)

        def answer(images: NDArray[np.uint8]) -> Outputs:
            logits, vectors = (np.asarray(one) for one in forward(images))
            return self._calibrated(logits), vectors

        size = 0 if inner is None else int(inner.shape[-1])
        return KerasNetwork(answer, evaluation_batch(self.spec.shape), (model.output_shape[-1],), size)

    def _calibrated(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        from keensight.nets.training.losses import OBJECTIVES

        scaled = logits.astype(np.float64) / self.temperature
        return OBJECTIVES[self.task]().probabilities(scaled).astype(np.float32)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, in the order of the probabilities."""
        return self.labels.names

    @property
    def embeds(self) -> bool:
        """Whether the network has an embedding: a last dense layer whose input is a vector."""
        return self._network.embedding_size > 0

    @property
    def embedding_size(self) -> int:
        """Length of an embedding, d.

        Raises:
            DataError: the network does not end in a dense layer on a vector.
        """
        if not self.embeds:
            raise DataError(
                "the network has no embedding: it does not end in a dense layer on a vector",
                f"end it in keras.layers.Dense(classes, name={LAYER!r})",
            )
        return self._network.embedding_size

    def predict_array(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict probabilities for images that already have the model's size.

        Args:
            images: uint8 array (n, height, width, 3), RGB, 0 to 255.

        Returns:
            float32 (n, classes); rows sum to 1, except for a multi-label model.

        Raises:
            DataError: wrong dtype or shape. Floats are refused because pixels scaled to 0-1 would silently give wrong
                predictions.
        """
        return self.answer_array(images).probabilities if len(images) else np.zeros((0, len(self.labels)), np.float32)

    def answer_array(self, images: NDArray[np.uint8]) -> Answers:
        """All outputs for images (at least one) that already have the model's size.

        Raises:
            DataError: wrong dtype or shape, as for :meth:`predict_array`.
        """
        check_images(images, self.spec)
        size = evaluation_batch(self.spec.shape)
        slices = (images[begin : begin + size] for begin in range(0, len(images), size))
        if len(images) <= size:
            return self._answers(*self._network(images))
        with closing(ordered(self._network, slices, self._network.workers)) as parts:
            return Answers(*map(np.concatenate, zip(*(self._answers(*part) for part in parts), strict=True)))

    def embed_array(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute embeddings of images that already have the model's size: the input of the last layer.

        Args:
            images: uint8 array (n, height, width, 3), RGB, 0 to 255.

        Returns:
            float32 (n, d).

        Raises:
            DataError: wrong dtype or shape, or the network does not end in a dense layer on a vector.
        """
        empty = np.zeros((0, self.embedding_size), np.float32)
        return self.answer_array(images).vectors if len(images) else empty

    def answer_vectors(self, vectors: NDArray[np.float32], mirrored: NDArray[np.float32] | None = None) -> Answers:
        """All outputs for images with known embeddings: only the last layer is computed.

        Args:
            vectors: Embeddings, float32 (n, d).
            mirrored: Embeddings of the mirrored images, needed with ``mirror``.
        """
        layer = head(self.keras_model)
        assert layer is not None, "a network with embeddings ends in such a layer"
        kernel, *bias = layer.get_weights()
        seen = (vectors + mirrored) / 2 if self.mirror and mirrored is not None else vectors
        return self._answers(self._calibrated(seen @ kernel + (bias[0] if bias else np.float32(0))), vectors)

    def predict(self, images: Images, *, progress: Progress | None = None) -> Predictions:
        """Predict probabilities for files, encoded bytes or decoded arrays; unreadable ones become errors.

        Args:
            images: One image or many, as for :func:`keensight.predict`, except folders, patterns and tables.
            progress: Where to report.

        Returns:
            Predictions in the order given.

        Raises:
            DataError: it does not contain images.
        """
        return self._collected(images, progress, 0)[0]

    def stream(self, images: Iterable[Source], first: int = 0) -> Iterator[Predictions]:
        """Predict any number of images with bounded memory.

        Args:
            images: Single images, taken as they are needed.
            first: Position of the first of them, for the names of those that are not files.

        Yields:
            Predictions of some images at a time, in the order given.
        """
        for part in answered(self._network, named(images, first), self.spec):
            yield self._gathered([part], len(part.names), 0)[0]

    def predict_read(self, images: Sequence[Read]) -> Predictions:
        """The results of :meth:`predict` for a few images that were read already, computed in the calling thread.

        Args:
            images: From :func:`keensight.nets.inputs.read_image`; they are called ``image 0`` and so on.
        """
        part = part_of(self._network, [f"image {i}" for i in range(len(images))], images)
        return self._gathered([part], len(images), 0)[0]

    def embed(self, images: Images, *, progress: Progress | None = None) -> Embeddings:
        """Compute embeddings of files, encoded bytes or decoded arrays: the input of the last layer.

        Args:
            images: One image or many, as for :meth:`predict`.
            progress: Where to report.

        Returns:
            Embeddings in the order given; the row of an unreadable image is NaN.

        Raises:
            DataError: the network does not end in a dense layer on a vector.
        """
        return self.predict_and_embed(images, progress=progress)[1]

    def predict_and_embed(self, images: Images, *, progress: Progress | None = None) -> tuple[Predictions, Embeddings]:
        """The results of :meth:`predict` and :meth:`embed` from one pass through the network."""
        found, vectors = self._collected(images, progress, self.embedding_size)
        return found, Embeddings(found.paths, vectors, found.errors)

    def _collected(
        self, images: Images, progress: Progress | None, size: int
    ) -> tuple[Predictions, NDArray[np.float32]]:
        """Predictions of all images, and the first ``size`` numbers of their embeddings."""
        sources = singles(images)
        with (progress or Silent()).task("predicting", len(sources)) as task:
            parts = answered(self._network, named(sources), self.spec, task.advance)
            return self._gathered(parts, len(sources), size)

    def _gathered(self, parts: Iterable[Part], count: int, size: int) -> tuple[Predictions, NDArray[np.float32]]:
        """The same for parts of ``count`` images in all; rows of images that could not be read are NaN."""
        names: list[str] = []
        errors: dict[str, str] = {}
        notes: dict[str, str] = {}
        table = Answers(
            np.full((count, len(self.labels)), np.nan, np.float32), np.full((count, size), np.nan, np.float32),
            np.zeros(count, np.bool_), np.full(count, np.nan, np.float32),
        )  # fmt: skip
        for part in parts:
            rows = [len(names) + place for place in part.good]
            found = self._answers(*part.outputs)
            for column, values in zip(table, Answers(found[0], found[1][:, :size], *found[2:]), strict=True):
                column[rows] = values
            names += part.names
            errors |= part.errors
            notes |= part.notes
        # Only a model with enrolled classes checks the distance to the class means.
        unknown = table.unknown if self.enrolled else None
        predictions = Predictions(
            tuple(names), self.labels, table.probabilities, errors, unknown, self.thresholds, self.decision,
            notes=notes, **self.ood_fields(table.ood_scores, ~table.unknown),
        )  # fmt: skip
        return predictions, table.vectors

    def ood_fields(self, scores: NDArray[np.float32], known: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """OOD scores (n,) and decisions, as fields of :class:`Predictions`. If classes were enrolled after training, an
        image close to a class mean is not OOD.
        """
        if self.subspace is None:
            return {}
        odd = ood.odd(scores, self.subspace)
        return {"ood_scores": scores, "odd": odd & ~known if self.enrolled and known is not None else odd}

    def _answers(self, probabilities: NDArray[np.float32], vectors: NDArray[np.float32]) -> Answers:
        """What follows the network: enrolled classes and out-of-distribution scores."""
        nothing = np.zeros(len(probabilities), np.float32)
        scores = nothing if self.subspace is None else ood.score(vectors, self.subspace)
        if not self.enrolled or self.prototypes is None:
            return Answers(probabilities, vectors, np.zeros(len(probabilities), np.bool_), scores)
        similar = cosines(vectors, self.prototypes)
        probabilities = joined(probabilities, similar, self.prototypes.temperature)
        return Answers(probabilities, vectors, unknown(similar, self.prototypes.threshold), scores)

    def __repr__(self) -> str:
        name = "on LiteRT" if self._light else self.keras_model.name
        return f"<Classifier {name}, {len(self.labels)} classes, {self.spec.key}>"


def _check_fit(
    network: Network, labels: LabelSet, prototypes: Prototypes | None, thresholds: tuple[float, ...] | None
) -> None:
    (outputs,), size = network.outputs, network.embedding_size
    if len(labels) < outputs or (len(labels) > outputs and prototypes is None):
        raise StoreError(
            f"the network has {outputs} outputs, but there are {len(labels)} class names",
            "use the labels that it was trained with",
        )
    if thresholds is not None and len(thresholds) != outputs:
        raise StoreError(
            f"the network has {outputs} outputs, but there are {len(thresholds)} thresholds",
            "get the bundle again from its source",
        )
    if prototypes is None:
        return
    if prototypes.means.shape != (len(labels), size):
        raise StoreError(
            f"the class means have shape {prototypes.means.shape}, not {(len(labels), size)}, so they belong to "
            f"another network",
            "get the bundle again from its source",
        )


def _check_subspace(network: Network, subspace: ood.Subspace | None) -> None:
    size = network.embedding_size
    if subspace is not None and len(subspace.mean) != size:
        raise StoreError(
            f"the training embeddings have {len(subspace.mean)} numbers, not {size}, so they belong to another network",
            "get the bundle again from its source",
        )
