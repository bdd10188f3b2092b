"""Normal images are dealt out, anomalous ones test; what the split does not keep is said with its figure."""

import dataclasses
from collections.abc import Sequence

import pytest

from keensight.core.audit import AuditReport, Finding
from keensight.core.config import RunConfig
from keensight.core.records import Dataset, LabelSet, Sample, Split
from keensight.data.audit.duplicates import KEPT_TOGETHER
from keensight.errors import DataError
from keensight.workflow.anomaly_split import as_divided, divide, seen_normals

GOOD = ("good",)


def _data(good: int = 100, bad: int = 60, **changes: dict[int, str]) -> Dataset:
    """Normal images first; ``group`` and ``split`` by index."""
    given = {name: dict(values) for name, values in changes.items()}
    samples = tuple(
        Sample(
            f"{i}.png", "good" if i < good else "hole", f"{i:064x}",
            group=given.get("group", {}).get(i), split=given.get("split", {}).get(i),
        )
        for i in range(good + bad)
    )  # fmt: skip
    return Dataset("parts", "folder", LabelSet(("good", "hole")), samples)


def _findings(data: Dataset, ties: Sequence[Sequence[int]] = ()) -> AuditReport:
    message = f"images are there more than once: {KEPT_TOGETHER}; look at them."
    near = [Finding.on(data, ties, "near-duplicate", "warning", message)] if ties else []
    return AuditReport("parts", len(data), {}, {}, {}, {}, {}, (1, 1, 1), (1, 1, 1), 0.0, tuple(near), ())


def _labels(data: Dataset, rows: Sequence[int]) -> list[str]:
    return [data.samples[i].label for i in rows]


def test_every_anomalous_image_tests() -> None:
    data = _data()
    split = divide(GOOD, RunConfig(), data, _findings(data))
    assert set(_labels(data, split.train)) == set(_labels(data, split.val)) == {"good"}
    assert _labels(data, split.test).count("hole") == 60
    assert 5 < _labels(data, split.test).count("good") < 30
    assert "60 anomalous images are in the test set" in split.method
    assert "70% train of the normal images" in split.method
    assert "not used" not in split.method


def test_one_anomalous_image_is_enough_and_none_are_refused() -> None:
    data = _data(bad=1)
    assert _labels(data, divide(GOOD, RunConfig(), data, _findings(data)).test).count("hole") == 1
    data = _data(bad=0)
    with pytest.raises(DataError, match="no anomalous test image"):
        divide(GOOD, RunConfig(), data, _findings(data))


def test_an_anomalous_image_of_a_group_that_trains_is_not_used_and_counted() -> None:
    groups = {i: f"board {i // 2}" for i in range(100)} | {100 + i: f"board {i}" for i in range(50)}
    data = _data(group=groups)
    split = divide(GOOD, RunConfig(), data, _findings(data))
    learned = {data.samples[i].group for i in (*split.train, *split.val)}
    tested = {data.samples[i].group for i in split.test} - {None}
    assert learned and tested and not learned & tested
    unused = len(data) - sum(map(len, (split.train, split.val, split.test)))
    assert unused > 20
    assert f" {unused:,} more are not used: they share a group" in split.method


def test_near_duplicates_stay_together_where_that_leaves_enough() -> None:
    data = _data()
    ties = [(2 * i, 2 * i + 1) for i in range(50)]
    findings = _findings(data, ties)
    split = divide(GOOD, RunConfig(), data, findings)
    parts = [set(split.train), set(split.val), set(split.test)]
    assert all(any(set(tie) <= part for part in parts) for tie in ties)
    assert seen_normals(findings, data, split, GOOD) == 0
    assert as_divided(findings, split, 0, 15) == findings


@pytest.mark.parametrize("size", [70, 100])
def test_where_all_look_alike_the_audit_takes_its_promise_back_with_the_figure(size: int) -> None:
    data = _data()
    findings = _findings(data, [tuple(range(size))])
    split = divide(GOOD, RunConfig(), data, findings)
    assert _labels(data, split.test).count("good") > 5
    assert "does not keep near-duplicates together" in split.method
    seen = seen_normals(findings, data, split, GOOD)
    tested = _labels(data, split.test).count("good")
    assert seen == sum(i < size for i in split.test) > 0
    (told,) = as_divided(findings, split, seen, tested).findings
    assert KEPT_TOGETHER not in told.message
    have = "has" if seen == 1 else "have"
    assert f"{seen} of {tested} normal test images {have} a near-duplicate among the training or val" in told.message


def test_an_anomalous_class_without_training_images_is_no_finding() -> None:
    from keensight.data.audit.checks import absent_class

    data = _data(split={i: "train" if i < 50 else "test" for i in range(160)})
    (absent,) = absent_class(data, None)
    assert (absent.severity, "no image of hole" in absent.message) == ("severe", True)
    findings = dataclasses.replace(_findings(data, [(0, 1)]), findings=(*_findings(data, [(0, 1)]).findings, absent))
    split = divide(GOOD, RunConfig(), data, findings)
    assert [one.kind for one in as_divided(findings, split, 0, 50).findings] == ["near-duplicate"]


def test_only_the_test_set_must_have_every_class() -> None:
    from keensight.data.audit.checks import absent_class

    places = {i: "train" if i < 50 else "val" if i < 80 else "test" for i in range(160)}
    data = _data(split=places)
    absent = absent_class(data, None)
    assert [one.message.split()[2] for one in absent] == ["train", "val"]
    report = dataclasses.replace(_findings(data), findings=tuple(absent))
    untested = tuple(absent_class(_data(split=places | dict.fromkeys(range(80, 100), "val")), None))
    assert "test set has no image of good" in untested[-1].message
    split = Split((0,), (50,), (80,), "predefined")
    assert as_divided(report, split, 0, 20).findings == ()
    kept = as_divided(dataclasses.replace(report, findings=untested), split, 0, 20)
    assert kept.findings == untested[-1:]


def test_a_tie_of_a_normal_and_an_anomalous_image_binds_nothing() -> None:
    data = _data()
    findings = _findings(data, [(i, 100 + i) for i in range(60)])
    split = divide(GOOD, RunConfig(), data, findings)
    assert _labels(data, split.test).count("hole") == 60
    assert seen_normals(findings, data, split, GOOD) == 0


def test_a_predefined_test_set_is_kept() -> None:
    places = (
        dict.fromkeys(range(80), "train")
        | dict.fromkeys(range(80, 120), "test")
        | dict.fromkeys(range(120, 160), "train")
    )
    data = _data(split=places)
    split = divide(GOOD, RunConfig(), data, _findings(data))
    assert split.test == tuple(range(80, 120))


def test_without_a_predefined_test_set_anomalous_training_images_test() -> None:
    data = _data(split={i: "val" if i % 4 == 0 else "train" for i in range(160)})
    split = divide(GOOD, RunConfig(), data, _findings(data))
    assert _labels(data, split.val).count("hole") == 15
    assert _labels(data, split.test).count("hole") == 45
    assert isinstance(split, Split) and "hole" not in _labels(data, split.train)
