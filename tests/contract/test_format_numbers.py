"""Every file format with a number: each number ever written has a fixture that loads, and a later one is refused."""

import ast
import functools
import json
import re
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from keensight import errors
from keensight.cli.invocation import SCHEMA as ANSWER
from keensight.core import decisions, exports
from keensight.core import study as records_of_studies
from keensight.core.config import RunConfig
from keensight.store import export, manifest, run, run_tables, study
from keensight.store.json_records import read_versioned

ROOT = Path(__file__).parents[2]
SOURCE, GOLDEN = ROOT / "src" / "keensight", ROOT / "tests" / "golden"
NUMBER = re.compile(r"(?:\w*_)?(?:SCHEMA|VERSION)")


def read_run(folder: Path) -> None:
    found = run.open_run(folder)
    assert found.audit and found.split and found.history and found.evaluation and len(found.predictions)


def read_decisions(folder: Path) -> None:
    path = folder / "decisions.json"
    found = read_versioned(path, decisions.Decisions, newest=decisions.SCHEMA, limit=1 << 20)
    assert RunConfig().with_values(found.settings) and found.dataset and found.environment and found.threads


def read_dataset(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        assert len(run_tables.read_dataset(path))


def read_study(folder: Path) -> None:
    found = study.open_study(folder).record
    assert found.best is not None and found.best.number == found.chosen and found.space and found.test["accuracy"]
    assert [trial.state for trial in found.trials] == ["complete", "stopped", "failed"]


FORMATS: dict[str, tuple[int, Callable[[int], str], Callable[[Path], Any]]] = {
    "store.run.SCHEMA": (run.SCHEMA, lambda n: "schema1" if n == 1 else f"run{n}", read_run),
    "store.manifest.SCHEMA": (
        manifest.SCHEMA, "schema{}".format, lambda folder: manifest.read_manifest(folder / "manifest.json")
    ),
    "core.decisions.SCHEMA": (decisions.SCHEMA, "decisions{}".format, read_decisions),
    "store.run_tables.DATASET_SCHEMA": (run_tables.DATASET_SCHEMA, "dataset{}".format, read_dataset),
    "core.exports.SCHEMA": (exports.SCHEMA, "export{}".format, export.read_export),
    "core.study.SCHEMA": (records_of_studies.SCHEMA, "study{}".format, read_study),
}  # fmt: skip
"""Constant: its value, the folder of the fixture of a number, and what reads it."""
CACHES = {
    "data.shards._SCHEMA", "data.sources.file_index.VERSION", "data.audit.cached._VERSION",
    "data.audit.cached._LOOKS_VERSION", "data.cache_sets._SCHEMA",
}  # fmt: skip
"""Files of the cache: of another number they are made again, see tests/hostile/test_cache_files.py."""
ANSWERS = {"cli.invocation.SCHEMA"}
"""Written for other programs, never read."""
CASES = [(name, n) for name, (newest, _, _) in FORMATS.items() for n in range(1, newest + 1)]


@functools.cache
def modules() -> list[tuple[str, ast.Module]]:
    return [
        (".".join(path.relative_to(SOURCE).with_suffix("").parts), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
    ]


def constants(name: str, tree: ast.Module) -> set[str]:
    """The numbers of formats that a module defines."""
    found = set()
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        whole = type(_value(node.value)) is int
        found |= {f"{name}.{t.id}" for t in targets if whole and isinstance(t, ast.Name) and NUMBER.fullmatch(t.id)}
    return found


def literals(tree: ast.Module) -> list[int]:
    """Lines where a number of a format is written out instead of named."""
    places = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            places += [v.lineno for k, v in pairs if _is(k, "schema") or _is(k, "version") if type(_value(v)) is int]
        elif isinstance(node, ast.keyword) and node.arg == "schema" and type(_value(node.value)) is int:
            places.append(node.value.lineno)
    return places


def _value(node: ast.AST | None) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _is(node: ast.AST | None, text: str) -> bool:
    return _value(node) == text


def test_every_number_of_a_format_is_known_here() -> None:
    found = set().union(*(constants(name, tree) for name, tree in modules()))
    assert found == {*FORMATS, *CACHES, *ANSWERS}
    assert constants("m", ast.parse("SCHEMA = 2\n_VERSION: int = 3\nTABLE_SCHEMA = 1\n__version__ = '1'\n")) == {
        "m.SCHEMA", "m._VERSION", "m.TABLE_SCHEMA"
    }  # fmt: skip


def test_no_number_of_a_format_is_written_out() -> None:
    assert {name: lines for name, tree in modules() if (lines := literals(tree))} == {}
    assert literals(ast.parse("a = {'schema': 1}\nf(schema=2)\nb = {'schema': SCHEMA}")) == [1, 2]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_every_number_ever_written_has_a_fixture_that_loads(name: str, number: int) -> None:
    """A failure here means: keep a file of the new number in tests/golden, and a test that reads it."""
    _, folder, read = FORMATS[name]
    assert (GOLDEN / folder(number)).is_dir(), f"tests/golden/{folder(number)} is missing"
    read(GOLDEN / folder(number))


@pytest.mark.parametrize("version", ["9.8.7", "; rm -rf ~", "", None])
@pytest.mark.parametrize("name", ["run.json", "manifest.json", "export.json", "study.json"])
def test_a_number_that_this_version_does_not_know_is_refused_with_what_to_install(
    name: str, version: str | None, tmp_path: Path
) -> None:
    kinds = {"run.json": "store.run", "manifest.json": "store.manifest", "export.json": "core.exports",
             "study.json": "core.study"}  # fmt: skip
    newest, folder, _ = FORMATS[f"{kinds[name]}.SCHEMA"]
    shutil.copytree(GOLDEN / folder(newest), tmp_path / "later")
    path = tmp_path / "later" / name
    plain = json.loads(path.read_text(encoding="utf-8")) | {"schema": newest + 1}
    versions = {} if version is None else {"keensight": version}
    holder = plain["provenance"] if name == "manifest.json" else plain
    holder["versions"] = versions
    path.write_text(json.dumps(plain), encoding="utf-8")
    readers: dict[str, Callable[[], Any]] = {
        "run.json": lambda: run.open_run(path.parent), "manifest.json": lambda: manifest.read_manifest(path),
        "export.json": lambda: export.read_export(path.parent), "study.json": lambda: study.open_study(path.parent),
    }  # fmt: skip
    with pytest.raises(errors.StoreError) as caught:
        readers[name]()
    known = " (9.8.7)" if version == "9.8.7" else ""
    assert f"written by a newer Keensight{known}: its schema is {newest + 1}, this version" in caught.value.message
    assert "\n" not in caught.value.message
    wanted = '"keensight>=9.8.7"' if known else "keensight"
    assert caught.value.hint == f"upgrade: pip install --upgrade {wanted}"


def test_a_later_dataset_is_refused_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = run_tables.read_dataset(GOLDEN / "dataset1" / "whole.parquet")
    monkeypatch.setattr(run_tables, "DATASET_SCHEMA", 2)
    monkeypatch.setattr(run_tables, "__version__", "9.8.7")
    run_tables.write_dataset(tmp_path / "later.parquet", data)
    monkeypatch.undo()
    with pytest.raises(errors.StoreError, match=r"newer Keensight \(9\.8\.7\): its schema is 2") as caught:
        run_tables.read_dataset(tmp_path / "later.parquet")
    assert caught.value.hint == 'upgrade: pip install --upgrade "keensight>=9.8.7"'


def test_every_number_is_on_the_page_of_formats() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \|.*?\| (\d+) \|", page, re.MULTILINE))
    wanted = {
        "run.json": run.SCHEMA, "decisions.json": decisions.SCHEMA, "dataset.parquet": run_tables.DATASET_SCHEMA,
        "manifest.json": manifest.SCHEMA, "export.json": exports.SCHEMA,
        "study.json": records_of_studies.SCHEMA, "--json": ANSWER,
        "pixels/": _cache("data.shards._SCHEMA"), "index/": _cache("data.sources.file_index.VERSION"),
        "copies/": _cache("data.audit.cached._VERSION"), "features/": _cache("data.shards._SCHEMA"),
    }  # fmt: skip
    assert rows == {name: str(number) for name, number in wanted.items()}


def _cache(name: str) -> int:
    module, constant = name.rsplit(".", 1)
    number: int = getattr(import_module(f"keensight.{module}"), constant)
    return number
