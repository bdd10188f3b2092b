"""Results of a search for similar images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keensight.core.similar import Similar
from keensight.core.sources import read_source
from keensight.errors import ImageError, UsageError
from keensight.show import chart
from keensight.show.chart import Chart, words
from keensight.show.text import plural, shorten
from keensight.show.thumbnails import shrunk

_SIDE = 1.45  # inches


def similar(found: Similar, n: int = 6, caption: Callable[[str], str] = lambda path: Path(path).name) -> Figure:
    """Queries on the left, and the most similar images to the right of each.

    Args:
        found: Result of ``ks.similar`` on image files.
        n: Maximum number of queries, evenly chosen.
        caption: Caption of an image, from its path.

    Raises:
        UsageError: no query could be read.

    Examples:
        >>> album = ks.embed(run, "photos/")
        >>> found = ks.similar(ks.embed(run, "photos/day/000.bmp"), album)
        >>> ks.show.similar(found).savefig("similar.png")
    """
    usable = np.flatnonzero((found.rows >= 0).all(axis=1))
    if not len(usable):
        raise UsageError("there is nothing to show: no query could be read", "search for a readable image")
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(n, len(usable))).round().astype(int))]
    across = found.rows.shape[1] + 1
    heading = f"{plural(len(chosen), 'query', 'queries')} (left), and the most similar of {len(found.album):,} images"
    figure = Chart(across * _SIDE, len(chosen) * (_SIDE + 0.3) + 0.5, heading + ".")
    for line, query in zip(figure.subplots(len(chosen), across, squeeze=False), chosen, strict=True):
        _draw(line[0], found.queries[query], caption(found.queries[query]), chart.INK)
        for ax, path, cosine in zip(line[1:], found.paths(query), found.cosines[query], strict=True):
            _draw(ax, path, f"{cosine:.2f} {caption(path)}", chart.QUIET)
    figure.suptitle(heading, x=0.005, ha="left", fontsize=11, fontweight="bold", color=chart.INK)
    return figure


def _draw(ax: Axes, path: str, text: str, color: str) -> None:
    ax.set_axis_off()
    ax.set_anchor("S")
    ax.imshow(_picture(path))
    ax.annotate(shorten(text, 22), (0.5, 0), xycoords="axes fraction", xytext=(0, -3),
                textcoords="offset points", ha="center", va="top", **words(8, color))  # fmt: skip


def _picture(path: str) -> NDArray[np.uint8]:
    try:
        return shrunk(read_source(path), 192)
    except ImageError:  # moved since it was embedded, or embedded from memory
        return np.full((8, 8, 3), 235, dtype=np.uint8)
