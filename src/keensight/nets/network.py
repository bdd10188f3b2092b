"""What a classifier or detector runs its images on: a Keras model, or its light form (:mod:`keensight.nets.light`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from keensight.core.parallel import ordered, processors
from keensight.core.records import ImageSpec
from keensight.core.sources import Source, name_of
from keensight.errors import TrainingError
from keensight.nets.inputs import Read, chunks, read_image
from keensight.nets.runtime import framework, full_float32

if TYPE_CHECKING:
    import keras

Engine = Literal["auto", "litert", "keras"]
"""``auto`` is ``litert`` where a bundle has the light form, else ``keras``."""
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Final outputs (n, ...) and embeddings (n, d); d is 0 if there are none."""


class Network(Protocol):
    """From images to final outputs: a classifier's probabilities of its trained classes, or a detector's levels."""

    workers: int
    """Threads that decode images and run them."""
    batch: int
    """Images that such a thread takes at a time."""
    outputs: tuple[int, ...]
    """Shape of the final outputs for one image."""
    embedding_size: int
    """Length of an embedding; 0: there is none."""

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Outputs of uint8 images (n, height, width, 3); threads may call it together."""
        ...


T = TypeVar("T")


class Passes(Generic[T]):
    """Forward passes of TensorFlow over any number of images, in full float32.

    If memory is exhausted, a GPU's or the machine's, this and all later passes take half as many images.

    Args:
        forward: uint8 images (n, height, width, 3) to outputs, as NumPy arrays.
        size: Images of a pass, at first.
    """

    def __init__(self, forward: Callable[[NDArray[np.uint8]], T], size: int) -> None:
        self._forward = forward
        self.size = size

    def __call__(self, images: NDArray[np.uint8]) -> Iterator[tuple[slice, T]]:
        """Outputs of some images at a time, with their places.

        Raises:
            TrainingError: there is not even memory for one image.
        """
        _, tf = framework()
        begin = 0
        while begin < len(images):
            some = slice(begin, min(begin + self.size, len(images)))
            try:
                with full_float32():
                    found = self._forward(images[some])
            except tf.errors.ResourceExhaustedError as error:
                if some.stop - begin == 1:
                    raise TrainingError(
                        "memory is exhausted by a single image", "end other processes that use this GPU or its machine"
                    ) from error
                self.size = (some.stop - begin) // 2
                continue
            yield some, found
            begin = some.stop


class KerasNetwork:
    """A Keras model, in batches that TensorFlow computes on all CPUs or a GPU, one at a time.

    Args:
        forward: uint8 images (n, height, width, 3), ``batch`` of them at most, to outputs.
        batch: Images per call.
        outputs: Shape of the final outputs for one image.
        embedding_size: Length of an embedding; 0: there is none.
    """

    def __init__(
        self, forward: Callable[[NDArray[np.uint8]], Outputs], batch: int, outputs: tuple[int, ...], embedding_size: int
    ) -> None:
        self._passes = Passes(forward, batch)
        self._running = Lock()
        self.workers, self.batch = processors(), batch
        self.outputs, self.embedding_size = outputs, embedding_size

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """As :class:`Network` has it."""
        first = np.empty((len(images), *self.outputs), np.float32)
        vectors = np.empty((len(images), self.embedding_size), np.float32)
        with self._running:
            for some, found in self._passes(images):
                first[some], vectors[some] = found
        return first, vectors


class Deferred:
    """A Keras model that is loaded when it is first needed.

    Args:
        load: Loads it.
    """

    def __init__(self, load: Callable[[], keras.Model]) -> None:
        self._load = load
        self._loading = Lock()
        self._model: Any = None

    def get(self) -> keras.Model:
        """The model."""
        with self._loading:
            if self._model is None:
                self._model = self._load()
        return self._model


@dataclass(frozen=True, slots=True)
class Part:
    """Some images in order, and what a network gives for those of them that could be read."""

    names: tuple[str, ...]
    good: tuple[int, ...]
    """Positions in ``names`` of the images that could be read."""
    outputs: Outputs
    """For these."""
    errors: dict[str, str]
    """Name to reason, for the others."""
    notes: dict[str, str]
    """Name to what is strange about an image that was read."""


def named(images: Iterable[Source], first: int = 0) -> Iterator[tuple[str, Source]]:
    """Single images with their names in results; the position of the first of them is ``first``."""
    return ((name_of(source, place), source) for place, source in enumerate(images, first))


def answered(
    network: Network,
    images: Iterator[tuple[str, Source]],
    spec: ImageSpec,
    done: Callable[[int], object] = lambda count: None,
) -> Iterator[Part]:
    """Decode and run named images in all threads of a network; memory does not grow with their number.

    Args:
        network: Runs the images that could be read.
        images: Their names, and the images.
        spec: How an image becomes the network's input.
        done: Called after each yield with its number of images.
    """
    work = partial(_answer, network, spec)
    with closing(ordered(work, chunks(images, network.batch), network.workers)) as parts:
        for part in parts:
            yield part
            done(len(part.names))


def _answer(network: Network, spec: ImageSpec, images: list[tuple[str, Source]]) -> Part:
    return part_of(network, [name for name, _ in images], [read_image(source, spec) for _, source in images])


def part_of(network: Network, names: Sequence[str], images: Sequence[Read]) -> Part:
    """Run the images that could be read, in the calling thread."""
    good = {place: one.image for place, one in enumerate(images) if one.image is not None}
    empty = np.zeros((0, *network.outputs), np.float32), np.zeros((0, network.embedding_size), np.float32)
    return Part(
        tuple(names),
        tuple(good),
        network(np.stack(list(good.values()))) if good else empty,
        {name: one.error for name, one in zip(names, images, strict=True) if one.error is not None},
        {name: one.note for name, one in zip(names, images, strict=True) if one.note},
    )
