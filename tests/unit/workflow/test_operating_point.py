"""From an evaluation to an operating point."""

import dataclasses

import numpy as np
import pytest

import keensight as ks
from keensight.assess import metrics
from keensight.core.evaluation import Evaluated
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.data.units import clusters
from keensight.errors import DataError, UsageError

LABELS = LabelSet(("ill", "well"))


def evaluation(n=200, groups=False):
    rng = np.random.default_rng(0)
    ill = rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + 3 * ill - 1.5)))
    samples = tuple(
        Sample(f"{i}.png", "ill" if ill[i] else "well", str(i), group=str(i // 4) if groups else None) for i in range(n)
    )
    data = Dataset("made up", "table", LABELS, samples)
    probabilities = np.stack([p, 1 - p], axis=1).astype(np.float32)
    found = metrics.evaluate(probabilities, data.targets(), LABELS, part="val")
    predictions = Predictions(
        tuple(s.path for s in samples), LABELS, probabilities, indices=np.arange(n), truth=data.targets(),
        clusters=clusters(samples, np.arange(n)),
    )  # fmt: skip
    return Evaluated.of(found, predictions, data)


@pytest.mark.parametrize("purpose", ["sensitivity", "specificity", "precision"])
def test_a_threshold_for_a_purpose_holds_it_where_it_was_chosen(purpose):
    found = ks.operating_point(evaluation(), "ill", **{purpose: 0.85})
    assert found.reached
    assert getattr(found, purpose).value >= 0.85
    assert purpose in found.target


def test_a_given_threshold_is_measured_as_it_is():
    whole = ks.operating_point(evaluation(), "ill", threshold=0.5)
    assert whole.threshold == 0.5
    accuracy = (whole.counts[0] + whole.counts[3]) / whole.n
    assert accuracy == pytest.approx(evaluation().accuracy.value)
    assert ks.operating_point(evaluation(), "well", threshold=0.5).sensitivity.value == whole.specificity.value


def test_groups_are_heeded():
    alone, together = (ks.operating_point(evaluation(groups=given), "ill", threshold=0.5) for given in (False, True))
    assert "effective" in together.specificity.method or "effective" in together.sensitivity.method
    assert alone.specificity.method == "wilson"


@pytest.mark.parametrize("purpose", [{}, {"threshold": 0.5, "precision": 0.9}, {"precision": 1.0}, {"sensitivity": 0}])
def test_not_exactly_one_sensible_purpose_is_refused(purpose):
    with pytest.raises(UsageError):
        ks.operating_point(evaluation(), "ill", **purpose)


def test_an_unknown_class_and_missing_predictions_are_refused():
    with pytest.raises(UsageError, match="no class 'sick'"):
        ks.operating_point(evaluation(), "sick", threshold=0.5)
    with pytest.raises(DataError, match="not available"):
        ks.operating_point(evaluation().figures, "ill", threshold=0.5)


def test_images_of_one_kind_choose_no_threshold():
    one = evaluation(3)
    ill = dataclasses.replace(one.predictions, truth=np.zeros(3, int))
    with pytest.raises(DataError, match="no threshold"):
        ks.operating_point(dataclasses.replace(one, predictions=ill), "ill", sensitivity=0.9)
