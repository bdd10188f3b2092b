"""The one way from images to how odd they are, for evaluation and prediction."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import Limits, Oddities, image_scores
from keensight.core.parallel import ordered, processors
from keensight.core.progress import Progress, Silent
from keensight.core.records import ImageSpec
from keensight.core.sources import Images, name_of, singles
from keensight.nets.feed import evaluation_batch
from keensight.nets.infer import check_images, check_input, chunks, read_image
from keensight.nets.runtime import framework
from keensight.nets.weights import open_model

if TYPE_CHECKING:
    import keras


class Detector:
    """A network that maps how odd an image is, with its preprocessing and its limits.

    Args:
        model: A Keras model from uint8 (n, height, width, 3) to oddness (n, rows, columns, 1).
        spec: How an image becomes an input.
        limits: From where on an image is anomalous.
    """

    def __init__(self, model: keras.Model, spec: ImageSpec, limits: Limits) -> None:
        _, tf = framework()
        check_input(model, spec)
        self.keras_model = model
        self.spec = spec
        self.limits = limits
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
        self._forward = tf.function(partial(model, training=False), input_signature=signature, autograph=False)

    @classmethod
    def open(cls, path: Path, spec: ImageSpec, limits: Limits) -> Detector:
        """Load a ``.keras`` file in Keras' safe mode.

        Raises:
            StoreError: Keras cannot load the file.
        """
        return cls(open_model(path), spec, limits)

    def predict_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Oddness of each patch, float32 (n, rows, columns), as the network gives it.

        Args:
            images: uint8 (n, height, width, 3), RGB, 0 to 255.

        Raises:
            DataError: another dtype or shape.
        """
        check_images(images, self.spec)
        size = evaluation_batch(self.spec.shape)
        parts = [
            np.asarray(self._forward(images[begin : begin + size]))[..., 0] for begin in range(0, len(images), size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, *self.keras_model.output_shape[1:3]), np.float32)

    def score(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of maps (n, rows, columns), shape (n,); 1 is the threshold."""
        return image_scores(maps) / np.float32(self.limits.threshold)

    def predict(self, images: Images, *, progress: Progress | None = None) -> Oddities:
        """Scores and maps of files, encoded bytes or decoded arrays; unreadable ones become errors.

        Args:
            images: One image or many, as :func:`keensight.predict` takes them, but no folders, patterns and tables.
            progress: Where to report.

        Returns:
            Oddities in the order given, with their maps.
        """
        sources = singles(images)
        names = tuple(name_of(source, i) for i, source in enumerate(sources))
        maps = np.full((len(names), *self.keras_model.output_shape[1:3]), np.nan, np.float32)
        errors: dict[str, str] = {}
        position = 0
        decoding = ordered(partial(read_image, spec=self.spec), sources, processors(), ahead=64)
        with (progress or Silent()).task("predicting", len(sources)) as task, closing(decoding) as images_read:
            for chunk in chunks(images_read, evaluation_batch(self.spec.shape)):
                errors.update({names[position + i]: x for i, x in enumerate(chunk) if isinstance(x, str)})
                good = [i for i, image in enumerate(chunk) if not isinstance(image, str)]
                if good:
                    maps[[position + i for i in good]] = self.predict_maps(np.stack([chunk[i] for i in good]))
                position += len(chunk)
                task.advance(len(chunk))
        return Oddities(names, self.score(maps), errors, (maps / self.limits.patch).astype(np.float32))

    def __repr__(self) -> str:
        return f"<Detector {self.keras_model.name}, {self.spec.key}>"
