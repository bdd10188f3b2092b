"""The interface to decoded images; ``data`` implements it, ``nets`` and ``workflow`` read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.records import ImageSpec


class IndexedImages(Protocol):
    """Images of one size, by index."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of one image."""
        ...

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Images in the given order, uint8, shape (n, H, W, 3).

        Raises:
            DataError: an index is out of range, or its sample has no pixels.
        """
        ...


class Pixels(IndexedImages, Protocol):
    """Decoded images of a dataset; indices are those of ``Dataset.samples``."""

    @property
    def spec(self) -> ImageSpec:
        """How they were decoded."""
        ...

    @property
    def errors(self) -> Mapping[int, str]:
        """Index to error message, for samples without pixels."""
        ...

    @property
    def decoded(self) -> int:
        """Number of images that this call of :func:`prepare` decoded; 0 if all were cached."""
        ...

    @property
    def survey(self) -> Pixels:
        """The same images at the survey size of the set, independent of ``spec``."""
        ...

    def __len__(self) -> int:
        """The number of samples, including those with errors."""
        ...
