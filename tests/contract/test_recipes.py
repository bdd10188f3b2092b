"""Each recipe is a script, a notebook made from it, and a row of the page; none of them says more than was measured."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

import keensight as ks

ROOT = Path(__file__).parents[2]
TRADES = ["agriculture", "ecommerce", "healthcare", "security", "social_media", "traffic_signs"]


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return module(ROOT / "benchmarks" / "tables.py")


def source(trade):
    return (ROOT / "recipes" / f"{trade}.py").read_text(encoding="utf-8")


def notebook_path(trade):
    return ROOT / "notebooks" / "recipes" / f"{trade}.ipynb"


def test_there_are_six_recipes_and_as_many_notebooks():
    assert sorted(path.stem for path in (ROOT / "recipes").glob("*.py")) == TRADES
    assert sorted(path.stem for path in notebook_path("x").parent.glob("*.ipynb")) == TRADES


@pytest.mark.parametrize("trade", TRADES)
def test_a_notebook_is_that_of_its_script(trade):
    made = module(ROOT / "docs" / "generate.py").notebook(ROOT / "recipes" / f"{trade}.py")
    assert notebook_path(trade).read_text(encoding="utf-8") == made, "run `make docs`"
    notebook = nbformat.reads(made, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert "sys.argv" not in made


@pytest.mark.parametrize("trade", TRADES)
def test_a_recipe_uses_public_names_only_and_says_what_it_must(trade):
    text = source(trade)
    assert set(re.findall(r"\bks\.(\w+)", text)) <= set(ks.__all__)
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 90
    for heading in ("**Images.**", "**To expect**", "**Limits.**", "**Ethics.**"):
        assert heading in text


@pytest.mark.parametrize("trade", TRADES)
def test_a_recipe_expects_what_was_measured(trade, tables):
    stored = json.loads((ROOT / "benchmarks" / "results" / f"recipe-{trade}.json").read_text())
    expected = tables.expected(stored)
    assert expected in " ".join(re.sub(r"^# ?", "", source(trade), flags=re.MULTILINE).split())
    assert re.findall(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)", expected)


def test_the_page_has_each_recipe_with_its_measured_table(tables):
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    results = tables.load()
    assert tables.recipes_table(results) in page
    for trade in TRADES:
        assert f"recipes/{trade}.py" in page
        assert f"recipe-{trade}" in results


def test_the_benchmarks_page_is_current_and_shows_every_result(tables):
    results = tables.load()
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page == tables.page(results), "run `python benchmarks/tables.py`"
    assert "{'" not in page
    with pytest.raises(ValueError, match="unheard-of"):
        tables.page(results | {"unheard-of": results["startup"]})
