"""Mutation testing: small changes to the source, and how many of them a test notices.

A mutant is one changed operator, number, condition, return value or statement. For each of a random sample of them the
unit tests of its module are run, those that train nothing, and if these notice nothing, all fast tests (without
tests/contract); a mutant that no test notices has survived. Some survivors behave as the original does (a limit that is
never reached, a message's detail), so that 100% is not to be had.

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
import sys
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
_FURTHER = {
    "core/tiff.py": ("unit/core/test_formats.py", "unit/core/test_pixels.py", "hostile/test_odd_images.py"),
    "core/decode_limits.py": ("unit/core/test_pixels.py", "unit/core/test_formats.py", "hostile/test_bad_images.py"),
    "core/dicom.py": ("unit/core/test_dicom.py",),
    "core/parallel.py": ("unit/core/test_pixels.py", "unit/data/test_file_index.py"),
    "store/json_records.py": (
        "contract/test_format_numbers.py",
        "unit/store/test_run.py",
        "hostile/test_record_types.py",
    ),
}
"""Tests of modules that only their callers name."""
_LEFT_OUT = ("test_fuzz.py", "test_cache_files.py", "test_memory.py")
"""Tests of everything at once."""
_TRAINS = re.compile(r"^\s*(?:import|from) (?:tensorflow|keras)\b", re.MULTILINE)
_LEAST, _TIMES = 30.0, 8.0
"""Seconds of CPU time that tests may take in any case, and as a multiple of what they take without a mutant."""
_FAST = ["-m", "not slow", f"--ignore={TESTS / 'contract'}", str(TESTS)]
"""What runs all fast tests but those of the project's texts."""


@dataclass(frozen=True)
class Mutant:
    module: str
    number: int
    line: int
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
    """Nodes that are run: no annotations, docstrings, messages, decorators, or code for type checkers."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_comment") or isinstance(tree, ast.JoinedStr):
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
        Mutant(module, number, getattr(node, "lineno", 0), change) for number, (node, change, _) in enumerate(found)
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


def tests_of(module: str) -> list[Path]:
    """Tests that name a module and train nothing: of its own layer, else of any; first the one called like it."""
    dotted = "keensight." + module.removesuffix(".py").replace("/", ".")
    package, _, name = dotted.rpartition(".")
    names = re.compile(rf"{re.escape(dotted)}\b|from {re.escape(package)} import [^\n]*\b{name}\b")
    further = [TESTS / path for path in _FURTHER.get(module, ())]
    layer = f"unit/{module.split('/')[0]}"
    found = [path for path in _naming(names, layer, "property", "golden", "hostile") if path not in further]
    found = found or ([] if further else _naming(names, "unit"))
    return [*further, *sorted(found, key=lambda path: (path.stem != f"test_{name}", path.stat().st_size))]


def _naming(names: re.Pattern[str], *folders: str) -> list[Path]:
    found = []
    for path in (path for folder in folders for path in sorted((TESTS / folder).rglob("test_*.py"))):
        text = path.read_text(encoding="utf-8")
        fits = "pytestmark = pytest.mark.slow" not in text or _QUICK in text or "assess" in path.parts
        left_out = _TRAINS.search(text) or path.name in _LEFT_OUT or "nets" in path.parts
        if fits and not left_out and names.search(text):
            found.append(path)
    return found


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


def tried(module: str, tree: ast.Module | None, tests: list[Path], seconds: float) -> tuple[bool, float]:
    """Whether these tests pass (none: all fast ones), and how much CPU time they took; in a child process."""
    begun = _children()
    process = os.fork()
    if not process:
        os._exit(_child(module, tree, tests, seconds))
    _, status = os.waitpid(process, 0)
    return status == 0, _children() - begun


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _child(module: str, tree: ast.Module | None, tests: list[Path], seconds: float) -> int:
    import resource

    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    signal.alarm(int(min(40 * seconds, 1800)))  # a test that waits takes no CPU time
    if tree is not None:
        sys.meta_path.insert(0, _Finder(module, tree))
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", *(() if tests else _FAST)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return int(pytest.main([*options, *map(str, tests)]))
        except BaseException:
            return 1


def sampled(count: int, seed: int, most: int) -> list[Mutant]:
    """A random sample of all mutants of ``PACKAGES`` whose modules have tests, of at most so many modules."""
    modules = [
        path.relative_to(SOURCE).as_posix()
        for package in PACKAGES
        for path in ([SOURCE / package] if package.endswith(".py") else sorted((SOURCE / package).rglob("*.py")))
        if path.name != "__init__.py"
    ]
    modules = [module for module in modules if tests_of(module)]
    if most < len(modules):
        modules = random.Random(f"modules {seed}").sample(modules, most)
    whole = [mutant for module in modules for mutant in mutants(module)]
    print(f"{len(whole):,} mutants in {len(modules)} modules", flush=True)
    return sorted(random.Random(seed).sample(whole, min(count, len(whole))), key=lambda one: (one.module, one.number))


def main() -> None:
    from record import save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--modules", type=int, default=1000, help="at most, drawn at random; each costs a run of its tests"
    )
    parser.add_argument("--longest", type=float, default=600, help="seconds of CPU time that a module's tests may take")
    parser.add_argument("--only", action="append", default=[], help="all mutants of this module")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="stop after so long; what was not tried is not counted"
    )
    asked = parser.parse_args()
    for name in ("numpy", "pandas", "PIL.Image", "pytest", "pyarrow.parquet", "jinja2"):  # once, not in each child
        importlib.import_module(name)
    os.chdir(ROOT)
    chosen = [mutant for module in asked.only for mutant in mutants(module)]
    chosen = chosen or sampled(asked.sample, asked.seed, asked.modules)
    random.Random(asked.seed).shuffle(chosen)  # so that a stop leaves a sample, too
    figures = judged(chosen, time.monotonic() + 60 * asked.minutes, asked.longest)
    total = sum(row[1] for row in figures["packages"].values())
    figures["fraction"] = round(figures["killed"] / total, 3)
    print(json.dumps(figures, indent=1))
    if not asked.only:
        save("mutants", total, figures, "at least 85% killed")


def judged(chosen: list[Mutant], end: float, longest: float) -> dict[str, Any]:
    """Run the tests of each mutant until some time; of modules whose tests take at most so many seconds."""
    refuse_failing(longest)
    known: dict[str, tuple[list[Path], float]] = {}
    counts: dict[str, list[int]] = {}
    survivors: list[str] = []
    for mutant in chosen:
        if time.monotonic() > end:
            break
        tests, seconds = known.setdefault(mutant.module, known.get(mutant.module) or baseline(mutant.module, longest))
        if not tests:
            continue
        rounds = ((tests, seconds), ([], longest))
        survived = all(tried(mutant.module, mutated(mutant), some, limit)[0] for some, limit in rounds)
        package = counts.setdefault(mutant.module.split("/")[0], [0, 0])
        package[0] += not survived
        package[1] += 1
        if survived:
            survivors.append(str(mutant))
        print("survived" if survived else "killed  ", mutant, flush=True)
    refuse_failing(longest)  # another program may have changed files meanwhile
    tested = sorted(module for module, (tests, _) in known.items() if tests)
    killed = sum(row[0] for row in counts.values())
    return {"modules": tested, "killed": killed, "packages": counts, "survivors": survivors}


def refuse_failing(longest: float) -> None:
    """Every mutant would count as killed.

    Raises:
        SystemExit: the fast tests fail without a mutant.
    """
    if not tried("core/records.py", None, [], longest)[0]:
        raise SystemExit("the fast tests fail without a mutant, or take too long")


def baseline(module: str, longest: float) -> tuple[list[Path], float]:
    """The tests of a module, none if they fail without a mutant, and the CPU time that they may take with one."""
    tests = tests_of(module)
    passed, seconds = tried(module, None, tests, longest)
    if not passed:
        print(f"left out: the tests of {module} fail without a mutant, or take too long", flush=True)
    return tests if passed else [], max(_LEAST, _TIMES * seconds)


if __name__ == "__main__":
    main()
