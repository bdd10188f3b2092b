"""The shortcut check's rules at their limits, and which pixels belong to which region, without slow trees."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from keensight.assess.intervals import share
from keensight.assess.shortcuts import (
    _alone,
    _Aspect,
    _aspects,
    _carriers,
    _judge,
    _right,
    _Trial,
    _trial,
    _uneven,
    borders,
    centre,
    choose,
    corners,
    probe,
    surround,
)
from keensight.core.audit import Finding, Probe, Severity
from keensight.core.progress import Silent

N = 60
TARGETS = np.arange(N) % 2
ALONE = np.arange(N)
TELLING = TARGETS[:, None] * 100.0
NOTHING = np.zeros((N, 1))


class Nearest:
    """In place of trees, which take seconds: the class of the nearest image, of several the first."""

    def __init__(self, trees: int, **options: Any) -> None:
        self.n_jobs = options["n_jobs"]

    def fit(self, features: Any, targets: Any) -> None:
        self._seen = features, targets

    def set_params(self, **options: Any) -> None:
        self.n_jobs = options["n_jobs"]

    def predict(self, features: Any) -> Any:
        assert self.n_jobs == 1, "several threads add votes up in any order"
        return self._seen[1][cdist(features, self._seen[0]).argmin(axis=1)]


@pytest.fixture
def nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sklearn.ensemble.ExtraTreesClassifier", Nearest)


def gray(place: Any = None, size: int = 16) -> np.ndarray:
    """Gray images that are all the same, but for a place in the shade of the class."""
    images = np.full((N, size, size, 3), 90, np.uint8)
    if place is not None:
        images[place] = np.where(TARGETS, 200, 90)[:, None, None, None]
    return images


def run(images: np.ndarray, **traits: np.ndarray) -> tuple[dict[str, Probe], list[Finding]]:
    probes, findings = probe(images, {k.replace("_", " "): v for k, v in traits.items()}, TARGETS, ALONE)
    return {one.name: one for one in probes}, findings


PLACES = ["corners", "border", "surround"]
REFERENCES = ["picture", "thumbnail", "centre", "middle"]


def test_what_is_not_known_of_the_files_is_not_probed(nearest: None) -> None:
    assert list(run(gray())[0]) == REFERENCES + PLACES
    probes, findings = run(gray(), format=NOTHING, bytes=NOTHING, file_name=NOTHING)
    assert list(probes) == [*REFERENCES, "metadata", "name", "bytes", *PLACES]
    assert findings == []
    assert {name for name, one in probes.items() if one.verdict == "reference"} == set(REFERENCES)


def test_a_subject_that_is_easy_is_no_fault(nearest: None) -> None:
    probes, findings = run(gray(np.s_[:, 5:11, 5:11]))
    assert findings == []
    for name in REFERENCES:
        assert (probes[name].accuracy.value, probes[name].verdict) == (1.0, "reference")
    for name in PLACES:
        assert (probes[name].accuracy.value, probes[name].verdict) == (0.5, "quiet")


@pytest.mark.parametrize(
    ("place", "shown", "severity"),
    [
        # Four corners alike, and four sides: only their lead over the middle is an alarm.
        ([np.s_[:, :3, :3], np.s_[:, :3, -3:], np.s_[:, -3:, :3], np.s_[:, -3:, -3:]], "The content of the corners",
         "severe"),
        ([np.s_[:, :1, 4:-4], np.s_[:, -1:, 4:-4], np.s_[:, 4:-4, :1], np.s_[:, 4:-4, -1:]],
         "The content of the border", "severe"),
        # Beside the outermost strip, and between the corners.
        ([np.s_[:, 5:11, 1:2]], "The margin around the masked center", "severe"),
    ],
)  # fmt: skip
def test_a_place_that_alone_shows_the_class_is_one_severe_finding(
    nearest: None, place: list[Any], shown: str, severity: Severity
) -> None:
    images = gray()
    for one in place:
        images[one] = gray(one)[one]
    (finding,) = run(images)[1]
    assert (finding.kind, finding.severity, finding.count) == ("shortcut", severity, N)
    assert finding.message.startswith(f"{shown} alone predicts the class of 100% of 60 images (chance 50%, ")
    assert finding.message.endswith("look for a marker, frame or background that correlates with the class; crop or "
                                    "mask it.")  # fmt: skip


def test_the_file_size_is_compared_with_a_thumbnail_and_is_no_other_metadata(nearest: None) -> None:
    probes, (finding,) = run(gray(), format=NOTHING, bytes=TELLING, file_name=NOTHING)
    assert [name for name, one in probes.items() if one.verdict == "alarm"] == ["bytes"]
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "The file size in bytes alone predicts the class of 100% of 60 images (chance 50%, 8 x 8 px thumbnail 50%): "
    )
    assert run(gray(np.s_[:, 5:11, 5:11]), bytes=TELLING)[1] == []


def test_metadata_and_names_should_not_tell_whatever_the_images_do(nearest: None) -> None:
    probes, (first, second) = run(gray(np.s_[:, 5:11, 5:11]), format=NOTHING, EXIF=TELLING, file_name=TELLING)
    assert first.severity == "warning" and second.severity == "info"
    assert "images (chance 50%), mostly from the EXIF: " in first.message
    assert second.message.startswith("The pattern of the file name alone predicts the class of 100% of 60 images "
                                     "(chance 50%): ")  # fmt: skip
    assert probes["name"].words == second.message.split(": ")[0] + "."


def test_what_is_the_same_in_all_images_predicts_nothing_beyond_the_most_frequent_class(nearest: None) -> None:
    targets = np.array([0, 0, 0, 1, 2])[np.arange(N) % 5]
    found, findings = probe(gray(), {}, targets, ALONE)
    assert {one.chance for one in found} == {0.6} and {one.n for one in found} == {N}
    assert {one.accuracy.value for one in found} == {0.6}
    assert [one.balanced for one in found] == [pytest.approx(1 / 3)] * 7
    assert findings == []


class Steps(Silent):
    """Notes the number of steps announced, and how many were made."""

    total, done = 0, 0

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator["Steps"]:
        self.total += total
        yield self

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        self.done += amount


def test_each_aspect_is_a_step_of_the_progress(nearest: None) -> None:
    steps = Steps()
    found, _ = probe(gray(), {"bytes": NOTHING}, TARGETS, ALONE, progress=steps)
    assert steps.total == steps.done == len(found) == 8


def test_the_whole_image_is_seen_at_16_and_a_thumbnail_at_8_pixels() -> None:
    sides = {one.name: one.parts[""].shape[1] for one in _aspects(gray(size=32)[:1], {}) if "" in one.parts}
    assert (sides["picture"], sides["thumbnail"]) == (16 * 16 * 3, 8 * 8 * 3)


@pytest.mark.usefixtures("nearest")
def test_copies_are_predicted_from_each_other_unless_they_are_one_unit() -> None:
    rng = np.random.default_rng(0)
    features, targets, units = rng.normal(size=(40, 3)).repeat(3, axis=0), rng.integers(0, 2, 40).repeat(3), None
    assert _right(features, _trial(targets, np.arange(120))).mean() > 0.95
    units = np.arange(40).repeat(3)
    trial = _trial(targets, units)
    assert _right(features, trial).mean() < 0.7
    assert len(trial.folds) == 5 and trial.units is not None
    assert sorted(np.concatenate(trial.folds)) == list(range(120))
    assert all(not np.isin(units[held], np.delete(units, held)).any() for held in trial.folds)


def test_each_image_is_predicted_once_and_each_class_in_every_fold() -> None:
    targets = np.repeat([0, 1], [45, 15])
    trial = _trial(targets, np.arange(60))
    assert (trial.chance, trial.classes, trial.units) == (0.75, 2, None)
    assert [(targets[held] == 1).sum() for held in trial.folds] == [3] * 5
    assert sorted(np.concatenate(trial.folds)) == list(range(60))


@pytest.mark.parametrize(("units", "many"), [(5, 60), (4, 55)])
def test_a_class_needs_five_units(units: int, many: int) -> None:
    targets = np.array([0] * 30 + [1] * 25 + [2] * 5)
    unit = np.arange(60)
    unit[55:] = 100 + np.arange(5) % units
    assert len(choose(targets, unit)) == many


def test_fifty_images_are_enough_and_their_places_ascend() -> None:
    targets = np.arange(51) % 2
    assert choose(targets[:49], np.arange(49)).tolist() == []
    assert choose(targets[:50], np.arange(50)).tolist() == list(range(50))
    assert choose(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_a_class_that_fewer_than_five_of_the_chosen_images_have_is_omitted() -> None:
    kept = []
    for rare in range(6, 16):
        targets = np.repeat([0, 1, 2], [4500, 4500, rare])
        chosen = choose(targets, np.arange(len(targets)))
        assert 3995 < len(chosen) <= 4000
        kept.append(int((targets[chosen] == 2).sum()))
    assert {0, 5} <= set(kept) and not {1, 2, 3, 4} & set(kept)
    assert np.array_equal(chosen, choose(targets, np.arange(len(targets)), seed=0))
    assert not np.array_equal(chosen, choose(targets, np.arange(len(targets)), seed=1))


def judged(
    right: int,
    rival: int,
    n: int = 128,
    *,
    margin: float = 0.0625,
    picture: float = 0.5,
    chance: float = 0.5,
    units: np.ndarray | None = None,
) -> tuple[Probe, Finding | None]:
    """The verdict on a margin, of how many of n images of two classes it and the middle predict right."""
    answers = {"surround": np.arange(n) < right, "middle": np.arange(n) < rival}
    probes = {
        name: Probe(name, share(answers["middle"]), chance, balanced, n, "reference", "")
        for name, balanced in (("middle", rival / n), ("picture", picture))
    }
    aspect = _Aspect("surround", "the margin", {"": np.zeros((n, 1))}, "mask it", "middle", margin, "severe")
    return _judge(aspect, _Trial(np.arange(n) % 2, (), chance, 2, units), answers, probes)


def test_a_skill_of_a_quarter_tells() -> None:
    found, finding = judged(80, 64)  # of 128 images of two classes: a skill of 0.25
    assert found.verdict == "alarm" and finding is not None
    assert found.balanced == 80 / 128
    assert judged(78, 62)[0].verdict == "quiet"


def test_a_lead_of_just_the_margin_is_an_alarm() -> None:
    assert judged(100, 96)[0].verdict == "alarm"  # skills of 0.5625 and 0.5
    assert judged(100, 96, margin=0.0626)[0].verdict == "quiet"


def test_a_place_that_shows_much_less_than_the_whole_image_is_no_alarm() -> None:
    assert judged(112, 64, picture=1.0)[0].verdict == "alarm"  # a skill of 0.75
    assert judged(108, 64, picture=1.0)[0].verdict == "quiet"  # of 0.6875


def test_accuracy_must_lie_above_the_most_frequent_class_by_its_whole_interval() -> None:
    assert judged(100, 64, chance=0.69)[0].verdict == "alarm"  # 0.781 (0.702 to 0.844)
    assert judged(100, 64, chance=0.71)[0].verdict == "quiet"


def test_a_lead_within_a_single_unit_is_chance() -> None:
    units = np.arange(128)
    units[96:104] = 96
    assert judged(104, 96)[0].verdict == "alarm"
    assert judged(104, 96, units=units)[0].verdict == "quiet"


def test_the_words_of_a_probe_and_of_its_finding() -> None:
    found, finding = judged(96, 70)
    words = "The margin alone predicts the class of 75% of 128 images (chance 50%, center 55%)"
    assert finding is not None
    assert (found.words, finding.message) == (f"{words}.", f"{words}: mask it.")
    assert (found.name, found.n, found.chance, finding.count) == ("surround", 128, 0.5, 128)


@pytest.mark.usefixtures("nearest")
def test_one_perfect_corner_is_severe_where_the_middle_is_perfect_too() -> None:
    trial = _trial(TARGETS, ALONE)
    right = np.ones(N, bool)
    probes = {name: Probe(name, share(right), 0.5, 1.0, N, "reference", "") for name in ("centre", "picture")}

    def judge(**parts: np.ndarray) -> Finding | None:
        aspect = _Aspect("corners", "the corners", parts, "mask them", "centre", 0.03, "severe")
        return _judge(aspect, trial, {"corners": right, "centre": right}, probes)[1]

    finding = judge(left=NOTHING, right=TELLING)
    assert finding is not None and finding.severity == "severe"
    assert "center 100%), mostly from the right: " in finding.message
    assert judge(left=TELLING, right=TELLING) is None
    assert judge(left=NOTHING, right=NOTHING) is None


@pytest.mark.usefixtures("nearest")
def test_only_what_has_components_has_skills_of_them() -> None:
    trial = _trial(TARGETS, ALONE)
    assert _alone(_Aspect("bytes", "bytes", {"": TELLING}), trial) == {}
    assert _alone(_Aspect("metadata", "file", {"size": TELLING, "EXIF": NOTHING}), trial) == {"size": 1.0, "EXIF": 0.0}


@pytest.mark.parametrize(
    ("skills", "uneven"), [([0.8, 0.4, 0.7], True), ([0.8, 0.52], False), ([0.79, 0.0], False), ([1.0, 0.71], False)]
)
def test_regions_are_uneven_where_one_is_nearly_perfect_and_another_0_3_less(skills: list[float], uneven: bool) -> None:
    assert _uneven(skills) is uneven


def test_all_that_carry_nearly_the_whole_skill_are_named_the_best_first() -> None:
    assert _carriers({"a": 0.5, "b": 0.8, "c": 0.95}, 1.0) == ["c", "b"]
    assert _carriers({"a": 0.5, "b": 0.6}, 1.0) == ["b"]
    assert _carriers({"a": 0.9, "b": 0.6}, 0.7) == ["a", "b"]


def reached(parts: Any, height: int, width: int) -> list[list[list[int]]]:
    """For each part of images of a size, the first and the last row and column whose pixels change it."""
    images = np.zeros((height * width, height, width, 3), np.uint8)
    images.reshape(len(images), -1, 3)[np.arange(len(images)), np.arange(len(images))] = 255
    found = []
    for values in parts(images):
        places = np.argwhere(values.any(axis=1).reshape(height, width))
        (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
        assert len(places) == (bottom - top + 1) * (right - left + 1)
        found.append([[top, bottom], [left, right]])
    return found


@pytest.mark.parametrize(("height", "width", "h", "w"), [(32, 42, 6, 8), (8, 8, 2, 2)])
def test_corners_are_a_fifth_of_each_side_and_the_square_in_the_middle_is_as_large(
    height: int, width: int, h: int, w: int
) -> None:
    upper, lower, left, right = [0, h - 1], [height - h, height - 1], [0, w - 1], [width - w, width - 1]
    assert list(corners(np.zeros((1, 8, 8, 3), np.uint8))) == [
        "upper left corner", "upper right corner", "lower left corner", "lower right corner"
    ]  # fmt: skip
    assert reached(lambda images: corners(images).values(), height, width) == [
        [upper, left], [upper, right], [lower, left], [lower, right]
    ]  # fmt: skip
    square = [[height // 2 - h, height // 2 + h - 1], [width // 2 - w, width // 2 + w - 1]]
    assert reached(lambda images: [centre(images)], height, width) == [square]


@pytest.mark.parametrize(("height", "width", "h", "w", "b"), [(32, 52, 6, 10, 2), (8, 8, 2, 2, 1)])
def test_borders_are_a_sixteenth_wide_and_end_at_the_corners(height: int, width: int, h: int, w: int, b: int) -> None:
    rows, columns = [h, height - h - 1], [w, width - w - 1]
    assert list(borders(np.zeros((1, 8, 8, 3), np.uint8))) == [
        "upper border", "lower border", "left border", "right border"
    ]  # fmt: skip
    assert reached(lambda images: borders(images).values(), height, width) == [
        [[0, b - 1], columns], [[height - b, height - 1], columns],
        [rows, [0, b - 1]], [rows, [width - b, width - 1]],
    ]  # fmt: skip


def test_the_middle_six_eighths_of_each_side_are_masked() -> None:
    assert reached(lambda images: surround(images)[1:], 32, 24) == [[[4, 27], [3, 20]]]
    image = np.zeros((2, 32, 24, 3), np.uint8)
    image[1, 4:28, 3:21] = 255
    outside, inside = surround(image)
    assert not outside.any() and inside.tolist() == [[0] * 108, [255] * 108] and outside.shape == (2, 84)


def test_a_border_is_five_patches_along_its_side_and_how_much_they_vary() -> None:
    shades = np.repeat([0, 20, 40, 60, 80], 4)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, :2, 6:-6] = image[0, -2:, 6:-6] = shades[:, None]
    image[0, 6:-6, :2] = image[0, 6:-6, -2:] = shades[:, None, None]
    each = np.repeat([0, 20, 40, 60, 80], 3).tolist()  # of three channels, whose standard deviation is the root of 800
    assert [values[0].tolist() for values in borders(image).values()] == [[*each, *[pytest.approx(800**0.5)] * 3]] * 4
