"""Which of Pillow's readers opens a format, by class: ``PIL.Image.open`` would try all of them, start Ghostscript for
some, and warn about large images, which are checked elsewhere.

Formats of an extra are imported when the first such file is met.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from keensight.core.image_files import Container
from keensight.core.intensity import Scale
from keensight.core.tiff import exif_orientation
from keensight.errors import ImageError

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]

_OPENERS: dict[str, Opener] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "TGA": TgaImagePlugin.TgaImageFile,
}
_TRANSFORMED = ("AVIF", "HEIC", "DICOM")
"""Formats whose reader finds frames and profile, and (of AVIF) translates the rotation to EXIF."""
EXTRAS = {"HEIC": ("heic", "HEIC photo"), "JXL": ("jxl", "JPEG XL image"), "DICOM": ("medical", "DICOM image")}
"""Formats that an optional dependency reads: the extra, and what such a file is called."""


def needs_extra(format: str) -> ImageError:
    """The error for a file of a format whose extra is not installed."""
    extra, name = EXTRAS[format]
    return ImageError(
        f"it is a {name}, which needs an extra: pip install 'keensight[{extra}]', or convert it to JPEG or PNG"
    )


def missing_extras(errors: Sequence[str]) -> list[str]:
    """One sentence for each format that needs an extra, with the number of files, from the errors of a set's images."""
    found = {format: errors.count(needs_extra(format).message) for format in EXTRAS}
    return [
        f"{n:,} {EXTRAS[format][1]}{'s are' if n > 1 else ' is'} not read, because the extra is not installed: "
        f"pip install 'keensight[{EXTRAS[format][0]}]', or convert to JPEG or PNG."
        for format, n in found.items()
        if n
    ]


def open_container(container: Container) -> tuple[Container, ImageFile.ImageFile]:
    """Open an image without decoding a pixel; the container then has what only its reader knows.

    Raises:
        ImageError: its format needs an extra that is not installed.
        Exception: whatever Pillow raises for a bad file.
    """
    image = opener(container)(io.BytesIO(container.body))
    if container.format not in _TRANSFORMED:
        return container, image
    exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0") if container.format == "AVIF" else b""
    frames = getattr(image, "n_frames", 1)
    if container.format == "DICOM":
        return replace(container, frames=frames), image
    profile = image.info.get("icc_profile") or b""
    return replace(container, orientation=exif_orientation(exif), frames=frames, profile=profile), image


def opener(container: Container) -> Opener:
    """The reader for one file.

    Raises:
        ImageError: its format needs an extra that is not installed.
    """
    format = container.format
    if format == "ICO":
        return _OPENERS["PNG"] if container.body.startswith(b"\x89PNG") else IcoImagePlugin.IcoImageFile
    if format == "AVIF":
        if not AvifImagePlugin.SUPPORTED:
            raise ImageError("it is an AVIF image, and this Pillow was built without AVIF", "convert it to JPEG")
        return AvifImagePlugin.AvifImageFile
    if format not in EXTRAS:
        return _OPENERS[format]
    try:
        found: Opener = _of_extra(format)
        return found
    except ImportError as error:
        raise needs_extra(format) from error


class Displayed(Protocol):
    """A DICOM image, which says how to look at its values."""

    inverted: bool
    """Whether the lowest values are white."""

    @property
    def window(self) -> Scale | None:
        """The values that become black and white; None: it does not say."""

    @property
    def absolute(self) -> bool:
        """Whether the values have a meaning of their own."""

    def displayed(self) -> Image.Image | None:
        """The image as the file says to look at it, in 8 bits; None: it does not say."""


def _of_extra(format: str) -> Any:
    if format == "DICOM":
        from keensight.core.dicom import DicomImageFile

        return DicomImageFile
    if format == "HEIC":
        from pi_heif.as_plugin import HeifImageFile

        return HeifImageFile
    from keensight.core.jpegxl import JxlImageFile

    return JxlImageFile
