"""Which images may be decoded, what decoding takes of the memory, and why it failed, in words."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from keensight.core.image_files import Container
from keensight.core.intensity import is_deep
from keensight.core.parallel import Budget
from keensight.errors import ImageError

MAX_BYTES = 256 * 2**20
"""Maximum size of an encoded file."""
MAX_PIXELS = 512_000_000
"""Maximum width times height, checked in the header; decoding that many takes seconds."""
MEMORY = 2**30
"""Maximum memory for decoding in all threads together, in bytes, besides the encoded files. An image that needs more on
its own is refused by its header; large ones wait for their turn."""
# Memory belongs to the process, so the budget cannot belong to one caller.
BUDGET = Budget(MEMORY)
# Pillow warns of larger ones of these formats while decoding, wherever they were opened.
_PIXEL_LIMITS = {"GIF": 89_000_000, "TIFF": 89_000_000}
# Bytes per pixel in Pillow's memory; 4 for all other modes.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
# Additional bytes per pixel that a decoder needs: canvases of WebP, planes of the video formats, buffers of Pillow's
# Python decoders. Measured by resident memory on images of 3 to 25 megapixels; tests/hostile/test_memory.py holds each
# to it. JPEG XL has twice what was measured, because its features differ.
_DECODER = {"WEBP": 12, "AVIF": 6, "HEIC": 6, "JXL": 12, "DICOM": 24, "ppm": 4, "ppm_plain": 4, "bmp_rle": 4}
_JPEG2000 = 5
"""The same, of each channel of a JPEG 2000."""
_CONSTANT = 2**22
"""Bytes that do not depend on the image size."""


def check_size(format: str, size: tuple[int, int]) -> None:
    """Refuse a width and height of nothing, or of too many pixels."""
    width, height = size
    limit = _PIXEL_LIMITS.get(format, MAX_PIXELS)
    if width < 1 or height < 1:
        raise ImageError(f"damaged {format}: its header says {width}×{height} pixels", "copy or download it again")
    if width * height > limit:
        raise ImageError(
            f"its header says {width}×{height} pixels; the limit is {limit // 10**6} megapixels",
            "resize it, or remove it",
        )


def needed_memory(container: Container, image: ImageFile.ImageFile) -> int:
    """Peak memory of decoding at the size that the image would now be decoded to, in bytes."""
    width, height = image.size
    stored = _STORED.get(image.mode, 4)
    converted = 0 if is_plain(image) else 1 if is_deep(image.mode) or image.mode == "1" else 4
    profile = (8 if has_alpha(image) else 4) if container.profile else 0  # the converted image, and its colors alone
    alpha = 4 if has_alpha(image) else 0  # resizing an image with transparency starts with a copy
    codec = image.tile[0][0] if image.tile else container.format
    decoder = max(_DECODER.get(codec, 0), _DECODER.get(container.format, 0))
    if container.format == "JPEG2000":
        decoder = _JPEG2000 * len(image.getbands())
    pixels = width * height * (stored + converted + alpha + profile + decoder)
    return _fixed(container) + pixels + _tiff_strip(image)


def least_memory(container: Container, image: ImageFile.ImageFile) -> int:
    """Memory for decoding to a small size, in bytes (a JPEG at an eighth of its size)."""
    needed, fixed = needed_memory(container, image), _fixed(container)
    return fixed + (needed - fixed) // 64 if container.format == "JPEG" else needed


def _fixed(container: Container) -> int:
    return _CONSTANT + len(container.body) + container.buffered


def tile_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Width and height of a TIFF's tiles, which may be larger than the image; else those of the image."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(322, image.width)), int(tags.get(323, image.height))


def _tiff_strip(image: ImageFile.ImageFile) -> int:
    """Bytes of one strip (or tile) of a TIFF, which is decoded at once."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return 0
    width, height = tile_size(image)
    height = min(height, int(tags.get(278, height)))
    bits = max(8, *tags.get(258, (8,))) * int(tags.get(277, 1))
    return int(width * height * bits // 8)


def affordable(container: Container, image: ImageFile.ImageFile, needed: int) -> int:
    """Return ``needed``, if the budget allows that much."""
    if needed > BUDGET.total:
        width, height = image.size
        raise ImageError(
            f"decoding this {container.format} of {width}×{height} pixels takes {needed / 2**30:.1f} GiB of memory; "
            f"the limit is {BUDGET.total / 2**30:.3g} GiB",
            "resize it, or remove it",
        )
    return needed


def has_alpha(image: Image.Image) -> bool:
    """Whether any of its pixels may be transparent."""
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "La", "PA", "RGBa")


def is_plain(image: Image.Image) -> bool:
    """Whether it can be resized as it is."""
    return image.mode in ("L", "RGB", "RGBA") and "transparency" not in image.info


@contextmanager
def reasons(format: str) -> Iterator[None]:
    """Turn whatever Pillow raises for a bad file into an ImageError with a readable reason.

    Its plugins raise OSError, ValueError, TypeError, IndexError, KeyError, SyntaxError,
    NotImplementedError, struct.error, zlib.error and more, so nothing narrower than Exception will do.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("there is not enough memory to decode it", "scale the image down") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"the {format} claims more pixels than can be decoded", "remove it") from error
    except Exception as error:
        raise ImageError(_reason(format, error), "copy or download it again, or remove it") from error


_EARLY_END = ("truncat", "unexpected end", "reached eof", "not enough image data", "buffer is not large enough")
# Their texts are about Pillow's own code, not about the file.
_OPAQUE = (KeyError, TypeError, IndexError, UnicodeError, struct.error)


def _reason(format: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if any(words in text.lower() for words in _EARLY_END):
        return f"truncated {format}: its image data ends early"
    if isinstance(error, NotImplementedError):
        return f"unsupported {format}: {text or 'a rare variant'}"
    detail = f" ({text[:100]})" if text and not isinstance(error, _OPAQUE) else ""
    return f"damaged {format}: it cannot be decoded{detail}"
