"""How much is shown, and the curve of a learning curve."""

import pytest

from keensight.core.comparison import CurvePoint, LearningCurve
from keensight.core.interval import Interval
from keensight.core.progress import at_verbosity, verbosity


def test_how_much_is_shown_holds_inside_the_block_only() -> None:
    before = verbosity()
    with pytest.raises(ValueError, match="inside"), at_verbosity("verbose"):
        assert verbosity() == "verbose"
        raise ValueError("inside")
    assert verbosity() == before != "verbose"


def test_the_error_of_a_learning_curve_is_its_power_law() -> None:
    gain = Interval(0.01, 0.0, 0.02, 0.95, "bootstrap")
    curve = LearningCurve("set", "cnn", 50, (CurvePoint(100, (0.7,)),), 0.1, 2.0, 0.5, gain)
    assert curve.error(100) == pytest.approx(0.1 + 2 / 10)
    assert curve.error(400) == pytest.approx(0.1 + 2 / 20)
