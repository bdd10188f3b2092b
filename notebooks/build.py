"""Write the notebooks with their outputs: the tour on a built-in sample dataset, the recipes on drawn stand-ins.

python notebooks/build.py [NAME ...]

A name is a notebook's, such as `healthcare` or `image_classification`; default: all. Nothing is downloaded. Outputs are
reduced to what a reader needs: small pictures, no widget state, no progress bars, no times.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

from keensight.show.notebook.tour import notebook as tour_notebook
from keensight.workflow.tour import SAMPLE, tour_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TOUR = HERE / "image_classification.ipynb"
RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.py"))}
LIMIT = 400_000
"""Bytes that a notebook may have: a code host shows it, and a clone stays small."""
INSTALL = """# Installs Keensight where it is missing (Colab, Kaggle); does nothing elsewhere.
import importlib.util
from pathlib import Path

if importlib.util.find_spec("keensight") is None:
    here = Path("../..") if Path("../../pyproject.toml").exists() else None
    %pip install --quiet {here or "keensight"}"""
WIDGET = "application/vnd.jupyter.widget-view+json"
SECONDS = re.compile(r" in \d[\d.,]* (?:s|min|h)\b(?: \d+ s)?| \(\d[\d.]* (?:s|min)\)")
FORBIDDEN = {
    "an absolute path": re.compile(r"(?<![\w./<:-])/(?:home|tmp|root|work|Users|var|opt|mnt)/|[A-Z]:\\\\"),
    "a time": re.compile(r"\b\d[\d.]* ?(?:s|ms|min|it/s|images/s)\b(?=[\s,;.<)])|\b\d\d:\d\d\b"),
    "a widget": re.compile(re.escape(WIDGET)),
}


def recipe(path: Path) -> dict[str, Any]:
    """A recipe (percent format: a cell begins with ``# %%``) as a Jupyter notebook without outputs.

    A cell tagged ``script`` is left out, as a notebook has no command line; one tagged ``stand-in`` is folded.
    """
    cells: list[dict[str, Any]] = []
    for heading, text in (part.partition("\n")[::2] for part in path.read_text(encoding="utf-8").split("# %%")[1:]):
        if "script" in heading:
            continue
        if "[markdown]" in heading:
            lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip().split("\n")]
            cells.append(_cell("markdown", "\n".join(lines).replace("](../docs/", "](../../docs/"), len(cells)))
        else:
            cells.append(_cell("code", text.strip(), len(cells)))
            if "stand-in" in heading:
                cells[-1]["metadata"] = {"jupyter": {"source_hidden": True}, "tags": ["stand-in"]}
        if len(cells) == 1:
            cells.append(_cell("code", INSTALL, 1))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def tour() -> dict[str, Any]:
    """The guided tour of the built-in sample dataset, without outputs."""
    return tour_notebook(tour_of(SAMPLE, HERE, {}))


def place(name: str) -> Path:
    """The path of a notebook."""
    return TOUR if name == TOUR.stem else HERE / "recipes" / f"{name}.ipynb"


def _cell(kind: str, text: str, number: int) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, **more, "source": text.splitlines(keepends=True)}


def executed(document: dict[str, Any]) -> dict[str, Any]:
    """The notebook with reduced outputs, run from top to bottom in a fresh kernel, an empty folder and cache."""
    notebook = nbformat.reads(json.dumps(document), as_version=4)
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as cache:
        os.environ.pop("KEENSIGHT_DATA", None)
        os.environ["KEENSIGHT_CACHE"] = cache
        resources = {"metadata": {"path": scratch}}
        NotebookClient(
            notebook, timeout=1200, resources=resources, record_timing=False, store_widget_state=False
        ).execute()
    for cell, source in zip(notebook.cells, document["cells"], strict=True):
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(reduced, cell.outputs) if output is not None]
        cell.metadata, cell.source = source["metadata"], "".join(source["source"])
    notebook.metadata = document["metadata"]
    return json.loads(nbformat.writes(notebook))  # type: ignore[no-any-return]


def reduced(output: Any) -> Any:
    """An output without what changes from run to run or cannot be read in a file; None: nothing is left."""
    if output.output_type == "stream":
        output.text = SECONDS.sub("", output.text)
        return output
    data = getattr(output, "data", None)
    if data is None:
        return output
    size = output.metadata.get("image/png")  # as shown: figures come with twice the pixels, for dense screens
    output.metadata = {}
    if data.pop(WIDGET, None):
        data.pop("text/plain")  # the widgets' own names
    if str(data.get("text/html", "")).startswith("<progress"):
        return None
    for kind in ("text/html", "text/plain"):
        if kind in data:
            data[kind] = SECONDS.sub("", data[kind])
    if "image/png" in data:
        kind, made = picture(data.pop("image/png"), size)
        data[kind] = made
        output.metadata = {kind: size} if size else {}
    return output


def picture(encoded: str, size: Any) -> tuple[str, str]:
    """A chart as PNG of 256 colors; what shows photos as JPEG of ``size``, where that takes half the space."""
    with Image.open(io.BytesIO(b64decode(encoded))) as image:
        full = image.convert("RGB")
    chart, photo = io.BytesIO(), io.BytesIO()
    full.quantize(256, dither=Image.Dither.NONE).save(chart, "PNG", optimize=True)
    small = full.resize((size["width"], size["height"]), Image.Resampling.LANCZOS) if size else full
    small.save(photo, "JPEG", quality=80, optimize=True)
    kind, made = ("jpeg", photo) if len(photo.getvalue()) < len(chart.getvalue()) / 2 else ("png", chart)
    return f"image/{kind}", b64encode(made.getvalue()).decode("ascii")


def outputs(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All outputs of a notebook."""
    return [output for cell in document["cells"] for output in cell.get("outputs", [])]


def problems(document: dict[str, Any]) -> list[str]:
    """What a committed notebook must not have."""
    found = [f"{output['ename']} in an output" for output in outputs(document) if output["output_type"] == "error"]
    for output in outputs(document):
        data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
        text = re.sub(r"data:image/[^\"']*", "", json.dumps([output.get("text", ""), data]))
        found += [f"{what}: {match[0]!r} near {text[max(0, match.start() - 40) : match.end() + 10]!r}"
                  for what, pattern in FORBIDDEN.items() if (match := pattern.search(text))]  # fmt: skip
    size = len(written(document).encode())
    return found + ([f"{size:,} bytes, more than {LIMIT:,}"] if size > LIMIT else [])


def written(document: dict[str, Any]) -> str:
    """The file."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=False) + "\n"


def main(names: list[str]) -> None:
    """Run the notebooks and write each that has no problem."""
    for name in names or [TOUR.stem, *RECIPES]:
        document = executed(tour() if name == TOUR.stem else recipe(RECIPES[name]))
        text = written(document)
        print(f"{name}: {len(text.encode()):,} bytes")
        if found := problems(document):
            Path(tempfile.gettempdir(), f"{name}.ipynb").write_text(text, encoding="utf-8")
            sys.exit(f"{name} is not written:\n" + "\n".join(found))
        place(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
