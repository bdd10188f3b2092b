import dataclasses

import numpy as np

from keensight.data.audit.audit import audit
from keensight.data.audit.label_checks import LABEL_CHECKS
from multilabel_builders import labelled


def findings(rows):
    return {finding.kind: finding for finding in audit(labelled(rows, ("bar", "dot", "rare"))).findings}


def rows(n=100):
    held = np.zeros((n, 3), bool)
    held[: n // 2, 0] = True
    held[n // 4 : 3 * n // 4, 1] = True
    held[:2, 2] = True
    return held


def test_an_audit_counts_labels():
    report = audit(labelled(rows(), ("bar", "dot", "rare")))
    assert report.counts == {"bar": 50, "dot": 50, "rare": 2}
    assert "small-class" not in {finding.kind for finding in report.findings}


def test_near_empty_labels_are_severe_where_they_cannot_be_in_each_part():
    found = findings(rows())["near-empty-label"]
    assert found.severity == "severe"
    assert "1 label is on fewer than 20 images" in found.message
    assert "rare (2)" in found.message


def test_a_label_that_nearly_all_images_have_cannot_be_learned_either():
    held = rows()
    held[:, 2] = True
    held[:5, 2] = False
    found = findings(held)["near-empty-label"]
    assert found.severity == "warning"
    assert "missing from fewer than 20 images" in found.message
    assert "rare (5)" in found.message


def test_images_without_a_label_are_listed():
    found = findings(rows())["without-label"]
    assert found.count == len(found.images) == 25
    assert found.severity == "warning"


def test_what_goes_together_is_told():
    found = findings(rows())["label-co-occurrence"]
    assert "bar with dot 25 (1.0 times" in found.message
    assert "0.98 to" not in found.message
    assert "0 to 2 labels" in found.message
    assert found.message.endswith("1 pair of labels never occurs together.")


def test_sets_of_one_class_an_image_are_left_alone():
    data = dataclasses.replace(labelled(rows()), task="multiclass")
    assert not any(check(data, None) for check in LABEL_CHECKS)
