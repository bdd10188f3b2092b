"""Work in threads: in order, never far ahead, and within a budget of bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keensight.core import parallel
from keensight.core.parallel import Budget, in_background, ordered, processors, start_in_background


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [
        ("100000 100000", 1),
        ("150000 100000", 2),  # a part of a CPU counts as one
        ("20000 100000", 1),
        ("600000 100000", 6),
        ("900000 100000", 8),
        ("max 100000", 8),
        ("0 100000", 1),
        ("", 8),
    ],
)
def test_the_processors_are_those_of_the_process_and_of_its_container(
    limit: str, cpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda process: set(range(8)) if process == 0 else set(), raising=False
    )
    monkeypatch.setattr(Path, "read_text", lambda path: limit)
    assert processors() == cpus


def test_a_system_without_affinity_counts_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(os, "cpu_count", lambda: 70_000)
    assert processors() == 1 << 16  # the most that is ever used where a container sets no limit
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1


def test_work_in_the_background_is_known_until_it_ends_and_its_errors_are_ignored() -> None:
    begun, released = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        released.wait(30)
        raise ImportError("seen by the code that needs it")

    start_in_background(work)
    assert begun.wait(30)
    assert in_background()
    (thread,) = (one for one in threading.enumerate() if one.name == parallel._BACKGROUND)
    released.set()
    thread.join(30)
    assert not in_background()


@pytest.mark.parametrize(("ahead", "taken"), [({}, 5), ({"ahead": 0}, 3), ({"ahead": 4}, 7)])
def test_results_come_in_order_and_few_items_are_taken_ahead(ahead: dict[str, int], taken: int) -> None:
    seen: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            seen.append(number)
            yield number

    found = ordered(lambda number: number * number, items(), 2, **ahead)
    assert next(found) == 0
    assert len(seen) == taken  # one for each of the two threads, those that may wait, and the one that is given
    assert list(found) == [number * number for number in range(1, 20)]


def test_closing_drops_what_has_not_begun_and_waits_for_what_has() -> None:
    begun, ended, released = [], [], threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number:
            released.wait(0.05)
        ended.append(number)
        return number

    found = ordered(work, range(20), 1, ahead=5)
    assert next(found) == 0
    found.close()
    assert not any(thread.name.startswith("keensight_") for thread in threading.enumerate())
    assert begun == ended
    assert len(begun) <= 3


def test_an_error_comes_out_in_its_place() -> None:
    def work(number: int) -> float:
        return 1 / number

    found = ordered(work, [1, 2, 0, 4], 2)
    assert [next(found), next(found)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_budget_is_given_back_and_may_be_used_to_the_last_byte() -> None:
    budget, got = Budget(10), threading.Event()

    def work() -> None:
        with budget.hold(6):
            got.set()

    with budget.hold(4), budget.hold(6):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert not got.wait(0.02)
    assert got.wait(30)
    thread.join(30)
    with budget.hold(10):
        pass
