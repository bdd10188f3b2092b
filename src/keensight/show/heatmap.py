"""Heatmaps over images, in colors that are safe for color blindness."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keensight.core.predictions import Explanation
from keensight.core.records import Fit
from keensight.errors import UsageError
from keensight.show import chart
from keensight.show.chart import Chart, words
from keensight.show.text import percent, shorten

COLORS = "viridis"
"""From dark blue to yellow, increasingly bright: readable with color blindness, and in gray."""
_STRENGTH = 0.8
"""Opacity where the heat is greatest."""


def colored(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heat (h, w) from 0 to 1 as RGBA uint8 (h, w, 4): the less heat, the more transparent."""
    from matplotlib import colormaps

    rgba = colormaps[COLORS](heat)
    rgba[..., 3] = _STRENGTH * heat
    return np.asarray((rgba * 255).round(), dtype=np.uint8)


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image uint8 (h, w, 3) in gray under its heat (h, w), so that every color is heat; uint8 (h, w, 3)."""
    gray = image @ np.array([0.299, 0.587, 0.114])
    layer = colored(heat).astype(np.float64)
    alpha = layer[..., 3:] / 255
    mixed = (1 - alpha) * gray[..., None] + alpha * layer[..., :3]
    return np.asarray(mixed.round(), dtype=np.uint8)


def placed(heat: NDArray[np.float32], height: int, width: int, fit: Fit) -> NDArray[np.float32]:
    """A heatmap of a model's input, mapped back onto the original image.

    Args:
        heat: Shape (H, W), the model's input.
        height: Of the image.
        width: Of the image.
        fit: How the image was resized (see ``ImageSpec``). Cropped regions have no heat.

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


_SIDE = 3.6  # inches
_MAGNIFIED = 64
"""Up to this side in pixels, each pixel is shown as a square."""


def explanation(found: Explanation) -> Figure:
    """The image next to its heatmap, with the explained class, its probability and a color bar.

    Args:
        found: One entry of what ``ks.explain`` gives.

    Raises:
        UsageError: the image could not be read.

    Examples:
        >>> found, = ks.explain(run, "photos/day/000.bmp")
        >>> ks.show.explanation(found).savefig("heatmap.png")
    """
    if found.image is None or found.heat is None:
        raise UsageError(f"{found.path} was not explained: {found.error}", "remove it, or give a readable image")
    height, width = found.image.shape[:2]
    across = _SIDE * min(1.0, max(0.55, width / height))
    tall = across * min(1.6, max(0.5, height / width))
    figure = Chart(2 * across + 0.9, tall + 1.0, _words(found))
    left, right = figure.subplots(1, 2)
    smooth = "nearest" if max(height, width) <= _MAGNIFIED else "antialiased"
    left.imshow(found.image, interpolation=smooth)
    right.imshow(overlay(found.image, found.heat), interpolation=smooth)
    left.set_title("image", loc="left", **words(9, chart.QUIET))
    right.set_title(f"evidence for {shorten(str(found.label), 22)}", loc="left", **words(9, chart.QUIET))
    for ax in (left, right):
        ax.set_axis_off()
    _legend(figure, right)
    figure.suptitle(_heading(found), x=0.01, ha="left", fontweight="bold", **words(10))
    return figure


def _legend(figure: Figure, ax: Any) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    # The colors over mid-gray, as they look in the image.
    ramp = overlay(np.full((1, 256, 3), 128, np.uint8), np.linspace(0, 1, 256, dtype=np.float32)[None])[0]
    bar = figure.colorbar(ScalarMappable(cmap=ListedColormap(ramp / 255.0)), ax=ax, shrink=0.9, aspect=24, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_ticks([0, 1], labels=["none", "most"], fontsize=8, color=chart.INK)
    bar.ax.tick_params(length=0)


def _heading(found: Explanation) -> str:
    told = f"predicted: {shorten(str(found.predicted), 30)}, {percent(found.predicted_probability or 0.0, 0)}"
    if found.label == found.predicted:
        return told
    return f"{told}; {shorten(str(found.label), 24)}: {percent(found.probability or 0.0, 0)}"


def _words(found: Explanation) -> str:
    """Where the heat is, as alt text."""
    if found.heat is None or not found.heat.any():
        return f"No region is evidence for {found.label}."
    row, column = np.unravel_index(int(found.heat.argmax()), found.heat.shape)
    down = ("top", "middle", "bottom")[min(2, 3 * int(row) // found.heat.shape[0])]
    along = ("left", "center", "right")[min(2, 3 * int(column) // found.heat.shape[1])]
    return f"{_heading(found)}. The strongest evidence for {found.label} is at the {down} {along} of the image."
