"""What a drift report and a repeated run say of their differences."""

import pytest

from keensight.core.decisions import Check, Rerun
from keensight.core.drift import DriftReport, Shift

SAME, OTHER = Check("split", [1, 2], [1, 2]), Check("weights", "a1", "b2")


def shift(name: str, distance: float, differs: bool = True) -> Shift:
    return Shift(name, distance, 0.001, 0.002, differs)


@pytest.mark.parametrize(
    ("names", "told"),
    [("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c, ...")],
)
def test_the_three_largest_differences_are_named_and_more_are_hinted_at(names: str, told: str) -> None:
    shifts = tuple(shift(name, 0.9 - 0.1 * i) for i, name in enumerate(names))
    report = DriftReport(40, 100, 0.01, (shift("same", 1.0, differs=False), *reversed(shifts)))
    assert report.differs
    assert report.sentence() == f"these images are not like the test images: they differ in {told}"


@pytest.mark.parametrize(("checks", "same"), [((SAME,), True), ((SAME, OTHER), False), ((OTHER,), False)])
def test_a_repetition_is_the_same_if_all_checks_agree(checks: tuple[Check, ...], same: bool) -> None:
    found = Rerun("runs/a", "runs/b", checks)
    assert found.same is same
    assert repr(found) == f"<Rerun of runs/a: {'same results' if same else 'different: weights'}>"


def test_a_check_compares_whole_values() -> None:
    assert SAME.same is True
    assert OTHER.same is False
