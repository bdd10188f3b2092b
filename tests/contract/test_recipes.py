"""Each recipe is a script and a row of the page; neither says more than was measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

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


def test_there_are_six_recipes():
    assert sorted(path.stem for path in (ROOT / "recipes").glob("*.py")) == TRADES


@pytest.mark.parametrize("trade", TRADES)
def test_a_recipe_is_short_and_says_what_it_must(trade):
    text = source(trade)
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 90
    for heading in ("## Get the images", "**Expected results**", "**Limits.**", "**Ethics.**"):
        assert heading in text


@pytest.mark.parametrize("trade", TRADES)
def test_a_recipe_expects_what_was_measured(trade, tables):
    stored = json.loads((ROOT / "benchmarks" / "results" / f"recipe-{trade}.json").read_text())
    expected = tables.expected(stored)
    assert "\n".join(expected) in re.sub(r"^# ?", "", source(trade), flags=re.MULTILINE)
    assert re.findall(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)", expected[-1])


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
