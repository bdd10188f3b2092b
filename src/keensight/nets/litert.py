"""Frozen networks converted for LiteRT, and run by one interpreter, or one stream of OpenVINO, per CPU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import sha256, temporary_folder, write_bytes
from keensight.core.parallel import ordered
from keensight.errors import StoreError
from keensight.nets.export.graph import traced
from keensight.nets.export.tflite import convert
from keensight.nets.light import Engine, Pool, litert
from keensight.nets.runtime import threads_in_force, versions

if TYPE_CHECKING:
    import keras

_DIGEST = hashlib.sha256().digest_size
_CHUNK_PIXELS = 16 * 224 * 224
Make = Callable[[bytes, int], Iterator[Engine]]
"""A converted network to one engine for each of so many threads."""


class FrozenNet:
    """Runs a converted network on batches of images.

    Args:
        flatbuffer: The network, as LiteRT's converter wrote it.
        make: What runs it.
        workers: Threads; None: as many as TensorFlow is set to use.
    """

    def __init__(self, flatbuffer: bytes, make: Make = litert, workers: int | None = None) -> None:
        self.workers = workers or threads_in_force()
        self._pool = Pool(make(flatbuffer, self.workers))
        self.shape = self._pool.shapes[0]
        """Shape of one image's output."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Outputs of some images, float32 (n, *shape), computed in the calling thread.

        Args:
            images: uint8 (n, height, width, 3).
        """
        return self._pool(images)[0]

    def chunk(self, shape: tuple[int, int, int]) -> int:
        """Images of this shape that a batch should have."""
        return max(1, _CHUNK_PIXELS // (shape[0] * shape[1]))

    def stream(self, batches: Iterable[Callable[[], NDArray[np.uint8]]]) -> Iterator[NDArray[np.float32]]:
        """Outputs of batches in order; each batch is created and run in its own thread."""
        with closing(ordered(lambda batch: self(batch()), batches, self.workers)) as results:
            yield from results


def freeze(model: keras.Model, memory: Path | None = None, make: Make = litert) -> FrozenNet:
    """Convert a network from uint8 images to one output.

    Args:
        model: A functional Keras model.
        memory: Cache folder for converted networks, by the digest of their weights; None: always convert (a second or
            two).

    Raises:
        TrainingError: LiteRT cannot run one of its operations.
    """
    kept = None if memory is None else memory / f"{digest(model)}.tflite"
    if kept is not None and (flatbuffer := _kept(kept)) is not None:
        return FrozenNet(flatbuffer, make)
    flatbuffer = _convert(model)
    if kept is not None:
        with suppress(StoreError):  # without the cache, conversion takes a second or two next time
            write_bytes(kept, flatbuffer + hashlib.sha256(flatbuffer).digest())
    return FrozenNet(flatbuffer, make)


def _kept(path: Path) -> bytes | None:
    """A cached network, before the SHA-256 at the end of its file; None: there is none, or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # it was used now, which keeps it in the cache for longer
        os.utime(path)
    flatbuffer, stored = data[:-_DIGEST], data[-_DIGEST:]
    return flatbuffer if hashlib.sha256(flatbuffer).digest() == stored else None


def digest(model: keras.Model) -> str:
    """SHA-256 of a network: its input, its layers in order with all their settings but the names, its weights, and the
    version of the converter.
    """
    layers = [(layer.__class__.__name__, {**layer.get_config(), "name": ""}) for layer in model.layers]
    parts = [repr((model.input_shape, layers, versions())).encode()]
    parts += [np.ascontiguousarray(weight).tobytes() for weight in model.get_weights()]
    return sha256("".join(sha256(part) for part in parts).encode())


def _convert(model: keras.Model) -> bytes:
    return convert(traced(partial(model, training=False), model.input_shape[1:]))


def openvino_or_litert(flatbuffer: bytes, count: int) -> Iterator[Engine]:
    """OpenVINO's, or LiteRT's if OpenVINO does not support one of the network's operations."""
    try:
        return openvino(flatbuffer, count)
    except RuntimeError:
        return litert(flatbuffer, count)


def openvino(flatbuffer: bytes, count: int) -> Iterator[Engine]:
    """Requests to networks compiled for ``count`` streams of one thread; ``RuntimeError``: an operation is not
    supported."""
    import openvino as ov

    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file is deleted
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": count, "NUM_STREAMS": count}
    with temporary_folder() as folder:
        file = folder / "network.tflite"
        write_bytes(file, flatbuffer)
        network = core.read_model(file)
    one_at_a_time = Lock()  # a network compiled twice has twice the streams, which then share CPUs
    shape = tuple(int(n.get_length()) for n in list(network.output(0).partial_shape)[1:])

    @cache
    def compiled(shape: tuple[int, ...]) -> Any:
        # One for each size of a batch: with a size left open the same network is slower.
        fixed = network.clone()
        fixed.reshape(shape)
        return core.compile_model(fixed, "CPU", settings)

    def engine() -> Engine:
        @cache
        def request(shape: tuple[int, ...]) -> Any:
            with one_at_a_time:
                return compiled(shape).create_infer_request()

        def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            return (request(images.shape).infer([images], share_inputs=True, share_outputs=True)[0],)

        return Engine(run, (shape,))

    return (engine() for _ in range(count))
