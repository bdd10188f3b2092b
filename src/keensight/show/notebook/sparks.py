"""Learning curves as a small SVG picture: drawn in a millisecond, and readable on white and on black."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

from keensight.core.records import History
from keensight.show.text import plural

_TRAIN, _VAL, _QUIET = "#d9730d", "#2f8fd8", "#8a8f98"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 320, 170, 44, 26, 22
_NAMES = {"loss": "loss", "accuracy": "accuracy", "map": "mean average precision"}


def curves_uri(history: History) -> str:
    """Loss and accuracy (or mAP) of both parts against epochs, as a ``data:`` address; empty without an epoch."""
    if not history.epochs:
        return ""
    second = "accuracy" if history.epochs[0].val_map is None else "map"
    panels = _panel(history, "loss", 0) + _panel(history, second, _WIDTH)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * _WIDTH}" height="{_HEIGHT}" font-size="11" '
        f'font-family="sans-serif">{panels}</svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')}"


def curves_alt(history: History) -> str:
    """What the picture shows, in words."""
    return f"Learning curves of {plural(len(history.epochs), 'epoch')}; epoch {history.best_epoch} is the best."


def _panel(history: History, quantity: str, x0: int) -> str:
    # A ranking is measured on the validation part only: there is no `map` of an epoch.
    train = [getattr(epoch, quantity, math.nan) for epoch in history.epochs]
    val = [getattr(epoch, f"val_{quantity}") for epoch in history.epochs]
    finite = [value for value in (*train, *val) if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    base, tall = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    left, wide = x0 + _LEFT, _WIDTH - _LEFT - 14

    def place(i: int, value: float) -> tuple[float, float]:
        return left + wide * i / max(1, len(val) - 1), base - tall * (value - low) / ((high - low) or 1.0)

    best = next((i for i, epoch in enumerate(history.epochs) if epoch.epoch == history.best_epoch), None)
    dot = ""
    if best is not None:
        x, y = place(best, val[best])
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_VAL}"/>'
    last = f"epoch {history.epochs[-1].epoch}"
    return (
        f'<text x="{left}" y="12" fill="{_QUIET}">{_NAMES[quantity]}: '
        f'<tspan fill="{_TRAIN}">training</tspan> <tspan fill="{_VAL}">validation</tspan></text>'
        f'<path d="M{left} {base}H{left + wide}" stroke="{_QUIET}" stroke-width="0.7"/>'
        f'<text x="{left - 5}" y="{_TOP + 4}" text-anchor="end" fill="{_QUIET}">{high:.3g}</text>'
        f'<text x="{left - 5}" y="{base}" text-anchor="end" fill="{_QUIET}">{low:.3g}</text>'
        f'<text x="{left + wide}" y="{_HEIGHT - 6}" text-anchor="end" fill="{_QUIET}">{last}</text>'
        + _line([place(i, v) for i, v in enumerate(train) if math.isfinite(v)], _TRAIN)
        + _line([place(i, v) for i, v in enumerate(val) if math.isfinite(v)], _VAL)
        + dot
    )


def _line(points: Sequence[tuple[float, float]], color: str) -> str:
    if not points:
        return ""
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    end = points[-1]
    return (
        f'<polyline points="{at}" fill="none" stroke="{color}" stroke-width="1.8"/>'
        f'<circle cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="1.8" fill="{color}"/>'
    )
