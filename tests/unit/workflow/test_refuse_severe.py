"""``--strict``: an image set with a severe finding is refused in words, not with names of the file format."""

import pytest

from keensight.core.audit import AuditReport, Finding
from keensight.errors import GateError
from keensight.workflow import refuse_severe

LEAK = Finding("near-leak", "severe", "3 test images are near-duplicates of training images.", 3)
GROUPS = Finding("group-leak", "severe", "2 groups are in several splits.", 2)
SIZES = Finding("odd-size", "warning", "1 image has an unusual size.", 1)


def report(*findings: Finding) -> AuditReport:
    return AuditReport(
        dataset="photos", n=9, counts={"cat": 5, "dog": 4}, parts={}, formats={"JPEG": 9}, modes={"RGB": 9},
        sizes={"64x48": 9}, width_range=(64, 64, 64), height_range=(48, 48, 48), grey_share=0.0,
        findings=findings, quarantined=(),
    )  # fmt: skip


def test_a_severe_finding_is_named_in_words_and_the_others_are_counted():
    with pytest.raises(GateError) as refused:
        refuse_severe(report(LEAK, SIZES, GROUPS))
    assert str(refused.value) == (
        "photos has a severe problem, data leakage (near-duplicates) (and 1 more): "
        "3 test images are near-duplicates of training images"
    )


def test_warnings_are_not_refused():
    refuse_severe(report(SIZES))
