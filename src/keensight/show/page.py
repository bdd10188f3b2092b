"""What all HTML pages share: the Jinja environment, pictures, and figures as inline SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keensight.core.files import write_bytes
from keensight.core.records import Dataset
from keensight.core.sanitize import unsteered
from keensight.core.statements import set_name
from keensight.show.misclassified import spread
from keensight.show.text import duration, ends, finding_name, percent, plural
from keensight.show.thumbnails import data_uri, thumbnail

LISTED_FILES = 100
"""Paths of files that were not read, which a report lists."""
_GRID = 36
_PIXELATED = 32
"""Up to this side in pixels an image is magnified without smoothing."""
_THUMB = 144
"""Pixels; twice the size on the page would be 15 kB an image and show little more."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a grid, ready for the page."""

    uri: str
    label: str
    path: str
    small: bool
    """Few pixels: magnified without smoothing."""
    predicted: str = ""
    confidence: float = 0.0
    part: str = ""
    missed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    heat: str = ""
    """``data:`` URI of the heatmap overlay; empty if there is none."""


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> Path:
    """Render a template of this package into a file and return its path.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    # File names may contain bytes that are not Unicode; they become "?".
    write_bytes(path, environment().get_template(template).render(context).encode("utf-8", "replace"))
    return path


def environment() -> Any:
    """Jinja with this package's templates; everything is escaped, markup as well as changes of direction."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("keensight.show", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalized,
    )  # fmt: skip
    environment.filters |= {
        "percent": percent,
        "duration": duration,
        "breakable": _breakable,
        "ends": ends,
        "finding_name": finding_name,
        "markdown": _markdown,
        "set_name": set_name,
    }
    environment.globals["plural"] = plural
    return environment


def _finalized(value: Any) -> Any:
    from markupsafe import Markup

    return unsteered(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(path: str) -> Any:
    """A path or class name that may wrap after slashes, underscores and hyphens."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([/_-])", r"\1<wbr>", str(escape(unsteered(path)))))


def _markdown(text: str) -> Any:
    """A model card as HTML, its title omitted and its headings below those of the page; HTML in it is escaped."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    body = text.split("\n", 1)[1].replace("\n## ", "\n### ") if text.startswith("# ") else text
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(unsteered(body)))


def picture(dataset: Dataset | None, index: int, label: str, path: str, side: int = _THUMB) -> Picture:
    """Image ``index`` of a dataset for the page, at most ``side`` px; ``uri`` is empty if it is not available."""
    image = None if dataset is None else thumbnail(dataset, index, side)
    if image is None:
        return Picture("", label, path, small=False)
    return Picture(data_uri(image), label, path, small=max(image.shape[:2]) <= _PIXELATED)


def sample_pictures(dataset: Dataset | None) -> list[Picture]:
    """Some images of each class."""
    if dataset is None or dataset.reader is None:
        return []
    wanted = min(100, max(_GRID, len(dataset.labels)))
    drawn = (picture(dataset, i, dataset.samples[i].label, dataset.samples[i].path) for i in spread(dataset, wanted))
    return [one for one in drawn if one.uri]


def svg(figure: Any, salt: str) -> str:
    """``figure`` as an inline SVG element: scalable, with alt text, its colors following the page's color scheme."""
    from html import escape

    from matplotlib import rc_context

    from keensight.show.chart import BLUE, FAINT, INK, QUIET, RED

    stream = io.StringIO()
    with rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    # Remove metadata, comments, and a style sheet that would apply to the whole page.
    text = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Matplotlib reuses the ids of glyphs and axes in every figure; on one page they must differ.
    text = re.sub(r'( id="| xlink:href="#|url\(#)', rf"\g<1>{salt}-", text)
    width, height = (round(float(inches) * 96) for inches in figure.get_size_inches())
    head = (f'<svg class="figure" role="img" aria-label="{escape(unsteered(figure.alt))}" style="--natural:{width}px" '
            f'viewBox="0 0 {width * 0.75:g} {height * 0.75:g}" xmlns="http://www.w3.org/2000/svg" '
            'xmlns:xlink="http://www.w3.org/1999/xlink">')  # fmt: skip
    text = re.sub(r"<svg[^>]*>", lambda _: head, text, count=1, flags=re.DOTALL)
    roles = {INK: "ink", QUIET: "quiet", FAINT: "line", BLUE: "blue", RED: "red", "#ffffff": "card"}
    for color, role in roles.items():
        text = text.replace(color, f"var(--{role})")
    return text
