"""Activations of the frozen lower layers, for several augmented views of each image, each computed once."""

from __future__ import annotations

import os
import tempfile
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.config import AugmentConfig, RunConfig
from keensight.core.decoded import IndexedImages
from keensight.core.progress import Progress
from keensight.nets.litert import FrozenNet
from keensight.nets.runtime import framework
from keensight.nets.training import augment
from keensight.nets.training.features import run

_VIEWS = 4
_MEMORY_SHARE = 0.25


class AugmentedPixels:
    """One augmented view of each image: a pure function of (seed, view, image).

    Args:
        pixels: Decoded images by dataset index.
        config: Settings with no ``auto`` left.
        seed: Random seed.
        view: Number of the view, from 0; the first one is the plain image.
    """

    def __init__(self, pixels: IndexedImages, config: AugmentConfig, seed: int, view: int) -> None:
        self.shape = pixels.shape
        self._pixels, self._config, self._seed, self._view = pixels, config, seed, view

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """uint8 (n, height, width, 3) in the order of ``indices``."""
        images = self._pixels.take(indices)
        if self._view == 0:
            return images
        _, tf = framework()
        rows = np.asarray(indices, np.int64)
        draws = np.stack(
            [np.random.default_rng([self._seed, self._view, int(i)]).random(augment.DRAWS, np.float32) for i in rows]
        )
        changed: NDArray[np.uint8] = augment.apply(
            tf.constant(images), tf.constant(draws), self._config, self.shape[:2]
        ).numpy()
        return changed


def how_many(asked: int | None, images: int, values: int) -> int:
    """Number of views: as many as fit in a quarter of the free memory, from 1 to 4, unless a number is given.

    Args:
        asked: The setting ``train.views``.
        images: Images of the training set.
        values: Values per activation, two bytes each.
    """
    return asked or int(np.clip(_memory_budget() // (2 * values * images), 1, _VIEWS))


def _memory_budget() -> int:
    try:
        return int(_MEMORY_SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):  # unknown on this system: assume a gigabyte
        return 2**30


def compute_views(
    net: FrozenNet, pixels: IndexedImages, rows: NDArray[np.int64], config: RunConfig, count: int, progress: Progress
) -> NDArray[np.float16]:
    """Compute activations of ``count`` views of some images, the first of them without augmentation.

    Args:
        net: The frozen lower layers.
        pixels: Decoded images by dataset index.
        rows: Dataset indices, shape (n,).
        config: Settings with no ``auto`` left.
        count: Number of views.
        progress: Where to report.

    Returns:
        float16 (count, n, *shape of an activation); in a temporary file if memory is short.
    """
    bank = _bank((count, len(rows), *net.shape))
    with progress.task("computing activations", count * len(rows), "views") as task:
        for view in range(count):
            seen = AugmentedPixels(pixels, config.augment, config.train.seed, view)
            bank[view] = run(net, seen, rows, task, np.float16)
    return bank


def _bank(shape: tuple[int, ...]) -> NDArray[np.float16]:
    if 2 * prod(shape) <= _memory_budget():
        return np.empty(shape, np.float16)
    with tempfile.TemporaryFile() as file:  # it exists as long as the mapping
        return np.memmap(file, np.float16, "w+", shape=shape)
