"""Groups of images (patients, tracks) as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def group_numbers(names: Sequence[str | None]) -> NDArray[np.int64] | None:
    """The number of each image's group, shape (n,); an image without one is a group of its own.

    None where no image has a group.
    """
    if all(name is None for name in names):
        return None
    keys = [f"image {place}" if name is None else f"group {name}" for place, name in enumerate(names)]
    return np.unique(np.array(keys), return_inverse=True)[1].reshape(-1)
