"""The only path from images to probabilities and embeddings, for evaluation, prediction and export."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keensight.core import ood
from keensight.core.parallel import ordered, processors
from keensight.core.predictions import Decision, Embeddings, Predictions
from keensight.core.progress import Progress, Silent
from keensight.core.prototypes import Prototypes, cosines, joined, unknown
from keensight.core.records import ImageSpec, LabelSet
from keensight.core.sources import Images, name_of, singles
from keensight.core.task import Task
from keensight.errors import DataError, StoreError
from keensight.nets.embeddings import LAYER, both, embedding, head
from keensight.nets.inputs import Read, check_images, check_input, chunks, good_images, read_image
from keensight.nets.models.weights import open_model
from keensight.nets.training.batches import evaluation_batch
from keensight.nets.training.losses import OBJECTIVES

if TYPE_CHECKING:
    import keras


_SETTINGS = ("labels", "temperature", "prototypes", "mirror", "thresholds", "decision", "subspace")


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
        model: keras.Model,
        labels: LabelSet,
        spec: ImageSpec,
        temperature: float = 1.0,
        prototypes: Prototypes | None = None,
        mirror: bool = False,
        thresholds: tuple[float, ...] | None = None,
        decision: Decision | None = None,
        subspace: ood.Subspace | None = None,
    ) -> None:
        self.keras_model = model
        self.labels = labels
        self.spec = spec
        self.temperature = temperature
        self.prototypes = prototypes
        self.mirror = mirror
        self.thresholds = thresholds
        self.decision = decision
        self.subspace = subspace
        self.task = Task.MULTICLASS if thresholds is None else Task.MULTILABEL
        self._objective = OBJECTIVES[self.task]()
        self.enrolled: int = len(labels) - model.output_shape[-1]
        """Number of classes, the last ones, that were enrolled after training."""
        check_input(model, spec)
        _check_fit(model, labels, prototypes, thresholds)
        _check_subspace(model, subspace)
        self._forward = both(model, mirror)

    @classmethod
    def open(cls, path: Path, labels: LabelSet, spec: ImageSpec, **settings: Any) -> Classifier:
        """Load a ``.keras`` file in Keras' safe mode; for the settings see the class.

        Raises:
            StoreError: Keras cannot load the file, or it does not fit the labels.
        """
        return cls(open_model(path), labels, spec, **settings)

    def changed(self, **settings: Any) -> Classifier:
        """Return the same network with other ``labels``, ``temperature``, ``prototypes``, ``mirror``, ``thresholds``,
        ``decision`` or ``subspace``."""
        now = {name: getattr(self, name) for name in _SETTINGS}
        return Classifier(self.keras_model, spec=self.spec, **(now | settings))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, in the order of the probabilities."""
        return self.labels.names

    @property
    def embeds(self) -> bool:
        """Whether the network has an embedding: a last dense layer whose input is a vector."""
        return embedding(self.keras_model) is not None

    @property
    def embedding_size(self) -> int:
        """Length of an embedding, d.

        Raises:
            DataError: the network does not end in a dense layer on a vector.
        """
        return int(self._head().input.shape[-1])

    def _head(self) -> Any:
        layer = head(self.keras_model)
        if layer is None:
            raise DataError(
                f"the network {self.keras_model.name} has no embedding: it does not end in a dense layer on a vector",
                f"end it in keras.layers.Dense(classes, name={LAYER!r})",
            )
        return layer

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
        return Answers(*(np.concatenate(columns) for columns in zip(*self._answers(images), strict=True)))

    def embed_array(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute embeddings of images that already have the model's size: the input of the last layer.

        Args:
            images: uint8 array (n, height, width, 3), RGB, 0 to 255.

        Returns:
            float32 (n, d).

        Raises:
            DataError: wrong dtype or shape, or the network does not end in a dense layer on a vector.
        """
        size = self.embedding_size
        parts = [answers.vectors for answers in self._answers(images)]
        return np.concatenate(parts) if parts else np.zeros((0, size), np.float32)

    def answer_vectors(self, vectors: NDArray[np.float32], mirrored: NDArray[np.float32] | None = None) -> Answers:
        """All outputs for images with known embeddings: only the last layer is computed.

        Args:
            vectors: Embeddings, float32 (n, d).
            mirrored: Embeddings of the mirrored images, needed with ``mirror``.
        """
        kernel, *bias = self._head().get_weights()
        seen = (vectors + mirrored) / 2 if self.mirror and mirrored is not None else vectors
        return self._answered(seen @ kernel + (bias[0] if bias else np.float32(0)), vectors)

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
        table = self._table(images, self._prediction, progress)
        return self._predictions(table)

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
        table = self._table(images, {"vectors": (self.embedding_size,)}, progress)
        return Embeddings(table.names, table.columns["vectors"], table.errors)

    def predict_and_embed(self, images: Images, *, progress: Progress | None = None) -> tuple[Predictions, Embeddings]:
        """The results of :meth:`predict` and :meth:`embed` from one pass through the network."""
        table = self._table(images, {**self._prediction, "vectors": (self.embedding_size,)}, progress)
        return self._predictions(table), Embeddings(table.names, table.columns["vectors"], table.errors)

    def predict_read(self, images: Sequence[Read]) -> Predictions:
        """The results of :meth:`predict` for a few images that were read already, computed in the calling thread.

        Args:
            images: From :func:`keensight.nets.inputs.read_image`; they are called ``image 0`` and so on.
        """
        table = _empty(tuple(f"image {i}" for i in range(len(images))), self._prediction)
        self._fill(table, 0, images)
        return self._predictions(table)

    @property
    def _prediction(self) -> dict[str, tuple[int, ...]]:
        return {"probabilities": (len(self.labels),), "unknown": (), "ood_scores": ()}

    def _predictions(self, table: _Table) -> Predictions:
        columns = table.columns
        # Only a model with enrolled classes checks the distance to the class means.
        unknown = columns["unknown"] == 1 if self.enrolled else None
        found = Predictions(
            table.names, self.labels, columns["probabilities"], table.errors, unknown, self.thresholds, self.decision,
            notes=table.notes,
        )  # fmt: skip
        if self.subspace is None:
            return found
        return dataclasses.replace(found, **self.ood_fields(columns["ood_scores"], columns["unknown"] == 0))

    def ood_fields(self, scores: NDArray[np.float32], known: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """OOD scores (n,) and decisions, as fields of :class:`Predictions`. If classes were enrolled after training, an
        image close to a class mean is not OOD.
        """
        if self.subspace is None:
            return {}
        odd = ood.odd(scores, self.subspace)
        return {"ood_scores": scores, "odd": odd & ~known if self.enrolled and known is not None else odd}

    def _table(self, images: Images, wanted: Mapping[str, tuple[int, ...]], progress: Progress | None) -> _Table:
        """Decode and run images in chunks, and keep the ``wanted`` fields of the outputs."""
        sources = singles(images)
        names = tuple(name_of(source, i) for i, source in enumerate(sources))
        table = _empty(names, wanted)
        position = 0
        decoding = ordered(partial(read_image, spec=self.spec), sources, processors(), ahead=64)
        with (progress or Silent()).task("predicting", len(sources)) as task, closing(decoding) as decoded:
            for chunk in chunks(decoded, evaluation_batch(self.spec.shape)):
                self._fill(table, position, chunk)
                position += len(chunk)
                task.advance(len(chunk))
        return table

    def _fill(self, table: _Table, begin: int, images: Sequence[Read]) -> None:
        """Run some images, and keep their outputs in the rows of a table from ``begin`` on."""
        good = good_images(table.names[begin : begin + len(images)], images, table.errors, table.notes)
        if good:
            answers = self.answer_array(np.stack(list(good.values())))
            for key, column in table.columns.items():
                column[[begin + i for i in good]] = getattr(answers, key)

    def _answers(self, images: NDArray[np.uint8]) -> Iterator[Answers]:
        """Outputs for decoded images, batch by batch."""
        check_images(images, self.spec)
        size = evaluation_batch(self.spec.shape)
        for begin in range(0, len(images), size):
            yield self._answer(images[begin : begin + size])

    def _answer(self, images: NDArray[np.uint8]) -> Answers:
        logits, inner = self._forward(images)
        return self._answered(np.asarray(logits), np.asarray(inner, dtype=np.float32))

    def _answered(self, logits: NDArray[np.float32], vectors: NDArray[np.float32]) -> Answers:
        probabilities = self._objective.probabilities(logits.astype(np.float64) / self.temperature).astype(np.float32)
        nothing = np.zeros(len(logits), np.float32)
        scores = nothing if self.subspace is None else ood.score(vectors, self.subspace)
        if not self.enrolled or self.prototypes is None:
            return Answers(probabilities, vectors, np.zeros(len(logits), np.bool_), scores)
        similar = cosines(vectors, self.prototypes)
        probabilities = joined(probabilities, similar, self.prototypes.temperature)
        return Answers(probabilities, vectors, unknown(similar, self.prototypes.threshold), scores)

    def __repr__(self) -> str:
        return f"<Classifier {self.keras_model.name}, {len(self.labels)} classes, {self.spec.key}>"


class _Table(NamedTuple):
    """Rows for a list of images; NaN for an unreadable image."""

    names: tuple[str, ...]
    columns: dict[str, NDArray[np.float32]]
    errors: dict[str, str]
    notes: dict[str, str]


def _empty(names: tuple[str, ...], wanted: Mapping[str, tuple[int, ...]]) -> _Table:
    return _Table(names, {key: np.full((len(names), *row), np.nan, np.float32) for key, row in wanted.items()}, {}, {})


def _check_fit(
    model: keras.Model, labels: LabelSet, prototypes: Prototypes | None, thresholds: tuple[float, ...] | None
) -> None:
    outputs, inner = model.output_shape[-1], embedding(model)
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
    size = 0 if inner is None else int(inner.shape[-1])
    if prototypes.means.shape != (len(labels), size):
        raise StoreError(
            f"the class means have shape {prototypes.means.shape}, not {(len(labels), size)}, so they belong to "
            f"another network",
            "get the bundle again from its source",
        )


def _check_subspace(model: keras.Model, subspace: ood.Subspace | None) -> None:
    inner = embedding(model)
    size = 0 if inner is None else int(inner.shape[-1])
    if subspace is not None and len(subspace.mean) != size:
        raise StoreError(
            f"the training embeddings have {len(subspace.mean)} numbers, not {size}, so they belong to another network",
            "get the bundle again from its source",
        )
