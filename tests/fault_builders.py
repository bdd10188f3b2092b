"""A disk that refuses: work is repeated in one process, and in each repetition the next call that changes a file fails.

``python fault_builders.py SCENARIO STEP MODE...`` runs with ``fault_disk.c`` loaded. For k = 1, 1 + STEP, ... it does
the scenario's work in a new folder, lets the k-th call fail, and checks what is left, until a repetition meets no
fault. The results are printed as JSON. Tests call it by :func:`every_fault`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODES = {
    "full": (errno.ENOSPC, 2), "read-only": (errno.EROFS, 1), "denied": (errno.EACCES, 1), "broken": (errno.EIO, 0)
}  # fmt: skip
"""Error number, and how it is met (``fault_disk.c``): a disk fills up, is mounted read-only, loses its permissions, or
fails once."""
MESSAGES = {
    "full": "No space left on device", "read-only": "Read-only file system", "denied": "Permission denied",
    "broken": "Input/output error",
}  # fmt: skip


class Refused(Exception):
    """The work ended with an error for users."""


@dataclass(frozen=True)
class Scenario:
    """Work that writes files.

    ``make`` prepares a folder, ``act`` does the work in it and returns its result, ``read`` says what a reader finds
    there: by name, values that can be compared. Reading raises KeensightError for what is incomplete.
    """

    act: Callable[[Path], object]
    read: Callable[[Path], dict[str, Callable[[], Any]]]
    make: Callable[[Path], object] = lambda place: None
    again: Callable[[Path], object] | None = None
    """The next command; default: the same work."""
    between: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """What a reader may also find after an error, by name."""


@dataclass
class Outcome:
    """What one fault did."""

    k: int
    hit: int
    call: str
    told: str
    problems: list[str] = field(default_factory=list)


def compiled(folder: Path) -> Path:
    """The disk that refuses, as a library to load.

    Raises:
        RuntimeError: there is no C compiler, or this is not Linux.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        raise RuntimeError("it needs Linux and a C compiler")
    library = folder / "fault_disk.so"
    source = str(HERE / "fault_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), source, "-ldl", "-lpthread"], check=True)
    return library


def every_fault(
    library: Path, scenario: str, *, step: int = 1, modes: tuple[str, ...] = tuple(MODES), seconds: float = 600
) -> dict[str, list[Outcome]]:
    """Run a scenario in its own process, with a fault at every ``step``-th call that changes a file.

    Returns:
        For each mode what each fault did; the last one met none.
    """
    done = subprocess.run(
        [sys.executable, str(HERE / "fault_builders.py"), scenario, str(step), *modes],
        env={**os.environ, "LD_PRELOAD": str(library), "KEENSIGHT_FAULTS": str(library)},
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        return {mode: [Outcome(**outcome) for outcome in outcomes] for mode, outcomes in found.items()}
    except (ValueError, IndexError):
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}") from None


@cache
def _disk() -> Any:
    disk = ctypes.CDLL(os.environ["KEENSIGHT_FAULTS"])
    disk.faults_first.restype = ctypes.c_char_p
    disk.faults_count.restype = disk.faults_hit.restype = ctypes.c_long
    return disk


def repeat(scenario: Scenario, mode: str, step: int, place: Path, start: int) -> list[Outcome]:
    """Let every ``step``-th call that changes a file below ``place`` fail, one after the other."""
    _, before = _read(scenario, place, lambda work: None)
    result, after = _read(scenario, place, scenario.act)
    whole = {**after, "result": result}
    outcomes, k = [], start
    while True:
        outcomes.append(_once(scenario, mode, k, place, before, whole))
        if not outcomes[-1].hit:
            return outcomes
        k += step


def _fresh(scenario: Scenario, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    work = place / "work"
    for folder in (work, place / "cache", place / "tmp"):
        folder.mkdir(parents=True)
    os.environ["KEENSIGHT_CACHE"] = str(place / "cache")
    os.environ["TMPDIR"] = tempfile.tempdir = str(place / "tmp")
    os.chdir(work)
    scenario.make(work)
    return work


def _read(scenario: Scenario, place: Path, act: Callable[[Path], object]) -> tuple[object, dict[str, Any]]:
    work = _fresh(scenario, place)
    return act(work), _found(scenario, work, [])


def _found(scenario: Scenario, work: Path, problems: list[str]) -> dict[str, Any]:
    from keensight.errors import KeensightError

    found: dict[str, Any] = {}
    for name, read in scenario.read(work).items():
        try:
            found[name] = read()
        except KeensightError as error:
            found[name] = None if error.message else problems.append(f"{name}: an error without words")
        except Exception as error:
            problems.append(f"{name} cannot be read: {error!r}")
    return found


def _once(scenario: Scenario, mode: str, k: int, place: Path, before: dict[str, Any], after: dict[str, Any]) -> Outcome:
    work, disk = _fresh(scenario, place), _disk()
    disk.faults_watch(os.fsencode(place))
    told, problems, found = "", [], {}
    disk.faults_arm(k, *MODES[mode])
    try:
        found["result"] = scenario.act(work)
    except Refused as error:
        told = str(error)
    except Exception as error:
        told, problems = _lawful(error)
    finally:
        disk.faults_disarm()
    call = os.fsdecode(disk.faults_first()).replace(str(place), "")
    found |= _found(scenario, work, problems)
    for name, value in found.items():
        allowed = [before.get(name), after[name], None, *scenario.between.get(name, ())] if told else [after[name]]
        if value not in allowed:
            problems.append(f"{name} is {_brief(value)} after: {told or 'no error'}")
    if disk.faults_hit():
        problems += _next(scenario, work, after)
    return Outcome(k, disk.faults_hit(), call, told, problems)


def _next(scenario: Scenario, work: Path, after: dict[str, Any]) -> list[str]:
    """What is wrong with the next command."""
    problems: list[str] = []
    try:
        (scenario.again or scenario.act)(work)
    except BaseException as error:
        problems.append(f"the next command fails: {error!r}")
    for name, value in _found(scenario, work, problems).items():
        if value != after[name]:
            problems.append(f"{name} is {_brief(value)} after the next command, not {_brief(after[name])}")
    return problems


def _lawful(error: Exception) -> tuple[str, list[str]]:
    """The message of an error for users; anything else is a problem."""
    from keensight.errors import KeensightError

    if isinstance(error, KeensightError) and error.exit_code == 1 and error.hint:
        return error.message, []
    return repr(error), ["".join(traceback.format_exception(error)[-4:])]


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."


def command(*arguments: object) -> str:
    """Run a command line in this process; what it printed.

    Raises:
        Refused: it ended with code 1 and one sentence with a hint.
        AssertionError: it ended otherwise.
    """
    from keensight.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    if code == 0:
        return out.getvalue()
    lines = [line for line in err.getvalue().splitlines() if line.startswith(("error: ", "hint: "))]
    if [code, *(line.split(":")[0] for line in lines)] != [1, "error", "hint"] or "this is a bug" in err.getvalue():
        raise AssertionError(f"exit code {code}: {err.getvalue()}")
    if "Traceback" in err.getvalue():
        raise AssertionError(err.getvalue())
    raise Refused(lines[0])


def main() -> None:
    import fault_scenarios

    name, step, *modes = sys.argv[1:]
    printed = sys.stdout
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # fsync costs nothing there
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory) as folder, contextlib.redirect_stdout(sys.stderr):
        scenario = fault_scenarios.SCENARIOS[name]()
        found = {}
        for mode in modes:
            start = random.Random(f"{name} {mode}").randint(1, int(step))
            outcomes = repeat(scenario, mode, int(step), Path(folder).resolve() / "disk", start)
            found[mode] = [vars(outcome) for outcome in outcomes]
        os.chdir("/")
    print(json.dumps(found), file=printed, flush=True)
    os._exit(0)


if __name__ == "__main__":
    import fault_builders  # so that its classes are those that the scenarios import

    fault_builders.main()
