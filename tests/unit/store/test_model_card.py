"""Each kind of model card says what its records say: every sentence with the record that makes it true, and false."""

import dataclasses
from typing import Any

import pytest

from keensight.core.anomaly import Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation, KindScore
from keensight.core.evaluation import Caveat, ClassScore, Evaluation
from keensight.core.interval import Interval
from keensight.core.predictions import Abstention, Decision
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


def section(card: str, title: str) -> str:
    """What a section of a card says."""
    return card.split(f"## {title}\n\n")[1].split("\n\n## ")[0].strip()


def named(n: int) -> LabelSet:
    return LabelSet(tuple(f"class {i}" for i in range(n)))


def row(label: str, support: int, **intervals: Interval) -> ClassScore:
    return ClassScore(label, 0.5, 0.25, 0.125, support, intervals=intervals)


def test_up_to_200_classes_are_listed() -> None:
    listed = ", ".join(named(200).names)
    assert model_card(manifest(named(200))).split("\n\n")[1].endswith(f"one of 200 classes: {listed}.")
    more = model_card(manifest(named(201))).split("\n\n")[1]
    assert more.endswith(f"one of 201 classes: {listed}, ....")
    rows = tuple(row(name, 20) for name in named(201).names)
    figures = section(model_card(manifest(named(201)), _measured(per_class=rows)), "Quantitative analyses")
    assert [line for line in figures.splitlines() if line.startswith("| class ")][-1].startswith("| class 199 |")


def test_classes_with_fewer_than_20_test_images_are_named() -> None:
    def told(*supports: int) -> str:
        rows = tuple(row(f"class {i}", support) for i, support in enumerate(supports))
        return section(model_card(manifest(), _measured(per_class=rows)), "Caveats and recommendations")

    assert "Fewer than 20 test images" not in told(20, 21)
    assert told(19, 20, 0).endswith("too few for a reliable result: class 0, class 2.")
    listed = ", ".join(f"class {i}" for i in range(20))
    assert told(*[1] * 20).endswith(f"result: {listed}.")
    assert told(*[1] * 21).endswith(f"result: {listed}, ....")
    assert "Fewer than" not in section(model_card(manifest()), "Caveats and recommendations")


def test_a_row_of_a_class_has_the_interval_of_each_metric_where_there_is_one() -> None:
    rows = (row("ant", 1200, precision=SHARE, recall=SHARE, f1=SHARE), row("bee", 3))
    figures = section(model_card(manifest(), _measured(per_class=rows)), "Quantitative analyses")
    assert figures.endswith(
        "| class | precision | recall | F1 | images |\n|---|---:|---:|---:|---:|\n"
        "| ant | 0.500 (0.80 to 0.95) | 0.250 (0.80 to 0.95) | 0.125 (0.80 to 0.95) | 1,200 |\n"
        "| bee | 0.500 | 0.250 | 0.125 | 3 |"
    )


def test_metrics_are_given_where_there_are_any() -> None:
    changes = {"macro_f1": 0.5, "loss": 0.25, "ece": 0.125, "intervals": {"loss": Interval(0.25, 0.2, 0.3, 0.95, "t")}}
    told = section(model_card(manifest(), _measured(**changes, brier=None, auroc=None)), "Quantitative analyses")
    plain = "Macro F1 0.5000, loss (nats) 0.2500 (0.2000 to 0.3000), calibration error (ECE) 0.1250 (brackets: 95% CI)."
    assert plain in told.split("\n\n")
    told = section(model_card(manifest(), _measured(**changes, brier=0.75, auroc=0.625)), "Quantitative analyses")
    assert "area under the ROC curve (one class against the rest, macro) 0.6250, loss" in told
    assert "Brier score 0.7500, calibration" in told


def deciding(**changes: Any) -> str:
    """The results of a model whose decision rule had this effect."""
    found = Abstention(Decision(set_level=0.9), SHARE, SHARE, None, 0.1, ())
    card = model_card(manifest(), _measured(abstention=dataclasses.replace(found, **changes), per_class=()))
    return section(card, "Quantitative analyses")


def test_what_the_decision_rule_did_is_told_where_it_did_something() -> None:
    some = (
        "The model predicted 90.0% of the images and abstained on the rest; 90.0% of its predictions are right "
        "(95% CI 80.0% to 95.0%)."
    )
    sets = (
        "Of its prediction sets, made to contain the true class for at least 90% of images, 90.0% do (95% CI 80.0% to "
        "95.0%), with 1.25 classes on average."
    )
    every = Interval(1.0, 0.9, 1.0, 0.95, "wilson")
    several: dict[str, Any] = {"set_coverage": SHARE, "set_size": 1.25, "set_singles": 0.75}
    assert some in deciding().split("\n\n")
    assert f"{some} {sets}" in deciding(**several).split("\n\n")
    assert sets in deciding(**several, answered=every).split("\n\n")
    for nothing in (
        deciding(answered=every), deciding(answered=every, **several | {"set_singles": 1}),
        deciding(accuracy=None, **several),
    ):  # fmt: skip
        assert "abstained" not in nothing
        assert "prediction sets" not in nothing
        assert "\n\n\n" not in nothing


def test_two_classes_have_a_positive_one() -> None:
    two = LabelSet(("defect", "ok"))
    rows = (row("defect", 4, precision=SHARE, recall=SHARE), row("ok", 1000, precision=SHARE, recall=SHARE))
    measured = _measured(labels=two, per_class=rows, confusion=((3, 1), (2, 998)))
    figures = section(model_card(manifest(two), measured), "Quantitative analyses")
    assert "Positive class: defect (" in figures
    assert "| sensitivity | 90.0% | 80.0% to 95.0% | 3 of 4 images of defect were detected |" in figures
    assert "| NPV | 90.0% | 80.0% to 95.0% | 998 of 999 predictions of ok were right |\n\n" in figures
    assert "Positive class" not in model_card(manifest(), _measured())


def test_the_confidence_is_judged_where_it_was_measured() -> None:
    assert "confidence" in section(model_card(manifest(), _measured()), "Quantitative analyses")
    bare = section(model_card(manifest(), _measured(calibration=None)), "Quantitative analyses")
    assert "confidence" not in bare
    assert "\n\n\n" not in bare


def test_enrolled_classes_are_named_with_the_rule_that_assigns_them() -> None:
    decision = {"rule": "nearest class mean", "enrolled": ["bee | wasp", "fly"], "trained": 1}
    card = model_card(manifest(decision=decision))
    assert "Decision: nearest class mean. It abstains on images that are not near any class mean." in card
    limits = section(card, "Caveats and recommendations")
    assert "Added after training, from a few images each (enrolled): bee \\| wasp, fly." in limits
    assert "how often that is right has not been evaluated" in limits
    assert "An image that shows none of its classes can still get one of them." in limits
    assert "some such images are not noticed" in limits
    measured = section(model_card(manifest(decision=decision), _measured()), "Caveats and recommendations")
    assert "has not been evaluated" not in measured
    both = model_card(manifest(decision=decision | _deciding(PRECISION) | decision), refuses=True)
    assert "not near any class mean, below a probability of 81.2%, out-of-distribution." in both
    assert "enrolled" not in model_card(manifest())


def test_a_threshold_alone_lets_strangers_through() -> None:
    limits = section(model_card(manifest(decision=_deciding(PRECISION))), "Caveats and recommendations")
    assert "An image that shows none of its classes can still get one of them." in limits
    assert "knows no other labels" not in limits


def test_the_data_is_told_as_far_as_it_is_recorded() -> None:
    def told(data: Any) -> tuple[str, str]:
        card = model_card(manifest(provenance={"data": data}), _measured())
        return section(card, "Training data"), section(card, "Evaluation data").partition(",")[0]

    assert told({"name": "a | b", "train": 1200, "val": None, "test": 5}) == (
        "- Dataset: a \\| b\n- Images: 1,200 training, 5 test", "The test set of a \\| b",
    )  # fmt: skip
    assert told({"split": "by time"}) == ("- Split: by time", "The test set")
    assert told({}) == ("Not recorded.", "The test set")
    assert told(["insects"]) == ("Not recorded.", "The test set")


def test_the_origin_is_told_as_far_as_it_is_recorded() -> None:
    def told(**provenance: Any) -> str:
        return section(model_card(manifest(provenance=provenance)), "Origin")

    assert told(run="r-1", seed=0, versions={"keras": "3", "numpy": "2"}) == (
        "- Run: r-1\n- Seed: 0\n- Versions: keras 3, numpy 2"
    )
    assert told(command="keensight train", versions="3") == "- Command: keensight train"
    assert told() == "Not recorded."


def test_the_details_are_those_of_the_manifest() -> None:
    assert section(model_card(manifest(temperature=1.23456)), "Model details").splitlines() == [
        "- Architecture: cnn",
        "- Task: single-label classification, 3 classes",
        "- Input: any image, decoded to 32 × 28 px RGB (pad)",
        "- Normalization: x / 127.5 - 1",
        "- Temperature: 1.235",
        "- Decision: It always predicts the most likely class, whatever an image shows.",
        "- License, contact: to be completed by the publisher",
    ]


def test_a_detector_that_was_not_evaluated_says_so_and_names_what_is_normal() -> None:
    detector = manifest(task="anomaly", labels=LabelSet(("normal", "anomalous")), decision={"normal": ["good", "a|b"]})
    card = model_card(detector)
    assert section(card, "Quantitative analyses") == "Not evaluated yet: do not rely on any prediction."
    assert "trained on normal images only (good, a\\|b)." in card
    assert card.endswith("\n")


def test_the_kinds_of_anomalies_are_a_table_where_there_are_any() -> None:
    found = AnomalyEvaluation("val", 2000, 1500, SHARE, SHARE, None, Limits(1.0, 1.0, 0.05, 40))
    detector = manifest(task="anomaly", labels=LabelSet(("normal", "anomalous")), decision={})
    figures = section(model_card(detector, found), "Quantitative analyses")
    assert figures.splitlines()[0] == "On the validation set (2,000 normal, 1,500 anomalous images):"
    assert "- Area under the ROC curve: **0.900** (95% CI 0.800 to 0.950, wilson)" in figures
    assert "False alarms: **" not in figures
    assert "| kind |" not in figures
    found = dataclasses.replace(found, kinds=(KindScore("dent", 1500, SHARE),))
    figures = section(model_card(detector, found), "Quantitative analyses")
    assert figures.endswith("\n\n| kind | detected | images |\n|---|---:|---:|\n| dent | 0.900 | 1,500 |")


def test_text_from_outside_is_escaped() -> None:
    card = model_card(manifest(name="a\n# b `c` & <i> \\ [d]"))
    assert card.startswith("# a \\# b \\`c\\` &amp; &lt;i> \\\\ \\[d\\]: image classifier (cnn)\n")


def test_up_to_200_labels_have_a_row() -> None:
    measured = scored()
    assert measured.multilabel is not None
    first, names = measured.multilabel.per_label[0], named(201)
    labels = dataclasses.replace(
        measured.multilabel,
        per_label=tuple(dataclasses.replace(first, label=name, average_precision=None) for name in names.names),
    )
    rows = tuple(row(name, 1234) for name in names.names)
    many = manifest(names, task=Task.MULTILABEL, decision={"thresholds": [0.5] * 201})
    figures = section(model_card(many, _measured(multilabel=labels, per_class=rows)), "Quantitative analyses")
    last = f"| class 199 | - | {first.base_rate:.3f} | {first.threshold:.2f} | 0.500 | 0.250 | 0.125 | 1,234 |"
    assert figures.splitlines()[-1] == last


def test_what_is_known_of_the_test_images_is_told_with_the_data_and_the_results() -> None:
    def told(**changes: Any) -> tuple[str, str]:
        card = model_card(manifest(), _measured(n=1234, **changes))
        return section(card, "Evaluation data"), section(card, "Quantitative analyses").partition(" (n = 1,234): ")[0]

    assert told() == (
        "The test set of insects, 1,234 images, which took no part in training.",
        "On the test set, which took no part in training,",
    )
    assert told(part="val") == ("The validation set of insects, 1,234 images.", "On the validation set")
    assert told(seen=2, cleaned=SHARE) == (
        "The test set of insects, 1,234 images. 2 of them have a duplicate or near-duplicate in another split: on the "
        "others the accuracy is 90.0% (95% CI 80.0% to 95.0%).",
        "On the test set",
    )
