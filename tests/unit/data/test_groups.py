"""Groups by file name: given, refused, suggested."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from keensight.core.records import Dataset, LabelSet, Sample
from keensight.data.groups import grouped, suggested_groups
from keensight.data.readers import open_source
from keensight.errors import DataError, UsageError


def named(paths: Iterable[str]) -> Dataset:
    samples = tuple(Sample(path, path.split("/")[0], str(i)) for i, path in enumerate(paths))
    return Dataset("set", "folder", LabelSet(tuple(sorted({sample.label for sample in samples}))), samples)


PATIENTS = [f"{c}/patient{i}_{k:03}.jpg" for c in ("ill", "well") for i in range(40) for k in range(3)]


@pytest.mark.parametrize("pattern", [r"(patient\d+)_", r"patient\d+"])
def test_the_first_group_or_the_whole_match_names_the_group(pattern: str) -> None:
    data = grouped(named([*PATIENTS, "well/other.jpg"]), pattern)
    assert data.samples[4].group == "patient1"
    assert data.samples[-1].group is None


@pytest.mark.parametrize(
    ("pattern", "error", "words"),
    [
        ("patient(", UsageError, "no regular expression"),
        ("kitten", DataError, "matches no path"),
        (r".*", DataError, "a group of its own"),
        (r"patient", DataError, "into one group"),
    ],
)
def test_a_pattern_that_makes_no_groups_is_refused(pattern: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        grouped(named(PATIENTS), pattern)
    assert caught.value.hint  # type: ignore[attr-defined]


SUGGESTING = {
    "patients": (PATIENTS, 40),
    "frames that count anew in each class": ([f"{c}/{i:05}_{k:05}.ppm" for c in "abcd" for i in range(9)
                                              for k in range(4)], 36),
    "crops": ([f"{'ab'[i % 2]}/img_{i:04}-{k}.png" for i in range(50) for k in range(3)], 50),
    "turned copies": ([f"{'ab'[i % 2]}/IMG_{i}_rot{k}.png" for i in range(50) for k in (0, 90)], 50),
}  # fmt: skip
PLAIN = {
    "a camera's": [f"{c}/IMG_{i + 500 * k:04}.jpg" for k, c in enumerate("ab") for i in range(500)],
    "numbers": [f"{c}/{i:04}.png" for c in "ab" for i in range(300)],
    "class and number": [f"{c}/{c}_{i:04}.png" for c in ("cat", "dog") for i in range(300)],
    "class, number in brackets": [f"{c}/{c} ({i}).png" for c in ("cat", "dog") for i in range(300)],
    "number and class": [f"{c}/{i:04}_{c}.png" for c in ("cat", "dog") for i in range(300)],
    "few cameras": [f"{c}/DSC{i % 3}_{i:04}.png" for c in "ab" for i in range(200)],
    "synsets": [f"n0{c}/n0{c}_{i}.JPEG" for c in range(1440, 1450) for i in range(50)],
}


@pytest.mark.parametrize("name", SUGGESTING)
def test_names_suggest_groups_and_the_pattern_proposed_makes_them(name: str) -> None:
    paths, groups = SUGGESTING[name]
    (finding,) = suggested_groups(named(paths), None)
    assert finding.count == groups
    pattern = finding.message.split("--group-regex '")[1].split("'")[0]
    data = grouped(named(paths), pattern)
    assert len({sample.group for sample in data.samples}) == groups
    assert suggested_groups(data, None) == []


@pytest.mark.parametrize("name", PLAIN)
def test_plain_numbering_suggests_nothing(name: str) -> None:
    assert suggested_groups(named(PLAIN[name]), None) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("gtsrb43", 888), ("plantvillage15", None), ("clothing_small", None)])
def test_real_names(real_data: Callable[[str], Path], name: str, count: int | None) -> None:
    found = suggested_groups(open_source(real_data(name)), None)
    assert [finding.count for finding in found] == ([] if count is None else [count])
