"""Encoded bytes and an ImageSpec to uint8 pixels: the only decoder.

Whatever reads an image (training, evaluation, prediction, a server) reads it here, so that a
model never sees other pixels in use than in training.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from keensight.core.containers import Container, unpack
from keensight.core.records import ImageInfo, ImageSpec
from keensight.errors import ImageError

MAX_BYTES = 256 * 2**20
"""Largest encoded file that is read."""
MAX_PIXELS = 128_000_000
"""Largest width times height that is decoded; checked in the header, before any memory is taken."""

# Opened by class, not by PIL.Image.open: that one would guess among all of Pillow's formats (and
# start Ghostscript for some) and warn in mid-thread of large images, which are judged here.
_OPENERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
# Pillow warns of larger ones of these formats while decoding, wherever they were opened.
_PIXEL_LIMITS = {"GIF": 89_000_000, "TIFF": 89_000_000}

# What EXIF orientations 2 to 8 ask for.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A JPEG is decoded at the smallest scale (1, 1/2, 1/4, 1/8) at which it is this much larger than wanted.
_DRAFT_MARGIN = 1.25
# From 16 times the size wanted on, whole pixels are averaged first. That cannot be told from the filter
# alone, whose fixed-point weights however sum up to too little when a million pixels go into one.
_REDUCING_GAP = 8.0


def probe(data: bytes) -> ImageInfo:
    """What the header of an encoded image says; no pixel is decoded.

    Width and height are those stored, before ``orientation`` is applied.

    Raises:
        ImageError: no image of a supported format, or one larger than MAX_BYTES or MAX_PIXELS.
    """
    container, image = _open(data)
    width, height = image.size
    return ImageInfo(
        format=container.format, mode=image.mode, width=width, height=height,
        frames=container.frames, orientation=container.orientation,
    )  # fmt: skip


def decode(raw: bytes | NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    """An image as the model's input: uint8, shape (spec.height, spec.width, 3), RGB, C-contiguous.

    EXIF orientation is applied; grey becomes three equal channels; CMYK, YCbCr, LAB and HSV become
    RGB; transparency is laid on white; 16-bit values are divided by 257; of an animation the first
    frame is taken. Floating-point images are read as 0 to 1, 0 to 255 or 0 to 65,535, whichever is
    the first that holds all values, and are otherwise stretched from their least to their greatest
    value; so are 32-bit integers beyond 65,535. Embedded colour profiles are ignored.

    The resize is Pillow's antialiased bilinear (a triangle filter as wide as the scale). A JPEG is
    decoded at 1/2, 1/4 or 1/8 of its size where it is then still at least 1.25 times the size wanted,
    at two to three times the speed. Over 100 photographs of 256 to 533 pixels and targets from 32 to
    224 that moved a pixel by 0.8 of 255 levels at most on average, and by 23 at most anywhere.

    A JPEG whose image data ends early is refused, also where an end marker hides it, unless fewer
    than about 8 bytes are missing. One that lacks only the end marker, or carries something behind it,
    is read. In a progressive JPEG an early end is seen only where the end marker is missing too.

    Args:
        raw: The bytes of an image file (JPEG, PNG, BMP, GIF, WebP, TIFF, PPM), or a uint8 array of
            shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) (RGBA).
        spec: Size wanted, and what to do with another aspect ratio.

    Raises:
        ImageError: the image cannot be decoded; the message is a short reason.
    """
    return decode_each(raw, (spec,))[0]


def decode_each(raw: bytes | NDArray[np.uint8], specs: Sequence[ImageSpec]) -> list[NDArray[np.uint8]]:
    """One image at several sizes, each with the very pixels that :func:`decode` gives.

    A file is decoded once for all sizes, a JPEG once for each scale that they need.

    Raises:
        ImageError: the image cannot be decoded at one of the sizes.
    """
    if isinstance(raw, np.ndarray):
        return [_decode_array(raw, spec) for spec in specs]
    container, image = _open(raw)
    with _reasons(container.format):
        loaded: dict[tuple[float, float], Image.Image] = {}
        found = []
        for spec in specs:
            if loaded:  # what is loaded at one scale cannot be had at another
                image = _OPENERS[container.format](io.BytesIO(container.body))
            extent = _draft(image, spec, container.orientation)
            if extent not in loaded:
                image.load()
                loaded[extent] = _plain_mode(image)
            found.append(_finish(loaded[extent], extent, spec, container.orientation))
        return found


def encode_png(pixels: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """A uint8 array of shape (H, W), (H, W, 1) or (H, W, 3) as the bytes of a PNG file.

    Args:
        pixels: The image as it is to be stored.
        orientation: EXIF orientation to note in the file, 1 to 8; 1: none.
    """
    image = Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    stream = io.BytesIO()
    exif = Image.Exif()
    if orientation != 1:
        exif[ExifTags.Base.Orientation] = orientation
    image.save(stream, format="PNG", exif=exif)
    return stream.getvalue()


def _open(data: bytes) -> tuple[Container, ImageFile.ImageFile]:
    if len(data) > MAX_BYTES:
        raise ImageError(
            f"the file has {len(data) / 2**20:.0f} MiB; the limit is {MAX_BYTES / 2**20:.0f}",
            "store it smaller, as a JPEG for example",
        )
    container = unpack(data)
    if container.extent:
        _check_size(container.format, container.extent)
    with _reasons(container.format):
        image = _OPENERS[container.format](io.BytesIO(container.body))
    _check_size(container.format, image.size)
    return container, image


def _check_size(format: str, size: tuple[int, int]) -> None:
    width, height = size
    limit = _PIXEL_LIMITS.get(format, MAX_PIXELS)
    if width < 1 or height < 1:
        raise ImageError(f"damaged {format}: its header says {width}×{height} pixels", "copy or download it again")
    if width * height > limit:
        raise ImageError(
            f"its header says {width}×{height} pixels; the limit is {limit // 10**6} megapixels",
            "scale it down, or leave it out",
        )


@contextmanager
def _reasons(format: str) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into an ImageError with a reason for people.

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
        raise ImageError(f"the {format} claims more pixels than can be decoded", "leave it out") from error
    except Exception as error:
        raise ImageError(_reason(format, error), "copy or download it again, or leave it out") from error


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


def _draft(image: ImageFile.ImageFile, spec: ImageSpec, orientation: int) -> tuple[float, float]:
    """Have a JPEG decoded smaller; returns the width and height that the picture then takes.

    They are fractions: 533 rows at 1/8 are 66.6, decoded as 67 of which the last is partly void. To
    resize all 67 would shift the picture.
    """
    if image.format != "JPEG":
        return image.size
    height, width = _turned(spec, orientation)
    if spec.fit == "pad":  # One side ends smaller than the frame: judge by the scale that is used.
        scale = min(width / image.width, height / image.height)
        width, height = round(image.width * scale), round(image.height * scale)
    drafted = image.draft(None, (max(1, int(width * _DRAFT_MARGIN)), max(1, int(height * _DRAFT_MARGIN))))
    return drafted[1][2:] if drafted else image.size


def _turned(spec: ImageSpec, orientation: int) -> tuple[int, int]:
    """Height and width before the turn that the orientation asks for."""
    return (spec.width, spec.height) if orientation >= 5 else (spec.height, spec.width)


def _plain_mode(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as L, RGB or RGBA."""
    if image.mode in ("L", "RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_to_8_bits(np.asarray(image), image.info.get("transparency")))
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBa"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_8_bits(values: NDArray[np.generic], transparent: object) -> NDArray[np.uint8]:
    """Grey values of 16 or 32 bits, or floating point, scaled to 0 to 255 (see :func:`decode`)."""
    if values.dtype.kind == "f":
        scaled = _float_to_8_bits(np.nan_to_num(values.astype(np.float32)))
    elif values.dtype.itemsize > 2 and (values.min(initial=0) < 0 or values.max(initial=0) > 65535):
        scaled = _stretched(values.astype(np.float64))
    else:
        scaled = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if isinstance(transparent, int):
        scaled[values == transparent] = 255
    return scaled


def _float_to_8_bits(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    for top in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= top:
            return np.rint(values.astype(np.float64) * (255.0 / top)).astype(np.uint8)
    return _stretched(values.astype(np.float64))


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    low, high = values.min(), values.max()
    scaled: NDArray[np.uint8] = np.rint((values - low) * (255.0 / max(high - low, 1e-300))).astype(np.uint8)
    return scaled


def _decode_array(array: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    if array.dtype != np.uint8:
        raise ImageError(f"the array has dtype {array.dtype}, not uint8", "scale it to 0..255 and use .astype('uint8')")
    flat = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if flat.ndim != 2 and not (flat.ndim == 3 and flat.shape[2] in (3, 4)):
        raise ImageError(f"the array has shape {array.shape}", "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    _check_size("array", (flat.shape[1], flat.shape[0]))
    if flat.shape == spec.shape:
        return flat.copy(order="C")
    if flat.shape == spec.shape[:2]:
        return np.repeat(flat[:, :, np.newaxis], 3, axis=2)
    image = Image.fromarray(np.ascontiguousarray(flat))
    return _finish(image, image.size, spec, 1)


def _finish(image: Image.Image, extent: tuple[float, float], spec: ImageSpec, orientation: int) -> NDArray[np.uint8]:
    """Resize, lay on white, turn: in this order, as each step is then done on the fewest pixels."""
    height, width = _turned(spec, orientation)
    fitted = _fit(image, extent, width, height, spec.fit)
    if fitted.mode == "RGBA":
        fitted = _on_white(fitted)
    if orientation in _TURNS:
        fitted = fitted.transpose(_TURNS[orientation])
    pixels = np.asarray(fitted)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    if fitted.size == (spec.width, spec.height):
        return np.array(pixels, order="C")
    return _padded(pixels, spec)


def _fit(image: Image.Image, extent: tuple[float, float], width: int, height: int, fit: str) -> Image.Image:
    across, down = extent
    left = top = 0.0
    if fit == "crop":
        scale = max(width / across, height / down)
        left, top = max(0.0, (across - width / scale) / 2), max(0.0, (down - height / scale) / 2)
    elif fit == "pad":
        scale = min(width / across, height / down)
        width, height = min(width, max(1, round(across * scale))), min(height, max(1, round(down * scale)))
    box = (left, top, across - left, down - top)
    return image.resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=_REDUCING_GAP)


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _padded(pixels: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    framed = np.zeros(spec.shape, np.uint8)
    height, width = pixels.shape[:2]
    top, left = (spec.height - height) // 2, (spec.width - width) // 2
    framed[top : top + height, left : left + width] = pixels
    return framed
