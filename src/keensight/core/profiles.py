"""Embedded color profiles (ICC): what they mean in sRGB."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_SAME = 2
"""A profile that changes no color by more than this many of 255 levels is sRGB, whatever its name."""
_STEPS = np.linspace(0, 255, 6).astype(np.uint8)
_SPACES = {"RGB ": "RGB", "CMYK": "CMYK"}


@lru_cache(maxsize=64)
def transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion to sRGB of images of a mode, by relative colorimetry with black point compensation.

    Args:
        profile: The embedded profile; a set usually has a few different ones.
        mode: ``RGB`` or ``CMYK``.

    Returns:
        None if there is nothing to convert: no profile, a damaged one, one of another color space, or sRGB.
    """
    if not profile:
        return None
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _SPACES.get(embedded.profile.xcolor_space) != mode:
            return None
        conversion = ImageCms.buildTransform(
            embedded, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        return None if mode == "RGB" and _changes_nothing(conversion) else conversion
    # As LittleCMS and Pillow refuse a damaged one; or this Pillow was built without LittleCMS.
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
        return None


def _changes_nothing(conversion: ImageCms.ImageCmsTransform) -> bool:
    grid = np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS, indexing="ij"), axis=-1).reshape(len(_STEPS), -1, 3)
    there = np.asarray(conversion.apply(Image.fromarray(grid)))
    return bool(np.abs(there.astype(int) - grid).max() <= _SAME)


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """An RGB, RGBA or CMYK image in sRGB, by its embedded profile; an image of another mode is returned as it is."""
    conversion = transform(profile, "CMYK" if image.mode == "CMYK" else "RGB")
    if conversion is None or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image.convert("RGB") if image.mode == "CMYK" else image
    if image.mode != "RGBA":
        return conversion.apply(image)
    converted = conversion.apply(image.convert("RGB"))
    converted.putalpha(image.getchannel("A"))
    return converted
