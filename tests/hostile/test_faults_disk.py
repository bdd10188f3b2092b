"""A disk that refuses, at every call that writes, renames, flushes or removes, one after the other.

After each fault: an error for users or the whole result, a reader finds the old or the new one or is told that it is
incomplete, and the next command works. ``KEENSIGHT_EVERY_FAULT=1`` tries every call of the long scenarios too, of which
the suite tries some, evenly spread.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fault_builders import MESSAGES, Outcome, compiled, every_fault

FAST = {
    "record": 4, "run": 40, "bundle": 20, "bundle rewritten": 15, "export": 15, "cache auto": 10, "cache always": 10,
    "features": 8, "index": 4, "archive": 10, "predictions csv": 4, "predictions json": 4, "predictions parquet": 4,
}  # fmt: skip
"""Scenario to the number of calls that it makes at least."""
LONGER = (
    "run", "bundle", "bundle rewritten", "cache auto", "cache always", "archive", "index", "predictions csv",
    "predictions json", "predictions parquet",
)  # fmt: skip
"""Those of them that take seconds."""
SPREAD = {
    "sample": 300, "inspect": 80, "train": 500, "predict csv": 13, "predict parquet": 13, "export litert": 19,
    "export onnx": 19, "export openvino": 25, "export savedmodel": 31, "export keras": 25,
}  # fmt: skip
"""Scenario to the distance of the calls that fail in the suite."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compiled(tmp_path_factory.mktemp("fault-disk"))
    except RuntimeError as error:
        pytest.skip(f"no disk that refuses: {error}")


def check(outcomes: dict[str, list[Outcome]], least: int = 0) -> None:
    problems = [
        f"{mode} {one.k} {one.call}: {problem}"
        for mode, found in outcomes.items()
        for one in found
        for problem in one.problems
    ]
    assert not problems, "\n".join(problems[:5])
    for mode, found in outcomes.items():
        assert len(found) > (least / 2 if mode == "denied" else least)  # writing to an open file needs no permission
        assert not found[-1].told
        told = [one.told for one in found if one.told]
        words = ("the disk is full", "not enough space") if mode == "full" else ()
        assert all(any(word in message for word in (MESSAGES[mode], *words)) for message in told), told[:5]


@pytest.mark.parametrize(
    "scenario", [pytest.param(one, marks=[pytest.mark.slow] if one in LONGER else []) for one in FAST]
)
def test_a_fault_at_any_call_leaves_the_old_or_the_new(library: Path, scenario: str) -> None:
    check(every_fault(library, scenario), FAST[scenario])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SPREAD)
def test_a_fault_in_a_whole_command_is_one_sentence(library: Path, scenario: str) -> None:
    if scenario in ("export onnx", "export openvino"):
        pytest.importorskip(scenario.split()[1])
    step = 1 if os.environ.get("KEENSIGHT_EVERY_FAULT") else SPREAD[scenario]
    check(every_fault(library, scenario, step=step, seconds=100_000))
