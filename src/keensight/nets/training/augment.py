"""Data augmentation, applied to whole batches in tf.data.

All random values come from one row of numbers in [0, 1) per (seed, epoch, sample), so batches are reproducible.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Protocol

from keensight.core.config import AugmentConfig
from keensight.core.records import LabelSet
from keensight.nets.runtime import framework

DRAWS = 18
"""Random numbers per sample; the last ones are those of the random resized crop."""
_CROP = 14
STREAMS = ((1, _CROP), (2, DRAWS - _CROP))
"""Random streams of an epoch, and how many numbers each gives: later ones leave those of the earlier as they were."""
_ASPECT = 4 / 3
"""A crop's aspect ratio is that of the image, times or divided by at most this."""
_SIDES = re.compile(r"(^|[^a-z])(left|right|clockwise|anticlockwise|counterclockwise)([^a-z]|$)", re.IGNORECASE)
_SHADES = {"none": 0.0, "light": 0.1, "strong": 0.3}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Settings with every ``auto`` resolved, and the reasons."""

    config: AugmentConfig
    reasons: tuple[str, ...]


class MirrorEvidence(Protocol):
    """Whether mirrored training images look like other classes (``data.flip_evidence``)."""

    @property
    def harmful(self) -> bool:
        """They significantly do."""
        ...

    @property
    def natural(self) -> bool:
        """They look like real images of the same class."""
        ...


def resolve(
    config: AugmentConfig, labels: LabelSet, grey_share: float, mirror: MirrorEvidence | None = None
) -> Augmentation:
    """Resolve ``auto`` by what is safe for these classes.

    Mirroring can turn one digit, letter or sign into another. Images are mirrored unless a class name contains left or
    right or the evidence is against it; if classes are numbers or single letters, only if the evidence is for it. Color
    augmentation is used for color images.

    Args:
        config: The settings.
        labels: The classes.
        grey_share: Fraction of images without color, 0 to 1.
        mirror: The evidence; None: use only the names.
    """
    if not config.enabled:
        off = replace(config, flip="none", crop=1.0, shift=0.0, zoom=0.0, rotate=0.0, erase=0.0, color="none")
        return Augmentation(off, ("data augmentation: off",))
    reasons = []
    if config.flip == "auto":
        safe, reason = _mirror_rule(labels, mirror)
        config = replace(config, flip="horizontal" if safe else "none")
        reasons.append(reason + ("" if safe else " (override with --set augment.flip=horizontal)"))
    if config.color == "auto":
        config = replace(config, color="none" if grey_share > 0.5 else "light")
        reasons.append("no color augmentation (grayscale images)" if grey_share > 0.5 else "light color augmentation")
    return Augmentation(config, tuple(reasons))


def _mirror_rule(labels: LabelSet, mirror: MirrorEvidence | None) -> tuple[bool, str]:
    sided = next((name for name in labels.names if _SIDES.search(name.replace("_", " ").replace("-", " "))), None)
    if sided is not None:
        return False, f"no random flips: class {sided!r} depends on left and right"
    if mirror is not None and mirror.harmful:
        return False, "no random flips: mirrored images look like other classes"
    coded = next((name for name in labels.names if sum(map(str.isalpha, name)) < 2), None)
    if coded is None:
        return True, "random flips: no class looks like another one when mirrored"
    if mirror is not None and mirror.natural:
        return True, "random flips: mirrored images look like others of their class"
    return False, f"no random flips: class {coded!r} may be a digit, a letter or a sign"


def apply(images: Any, draws: Any, config: AugmentConfig, side: tuple[int, int]) -> Any:
    """Augment a batch.

    Args:
        images: uint8 tensor (n, height, width, 3).
        draws: float32 tensor (n, DRAWS), uniform in [0, 1).
        config: Resolved settings.
        side: Height and width in pixels.

    Returns:
        uint8 tensor of the same shape.
    """
    images = _move(images, draws, config, side)
    images = _shade(images, draws, config)
    return _erase(images, draws, config, side)


def _move(images: Any, draws: Any, config: AugmentConfig, side: tuple[int, int]) -> Any:
    crops = config.crop is not None and config.crop < 1.0
    if config.flip == "none" and not (crops or config.shift or config.zoom or config.rotate):
        return images
    _, tf = framework()
    height, width = side
    smooth = bool(crops or config.zoom or config.rotate)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=_matrices(draws, config, height, width),
        output_shape=tf.constant([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR" if smooth else "NEAREST",
        fill_mode="REFLECT",
    )


def _matrices(draws: Any, config: AugmentConfig, height: int, width: int) -> Any:
    """Output to input coordinates around the center: rotate and scale, mirror, crop, shift by whole pixels."""
    _, tf = framework()
    signed = draws * 2.0 - 1.0
    scale = 1.0 / (1.0 + config.zoom * signed[:, 2])
    angle = signed[:, 3] * (config.rotate * 3.14159265 / 180.0)
    mirror_x = tf.where((draws[:, 4] < 0.5) & (config.flip in ("horizontal", "both")), -1.0, 1.0)
    mirror_y = tf.where((draws[:, 5] < 0.5) & (config.flip == "both"), -1.0, 1.0)
    a, b = scale * tf.cos(angle) * mirror_x, -scale * tf.sin(angle) * mirror_y
    c, d = scale * tf.sin(angle) * mirror_x, scale * tf.cos(angle) * mirror_y
    cx, cy = (width - 1) / 2.0, (height - 1) / 2.0
    dx, dy = tf.round(signed[:, 0] * (config.shift * width)), tf.round(signed[:, 1] * (config.shift * height))
    if config.crop is not None and config.crop < 1.0:
        high, wide, down, right = _crops(draws[:, _CROP:], config.crop)
        a, b, c, d = a * wide, b * wide, c * high, d * high
        dx, dy = dx + right * width, dy + down * height
    zero = tf.zeros_like(a)
    return tf.stack([a, b, cx + dx - a * cx - b * cy, c, d, cy + dy - c * cx - d * cy, zero, zero], axis=1)


def _crops(draws: Any, smallest: float) -> tuple[Any, Any, Any, Any]:
    """Random resized crop (Szegedy et al. 2015): height and width as fractions of the image's, and how far the center
    moves down and to the right.
    """
    _, tf = framework()
    area = smallest + (1.0 - smallest) * draws[:, 0]
    aspect = tf.exp(math.log(_ASPECT) * (draws[:, 1] * 2.0 - 1.0))
    high, wide = tf.minimum(tf.sqrt(area / aspect), 1.0), tf.minimum(tf.sqrt(area * aspect), 1.0)
    return high, wide, (1.0 - high) * (draws[:, 2] - 0.5), (1.0 - wide) * (draws[:, 3] - 0.5)


def _shade(images: Any, draws: Any, config: AugmentConfig) -> Any:
    strength = _SHADES[config.color]
    if not strength:
        return images
    _, tf = framework()
    factor = 1.0 + strength * (draws[:, 10:13, None, None] * 2.0 - 1.0)
    brightness, contrast, saturation = (factor[:, i] for i in range(3))
    x = tf.cast(images, tf.float32)
    # All three are linear in a pixel's channels: one matrix product per image, and one offset.
    gray = tf.fill((3, 3), 1.0 / 3.0)
    matrix = brightness * contrast * (saturation * tf.eye(3) + (1.0 - saturation) * gray)
    offset = (1.0 - contrast) * brightness * tf.reduce_mean(x, axis=(1, 2, 3))[:, None, None]
    pixels = tf.reshape(x, (tf.shape(x)[0], -1, 3)) @ matrix + offset
    return tf.reshape(tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8), tf.shape(images))


def _erase(images: Any, draws: Any, config: AugmentConfig, side: tuple[int, int]) -> Any:
    """Random erasing (Zhong et al. 2020): one box of one random gray level per image."""
    largest = config.erase
    if not largest:
        return images
    _, tf = framework()
    height, width = side

    def inside(length: int, centre: Any, share: Any) -> Any:
        half = tf.maximum(share * largest, 0.05) * length / 2.0
        return tf.abs(tf.range(length, dtype=tf.float32)[None] + 0.5 - centre[:, None] * length) < half[:, None]

    rows, columns = inside(height, draws[:, 6], draws[:, 8]), inside(width, draws[:, 7], draws[:, 13])
    box = (rows[:, :, None] & columns[:, None, :])[..., None]
    fill = tf.cast(draws[:, 9] * 255.0, tf.uint8)[:, None, None, None]
    return tf.where(box, fill, images)
