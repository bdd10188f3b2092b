"""The light form of a model: its serving graph as a LiteRT file, which runs without TensorFlow.

On a CPU LiteRT (with XNNPACK) runs a convolutional network more than twice as fast as TensorFlow does, in the same
float32 precision. One engine per thread keeps every CPU busy, because no operation waits for another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from queue import Empty, SimpleQueue
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from keensight.core.parallel import processors
from keensight.errors import StoreError
from keensight.nets.runtime import silenced

_PIXELS = 224 * 224
"""Approximate number of pixels per call: more would not fit into a CPU's cache."""
_TAKEN = 4
"""Calls that a thread makes for the images that it takes at a time: fewer would cost more than they compute."""
_UNRUNNABLE = (RuntimeError, ValueError)
"""Exceptions of LiteRT for a damaged file and for operations that it does not have."""


@dataclass(frozen=True)
class Engine:
    """A converted network, for one thread at a time."""

    run: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]
    """uint8 images (n, height, width, 3) to outputs (n, *shape), which the next call may overwrite."""
    shapes: tuple[tuple[int, ...], ...]
    """Of one image's outputs."""
    takes: tuple[int, ...] = ()
    """Height, width and channels of an image; empty: not known."""


class Pool:
    """Engines that threads borrow: one runs in each calling thread, and no more than there are.

    Args:
        engines: Made as they are needed; at least one.
    """

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._more = iter(engines)
        self._making = Lock()
        self._idle: SimpleQueue[Engine] = SimpleQueue()
        first = next(self._more)
        self.shapes, self.takes = first.shapes, first.takes
        self._idle.put(first)

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """All outputs of some images, float32 (n, *shape), computed in the calling thread.

        Args:
            images: uint8 (n, height, width, 3).
        """
        size = max(1, round(_PIXELS / prod(images.shape[1:3])))
        outputs = tuple(np.empty((len(images), *shape), np.float32) for shape in self.shapes)
        engine = self._borrowed()
        try:
            for begin in range(0, len(images), size):
                for output, found in zip(outputs, engine.run(images[begin : begin + size]), strict=True):
                    output[begin : begin + size] = found
        finally:
            self._idle.put(engine)
        return outputs

    def _borrowed(self) -> Engine:
        with suppress(Empty):
            return self._idle.get_nowait()
        with self._making:
            made = next(self._more, None)
        return made or self._idle.get()


class LightNetwork:
    """A model's light form.

    Args:
        flatbuffer: As :func:`keensight.nets.export.tflite.to_tflite` makes it.
        workers: Maximum number of threads that run it at a time; None: one for each CPU.

    Raises:
        StoreError: LiteRT cannot read it, or its input or outputs are not those of a serving graph.
    """

    def __init__(self, flatbuffer: bytes, workers: int | None = None) -> None:
        self.workers = workers or processors()
        """Threads that may run it at a time."""
        try:
            self._pool = Pool(litert(flatbuffer, self.workers))
        except _UNRUNNABLE as error:
            raise StoreError(
                f"LiteRT cannot run the light form of the model: {str(error).splitlines()[0]}",
                "the file is damaged, or made for another version: use --engine keras",
            ) from error
        self.shape: tuple[int, ...] = self._pool.takes
        """Height, width and channels of an image."""
        self.batch = max(1, _TAKEN * _PIXELS // prod(self.shape[:2]))
        """Images that a thread decodes and runs at a time."""
        self.outputs: tuple[int, ...] = self._pool.shapes[0]
        """Shape of the first output for one image: (trained classes,), of a detector (rows, columns, levels)."""
        self.embedding_size = self._pool.shapes[1][0] if len(self._pool.shapes) > 1 else 0
        """Length of an embedding; 0: there is none."""

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Final outputs and embeddings of some images, computed in the calling thread; threads may call it together.

        Args:
            images: uint8 (n, height, width, 3), RGB, 0 to 255.

        Returns:
            Probabilities, float32 (n, trained classes), of a detector its levels (n, rows, columns, levels); and
            embeddings, float32 (n, d), where d is 0 if there are none.
        """
        first, *rest = self._pool(images)
        return first, rest[0] if rest else np.zeros((len(images), 0), np.float32)


def litert(flatbuffer: bytes, count: int) -> Iterator[Engine]:
    """Interpreters of one thread each; ``RuntimeError`` or ``ValueError``: it is damaged, or an operation is not
    supported."""
    from ai_edge_litert.interpreter import Interpreter

    def engine() -> Engine:
        with silenced():
            interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
            interpreter.allocate_tensors()
        (entry,), found = interpreter.get_input_details(), interpreter.get_output_details()
        places, now = [one["index"] for one in found], tuple(entry["shape"])

        def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            nonlocal now
            if now != images.shape:
                interpreter.resize_tensor_input(entry["index"], images.shape)
                interpreter.allocate_tensors()
                now = images.shape
            interpreter.set_tensor(entry["index"], images)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(place) for place in places)

        shapes = tuple(tuple(int(n) for n in one["shape"][1:]) for one in found)
        return Engine(run, shapes, tuple(int(n) for n in entry["shape"][1:]))

    return (engine() for _ in range(count))
