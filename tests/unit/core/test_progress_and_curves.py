"""What is reported and how much of it is shown, two models on the same images, and the curve of a learning curve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keensight.core.comparison import Change, Comparison, CurvePoint, LearningCurve
from keensight.core.interval import Interval
from keensight.core.progress import Logged, Phase, Silent, Verbosity, at_verbosity, listening, tell, verbosity
from keensight.core.records import Dataset, LabelSet

HALF = Interval(0.5, 0.4, 0.6)


class Shown(Silent):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Phase]:
        self.told.append(("begun", (label, total, unit)))
        yield self  # type: ignore[misc]
        self.told.append(("ended", label))

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        self.told.append(("advance", (amount, note)))

    def say(self, message: str) -> None:
        self.told.append(("say", message))

    def detail(self, message: str) -> None:
        self.told.append(("detail", message))


def test_how_much_is_shown_holds_inside_the_block_only() -> None:
    before = verbosity()
    with pytest.raises(ValueError, match="inside"), at_verbosity(Verbosity.VERBOSE):
        assert verbosity() is Verbosity.VERBOSE
        raise ValueError("inside")
    assert verbosity() is before is Verbosity.NORMAL


def test_lines_are_shown_and_logged_and_phases_are_only_shown() -> None:
    shown, log = Shown(), []
    progress = Logged(shown, log.append)
    progress.say("a line")
    progress.detail("a detail")
    with progress.task("reading", 7, "files") as phase:
        phase.advance(2, "half")
    assert log == ["a line", "a detail"]
    assert shown.told == [
        ("say", "a line"), ("detail", "a detail"), ("begun", ("reading", 7, "files")), ("advance", (2, "half")),
        ("ended", "reading"),
    ]  # fmt: skip


def test_an_opened_set_is_reported_inside_the_block_and_to_the_innermost_listener() -> None:
    data = Dataset("pets", "folder", LabelSet(("cat",)), ())
    outer: list[Dataset] = []
    inner: list[Dataset] = []
    tell(data)
    with listening(outer.append):
        with pytest.raises(ValueError, match="inside"), listening(inner.append):
            tell(data)
            raise ValueError("inside")
        assert (len(outer), len(inner)) == (0, 1)
        tell(data)
    tell(data)
    assert (len(outer), len(inner)) == (1, 1)


def test_images_are_won_by_the_second_model_or_lost_to_the_first() -> None:
    won, lost = Change("a.png", "cat", "dog", "cat"), Change("b.png", "cat", "cat", "dog")
    neither = Change("c.png", "cat", "dog", "owl")
    assert [one.won for one in (won, lost, neither)] == [True, False, False]
    found = Comparison("one", "two", 9, 0, None, (HALF, HALF), HALF, 0.5, "exact", HALF, HALF, (won, lost, neither))
    assert (found.won, found.lost) == ((won,), (lost,))


def test_the_error_of_a_learning_curve_is_its_power_law() -> None:
    gain = Interval(0.01, 0.0, 0.02, 0.95, "bootstrap")
    curve = LearningCurve("set", "cnn", 50, (CurvePoint(100, (0.7,)),), 0.1, 2.0, 0.5, gain)
    assert curve.error(100) == pytest.approx(0.1 + 2 / 10)
    assert curve.error(400) == pytest.approx(0.1 + 2 / 20)
