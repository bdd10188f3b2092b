"""Sensitivity, specificity, PPV and NPV of two classes, against values worked out by hand with Wilson's formula."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keensight.assess.metrics import evaluate
from keensight.core.evaluation import Evaluation
from keensight.core.interval import Interval
from keensight.core.records import LabelSet


def _evaluated(names: tuple[str, ...], counts: list[list[int]], groups: NDArray[np.int64] | None = None) -> Evaluation:
    """An evaluation with this confusion matrix (rows: true classes)."""
    pairs = [(i, j) for i, row in enumerate(counts) for j, n in enumerate(row) for _ in range(n)]
    targets, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    probabilities = np.full((len(pairs), len(names)), 0.2 / (len(names) - 1))
    probabilities[np.arange(len(pairs)), predicted] = 0.8
    return evaluate(probabilities, targets, LabelSet(names), groups=groups)


def _ends(one: Interval | None) -> tuple[float, float, float]:
    assert one is not None
    return one.value, one.low, one.high


def _close(*values: float) -> Any:
    return pytest.approx(values, abs=5e-5)


def test_the_four_metrics_of_two_classes_and_their_intervals_are_wilsons() -> None:
    found = _evaluated(("NORMAL", "SICK"), [[27, 3], [2, 8]]).binary
    assert found is not None
    assert (found.positive, found.negative) == ("SICK", "NORMAL")
    assert found.counts == (27, 3, 2, 8)
    # (k + z²/2 ± z √(k (n - k) / n + z²/4)) / (n + z²) with z = 1.95996
    assert _ends(found.sensitivity) == _close(0.8, 0.49016, 0.94332)  # 8 of 10
    assert _ends(found.specificity) == _close(0.9, 0.74379, 0.96540)  # 27 of 30
    assert _ends(found.ppv) == _close(0.72727, 0.43436, 0.90254)  # 8 of 11
    assert _ends(found.npv) == _close(0.93103, 0.78036, 0.98088)  # 27 of 29


def test_images_of_one_patient_make_the_intervals_wider() -> None:
    counts, pairs = [[28, 2], [2, 8]], np.arange(40) // 2
    alone, grouped = (_evaluated(("NORMAL", "SICK"), counts, groups).binary for groups in (None, pairs))
    assert alone is not None
    assert grouped is not None
    for (name, one, *_), (_, other, *_) in zip(alone.rows(), grouped.rows(), strict=True):
        assert other.value == pytest.approx(one.value), name
        assert other.high - other.low > one.high - one.low, name
        assert other.method == "wilson, at the effective number of images"


def test_the_positive_class_is_the_one_beside_normal_else_the_rarer_else_the_second() -> None:
    def positive(names: tuple[str, ...], counts: list[list[int]]) -> tuple[str, str]:
        found = _evaluated(names, counts).binary
        assert found is not None
        return found.positive, found.reason

    assert positive(("NORMAL", "SICK"), [[3, 1], [2, 20]]) == ("SICK", "the other class is called NORMAL")
    assert positive(("crack", "no-defect"), [[20, 2], [1, 3]]) == ("crack", "the other class is called no-defect")
    assert positive(("ant", "bee"), [[3, 1], [2, 20]]) == ("ant", "the rarer class")
    assert positive(("ant", "bee"), [[20, 2], [1, 3]]) == ("bee", "the rarer class")
    assert positive(("ant", "bee"), [[3, 1], [2, 2]]) == ("bee", "the second of two equally frequent classes")
    assert positive(("good", "ok"), [[3, 1], [2, 20]]) == ("good", "the rarer class")


def test_json_has_value_interval_and_n_and_null_where_there_is_no_image() -> None:
    found = _evaluated(("NORMAL", "SICK"), [[30, 0], [10, 0]])
    told = found.headline()
    assert found.binary is not None
    assert found.binary.ppv is None
    assert told["positive"] == "SICK"
    assert (told["sensitivity"], told["sensitivity_n"]) == (0, 10)
    assert told["sensitivity_ci"] == _close(0, 0.27753)  # 0 of 10: z² / (n + z²)
    assert (told["npv"], told["npv_n"]) == (0.75, 40)
    assert (told["ppv"], told["ppv_ci"], told["ppv_n"]) == (None, None, 0)
    assert [name for name, *_ in found.binary.rows()] == ["sensitivity", "specificity", "NPV"]


def test_three_classes_have_none() -> None:
    found = _evaluated(("ant", "bee", "cat"), [[5, 1, 0], [0, 5, 1], [1, 0, 5]])
    assert found.binary is None
    assert "sensitivity" not in found.headline()


def test_a_class_is_weak_only_where_its_interval_is_below_the_mean_f1() -> None:
    clear = _evaluated(("ant", "bee", "cat"), [[40, 0, 0], [0, 40, 0], [20, 0, 20]])
    assert [row.label for row in clear.weak_classes()] == ["cat"]
    few = _evaluated(("ant", "bee", "cat"), [[4, 0, 0], [0, 4, 0], [1, 0, 3]])
    assert min(few.per_class, key=lambda row: row.f1).label == "cat"
    assert few.weak_classes() == ()
    assert _evaluated(("ant", "bee"), [[99, 1], [60, 40]]).weak_classes() == ()
