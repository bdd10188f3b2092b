"""The look that all figures share, and a figure that notebooks show by itself."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito's colours tell apart under every common colour blindness and read on white and on black.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
INK, QUIET, FAINT = "#24292f", "#6b7280", "#d8dce1"
PARTS = {"train": BLUE, "val": ORANGE, "test": GREEN}

_DPI = 100
_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic",
    "Yu Gothic", "WenQuanYi Micro Hei", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Sans Thai",
)  # fmt: skip


class Chart(Figure):
    """A figure outside pyplot (nothing global, nothing shown twice) that still shows itself in a notebook.

    Args:
        width: Inches.
        height: Inches.
        alt: What the picture shows, in words, for those who cannot see it.
    """

    def __init__(self, width: float, height: float, alt: str) -> None:
        super().__init__(
            figsize=(width, height), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.07), facecolor="white"
        )
        FigureCanvasAgg(self)
        self.alt = alt

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        # IPython shows a Figure only after pyplot was imported; this method needs no such luck. Twice the pixels
        # at the same size on the page: sharp on dense screens.
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=2 * _DPI)
        width, height = (round(float(inches) * _DPI) for inches in self.get_size_inches())
        return stream.getvalue(), {"width": width, "height": height}


def calm(ax: Axes, grid: str = "y") -> None:
    """Take the noise out of ``ax``: no box, quiet ticks, a faint grid along ``grid`` (``x`` or ``y``) only."""
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
    """Keywords for text that comes from users: no ``$`` formulas, and fonts for other scripts where installed."""
    return {"fontsize": size, "color": color, "parse_math": False, "fontfamily": _families()}


@cache
def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]
