"""The readers, the audit and the split on real image sets, where they are available."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from keensight.core.records import PARTS, Dataset, Split
from keensight.data.audit.audit import audit
from keensight.data.sources.readers import open_source
from keensight.data.splits import make_split

pytestmark = pytest.mark.slow

FASHION = Path("/usr/share/datasets/fashion-mnist")


def _straddling(data: Dataset, split: Split) -> int:
    parts: dict[str | None, set[str]] = {}
    for part in PARTS:
        for i in split.part(part):
            parts.setdefault(data.samples[i].group, set()).add(part)
    return sum(len(found) > 1 for group, found in parts.items() if group is not None)


@pytest.mark.parametrize(
    ("name", "column", "n", "classes", "groups"),
    [
        ("chest_xray", "patient_id", 1999, 2, 1090),
        ("gtsrb43", "track_id", 3552, 43, 888),
        ("deeppcb_crops", "board_group", 2800, 7, 11),
    ],
)
def test_grouped_sets(
    real_data: Callable[[str], Path], name: str, column: str, n: int, classes: int, groups: int
) -> None:
    data = open_source(real_data(name), group=column)
    assert (len(data), len(data.labels), data.skipped) == (n, classes, ())
    assert len({sample.group for sample in data.samples}) == groups
    split = make_split(data)
    assert _straddling(data, split) == 0
    assert sum(map(len, (split.train, split.val, split.test))) == n
    for part in PARTS:
        assert len({data.samples[i].label for i in split.part(part)}) == classes
    assert 0.10 < len(split.val) / n < 0.225
    assert 0.10 < len(split.test) / n < 0.225


def test_chest_xray_by_pathogen(real_data: Callable[[str], Path]) -> None:
    data = open_source(real_data("chest_xray"), label="pathogen")
    assert data.labels.names == ("bacteria", "none", "virus")


def test_clothing_keeps_its_parts(real_data: Callable[[str], Path]) -> None:
    data = open_source(real_data("clothing_small"))
    assert (data.kind, len(data.labels)) == ("split folders", 10)
    report = audit(data)
    assert report.parts == {"train": 3068, "val": 341, "test": 372}
    assert Counter(finding.severity for finding in report.findings)["severe"] == 0
    split = make_split(data)
    assert (len(split.train), len(split.val), len(split.test)) == (3068, 341, 372)


def test_faces_lie_a_folder_deeper(real_data: Callable[[str], Path]) -> None:
    data = open_source(real_data("orl_faces"))
    assert (len(data), len(data.labels)) == (400, 40)
    assert data.labels.names[:3] == ("s1", "s2", "s3")
    split = make_split(data)
    tested = Counter(data.samples[i].label for i in split.test)
    assert set(tested) == set(data.labels.names) and set(tested.values()) <= {1, 2}  # 1.5 of ten are wanted


def test_the_leaky_fixture_has_no_exact_copies_across_parts(real_data: Callable[[str], Path]) -> None:
    # Its leak is re-encoded: digests cannot see it, which a finding of near-duplicates has to.
    report = audit(open_source(real_data("chest_xray_leaky_fixture")))
    assert {finding.kind for finding in report.findings} & {"leak", "absent-class"} == {"absent-class"}


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="Fashion-MNIST (package dataset-fashion-mnist) is not installed")
def test_fashion_mnist() -> None:
    data = open_source(FASHION)
    assert Counter(sample.split for sample in data.samples) == {"train": 60000, "test": 10000}
    assert Counter(sample.label for sample in data.samples) == {str(k): 7000 for k in range(10)}
    split = make_split(data)
    assert split.test == tuple(range(60000, 70000))
    assert 5700 < len(split.val) < 6300
