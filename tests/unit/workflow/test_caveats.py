"""What makes a result doubtful stands beside it, and only then."""

import dataclasses

import numpy as np
import pytest

from keensight.assess import metrics
from keensight.assess.intervals import share
from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.audit import AuditReport, Finding
from keensight.core.evaluation import Evaluated
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.records import Dataset, LabelSet, Sample, Split
from keensight.workflow.caveats import LEVEL, anomaly_caveats, caveats_of
from multilabel_builders import scored

LABELS = LabelSet(("cat", "dog"))
NORMAL = ("cat",)
SPLIT = Split(tuple(range(200)), tuple(range(200, 400)), tuple(range(400, 600)), "by hand")


def data(torn=True):
    """600 images, of each person one in each split; or of each person two neighbors, all in one split."""
    names = [f"{LABELS.names[i % 2]}/person{i % 200 if torn else i // 2}_{i}.png" for i in range(600)]
    samples = tuple(
        Sample(name, name.split("/")[0], f"{i:064x}", metadata={"patient": f"p{i % 200}"})
        for i, name in enumerate(names)
    )
    return Dataset("pets", "folder", LABELS, samples)


def audit(*findings):
    return AuditReport("pets", 600, {}, {}, {}, {}, {}, (0, 0, 0), (0, 0, 0), 0.0, findings, ())


def evaluated(images=None, wrong=20, rows=None, clusters=None, **changes):
    images = images or data()
    rows = np.array(SPLIT.test if rows is None else rows)
    truth = images.targets()[rows]
    said = truth.copy()
    said[:wrong] = 1 - said[:wrong]
    p = np.where(np.arange(2)[None] == said[:, None], 0.9, 0.1).astype(np.float32)
    figures = dataclasses.replace(metrics.evaluate(p, truth, LABELS, groups=clusters), **changes)
    paths = tuple(images.samples[int(row)].path for row in rows)
    predictions = Predictions(paths, LABELS, p, indices=rows, truth=truth, clusters=clusters)
    return Evaluated.of(figures, predictions, images)


def kinds(*args, **options):
    return [caveat.kind for caveat in caveats_of(*args, **options)]


def test_a_clean_result_has_no_caveat():
    images = Finding("unusual-mode", "info", "2 images are neither plain gray nor RGB.", 2)
    assert caveats_of(evaluated(), audit(images), SPLIT) == ()


def test_leaked_images_are_counted_beside_the_accuracy_without_them():
    (caveat,) = caveats_of(evaluated(seen=12, cleaned=Interval(0.8, 0.7, 0.9)), audit(), SPLIT)
    assert caveat.kind == "leak"
    assert "12 of 200 test images have a duplicate" in caveat.message
    assert "80.0% (95% CI 70.0% to 90.0%)" in caveat.message


def test_one_leaked_image_has_a_duplicate():
    (caveat,) = caveats_of(evaluated(seen=1, cleaned=Interval(0.8, 0.7, 0.9)), audit(), SPLIT)
    assert caveat.message.startswith("1 of 200 test images has a duplicate")


def test_where_all_images_leaked_nothing_else_is_said_of_their_accuracy():
    found = evaluated(rows=range(400, 450), wrong=5, seen=50)
    assert kinds(found, audit(), SPLIT, validated(100)) == ["leak"]
    assert "too high and says nothing about new images." in caveats_of(found, audit(), SPLIT)[0].message


@pytest.mark.parametrize("option", [r"--group-regex '(person\d+)_'", "--group patient"])
def test_test_images_of_a_suspected_group_that_was_trained_on_are_counted(option):
    hint = Finding("suggested-groups", "warning", "The names suggest groups.", 200, suggestion=option)
    (caveat,) = caveats_of(evaluated(), audit(hint), SPLIT)
    assert caveat.kind == "likely-groups"
    assert caveat.message.startswith("200 of 200 test images may show a subject that the model was trained on")
    assert option in caveat.advice


def test_suspected_groups_that_the_split_keeps_together_are_no_caveat():
    hint = Finding("suggested-groups", "warning", "x", 600, suggestion=r"--group-regex '(person\d+)_'")
    assert kinds(evaluated(data(torn=False)), audit(hint), SPLIT) == []


def test_a_small_test_set_is_said_by_its_independent_images():
    assert kinds(evaluated(rows=range(400, 450), wrong=5), audit(), SPLIT) == ["few-images"]
    (caveat,) = caveats_of(evaluated(clusters=np.arange(200) // 4), audit(), SPLIT)
    assert "200 test images (50 that are independent)" in caveat.message
    assert kinds(evaluated(clusters=np.arange(200) // 2), audit(), SPLIT) == []


def test_a_small_multi_label_test_set_is_said_with_the_result_that_is_shown():
    found = scored(40)
    labels = found.multilabel.mean_average_precision
    (caveat,) = [
        one for one in caveats_of(found, audit(), Split((), (), tuple(range(40)), "")) if one.kind == "few-images"
    ]
    assert caveat.message.startswith("The mAP is based on only 40 test images: on new images it may be anything from ")
    assert caveat.message.endswith(f"from {labels.low:.1%} to {labels.high:.1%}.")


def test_a_class_without_test_images_is_said():
    found = caveats_of(evaluated(rows=range(400, 600, 2), wrong=5), audit(), SPLIT)
    assert [caveat.kind for caveat in found] == ["absent-in-test"]
    assert "no test image of dog" in found[0].message


def validated(right, n=200):
    return share(np.arange(n) < right, level=LEVEL)


@pytest.mark.parametrize(("right", "doubtful"), [(180, False), (188, False), (199, True), (150, True)])
def test_validation_and_test_that_disagree_are_said(right, doubtful):
    """180 of 200 test images are right."""
    found = caveats_of(evaluated(), audit(), SPLIT, validated(right))
    assert [caveat.kind for caveat in found] == (["validation-differs"] if doubtful else [])
    if doubtful:
        assert f"{right / 200:.1%} in validation but 90.0% on the test set" in found[0].message


def test_a_disagreement_by_fewer_independent_images_is_chance():
    clusters = np.repeat(np.arange(10), 20)
    found = evaluated(clusters=clusters)
    assert "validation-differs" not in kinds(found, audit(), SPLIT, validation=validated(199))


def test_classes_that_were_never_learned_are_no_disagreement():
    """All dogs are wrong, and no dog was there to be learned."""
    split = dataclasses.replace(SPLIT, train=tuple(range(0, 200, 2)), val=tuple(range(200, 400, 2)))
    found = evaluated(rows=[*range(401, 600, 2), *range(400, 600, 2)], wrong=110)
    assert kinds(found, audit(), split, validated(180)) == []
    (caveat,) = caveats_of(found, audit(), split, validated(100))
    assert "but 90.0% on the test set (without the classes that only this set has)" in caveat.message
    assert kinds(found, audit(), SPLIT, validated(180)) == ["validation-differs"]


def test_an_image_under_two_labels_counts_only_where_it_was_measured():
    images = data()
    both = Finding.on(images, [(0, 1), (399, 400)], "label-conflict", "severe", "2 images appear twice.")
    (caveat,) = caveats_of(evaluated(images), audit(both), SPLIT)
    assert (caveat.kind, caveat.message[:25]) == ("label-conflict", "1 test image also appears")
    elsewhere = Finding.on(images, [(0, 1)], "label-conflict", "severe", "1 image appears twice.")
    assert kinds(evaluated(images), audit(elsewhere), SPLIT) == []


def test_validation_images_with_a_copy_in_training_are_counted():
    images = data()
    copied = Finding.on(images, [(i, 200 + i) for i in range(40)], "near-duplicate", "warning", "40 images are there.")
    (caveat,) = caveats_of(evaluated(images), audit(copied), SPLIT)
    assert caveat.kind == "validation-leak"
    assert caveat.message.startswith(
        "40 of 200 validation images have a duplicate or an augmented copy in the training"
    )


@pytest.mark.parametrize("ties", [[(i, 200 + i) for i in range(10)], [(200 + i, 201 + i) for i in range(0, 80, 2)]])
def test_few_copies_and_copies_within_the_validation_set_are_no_caveat(ties):
    images = data()
    copied = Finding.on(images, ties, "near-duplicate", "warning", "Some images are there.")
    assert kinds(evaluated(images), audit(copied), SPLIT) == []


def test_shortcuts_and_whatever_else_is_severe_are_said_in_the_words_of_the_audit():
    shortcut = Finding("shortcut", "warning", "The corners alone tell the class: crop them.", 600)
    copied = Finding("augmented-copies", "warning", "At least 300 of 600 images are augmented copies of others.", 300)
    unread = Finding("unreadable", "severe", "90 images cannot be read.", 90)
    mild = Finding("unreadable", "warning", "1 image cannot be read.", 1)
    found = caveats_of(evaluated(), audit(shortcut, copied, unread, mild), SPLIT)
    assert [str(caveat) for caveat in found] == [shortcut.message, copied.message, unread.message]


def test_they_are_in_the_document_of_figures():
    found = evaluated(seen=12)
    found = dataclasses.replace(found, caveats=caveats_of(found, audit(), SPLIT))
    (caveat,) = found.headline()["caveats"]
    assert caveat.keys() == {"kind", "message", "advice"}


def anomalies(normal=150, seen=0):
    images = data()
    rows = np.array(SPLIT.test)
    scored = AnomalyScores(
        tuple(images.samples[i].path for i in SPLIT.test), np.ones(200), indices=rows, truth=("a",) * 200
    )
    rate = Interval(0.05, 0.02, 0.12)
    return AnomalyEvaluation(
        "test",
        normal,
        50,
        None,
        None,
        rate,
        Limits(1.0, 1.0, 0.05, 40),
        seen=seen,
        anomaly_scores=scored,
        dataset=images,
    )


def test_a_detector_has_caveats_too():
    assert anomaly_caveats(anomalies(), audit(), SPLIT, NORMAL) == ()
    hint = Finding("suggested-groups", "warning", "x", 200, suggestion="--group patient")
    leak, groups = anomaly_caveats(anomalies(seen=120), audit(hint), SPLIT, NORMAL)
    assert leak.message.startswith("120 of 150 normal test images resemble normal training")
    assert (groups.kind, "--group patient" in groups.advice) == ("likely-groups", True)
    (few,) = anomaly_caveats(anomalies(normal=60), audit(), SPLIT, NORMAL)
    assert "only 60 normal test images: on new images it may be anything from 2.0% to 12.0%" in few.message


def test_more_false_alarms_than_expected_are_told():
    found = dataclasses.replace(anomalies(), false_alarms=Interval(0.4, 0.06, 0.9))
    (differs,) = anomaly_caveats(found, audit(), SPLIT, NORMAL)
    assert differs.kind == "validation-differs"
    assert differs.message.startswith("40.0% of the normal test images are flagged, but at most 5.0% were expected")
    grouped = dataclasses.replace(found, false_alarms=Interval(0.4, 0.05, 0.9))
    assert anomaly_caveats(grouped, audit(), SPLIT, NORMAL) == ()


def test_few_normal_images_may_all_exceed_a_threshold_from_few():
    found = dataclasses.replace(anomalies(), normal=1, false_alarms=Interval(1.0, 0.207, 1.0))
    found = dataclasses.replace(found, limits=Limits(1.0, 1.0, 1 / 8, 7))
    assert "validation-differs" not in {one.kind for one in anomaly_caveats(found, audit(), SPLIT, NORMAL)}


def test_a_doubtful_detector_is_doubted():
    found = dataclasses.replace(
        anomalies(), anomalous=1, recall=Interval(1.0, 0.2, 1.0), auroc=Interval(0.8, 0.4, 0.95),
        limits=Limits(1.0, 1.0, 0.125, 7),
    )  # fmt: skip
    told = [str(one) for one in anomaly_caveats(found, audit(), SPLIT, NORMAL)]
    assert len(told) == 3
    assert "may be as low as 0.400" in told[0] and "no better than guessing" in told[0]
    assert "based on only 7 unseen normal images" in told[1]
    assert "based on only 1 anomalous test image: on new images it may be anything from 20.0% to 100.0%." in told[2]


def test_images_of_a_normal_and_an_anomalous_class_are_counted():
    found = anomalies()
    images = found.dataset
    both = Finding.on(images, [(0, 401), (402, 403)], "label-conflict", "severe", "2 images appear twice.")
    conflict, leak = anomaly_caveats(found, audit(both), SPLIT, NORMAL)
    assert (conflict.kind, leak.kind) == ("label-conflict", "leak")
    assert conflict.message.startswith("2 images appear in both a normal and an anomalous class")
    assert leak.message.startswith("1 of 100 anomalous test images is also among the normal training")
    unused = Finding.on(images, [(401, 403), (0, 2)], "label-conflict", "severe", "Two kinds of one side.")
    assert anomaly_caveats(found, audit(unused), SPLIT, NORMAL) == ()
