"""Thumbnails of a dataset's images."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.background import choose, contrasts
from keensight.core.records import Background, Dataset, ImageSpec
from keensight.errors import DataError

_LOSSLESS = 64
"""Up to this side in pixels PNG is small, and JPEG blocks would be visible when magnified."""


def thumbnail(dataset: Dataset, index: int, side: int = 128) -> NDArray[np.uint8] | None:
    """Image ``index`` as uint8 (h, w, 3): its own aspect ratio, at most ``side`` px, never enlarged.

    None if the image is not available or cannot be decoded.
    """
    try:
        return shrunk(dataset.load(index), side)
    except DataError:
        return None


def shrunk(raw: bytes | NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image as uint8 (h, w, 3) in its own aspect ratio, at most ``side`` px, never enlarged.

    Raises:
        ImageError: it cannot be decoded.
    """
    height, width = _size(raw)
    ground = _ground(raw, side)
    shrink = min(1.0, side / max(height, width))
    spec = ImageSpec(max(1, round(height * shrink)), max(1, round(width * shrink)), "stretch", background=ground)
    return pixels.decode(raw, spec)


def encode(image: NDArray[np.uint8]) -> bytes:
    """A small uint8 image (h, w, 3) as a file: PNG up to 64 px, JPEG above."""
    if max(image.shape[:2]) <= _LOSSLESS:
        return pixels.encode_png(image)
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=82, optimize=True)
    return stream.getvalue()


def data_uri(image: NDArray[np.uint8]) -> str:
    """A uint8 image (h, w, 3) as a ``data:`` URI."""
    data = encode(image)
    return encoded_uri("png" if data.startswith(b"\x89PNG") else "jpeg", data)


def _ground(raw: bytes | NDArray[np.uint8], side: int) -> Background:
    """The ground on which a transparent image can be seen: a page shows each by itself."""
    if isinstance(raw, np.ndarray):
        return "white"
    cut = pixels.cutout(raw, side)
    seen = None if cut is None else contrasts(cut)
    return "white" if seen is None else choose([seen])[0]


def _size(raw: bytes | NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width after EXIF orientation."""
    if isinstance(raw, np.ndarray):
        return raw.shape[0], raw.shape[1]
    info = pixels.probe(raw)
    turned = info.orientation >= 5  # EXIF 5 to 8 are rotated by 90 degrees
    return (info.width, info.height) if turned else (info.height, info.width)


def encoded_uri(kind: str, data: bytes) -> str:
    """An encoded image (``kind``: ``png``, ``jpeg``) as a ``data:`` URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
