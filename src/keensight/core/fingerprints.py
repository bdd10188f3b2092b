"""Digests and fingerprints of the training images: enough to recognize an image, too little to reconstruct it.

Three marks of an image, from the strictest to the loosest:

- its file: the first 16 bytes of the SHA-256 of the encoded bytes;
- its pixels: the same of the model's input, which a lossless copy shares if both are decoded in the same way (a
  large JPEG is decoded at a smaller scale, a PNG made of it is not);
- its look: the signs of the 255 lowest frequencies of its brightness (a discrete cosine transform, as in perceptual
  hashes: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions), each minus its median over
  the training images, so that what they all have in common does not count. A copy that was compressed, resized or made
  gray differs in few of these bits, another image in about half of them.

A digest reveals nothing about an image to anyone who does not have it. The signs of a fingerprint allow a blurred guess
of about 16 by 16 pixels, and no more. Cropped, rotated and mirrored copies are not recognized.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

DIGEST = 16
"""Bytes of a digest: 128 bits, by which two of a billion images agree with a probability below 1e-20."""
SIDE = 16
"""Frequencies in each direction; an image must have as many pixels in each."""
FREQUENCIES = SIDE * SIDE - 1
"""All but the mean brightness."""
PRINT = 32
"""Bytes of a fingerprint."""
RADIUS = 32
"""Maximum number of the 255 bits in which a copy may differ: 1,979 of 1,980 copies (180 images at 64 px) were within
it."""
FALSE = 0.002
"""Maximum fraction of unseen images that may be mistaken for copies, as :func:`radius_of` estimates it."""
OFF = -1
"""Radius of a set whose images are too similar, or too small, for fingerprints."""
_GROWTH = 4
"""The number of unrelated images within a distance d grows at least with this power of d (measured: 4.7 to 16)."""
_FLAT = 1.0
"""Contrast (levels of 255) below which an image has no usable fingerprint."""
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_BLOCK = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class LearnedFrom:
    """Digests and fingerprints of a model's training and validation images; rows are sorted when stored."""

    files: Bytes
    """Shape (n, 16): digests of files."""
    pixels: Bytes
    """Shape (m, 16): digests of the model's inputs."""
    prints: Bytes
    """Shape (k, 32): fingerprints; flat images have none."""
    medians: Floats
    """Shape (255,): the median of each frequency, which an image is compared with."""
    radius: int
    """Maximum number of bits in which a copy's fingerprint may differ; -1: fingerprints are not usable here."""


def file_digests(digests: Sequence[str]) -> Bytes:
    """SHA-256 as 64 hexadecimal digits to (n, 16) bytes."""
    return np.frombuffer(b"".join(bytes.fromhex(one)[:DIGEST] for one in digests), np.uint8).reshape(-1, DIGEST)


def pixel_digests(images: Bytes) -> Bytes:
    """Digests (n, 16) of uint8 images (n, height, width, 3)."""
    found = b"".join(hashlib.sha256(image.tobytes()).digest()[:DIGEST] for image in images)
    return np.frombuffer(found, np.uint8).reshape(-1, DIGEST)


def frequencies(images: Bytes) -> Floats:
    """The lowest frequencies of the brightness, (n, 255), of length 1 each; NaN for an image without contrast.

    Args:
        images: uint8 (n, height, width, 3), of 16 pixels at least in each direction.
    """
    gray = images.astype(np.float32) @ _LUMA
    height, width = gray.shape[1:]
    found = (_cosines(height) @ gray @ _cosines(width).T).reshape(len(gray), -1)[:, 1:]
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    flat = lengths < _FLAT * np.sqrt(height * width)
    return np.asarray(np.where(flat, np.nan, found / np.where(flat, 1, lengths)), dtype=np.float32)


@cache
def _cosines(n: int) -> Floats:
    """First 16 rows of the orthonormal DCT-II of length n, (16, n)."""
    rows = np.cos(np.pi * np.arange(SIDE)[:, None] * (2 * np.arange(n)[None] + 1) / (2 * n)) * np.sqrt(2 / n)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, dtype=np.float32)


def medians_of(found: Floats) -> Floats:
    """Median (255,) of each frequency (n, 255) over the images with contrast; 0 if there are none."""
    whole = found[np.isfinite(found).all(axis=1)]
    return np.median(whole, axis=0).astype(np.float32) if len(whole) else np.zeros(FREQUENCIES, np.float32)


def fingerprints(found: Floats, medians: Floats) -> Bytes:
    """Frequencies (n, 255) to fingerprints (n, 32); those of flat images are all zero, see :func:`is_print`."""
    bits = np.zeros((len(found), 8 * PRINT), np.bool_)
    bits[:, :FREQUENCIES] = found > medians
    bits[:, -1] = np.isfinite(found).all(axis=1)
    return np.packbits(bits, axis=1)


def is_print(prints: Bytes) -> NDArray[np.bool_]:
    """Which fingerprints (n, 32) are valid, marked by the last bit; those of flat images are not."""
    return (prints[:, -1] & 1).astype(np.bool_)


def nearest(queries: Bytes, known: Bytes, alike: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Bits in which each fingerprint (n, 32) differs from the nearest known one (k, 32), shape (n,).

    Args:
        queries: Fingerprints.
        known: Fingerprints; without any, every distance is 255.
        alike: Shape (n, k): pairs to ignore.
    """
    result = np.full(len(queries), FREQUENCIES, dtype=np.int64)
    one, other = _words(queries), _words(known)
    size = max(1, _BLOCK // max(1, len(known)))
    for begin in range(0, len(queries) if len(known) else 0, size):
        rows = slice(begin, begin + size)
        bits = np.zeros((len(one[rows]), len(other)), np.uint16)
        for word in range(one.shape[1]):
            bits += np.bitwise_count(one[rows, word, None] ^ other[None, :, word])
        if alike is not None:
            bits[alike[rows]] = FREQUENCIES
        result[rows] = bits.min(axis=1)
    return result


def _words(prints: Bytes) -> NDArray[np.uint64]:
    return np.ascontiguousarray(prints).view(np.uint64)


def radius_of(distances: NDArray[np.int64], images: int) -> int:
    """Choose the distance in bits within which an image counts as a copy: 32, or fewer if the set's images are similar.

    An unseen image has as many neighbors by chance as a training image has among the others. How many these are within
    a small radius follows from how many there are within 64 bits, as they grow with the fourth power of the radius at
    least. If every second image has a neighbor within 32 bits, fingerprints cannot distinguish copies from similar
    images.

    Args:
        distances: Distance in bits from some training images to the nearest other one, shape (n,).
        images: Number of training images.
    """
    if len(distances) < 2:
        return RADIUS
    if np.median(distances) <= RADIUS:
        return OFF
    near = min(1.0, float((distances < 2 * RADIUS).mean()) * images / len(distances))
    return RADIUS if near == 0 else min(RADIUS, int(2 * RADIUS * (FALSE / near) ** (1 / _GROWTH)))
