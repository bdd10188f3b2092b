"""What an audit's finding refers to."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from keensight.core.audit import AuditReport, Finding, by_severity
from keensight.core.records import Dataset, LabelSet, Sample, Skipped

DATA = Dataset("set", "folder", LabelSet(("a",)), tuple(Sample(f"{i}.png", "a", f"{i:064x}") for i in range(4)))


def report(*findings: Finding, **more: Any) -> AuditReport:
    parts: dict[str, Any] = {"findings": findings, "quarantined": ()} | more
    return AuditReport("set", 1234, {"a": 4}, {}, {}, {}, {}, (1, 1, 1), (1, 1, 1), 0.0, **parts)


def test_its_images_are_found_by_their_place_or_else_by_their_path() -> None:
    found = Finding.on(DATA, [(0, 2), (3,)], "duplicate", "warning", "Two.")
    assert found.groups(DATA) == ((0, 2), (3,))
    older = dataclasses.replace(found, rows=())
    assert older.groups(DATA) == ((0, 2), (3,))
    turned = dataclasses.replace(DATA, samples=DATA.samples[::-1])
    assert found.groups(turned) == ((3, 1), (0,))


def test_a_path_that_is_listed_twice_is_two_images_by_place_and_both_by_path() -> None:
    data = dataclasses.replace(DATA, samples=(*DATA.samples, DATA.samples[0]))
    found = Finding.on(data, [(4, 1)], "duplicate", "warning", "One.")
    assert found.groups(data) == ((4, 1),)
    assert dataclasses.replace(found, rows=()).groups(data) == ((0, 4, 1),)


def test_a_finding_about_a_larger_set_is_looked_up_by_path() -> None:
    found = Finding.on(DATA, [(3,), (0,)], "duplicate", "warning", "Two.")
    smaller = dataclasses.replace(DATA, samples=DATA.samples[:3])
    assert found.groups(smaller) == ((), (0,))


def test_its_count_is_that_of_its_groups_unless_it_is_given() -> None:
    found = Finding.on(DATA, [(0, 2), (3,)], "duplicate", "warning", "Two.", scores=(0.5, 0.25))
    assert (found.count, found.images, found.scores) == (2, (("0.png", "2.png"), ("3.png",)), (0.5, 0.25))
    assert Finding.on(DATA, [(0, 2)], "duplicate", "info", "Two.", 0).count == 0
    assert Finding.on(DATA, [(0, 2)], "duplicate", "info", "Two.", 7).total == 1


def test_of_more_than_ten_thousand_images_the_first_are_listed() -> None:
    scores = tuple(map(float, range(10_001)))
    long = Finding("dark", "info", "Many.", 10_001, (("0.png",),) * 10_001, scores, rows=((0,),) * 10_001)
    short = long.shortened()
    assert [len(part) for part in (short.images, short.scores, short.rows)] == [10_000] * 3
    assert (short.images[-1], short.scores[-1], short.rows[-1]) == (("0.png",), 9999.0, (0,))
    assert (long.total, short.total, short.count) == (10_001, 10_001, 10_001)
    assert short.shortened() is short


def test_unusable_images_are_found_by_their_place_or_else_by_their_path() -> None:
    bad = (Skipped("1.png", "empty"), Skipped("3.png", "empty"))
    assert report(quarantined=bad, quarantined_rows=(1, 2)).unusable(DATA) == {1, 2}
    assert report(quarantined=bad).unusable(DATA) == {1, 3}
    assert report().unusable(DATA) == frozenset()


def test_the_most_severe_findings_come_first_and_equal_ones_in_their_order() -> None:
    kinds = [("a", "info"), ("b", "severe"), ("c", "warning"), ("d", "severe"), ("e", "info")]
    findings = [Finding(kind, severity, "It.", 1) for kind, severity in kinds]  # type: ignore[arg-type]
    assert [one.kind for one in by_severity(findings)] == ["b", "d", "c", "a", "e"]
    unread = (Skipped("1.png", "empty"),)
    told = repr(report(*findings, quarantined=unread))
    assert told == "<AuditReport set: 1,234 images, 1 unreadable; findings: 2 severe, 1 warning, 2 info>"
    assert repr(report()) == "<AuditReport set: 1,234 images; findings: none>"


@pytest.mark.parametrize("severity", ["severe", "warning", "info"])
def test_a_report_names_only_the_severities_that_there_are(severity: Any) -> None:
    assert repr(report(Finding("a", severity, "It.", 1))).endswith(f"findings: 1 {severity}>")
