"""What all benchmarks share: one JSON file per benchmark in ``benchmarks/results``."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
_PACKAGES = ("keensight", "keras", "tensorflow", "numpy", "pillow")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def save(name: str, n: int, figures: dict[str, Any], bar: str = "", *, versions: dict[str, str] | None = None) -> None:
    """Print a result as one line of JSON and keep it as ``results/NAME.json``; ``versions``: of further packages."""
    script = Path(sys.argv[0]).resolve().relative_to(RESULTS.parent.parent).as_posix()
    document = {
        "name": name,
        "n": n,
        "figures": figures,
        "bar": bar,
        "command": " ".join(["python", script, *map(_plain, sys.argv[1:])]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES}
        | (versions or {}),
    }
    print(json.dumps(document))
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _plain(argument: str) -> str:
    """An argument without the folders of this machine."""
    named = Path(argument).name if argument.startswith("/") else argument
    return shlex.quote(named)
