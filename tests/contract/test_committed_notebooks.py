"""The committed notebooks: the source that their generator gives, and outputs that can be read on a code host."""

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]


def load():
    spec = importlib.util.spec_from_file_location("build_notebooks", ROOT / "notebooks" / "build.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


build = load()
NAMES = [build.TOUR.stem, *build.RECIPES]


def committed(name):
    return json.loads(build.place(name).read_text(encoding="utf-8"))


def cells(document):
    """What a person wrote: kind, metadata and text of each cell."""
    return [(cell["cell_type"], cell["metadata"], "".join(cell["source"])) for cell in document["cells"]]


def code_cells(name):
    return [cell for cell in committed(name)["cells"] if cell["cell_type"] == "code"]


def test_these_are_all_notebooks():
    assert sorted(path.stem for path in (ROOT / "notebooks").rglob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_written_as_the_builder_writes(name):
    text = build.place(name).read_text(encoding="utf-8")
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert text == build.written(json.loads(text))


@pytest.mark.parametrize("name", build.RECIPES)
def test_a_recipe_notebook_has_the_cells_of_its_script(name):
    made = build.recipe(build.RECIPES[name])
    assert cells(committed(name)) == cells(made), f"python notebooks/build.py {name}"
    assert "sys.argv" not in json.dumps(made)


@pytest.mark.slow
def test_the_committed_tour_has_the_cells_that_the_command_writes():
    assert cells(committed(build.TOUR.stem)) == cells(build.tour()), "python notebooks/build.py image_classification"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_small_and_hold_no_error_path_time_or_widget(name):
    assert build.problems(committed(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_was_run_in_order(name):
    assert [cell["execution_count"] for cell in code_cells(name)] == list(range(1, len(code_cells(name)) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_that_ends_with_a_value_or_prints_in_a_loop_has_an_output(name):
    for source, cell in (("".join(cell["source"]), cell) for cell in code_cells(name)):
        last = None if "%pip" in source else ast.parse(source).body[-1]
        prints = isinstance(last, ast.For) and any(call in ast.unparse(last) for call in ("print(", "display("))
        if isinstance(last, ast.Expr) or prints:
            assert cell["outputs"], source


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_shown_twice(name):
    shown = [
        json.dumps(
            output["data"].get("image/png") or output["data"].get("image/jpeg") or output["data"].get("text/html")
        )
        for output in build.outputs(committed(name))
        if "data" in output
    ]
    calls = [line.strip() for cell in code_cells(name) for line in cell["source"] if line.startswith("ks.show.")]
    assert len(set(shown)) == len(shown)
    assert len(set(calls)) == len(calls)


@pytest.mark.parametrize("name", build.RECIPES)
def test_a_recipe_says_how_its_folder_is_made_and_what_its_outputs_are_of(name):
    made = next(cell for cell in committed(name)["cells"] if "## Get the images" in "".join(cell["source"]))
    source = "".join(made["source"])
    assert "https://" in source or "http://" in source
    assert "license" in source or "academic purposes only" in source
    assert "```bash" in source
    streams = "".join("".join(output.get("text", "")) for output in build.outputs(committed(name)))
    assert streams.count("Stand-in images: ") == 1
    assert streams.count("Measured on drawings, ") == 1


@pytest.mark.parametrize("name", NAMES)
def test_links_within_the_repository_lead_to_a_file(name):
    text = "\n".join("".join(cell["source"]) for cell in committed(name)["cells"] if cell["cell_type"] == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (build.place(name).parent / link).is_file()] == []


@pytest.mark.parametrize(
    "text",
    [
        "saved in /tmp/x/run",
        "'/" + "home/me/photos'",
        "trained in 12 s.",
        "50 images/s, 3 left",
        "done, 01:23",
        build.WIDGET,
    ],
)
def test_the_check_finds_what_must_not_be_there(text):
    output = {"output_type": "stream", "name": "stdout", "text": [text]}
    assert build.problems({"cells": [{"cell_type": "code", "source": [], "outputs": [output]}]})


def test_the_check_finds_an_error_and_a_large_file():
    output = {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}
    assert build.problems({"cells": [{"outputs": [output]}]}) == ["ValueError in an output"]
    assert (
        "bytes" in build.problems({"cells": [{"outputs": [{"output_type": "stream", "text": "x" * build.LIMIT}]}]})[0]
    )
