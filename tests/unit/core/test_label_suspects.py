"""What a label check says about itself."""

import pytest

from keensight.core.labels import LabelSuspects


@pytest.mark.parametrize(("detectable", "alike"), [(0.59, True), (0.6, False), (0.9, False), (None, False)])
def test_classes_are_too_similar_if_less_than_60_percent_of_errors_could_be_told(
    detectable: float | None, alike: bool
) -> None:
    assert LabelSuspects(60, "by hand", 0.9, 0.02, (), (), detectable=detectable).too_alike is alike
