"""How long the guided notebook takes from top to bottom in a fresh kernel, and how large it is with its outputs.

python benchmarks/tour.py
"""

from __future__ import annotations

import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from record import save

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "image_classification.ipynb"


def main() -> None:
    """Run it once, in a folder of its own."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": folder}})
        started = time.perf_counter()
        client.execute()
        seconds = time.perf_counter() - started
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    cards = [len(output["data"]["text/html"]) for output in outputs if "text/html" in output.get("data", {})]
    figures = {
        "minutes": round(seconds / 60, 1),
        "notebook_kb": round(len(json.dumps(notebook)) / 1000),
        "largest_card_kb": round(max(cards) / 1000),
    }
    save("tour", 1, figures, "<= 5 minutes on two cores", versions={"ipykernel": version("ipykernel")})


if __name__ == "__main__":
    main()
