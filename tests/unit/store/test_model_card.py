"""Each kind of model card says what its records say: every sentence with the record that makes it true, and false."""

import dataclasses
from typing import Any

import pytest

from keensight.core.anomaly import Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.evaluation import Caveat, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Decision
from keensight.core.records import LabelSet
from keensight.core.task import Task
from keensight.store.model_card import model_card
from multilabel_builders import scored
from store_builders import dataset, evaluation, make_bundle, manifest, split

ALWAYS = "It always predicts one of its 3 classes, also for an image that shows none of them."
APART = "which took no part in training"
PRECISION = Decision(0.8125, "precision", 0.95, 0.96, n=290)
SHARE = Interval(0.9, 0.8, 0.95, 0.95, "wilson")


def _deciding(rule: Decision, **more: Any) -> dict[str, Any]:
    return {"rule": "most probable class", **rule.to_manifest(), **more}


def _measured(**changes: Any) -> Evaluation:
    return dataclasses.replace(evaluation(dataset(), split()), **changes)


def test_a_model_that_never_abstains_says_so_and_no_other_does() -> None:
    plain = model_card(manifest(), _measured())
    assert ALWAYS in plain
    assert "Decision: It always predicts the most likely class, whatever an image shows." in plain
    assert "abstain" not in plain
    for card in (
        model_card(manifest(), _measured(), refuses=True),
        model_card(manifest(decision=_deciding(PRECISION)), _measured()),
        model_card(manifest(decision=_deciding(PRECISION)), _measured(), refuses=True),
        model_card(manifest(decision=_deciding(Decision(), enrolled=["ant"])), None),
    ):
        assert "always predicts one of" not in card
        assert "whatever an image shows" not in card
        assert "abstains" in card


def test_a_threshold_is_told_with_what_was_asked_and_what_is_certain() -> None:
    card = model_card(manifest(decision=_deciding(PRECISION)), _measured())
    assert "if its probability is 81.2% or more, and abstains otherwise." in card
    assert "on 290 held-out images so that 95% of the predictions are right, with a confidence of 90%." in card
    assert "out-of-distribution" not in card
    short = model_card(manifest(decision=_deciding(dataclasses.replace(PRECISION, reached=0.91))), _measured())
    assert "no threshold is certain to reach that, and with this one 91% is certain" in short
    assert "confidence of 90%" not in short
    coverage = Decision(0.5, "coverage", 0.9, 0.9, n=290)
    assert "so that 90% of them get a prediction" in model_card(manifest(decision=_deciding(coverage)), _measured())


def test_refusing_strangers_alone_is_no_threshold() -> None:
    card = model_card(manifest(), _measured(), refuses=True)
    assert "look nothing like the training images (out-of-distribution), where it abstains" in card
    assert "if its probability is" not in card
    assert "but not on all" in card
    both = model_card(manifest(decision=_deciding(PRECISION)), _measured(), refuses=True)
    assert "abstains otherwise and for images that look nothing like the training images" in both


def test_a_written_bundle_knows_whether_it_refuses(tmp_path: Any) -> None:
    assert ALWAYS in make_bundle(tmp_path / "b").card_path.read_text(encoding="utf-8")


def test_copies_in_training_take_the_claim_away() -> None:
    assert APART in model_card(manifest(), _measured())
    copied = model_card(manifest(), _measured(seen=1, cleaned=SHARE))
    assert APART not in copied
    assert "1 of them has a duplicate or near-duplicate in another split: on the others the accuracy is 90.0%" in copied
    every = model_card(manifest(), _measured(seen=2, cleaned=None))
    assert APART not in every
    assert "so the result says nothing about new images" in every


def test_suspected_groups_weaken_the_claim_and_caveats_are_listed() -> None:
    caveat = Caveat("likely-groups", "9 test images may be of patients that were trained on.", "Give --group.")
    card = model_card(manifest(), _measured(caveats=(caveat,)))
    assert f"{APART}, though other images of their groups may have" in card
    assert "- 9 test images may be of patients that were trained on. Give --group." in card
    assert "though other images" not in model_card(manifest(), _measured())


def test_an_adopted_model_claims_nothing_of_its_training() -> None:
    taken = manifest(provenance={**manifest().provenance, "adopted": True})
    card = model_card(taken, _measured())
    assert APART not in card
    assert "new to the model only if it was not trained on them" in card
    assert "its training images are not recorded here" in card


def test_the_interval_says_what_it_counts() -> None:
    assert "treats the images as independent" in model_card(manifest(), _measured())
    grouped = Interval(0.9, 0.7, 0.96, 0.95, "wilson, at the effective number of images")
    card = model_card(manifest(), _measured(accuracy=grouped))
    assert "accounts for groups of related images" in card
    assert "independent" not in card


def test_an_unmeasured_model_shows_no_results() -> None:
    card = model_card(manifest())
    assert card.count("Not evaluated yet") == 3
    assert "results below" not in card
    assert "interval of the accuracy" not in card


def test_labels_have_thresholds_and_measures_of_their_own() -> None:
    measured = scored()
    labels = manifest(
        labels=measured.labels, task=Task.MULTILABEL,
        decision={"rule": "labels at or above their thresholds", "thresholds": [0.5] * len(measured.labels)},
    )  # fmt: skip
    card = model_card(labels, measured)
    assert f"Task: multi-label classification, {len(measured.labels)} labels" in card
    assert "It predicts each label whose probability reaches the label's threshold." in card
    assert "Average precision (AP)" in card
    assert "classified correctly" not in card
    assert "always predicts" not in card
    assert "and abstains on images that are out-of-distribution" in model_card(labels, measured, refuses=True)


@pytest.mark.parametrize("seen", [0, 7])
def test_a_detector_names_its_data_and_what_it_had_seen(seen: int) -> None:
    doubts = (Caveat("leak", "7 of 20 normal test images show something else.", "Add images."),) if seen else ()
    found = AnomalyEvaluation(
        "test", 20, 60, None, SHARE, SHARE, Limits(1.0, 1.0, 0.05, 40), seen=seen, caveats=doubts
    )  # fmt: skip
    detector = manifest(
        task="anomaly", labels=LabelSet(("normal", "anomalous")),
        decision={"rule": "Gaussian of patches", "normal": ["good"]},
    )  # fmt: skip
    card = model_card(detector, found)
    data = card.split("## Data")[1].split("##")[0]
    assert "Not recorded" not in data
    assert "70 training, 15 validation, 15 test" in data
    assert "stratified" in data
    assert ("7 of 20 normal test images show something" in card) is bool(seen)
    figures = card.split("## Quantitative analyses")[1].split("##")[0].splitlines()
    assert "- False alarms: **0.900** (95% CI 0.800 to 0.950, wilson)" in figures
    assert "- Expected false alarms: at most 0.050 of normal images" in figures
    assert not any("ROC" in line for line in figures)
    bare = model_card(dataclasses.replace(detector, provenance={}), found)
    assert "Not recorded." in bare.split("## Data")[1].split("##")[0]
