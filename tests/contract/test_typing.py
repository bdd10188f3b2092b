"""What users write: type checkers accept what is documented and flag what is mistyped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "typing"
SOURCE = Path(import_module("keensight").__file__).parents[1]


def mypy(script: Path, work: Path) -> set[int]:
    """Lines of a script that mypy --strict flags; what it says of other files is not looked at."""
    command = [
        sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental", "--follow-imports=silent",
        "--ignore-missing-imports", "--config-file=", str(script),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=work, env={"MYPYPATH": str(SOURCE), "PATH": ""}
    )
    assert done.returncode in (0, 1), done.stderr
    return {int(line) for line in re.findall(rf"{script.name}:(\d+): error:", done.stdout)}


def pyright(script: Path, work: Path) -> set[int]:
    """Lines of a script that pyright flags in its standard mode."""
    copied = work / script.name
    copied.write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(SOURCE)], "include": [script.name]}
    (work / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


def marked(script: Path) -> set[int]:
    lines = script.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
@pytest.mark.parametrize("name", ["documented.py", "mistakes.py"])
def test_checkers_flag_the_marked_lines_and_no_others(checker, name, tmp_path):
    if checker is pyright and find_spec("basedpyright") is None:
        pytest.skip("basedpyright is not installed")
    script = SCRIPTS / name
    assert checker(script, tmp_path) == marked(script)


def test_a_script_of_mistakes_has_some():
    assert len(marked(SCRIPTS / "mistakes.py")) == 9 and not marked(SCRIPTS / "documented.py")


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "keensight" / "py.typed").is_file()
