"""The one way from images to probabilities, for evaluation, prediction and every shipped form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.core.records import ImageSpec, LabelSet, Predictions
from keensight.errors import DataError, ImageError, StoreError
from keensight.nets.feed import evaluation_batch
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

T = TypeVar("T")
Source = str | Path | bytes | NDArray[np.uint8]


class Classifier:
    """A trained model with its labels and its preprocessing, as they were measured.

    Args:
        model: A Keras model from uint8 (n, height, width, 3) to logits (n, classes).
        labels: Class names in the order of the logits.
        spec: How an image becomes an input.
        temperature: Logits are divided by it before the softmax (Guo et al. 2017); 1: as trained.
    """

    def __init__(self, model: keras.Model, labels: LabelSet, spec: ImageSpec, temperature: float = 1.0) -> None:
        self.keras_model = model
        self.labels = labels
        self.spec = spec
        self.temperature = temperature
        self._forward = _compiled(model)

    @classmethod
    def open(cls, path: Path, labels: LabelSet, spec: ImageSpec, temperature: float = 1.0) -> Classifier:
        """Load a ``.keras`` file in Keras' safe mode.

        Raises:
            StoreError: Keras cannot load the file.
        """
        keras, _ = framework()
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"Keras cannot load {path.name}: {error}", "the bundle is damaged: train again") from error
        return cls(model, labels, spec, temperature)

    def predict_array(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities for images that already have the model's size.

        Args:
            images: uint8 array (n, height, width, 3), RGB, 0 to 255.

        Returns:
            float32 (n, classes); rows sum to 1.

        Raises:
            DataError: another dtype or shape. Floats are refused because pixels scaled to 0..1 would be
                accepted by the graph in silence and give wrong answers.
        """
        if images.dtype != np.uint8:
            raise DataError(
                f"images must be uint8 from 0 to 255, not {images.dtype}",
                "give the pixels as they were decoded; the model scales them itself",
            )
        if images.ndim != 4 or images.shape[1:] != self.spec.shape:
            raise DataError(
                f"images must have the shape (n, {', '.join(map(str, self.spec.shape))}), not {images.shape}",
                "use predict(), which decodes and resizes",
            )
        size = evaluation_batch(self.spec.shape)
        parts = [self._batch(images[i : i + size]) for i in range(0, len(images), size)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), np.float32)

    def predict(self, images: Source | Iterable[Source], *, progress: Progress | None = None) -> Predictions:
        """Probabilities for files, encoded bytes or decoded arrays; unreadable ones become errors.

        Args:
            images: One image or many: a path, encoded bytes, or a uint8 array (height, width[, 3]).
            progress: Where to report.

        Returns:
            Predictions in the order given.
        """
        sources = [images] if isinstance(images, (str, Path, bytes, np.ndarray)) else list(images)
        names = [_name(source, i) for i, source in enumerate(sources)]
        probabilities = np.full((len(sources), len(self.labels)), np.nan, dtype=np.float32)
        errors: dict[str, str] = {}
        position = 0
        decoding = ordered(partial(_decode, spec=self.spec), sources, processors(), ahead=64)
        with (progress or Silent()).task("predicting", len(sources)) as task, closing(decoding) as decoded:
            for chunk in _chunks(decoded, evaluation_batch(self.spec.shape)):
                good = [i for i, image in enumerate(chunk) if not isinstance(image, str)]
                for i, image in enumerate(chunk):
                    if isinstance(image, str):
                        errors[names[position + i]] = image
                if good:
                    stacked = np.stack([chunk[i] for i in good])
                    probabilities[[position + i for i in good]] = self.predict_array(stacked)
                position += len(chunk)
                task.advance(len(chunk))
        return Predictions(tuple(names), self.labels, probabilities, errors)

    def _batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = np.asarray(self._forward(images), dtype=np.float64) / self.temperature
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
        return probabilities

    def __repr__(self) -> str:
        return f"<Classifier {self.keras_model.name}, {len(self.labels)} classes, {self.spec.key}>"


def _compiled(model: keras.Model) -> Callable[[Any], Any]:
    _, tf = framework()
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    return tf.function(lambda images: model(images, training=False), input_signature=signature, autograph=False)  # type: ignore[no-any-return]


def _name(source: Source, position: int) -> str:
    return str(source) if isinstance(source, (str, Path)) else f"image {position}"


def _decode(source: Source, spec: ImageSpec) -> NDArray[np.uint8] | str:
    try:
        raw = Path(source).read_bytes() if isinstance(source, (str, Path)) else source
        return pixels.decode(raw, spec)
    except ImageError as error:
        return error.message
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while chunk := list(islice(items, size)):
        yield chunk
