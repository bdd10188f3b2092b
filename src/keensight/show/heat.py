"""Heatmaps over pictures, in colours that the colour-blind tell apart too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keensight.core.records import Fit

COLORS = "viridis"
"""From dark blue to yellow, ever brighter: read under every common colour blindness, and in grey."""
_STRENGTH = 0.8
"""How much of a pixel the heat covers where it is greatest."""


def colored(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heat (h, w) from 0 to 1 as RGBA uint8 (h, w, 4): the less heat, the more transparent."""
    from matplotlib import colormaps

    rgba = colormaps[COLORS](heat)
    rgba[..., 3] = _STRENGTH * heat
    return np.asarray((rgba * 255).round(), dtype=np.uint8)


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image uint8 (h, w, 3) in grey under its heat (h, w), so that every colour is heat; uint8 (h, w, 3)."""
    grey = image @ np.array([0.299, 0.587, 0.114])
    layer = colored(heat).astype(np.float64)
    share = layer[..., 3:] / 255
    mixed = (1 - share) * grey[..., None] + share * layer[..., :3]
    return np.asarray(mixed.round(), dtype=np.uint8)


def placed(heat: NDArray[np.float32], height: int, width: int, fit: Fit) -> NDArray[np.float32]:
    """A heatmap of a model's input, laid back over the image that the input was made of.

    Args:
        heat: Shape (H, W), the model's input.
        height: Of the image.
        width: Of the image.
        fit: How the image became the input (see ``ImageSpec``). What was cropped away has no heat.

    Returns:
        Shape (height, width).
    """
    if fit == "stretch":
        return _resized(heat, height, width)
    across, down = heat.shape[1] / width, heat.shape[0] / height
    if fit == "pad":
        scale = min(across, down)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (heat.shape[0] - rows) // 2, (heat.shape[1] - columns) // 2
        return _resized(heat[top : top + rows, left : left + columns], height, width)
    scale = max(across, down)
    rows, columns = min(height, round(heat.shape[0] / scale)), min(width, round(heat.shape[1] / scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    whole = np.zeros((height, width), np.float32)
    whole[top : top + rows, left : left + columns] = _resized(heat, rows, columns)
    return whole


def _resized(heat: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    from PIL import Image

    return np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
