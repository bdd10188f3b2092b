"""A field in a notebook that takes dropped pictures; ipywidgets has only a button. Imports anywidget."""

from __future__ import annotations

from importlib import resources
from typing import Any

import anywidget
import traitlets


class Dropzone(anywidget.AnyWidget):  # type: ignore[misc]
    """Dropped or chosen files: observe ``files``, a list of ``{"name": str, "data": memoryview}``."""

    _esm = resources.files("keensight.show").joinpath("templates", "dropzone.js").read_text(encoding="utf-8")
    files: Any = traitlets.List().tag(sync=True)
