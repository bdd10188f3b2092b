"""What a study hears of a trial: also of one that was stopped and continues."""

from typing import Any

import pytest

from keensight.core.records import Epoch
from keensight.core.training_state import StoppedEarly
from keensight.workflow.trial_worker import Reporter


class Line:
    """A channel whose other side always says the same."""

    def __init__(self, answer: str = "go") -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.answer = answer

    def send(self, what: str, **rest: Any) -> None:
        self.sent.append((what, rest))

    def receive(self) -> dict[str, str]:
        return {"do": self.answer, "why": "others were better"}

    @property
    def fractions(self) -> list[float]:
        return [rest["fraction"] for what, rest in self.sent if what == "reached"]


def epoch(number: int, phase: str = "train") -> Epoch:
    return Epoch(number, phase, 4, 1.0, 0.1, 0.7, 0.5, 0.6, 0.55)


def reporter(line: Line, planned: int) -> Reporter:
    made = Reporter(line)  # type: ignore[arg-type]
    made._planned = planned
    return made


def test_fractions_count_the_epochs_of_the_schedule() -> None:
    line = Line()
    found = reporter(line, 4)
    found.epoch(epoch(1, "head"))
    for number in (2, 3):
        found.epoch(epoch(number, "whole"))
    assert (line.fractions, found.epochs) == ([0.25, 0.5], 2)


def test_a_trial_that_continues_is_as_far_as_it_was() -> None:
    line = Line()
    found = reporter(line, 10)
    for number in (6, 7):
        found.epoch(epoch(number))
    assert (line.fractions, found.epochs) == ([0.6, 0.7], 7)


def test_a_trial_that_fell_behind_is_stopped() -> None:
    with pytest.raises(StoppedEarly, match="others were better"):
        reporter(Line("stop"), 4).epoch(epoch(1))
