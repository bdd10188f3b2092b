"""The tour is valid Jupyter and valid Python for any image set."""

import ast
import json
import re

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keensight.core.task import Task
from keensight.show.notebook.tour import Tour, notebook


def code(made):
    """All code cells as one program, without IPython's own syntax."""
    cells = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    return re.sub(r"^( *)%pip.*$", r"\1pass", "\n".join(cells), flags=re.MULTILINE)


def opened(program):
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    return next(call for call in calls if ast.unparse(call.func) == "ks.open")


@pytest.mark.parametrize("sample", [True, False])
@pytest.mark.parametrize("task", [Task.MULTILABEL, Task.MULTICLASS])
def test_it_is_a_valid_notebook_without_outputs(sample, task):
    made = notebook(Tour("photos/", 64, 12, {}, sample=sample, task=task))
    nbformat.validate(nbformat.from_dict(made))
    assert all(not cell["outputs"] for cell in made["cells"] if cell["cell_type"] == "code")
    program = code(made)
    ast.parse(program)
    assert ("thresholds" in program) == (task == Task.MULTILABEL)
    assert ("confusion" in program) == (task == Task.MULTICLASS)


@pytest.mark.slow
@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_any_path_becomes_the_same_path_in_python(source):
    made = json.loads(json.dumps(notebook(Tour(source, 64, 12, {"label": source}))))
    call = opened(code(made))
    assert ast.literal_eval(call.args[0]) == source
    assert {word.arg: ast.literal_eval(word.value) for word in call.keywords} == {"label": source}


@pytest.mark.parametrize(
    ("side", "filters"),
    [(8, (32,)), (28, (32, 64, 128)), (32, (32, 64, 128)), (64, (16, 32, 64, 128)), (128, (16, 32, 64, 128, 128))],
)
def test_the_network_is_as_deep_as_the_images_allow(side, filters):
    tour = Tour("photos/", side, 12, {})
    assert tour.filters == filters
    assert code(notebook(tour)).count("layers.Conv2D(") == len(filters)
    assert side // 2 ** len(filters) >= 1
