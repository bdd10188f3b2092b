"""One source of the guided tour: the committed notebook is what `keensight notebook` writes."""

import json
from pathlib import Path

import pytest

from keensight.show.notebook.tour import notebook
from keensight.workflow.tour import SAMPLE, tour_of

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.slow
def test_the_committed_notebook_is_the_tour():
    text = json.dumps(notebook(tour_of(SAMPLE, NOTEBOOKS, {})), ensure_ascii=False, indent=1) + "\n"
    committed = (NOTEBOOKS / "image_classification.ipynb").read_text(encoding="utf-8")
    assert committed == text, (
        "keensight notebook --out notebooks/image_classification.ipynb, after removing the old one"
    )
