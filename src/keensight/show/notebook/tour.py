"""The guided tour as a notebook, for any image set; the one in ``notebooks/`` is made by this too.

Its text is in ``templates/tour.txt``, cell after cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keensight.core.task import Task

_MOST_STAGES, _LAST_SIDE = 5, 3.5
"""Maximum number of convolution stages, and roughly the side in pixels that the last of them leaves."""


@dataclass(frozen=True, slots=True)
class Tour:
    """What differs from image set to image set."""

    source: str
    """A path relative to the notebook's folder, or the name of a sample dataset."""
    side: int
    """Shorter side of the network's input, in pixels."""
    epochs: int
    options: Mapping[str, str]
    """Keywords of ``ks.open``, such as ``label``."""
    sample: bool = False
    """Whether the source is a built-in sample dataset."""
    task: Task = Task.MULTICLASS

    @property
    def opened(self) -> str:
        """The arguments of ``ks.open``, as Python."""
        return ", ".join(
            [ascii_safe(self.source), *(f"{key}={ascii_safe(text)}" for key, text in self.options.items())]
        )

    @property
    def trained(self) -> str:
        """The arguments of ``ks.train``, as Python."""
        return '"photos/"' if self.sample else self.opened

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters of each convolution stage: as many stages as leave a few pixels, doubling the filters."""
        stages = min(_MOST_STAGES, max(1, int(math.log2(self.side / _LAST_SIDE))))
        first = 32 if stages < 4 else 16
        return tuple(min(128, first * 2**stage) for stage in range(stages))


def ascii_safe(text: str) -> str:
    """``text`` as a Python literal; non-Unicode bytes of a file name are escaped, as JSON cannot contain them."""
    quoted = repr(text)
    return f'"{text}"' if quoted == f"'{text}'" and '"' not in text else quoted


def notebook(tour: Tour) -> dict[str, Any]:
    """The tour in Jupyter's format 4.5, without outputs."""
    from keensight.show.page import environment

    text = environment().overlay(autoescape=False).get_template("tour.txt").render(tour=tour)
    parts = re.split(r"^=== (markdown|code)\n", text, flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {
        "cells": [_cell(number, kind, body.strip("\n")) for number, (kind, body) in enumerate(pairs)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, body: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number:02d}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": body.splitlines(keepends=True)}
