"""Mutation testing: small changes to the source, and how many of them a test notices.

A mutant is one changed operator, number, condition, return value or statement. All fast tests, and the slower unit
tests that train nothing, are first run once with their coverage; then, for each of a random sample of mutants, the
tests that run its line. A mutant that none of them notices has survived. Some survivors behave as the original does (a
limit that is never reached, a message's detail), so that 100% is not to be had.

python benchmarks/mutants.py --sample 200
python benchmarks/mutants.py --only core/sanitize.py   # all mutants of a module
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.abc
import importlib.util
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TESTS = ROOT / "src" / "keensight", ROOT / "tests"
PACKAGES = ("core", "assess", "store", "data/splits.py")
_QUICK = "pytest.mark.slow  # seconds in all"
"""Files of this mark are run too: they have many tests, but train nothing."""
_LEFT_OUT = ("test_fuzz.py", "test_cache_files.py", "test_memory.py")
"""Tests of everything at once."""
_TRAINS = re.compile(r"^\s*(?:import|from) (?:tensorflow|keras)\b", re.MULTILINE)
_ELSEWHERE = "sys.platform == 'win32'"
_LEAST, _TIMES = 30.0, 8.0
"""Seconds of CPU time that tests may take in any case, and as a multiple of what they take without a mutant."""


@dataclass(frozen=True)
class Mutant:
    module: str
    number: int
    line: int
    last: int
    change: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.change}"


_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that are run: no annotations, docstrings, messages, decorators, or code for type checkers or Windows."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_comment") or isinstance(tree, ast.JoinedStr):
            continue
        if name == "body" and isinstance(tree, ast.If) and ast.unparse(tree.test) == _ELSEWHERE:
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not _is_idle(node):
                yield node
                yield from places(node)


def _is_idle(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.FunctionDef) and node.name == "__repr__":
        return True
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Raise)):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def changes(node: ast.AST) -> list[tuple[str, ast.AST]]:
    """What may stand in a node's place, and what that is called."""
    for kinds, change in _CHANGES:
        if isinstance(node, kinds):
            return change(node)
    return []


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _compared(node: Any) -> list[tuple[str, ast.AST]]:
    other = _COMPARED[type(node.ops[0])]
    words = f"{type(node.ops[0]).__name__} -> {other.__name__}"
    return [(words, _with(node, ops=[other()]))] if len(node.ops) == 1 else []


def _counted(node: Any) -> list[tuple[str, ast.AST]]:
    if type(node.op) not in _COUNTED or (isinstance(node, ast.BinOp) and _is_text(node)):
        return []
    other = _COUNTED[type(node.op)]
    return [(f"{type(node.op).__name__} -> {other.__name__}", _with(node, op=other()))]


def _joined(node: Any) -> list[tuple[str, ast.AST]]:
    return [("and <-> or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))]


def _unary(node: Any) -> list[tuple[str, ast.AST]]:
    return [("not removed", node.operand)] if isinstance(node.op, ast.Not) else []


def _conditional(node: Any) -> list[tuple[str, ast.AST]]:
    return [("condition negated", _with(node, test=ast.UnaryOp(ast.Not(), node.test)))]


def _constant(node: Any) -> list[tuple[str, ast.AST]]:
    if type(node.value) not in (int, float, bool):
        return []
    new = not node.value if type(node.value) is bool else node.value + 1
    return [(f"{node.value} -> {new}", _with(node, value=new))]


def _returned(node: Any) -> list[tuple[str, ast.AST]]:
    none = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
    return [] if none else [("return None", _with(node, value=ast.Constant(None)))]


def _stated(node: Any) -> list[tuple[str, ast.AST]]:
    return [("statement removed", ast.Pass())] if isinstance(node.value, ast.Call) else []


_CHANGES: tuple[tuple[Any, Callable[[Any], list[tuple[str, ast.AST]]]], ...] = (
    (ast.Compare, _compared), ((ast.BinOp, ast.AugAssign), _counted), (ast.BoolOp, _joined), (ast.UnaryOp, _unary),
    ((ast.If, ast.While, ast.IfExp), _conditional), (ast.Constant, _constant), (ast.Return, _returned),
    (ast.Expr, _stated), (ast.Continue, lambda node: [("continue -> break", ast.Break())]),
    (ast.Break, lambda node: [("break -> continue", ast.Continue())]),
)  # fmt: skip


def _is_text(node: ast.BinOp) -> bool:
    """Text that is joined or filled in, or a choice of types: another operator is an error at once."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, (str, type(None))))
        for side in sides
    )


def mutants(module: str) -> list[Mutant]:
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    found = [
        (node, change, i)
        for node in places(tree)
        if hasattr(node, "lineno")
        for i, (change, _) in enumerate(changes(node))
    ]
    return [
        Mutant(module, number, getattr(node, "lineno", 0), getattr(node, "end_lineno", 0), change)
        for number, (node, change, _) in enumerate(found)
    ]


def mutated(mutant: Mutant) -> ast.Module:
    """The tree of a module with one change."""
    tree = ast.parse((SOURCE / mutant.module).read_text(encoding="utf-8"))
    number = 0
    for node in list(places(tree)):
        for _, new in changes(node) if hasattr(node, "lineno") else ():
            if number == mutant.number:
                _replace(tree, node, new)
                return ast.fix_missing_locations(tree)
            number += 1
    raise AssertionError(mutant)


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    new = ast.copy_location(new, old)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if item is old else item for item in value]


@dataclass(frozen=True)
class Suite:
    """What each test took and which lines it ran."""

    seconds: dict[str, float]
    """By node ID."""
    covered: dict[str, dict[int, list[str]]]
    """Module to line to the tests that run it."""

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that run a mutant's lines, the shortest first; of lines that run on import, all of its module."""
        lines = self.covered.get(mutant.module, {})
        found = {test for line in range(mutant.line, mutant.last + 1) for test in lines.get(line, ())}
        if "" in found or not found:
            found = {test for tests in lines.values() for test in tests}
        return sorted(found - {""}, key=lambda test: self.seconds.get(test, 0.0))


class _Chosen:
    """A plugin: only these tests, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._place = {test: number for number, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._place), key=lambda item: self._place[item.nodeid]
        )


def quiet_files() -> list[str]:
    """Files of slow unit tests that train nothing."""
    found = []
    for path in sorted((TESTS / "unit").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        slow = "pytestmark = pytest.mark.slow" in text and (_QUICK in text or "assess" in path.parts)
        if slow and not _TRAINS.search(text) and path.name not in _LEFT_OUT and "nets" not in path.parts:
            found.append(str(path))
    return found


_TOOK = re.compile(r"^ *([\d.]+)s (?:setup|call|teardown) +(\S.*)$", re.MULTILINE)


def measured() -> Suite:
    """Run all tests that a mutant may be given, with their coverage.

    Raises:
        SystemExit: some of them fail without a mutant.
    """
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "coverage"
        fast = [str(TESTS), *(f"--ignore-glob=*/{name}" for name in _LEFT_OUT)]
        for chosen in ([*fast, "-m", "not slow"], [*quiet_files(), "--cov-append"]):
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-q", "-p", "no:cacheprovider",
                 "--cov=keensight", "--cov-context=test", "--cov-report=", "--durations=0", *chosen],
                cwd=ROOT, env={**os.environ, "COVERAGE_FILE": str(place)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"the tests fail without a mutant:\n{done.stdout[-2000:]}")
            for took, test in _TOOK.findall(done.stdout):
                seconds[test] = seconds.get(test, 0.0) + float(took)
        return Suite(seconds, _lines_of(place))


def _lines_of(place: Path) -> dict[str, dict[int, list[str]]]:
    """Module to line to tests, from a file of coverage."""
    found = place.with_suffix(".json")
    subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "--show-contexts", f"--data-file={place}", "-o", found],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    covered = {}
    for file, told in json.loads(found.read_text(encoding="utf-8"))["files"].items():
        module = (ROOT / file).relative_to(SOURCE).as_posix()
        lines = {int(line): [one.partition("|")[0] for one in names] for line, names in told["contexts"].items()}
        covered[module] = lines
    return covered


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._name = "keensight." + module.removesuffix(".py").replace("/", ".")
        self._path, self._tree = str(SOURCE / module), tree

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.util.spec_from_file_location(name, self._path, loader=self) if name == self._name else None

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self._tree, self._path, "exec"), module.__dict__)


def passed(mutant: Mutant | None, tests: list[str], seconds: float) -> bool:
    """Whether these tests pass with a mutant, or without one, in a child process."""
    process = os.fork()
    if not process:
        os._exit(_child(mutant, tests, seconds))
    _, status = os.waitpid(process, 0)
    return status == 0


def _child(mutant: Mutant | None, tests: list[str], seconds: float) -> int:
    import resource

    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))  # not of addresses, of which a browser reserves more
    signal.alarm(int(4 * seconds))  # a test that waits takes no CPU time
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant.module, mutated(mutant)))
    files = sorted({test.partition("::")[0] for test in tests})
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *files], plugins=[_Chosen(tests)]))
        except BaseException:
            return 1


def sampled(count: int, seed: int) -> list[Mutant]:
    """A random sample of all mutants of ``PACKAGES``."""
    modules = [
        path.relative_to(SOURCE).as_posix()
        for package in PACKAGES
        for path in ([SOURCE / package] if package.endswith(".py") else sorted((SOURCE / package).rglob("*.py")))
        if path.name != "__init__.py"
    ]
    whole = [mutant for module in modules for mutant in mutants(module)]
    print(f"{len(whole):,} mutants in {len(modules)} modules", flush=True)
    return random.Random(seed).sample(whole, min(count, len(whole)))


def main() -> None:
    from record import save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], help="all mutants of this module")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="stop after so long; what was not tried is not counted"
    )
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    for name in ("numpy", "pandas", "PIL.Image", "pytest", "pyarrow.parquet", "jinja2"):  # once, not in each child
        importlib.import_module(name)
    os.chdir(ROOT)
    chosen = [mutant for module in asked.only for mutant in mutants(module)] or sampled(asked.sample, asked.seed)
    figures = judged(chosen, measured(), end)
    total = sum(row[1] for row in figures["packages"].values())
    figures["fraction"] = round(figures["killed"] / total, 3)
    print(json.dumps(figures, indent=1))
    if not asked.only:
        save("mutants", total, figures, "at least 85% killed")


def judged(chosen: list[Mutant], suite: Suite, end: float) -> dict[str, Any]:
    """Run the tests of each mutant, until some time.

    Raises:
        SystemExit: the tests that failed with a mutant fail without it, too.
    """
    tested: set[str] = set()
    counts: dict[str, list[int]] = {}
    survivors: list[str] = []
    for mutant in chosen:
        if time.monotonic() > end:
            break
        tests = suite.of(mutant)
        allowed = max(_LEAST, _TIMES * sum(suite.seconds.get(test, 0.0) for test in tests))
        survived = not tests or passed(mutant, tests, allowed)
        if not survived and not passed(None, tests, allowed):
            raise SystemExit(f"{mutant}: its tests fail without it, too")
        package = counts.setdefault(mutant.module.split("/")[0], [0, 0])
        package[0] += not survived
        package[1] += 1
        tested.add(mutant.module)
        if survived:
            survivors.append(str(mutant))
        print("survived" if survived else "killed  ", f"{mutant}, {len(tests):,} tests", flush=True)
    killed = sum(row[0] for row in counts.values())
    return {"modules": sorted(tested), "killed": killed, "packages": counts, "survivors": survivors}


if __name__ == "__main__":
    main()
