"""Groups by file name: given, refused, suggested."""

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keensight.core.audit import Finding
from keensight.core.records import Dataset, ImageSpec, LabelSet, Sample
from keensight.data.cache import prepare
from keensight.data.pixels import ArrayPixels
from keensight.data.sources.groups import grouped, suggested_groups
from keensight.data.sources.readers import open_source
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
        ("patient(", UsageError, "not a valid regular expression"),
        ("kitten", DataError, "matches no path"),
        (r".*", DataError, "its own group"),
        (r"patient", DataError, "into one group"),
    ],
)
def test_a_pattern_that_makes_no_groups_is_refused(pattern: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        grouped(named(PATIENTS), pattern)
    assert caught.value.hint  # type: ignore[attr-defined]


def suggested_pattern(finding: Finding) -> str:
    """What a shell makes of the option."""
    option, pattern = shlex.split(finding.suggestion)
    assert option == "--group-regex"
    assert finding.suggestion in finding.message
    return pattern


UUID = "6094d3ab-4af9-4b2e-b286-ab9a46{:06x}"
SUGGESTING = {
    "patients": (PATIENTS, 40),
    "frames that count again in each class": ([f"{c}/{i:05}_{k:05}.ppm" for c in "abcd" for i in range(9)
                                              for k in range(4)], 36),
    "crops": ([f"{'ab'[i % 2]}/img_{i:04}-{k}.png" for i in range(50) for k in range(3)], 50),
    "turned copies": ([f"{'ab'[i % 2]}/IMG_{i}_rot{k}.png" for i in range(50) for k in (0, 90)], 50),
    "augmented copies and originals": ([f"{'ab'[i % 2]}/img_{i}{end}.png" for i in range(50)
                                        for end in ("", "_aug1", "_flip")], 50),
    "augmented copies of random names": ([f"a/{UUID.format(i)}{end}.JPG" for i in range(50)
                                          for end in ("", "_90deg", "_flipLR")], 50),
    "a file manager's copies": ([f"{'ab'[i % 2]}/IMG_{i}{end}.jpg" for i in range(2000, 2050)
                                 for end in ("", " (2)")], 50),
    "exports of Roboflow": ([f"{'ab'[i % 2]}/{UUID.format(i)}_jpg.rf.{k:032x}.jpg" for i in range(50)
                             for k in (7 * i, 7 * i + 1)], 50),
    "retinas of Kermany": ([f"{c}/{c}-{104729 * i}-{k}.jpeg" for i in range(1, 41) for c in ("CNV", "NORMAL")
                            for k in (1, 2)], 40),
    "slides of BreakHis": ([f"{'bm'[i % 2]}/SOB_{'BM'[i % 2]}_A-14-{22549 + 7 * i}AB-{zoom}-{k:03}.png"
                            for i in range(40) for zoom in (40, 100) for k in (1, 2, 3)], 40),
    "people of LFW by sex": ([f"{'fm'[i % 2]}/{chr(65 + i % 26)}aron_P{'eirsol'[: 1 + i // 26]}_{k:04}.jpg"
                              for i in range(60) for k in (1, 2, 3)], 60),
    "few clips of a video": ([f"{'ab'[i % 2]}/clip{i:02}_frame{k:04}.jpg" for i in range(8) for k in range(20)], 8),
    "folders below the class": ([f"{'ab'[i % 2]}/P{i:03}/{k}.png" for i in range(40) for k in range(3)], 40),
    "a source before some names": ([f"a/SITE2-IM-{i:04}-{k}.png" for i in range(30) for k in (1, 2)]
                                   + [f"a/IM-{i:04}-{k}.png" for i in range(30, 60) for k in (1, 2)], 60),
}  # fmt: skip
PLAIN = {
    "a camera's": [f"{c}/IMG_{i + 500 * k:04}.jpg" for k, c in enumerate("ab") for i in range(500)],
    "numbers": [f"{c}/{i:04}.png" for c in "ab" for i in range(300)],
    "class and number": [f"{c}/{c}_{i:04}.png" for c in ("cat", "dog") for i in range(300)],
    "class, number in brackets": [f"{c}/{c} ({i}).png" for c in ("cat", "dog") for i in range(300)],
    "number and class": [f"{c}/{i:04}_{c}.png" for c in ("cat", "dog") for i in range(300)],
    "few cameras": [f"{c}/DSC{i % 3}_{i:04}.png" for c in "ab" for i in range(200)],
    "synsets": [f"n0{c}/n0{c}_{i}.JPEG" for c in range(1440, 1450) for i in range(50)],
    "ISIC's": [f"{c}/ISIC_{24000 + 3 * i + k:07}_downsampled.jpg" for k, c in enumerate("ab") for i in range(300)],
    "random": [f"a/{UUID.format(i)}.jpg" for i in range(300)],
    "people who are the classes": [f"Person_{i}/Person_{i}_{k:04}.jpg" for i in range(30) for k in range(4)],
}


@pytest.mark.parametrize("name", SUGGESTING)
def test_names_suggest_groups_and_the_pattern_proposed_makes_them(name: str) -> None:
    paths, groups = SUGGESTING[name]
    (finding,) = suggested_groups(named(paths), None)
    assert (finding.kind, finding.severity, finding.count) == ("suggested-groups", "warning", groups)
    data = grouped(named(paths), suggested_pattern(finding))
    assert len({sample.group for sample in data.samples}) == groups
    assert suggested_groups(data, None) == []


@pytest.mark.parametrize("name", PLAIN)
def test_plain_numbering_suggests_nothing(name: str) -> None:
    assert suggested_groups(named(PLAIN[name]), None) == []


def pictures(groups: Iterable[object]) -> np.ndarray:
    """Noise, of which one half is the same in images of one group; shape (n, 24, 24, 3)."""
    rng, shared = np.random.default_rng(0), defaultdict[object, np.ndarray](lambda: rng.normal(size=(24, 24, 3)))
    noisy = [shared[group] + rng.normal(size=(24, 24, 3)) for group in groups]
    return np.clip(128 + 30 * np.stack(noisy), 0, 255).astype(np.uint8)


def seen(data: Dataset, groups: Iterable[object]) -> ArrayPixels:
    return ArrayPixels(pictures(groups), {}, data, ImageSpec(24, 24))


RUNS = [(i, k) for i in range(60) for k in range(4)]
SHOTS = [f"{'ab'[i % 2]}/shots{i}_{k}.png" for i, k in RUNS]


@pytest.mark.slow
def test_images_that_look_alike_confirm_what_the_names_suggest() -> None:
    data = named(SHOTS)
    (finding,) = suggested_groups(data, seen(data, (i for i, _ in RUNS)))
    assert finding.count == 60


@pytest.mark.slow
def test_images_that_are_not_alike_refute_what_the_names_suggest() -> None:
    data = named(SHOTS)
    assert len(suggested_groups(data, None)) == 1
    assert suggested_groups(data, seen(data, range(len(data)))) == []


@pytest.mark.slow
def test_of_two_levels_the_coarser_one_is_chosen_whose_images_are_alike() -> None:
    triples = [(i, j, k) for i in range(20) for j in range(12) for k in range(2)]
    data = named(f"{'ab'[i % 2]}/{7 * i}_{j}_{k}.png" for i, j, k in triples)
    for groups, count in (((i for i, _, _ in triples), 20), (((i, j) for i, j, _ in triples), 240)):
        (finding,) = suggested_groups(data, seen(data, groups))
        assert finding.count == count


def test_a_pattern_can_be_pasted_into_a_shell() -> None:
    paths = [f"{'ab'[i % 2]}/it's_{i}_{k}.png" for i in range(40) for k in range(3)]
    (finding,) = suggested_groups(named(paths), None)
    assert len({sample.group for sample in grouped(named(paths), suggested_pattern(finding)).samples}) == 40


def with_columns(**columns: Iterable[object]) -> Dataset:
    rows = list(zip(*columns.values(), strict=True))
    data = named(f"{'ab'[i % 2]}/{chr(97 + i % 26)}{i}.png" for i in range(len(rows)))
    filled = (
        replace(sample, metadata=dict(zip(columns, row, strict=True)))
        for sample, row in zip(data.samples, rows, strict=True)
    )
    return replace(data, samples=tuple(filled))


@pytest.mark.parametrize(
    "name", ["patient_id", "PatientID", "Subject", "case id", "lesion_id", "source_image", "board_group", "houses",
             "trackid", "video-name", "patientId"]
)  # fmt: skip
def test_a_column_that_looks_like_a_group_is_mentioned(name: str) -> None:
    data = with_columns(**{name: [i // 4 for i in range(120)]})
    (finding,) = suggested_groups(data, None)
    assert (finding.kind, finding.severity, finding.count) == ("possible-group-column", "warning", 30)
    assert shlex.split(finding.suggestion) == ["--group", name]
    assert finding.suggestion in finding.message
    assert "120 of 120 images come in 30 groups" in finding.message
    assert len(finding.images[0]) == 4


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("patient_age", [i // 4 for i in range(120)]),
        ("n_patients", [i // 4 for i in range(120)]),
        ("colour", [i // 4 for i in range(120)]),
        ("image_id", [i // 4 for i in range(120)]),
        ("patient_id", list(range(120))),
        ("patient_id", [7] * 120),
        ("patient_id", [None] * 120),
        ("group", [("treated", "control")[i % 3 == 0] for i in range(120)]),
        ("plant", ["ab"[i % 2] for i in range(120)]),
        ("camera", [i % 6 for i in range(120)]),
    ],
)
def test_a_column_that_is_no_group_is_not_mentioned(name: str, values: list[object]) -> None:
    assert suggested_groups(with_columns(**{name: values}), None) == []


def test_a_column_is_not_mentioned_where_it_is_the_class() -> None:
    data = named(f"p{i // 4:02}/{i}.png" for i in range(120))
    samples = tuple(replace(sample, metadata={"person": sample.label.upper()}) for sample in data.samples)
    assert suggested_groups(replace(data, samples=samples), None) == []


def test_no_column_is_mentioned_where_a_group_is_in_use() -> None:
    data = with_columns(patient=[i // 4 for i in range(120)])
    used = replace(data, samples=tuple(replace(sample, group="x") for sample in data.samples))
    assert suggested_groups(used, None) == []


@pytest.mark.slow
def test_the_column_whose_images_are_alike_comes_first() -> None:
    patient, slide = [i // 4 for i in range(120)], [(7 * i) % 40 for i in range(120)]
    data = with_columns(patient=patient, slide=slide)
    for column in ("patient", "slide"):
        values = [sample.metadata[column] for sample in data.samples]
        (finding,) = suggested_groups(data, seen(data, values))
        assert finding.suggestion == f"--group {column}"
        assert f"Other columns that could be the group: {({'patient', 'slide'} - {column}).pop()}." in finding.message


def test_names_are_mentioned_beside_a_column_that_ties_other_images() -> None:
    data = named(SHOTS)
    for values, kinds in (
        ([i for i, _ in RUNS], ["possible-group-column"]),
        ([k + 4 * (i % 3) for i, k in RUNS], ["possible-group-column", "suggested-groups"]),
    ):
        filled = (replace(s, metadata={"patient": value}) for s, value in zip(data.samples, values, strict=True))
        found = suggested_groups(replace(data, samples=tuple(filled)), None)
        assert [finding.kind for finding in found] == kinds


REAL = [("chest_xray", "patient_id", 416), ("gtsrb43", "track_id", 888), ("deeppcb_crops", "source_image", 400)]


@pytest.mark.slow
@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize(("name", "column", "count"), REAL)
def test_real_names_tear_no_group(
    real_data: Callable[[str], Path], name: str, column: str, count: int, *, looked_at: bool
) -> None:
    data = open_source(real_data(name), group=column)
    true_groups = [sample.group for sample in data.samples]
    plain = replace(data, samples=tuple(replace(sample, group=None, metadata={}) for sample in data.samples))
    pixels = prepare(plain, ImageSpec(64, 64)) if looked_at else None
    (finding,) = suggested_groups(plain, pixels)
    assert finding.count == count
    searched = re.compile(suggested_pattern(finding))
    found = defaultdict(set)
    for group, sample in zip(true_groups, plain.samples, strict=True):
        match = searched.search(sample.path)
        found[group].add(match[1] if match else sample.path)
    assert sum(len(names) > 1 for names in found.values()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "column"), [real[:2] for real in REAL])
def test_real_columns(real_data: Callable[[str], Path], name: str, column: str) -> None:
    (finding,) = suggested_groups(open_source(real_data(name)), None)
    assert finding.kind == "possible-group-column"
    assert column in finding.message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plantvillage15", "clothing_small", "orl_faces"])
def test_real_names_without_groups(real_data: Callable[[str], Path], name: str) -> None:
    data = open_source(real_data(name))
    assert suggested_groups(data, None) == suggested_groups(data, prepare(data, ImageSpec(64, 64))) == []
