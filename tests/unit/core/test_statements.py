"""Sentences of report and model card follow the rule that they speak of."""

import pytest

from keensight.core.predictions import Decision
from keensight.core.statements import rule_in_words

PRECISION = Decision(0.8125, "precision", 0.95, 0.96, n=290)


@pytest.mark.parametrize("rule", [Decision(), PRECISION, Decision(0.5, "coverage", 0.9, 0.9, n=40)])
@pytest.mark.parametrize("refuses", [True, False])
def test_a_rule_never_contradicts_itself(rule: Decision, refuses: bool) -> None:
    told = rule_in_words(rule, refuses=refuses)
    assert ("abstains" in told) is (refuses or rule.target is not None)
    assert ("out-of-distribution" in told) is refuses
    assert ("whatever an image shows" in told) is (not refuses and rule.target is None)
    assert (f"{rule.threshold:.1%}" in told) is (rule.target is not None)
    assert (f"{rule.n:,} held-out images" in told) is (rule.target is not None)


def test_a_precision_that_is_not_certain_is_not_promised() -> None:
    assert "with a confidence of 90%" in rule_in_words(PRECISION, refuses=False)
    short = rule_in_words(Decision(0.99, "precision", 0.999, 0.97, n=290), refuses=False)
    assert "with a confidence of 90%" not in short
    assert "with this one 97% is certain" in short
