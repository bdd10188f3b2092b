"""Common style of all figures, and a figure that displays itself in notebooks."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito's colors are safe for color blindness and readable on white and on black.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
INK, QUIET, FAINT = "#24292f", "#6b7280", "#d8dce1"
PARTS = {"train": BLUE, "val": ORANGE, "test": GREEN}

_DPI = 100
_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic",
    "Yu Gothic", "WenQuanYi Micro Hei", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Sans Thai",
)  # fmt: skip


class Chart(Figure):
    """A figure without pyplot (no global state, nothing shown twice) that still displays itself in a notebook.

    Args:
        width: Inches.
        height: Inches.
        alt: Alternative text: what the figure shows, in words.
    """

    def __init__(self, width: float, height: float, alt: str) -> None:
        super().__init__(
            figsize=(width, height), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.07), facecolor="white"
        )
        FigureCanvasAgg(self)
        self.alt = alt

    def png(self, scale: float = 2) -> bytes:
        """The figure as PNG, at this many times its size in screen pixels."""
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=scale * _DPI)
        return stream.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        # IPython displays a Figure only after pyplot was imported. Twice the pixels at the same size on the page:
        # sharp on dense screens.
        width, height = (round(float(inches) * _DPI) for inches in self.get_size_inches())
        return self.png(), {"width": width, "height": height}


def calm(ax: Axes, grid: str = "y") -> None:
    """A minimal style: no box, no tick marks, a faint grid along ``grid`` (``x`` or ``y``) only."""
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(side == "bottom" if grid == "y" else side == "left")
        ax.spines[side].set_color(FAINT)
    ax.tick_params(length=0, labelsize=9, labelcolor=INK)
    ax.grid(visible=True, axis="x" if grid == "x" else "y", color=FAINT, linewidth=0.7)
    ax.set_axisbelow(True)


def title(ax: Axes, text: str) -> None:
    """A left-aligned heading."""
    ax.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK)


def words(size: float, color: str = INK) -> dict[str, Any]:
    """Keywords for text from users: no ``$`` formulas, and fonts for other scripts if installed."""
    return {"fontsize": size, "color": color, "parse_math": False, "fontfamily": _families()}


@cache
def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]
