"""An explanation as a figure: the picture, and the same picture with what spoke for the class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keensight.core.answers import Explanation
from keensight.errors import UsageError
from keensight.show import chart
from keensight.show.chart import Chart, words
from keensight.show.heat import overlay
from keensight.show.text import percent, shorten

_SIDE = 3.6  # inches
_MAGNIFIED = 64
"""Up to this side in pixels each pixel is shown as a square."""


def explanation(found: Explanation) -> Figure:
    """The picture beside its heatmap, with the class explained, its probability and a colour bar.

    Args:
        found: One entry of what ``ks.explain`` gives.

    Raises:
        UsageError: the image could not be read, so that there is nothing to show.
    """
    if found.image is None or found.heat is None:
        raise UsageError(f"{found.path} was not explained: {found.error}", "leave it out, or give a readable image")
    height, width = found.image.shape[:2]
    across = _SIDE * min(1.0, max(0.55, width / height))
    tall = across * min(1.6, max(0.5, height / width))
    figure = Chart(2 * across + 0.9, tall + 1.0, _words(found))
    left, right = figure.subplots(1, 2)
    smooth = "nearest" if max(height, width) <= _MAGNIFIED else "antialiased"
    left.imshow(found.image, interpolation=smooth)
    right.imshow(overlay(found.image, found.heat), interpolation=smooth)
    left.set_title("image", loc="left", **words(9, chart.QUIET))
    right.set_title(f"what speaks for {shorten(str(found.label), 22)}", loc="left", **words(9, chart.QUIET))
    for ax in (left, right):
        ax.set_axis_off()
    _legend(figure, right)
    figure.suptitle(_heading(found), x=0.01, ha="left", fontweight="bold", **words(10))
    return figure


def _legend(figure: Figure, ax: Any) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    # The colours as they lie on mid-grey, which is how they look in the picture.
    ramp = overlay(np.full((1, 256, 3), 128, np.uint8), np.linspace(0, 1, 256, dtype=np.float32)[None])[0]
    bar = figure.colorbar(ScalarMappable(cmap=ListedColormap(ramp / 255.0)), ax=ax, shrink=0.9, aspect=24, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_ticks([0, 1], labels=["nothing", "most"], fontsize=8, color=chart.INK)
    bar.ax.tick_params(length=0)


def _heading(found: Explanation) -> str:
    said = f"said {shorten(str(found.predicted), 30)}, {percent(found.predicted_probability or 0.0, 0)}"
    if found.label == found.predicted:
        return said
    return f"{said}; {shorten(str(found.label), 24)}: {percent(found.probability or 0.0, 0)}"


def _words(found: Explanation) -> str:
    """Where the heat is, for those who cannot see it."""
    if found.heat is None or not found.heat.any():
        return f"Nothing in the image speaks for {found.label}."
    row, column = np.unravel_index(int(found.heat.argmax()), found.heat.shape)
    down = ("top", "middle", "bottom")[min(2, 3 * int(row) // found.heat.shape[0])]
    along = ("left", "centre", "right")[min(2, 3 * int(column) // found.heat.shape[1])]
    return f"{_heading(found)}. What speaks most for {found.label} is at the {down} {along} of the image."
