"""Planted shortcuts are called out by name, and a clean set raises no alarm."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from keensight.assess.intervals import share
from keensight.assess.shortcuts import (
    MOST,
    SEVERE,
    SHARE,
    TELLING,
    UNEVEN,
    _Aspect,
    _judge,
    _Trial,
    centre,
    choose,
    corners,
    probe,
)
from keensight.core.audit import Finding, Probe, Severity

N, CLASSES = 400, 4
TARGETS = np.arange(N) % CLASSES
ALONE = np.arange(N)


def pictures() -> np.ndarray:
    """A disc in the class's shade amid noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (N, 32, 32, 3))
    images[:, 10:22, 10:22] += (40 * TARGETS)[:, None, None, None]
    return images.astype(np.uint8)


def run(images: np.ndarray, units: np.ndarray = ALONE, **traits: np.ndarray) -> tuple[dict[str, Probe], list[Finding]]:
    probes, findings = probe(images, {k.replace("_", " "): v for k, v in traits.items()}, TARGETS, units)
    return {one.name: one for one in probes}, findings


def test_the_documented_rule_has_the_numbers_of_the_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "shortcuts.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    for name in ("metadata", "name", "bytes", "corners", "surround"):
        assert f"{TELLING} or more" in rows[name]
        assert (f"{SHARE} of the whole picture's" in rows[name]) is (name in ("bytes", "corners", "surround"))
    assert f"one corner (side) alone has {SEVERE} or more and another one {UNEVEN} less" in rows["corners"]
    assert f"is {SEVERE} or more and either {SEVERE / 2} above the middle's" in " ".join(text.split())
    assert f"on {MOST:,} images at most" in text


@pytest.mark.slow
def test_one_telling_corner_is_an_alarm_whatever_the_middle_tells() -> None:
    images = pictures()
    images[:, 10:22, 10:22] = (60 * TARGETS)[:, None, None, None]
    images[:, :6, :6] = (60 * TARGETS)[:, None, None, None]
    probes, findings = run(images)
    assert probes["centre"].accuracy.value == probes["corners"].accuracy.value == 1
    assert [finding.severity for finding in findings] == ["severe"]
    images[:, :6, -6:] = images[:, -6:, :6] = images[:, -6:, -6:] = (60 * TARGETS)[:, None, None, None]
    assert run(images)[1] == []


@pytest.mark.slow
def test_a_clean_set_raises_no_alarm() -> None:
    noise = np.random.default_rng(1).normal(size=(N, 2))
    probes, findings = run(pictures(), image_size=noise, bytes=noise)
    assert findings == []
    assert probes["picture"].balanced > 0.9
    assert probes["corners"].accuracy.value < 0.4
    assert {one.verdict for one in probes.values()} == {"quiet", "reference"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "name"),
    [
        (np.s_[:, -4:, :4], "lower left corner"),
        (np.s_[:, :2, 8:24], "upper border"),
        (np.s_[:, 9:20, :2], "left border"),
    ],
)
def test_a_colour_of_the_class_is_found_where_it_is(place: tuple[slice, ...], name: str) -> None:
    images = pictures()
    colours = np.random.default_rng(2).integers(0, 256, (CLASSES, 3))
    images[place] = colours[TARGETS][:, None, None, :]
    (finding,) = run(images)[1]
    assert finding.message.split("mostly from the ")[1].startswith(name + ":")


@pytest.mark.slow
def test_a_perfect_corner_in_a_hard_set_is_severe() -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, 32, 32, 3)).astype(np.uint8)
    images[:, :5, -5:] = (60 * TARGETS)[:, None, None, None]
    assert [finding.severity for finding in run(images)[1]] == ["severe"]


@pytest.mark.slow
def test_a_texture_that_fills_the_picture_is_no_alarm() -> None:
    shades = 40 + 50 * TARGETS[:, None, None, None]
    images = (shades + np.random.default_rng(0).integers(-30, 31, (N, 32, 32, 3))).clip(0, 255).astype(np.uint8)
    probes, findings = run(images)
    assert probes["corners"].balanced > 0.95
    assert findings == []


@pytest.mark.slow
def test_the_trait_that_carries_it_is_named() -> None:
    noise = np.random.default_rng(1).normal(size=(N, 2))
    quality = (70.0 + 5 * TARGETS)[:, None]
    probes, findings = run(pictures(), image_size=noise, JPEG_quality=quality, file_name=quality)
    assert [finding.severity for finding in findings] == ["warning", "info"]
    assert "mostly from the JPEG quality:" in findings[0].message
    assert probes["metadata"].verdict == "alarm"


@pytest.mark.slow
def test_copies_do_not_help_across_folds() -> None:
    rng = np.random.default_rng(0)
    half = rng.integers(0, 256, (N // 4, 32, 32, 3)).astype(np.uint8)
    images, units = np.repeat(half, 4, axis=0), np.arange(N) // 4
    targets = rng.integers(0, 2, N // 4).repeat(4)
    apart = probe(images, {}, targets, ALONE)[0][0].balanced
    together = probe(images, {}, targets, units)[0][0].balanced
    assert apart > 0.9 > 0.65 > together


@pytest.mark.slow
def test_the_trees_votes_are_added_up_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several, the order and with it the last digit differs each time, and ties fall either way."""
    threads, predict = [], ExtraTreesClassifier.predict

    def noting(self: ExtraTreesClassifier, features: np.ndarray) -> np.ndarray:
        threads.append(self.n_jobs)
        return predict(self, features)

    monkeypatch.setattr(ExtraTreesClassifier, "predict", noting)
    run(pictures())
    assert threads and set(threads) == {1}


@pytest.mark.slow
def test_what_has_a_check_of_its_own_is_not_among_the_files_metadata() -> None:
    told, noise = TARGETS[:, None].astype(float), np.zeros((N, 1))
    probes, _ = run(pictures(), bytes=told, file_name=noise, format=noise)
    assert probes["bytes"].accuracy.value == 1 and probes["metadata"].accuracy.value < 0.5


def test_only_classes_that_can_be_measured_are_chosen() -> None:
    targets = np.array([0] * 100 + [1] * 100 + [2] * 4)
    assert len(choose(targets, np.arange(204))) == 200
    assert len(choose(targets, np.zeros(204, int))) == 0
    assert len(choose(np.zeros(9000, int), np.arange(9000))) == 0
    assert len(choose(np.arange(9000) % 3, np.arange(9000))) == 4000


@pytest.mark.slow
def test_images_of_one_unit_are_one_to_the_interval_of_a_probe():
    copies, labels, units = (
        np.repeat(pictures()[:100], 4, axis=0),
        np.repeat(TARGETS[:100], 4),
        np.repeat(ALONE[:100], 4),
    )
    (found,) = (one for one in probe(copies, {}, labels, units)[0] if one.name == "picture")
    assert found.accuracy.method == "wilson, at the effective number of images"
    (alone,) = (one for one in probe(pictures(), {}, TARGETS, ALONE)[0] if one.name == "picture")
    assert alone.accuracy.method == "wilson"


def judged(right: int, rival: int, gravest: Severity = "severe") -> str | None:
    """The severity of an alarm, of how many of 40 images the margin and the middle predict right."""
    targets = np.arange(40) % 2
    answers = {"surround": np.arange(40) < right, "middle": np.arange(40) < rival}
    probes = {
        name: Probe(name, share(answers["middle"]), 0.5, rival / 40, 40, "reference", "")
        for name in ("middle", "picture")
    }
    aspect = _Aspect("surround", "the margin", {"": np.zeros((40, 1))}, "mask it", "middle", 0.05, gravest)
    finding = _judge(aspect, _Trial(targets, (), 0.5, 2, None), answers, probes)[1]
    return finding and finding.severity


@pytest.mark.parametrize(("more", "severity"), [(2, None), (3, "warning")])
def test_a_lead_that_chance_explains_is_no_alarm(more: int, severity: str | None) -> None:
    assert judged(27 + more, 27) == severity


@pytest.mark.parametrize(
    ("right", "rival", "gravest", "severity"),
    [
        (36, 28, "severe", "severe"),  # skills of 0.8 and 0.4
        (34, 20, "severe", "warning"),
        (36, 30, "severe", "warning"),
        (36, 28, "info", "info"),
    ],
)
def test_an_alarm_is_severe_from_a_skill_of_0_8_that_is_twice_the_middles(
    right: int, rival: int, gravest: Severity, severity: str
) -> None:
    assert judged(right, rival, gravest) == severity


def test_the_center_is_a_square_of_as_many_cells_as_the_four_corners_have() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[:, 10:22, 10:22] = 9
    cells = sum(part.shape[1] - 3 for part in corners(images).values())
    assert np.array_equal(centre(images), np.tile([9] * cells + [0] * 3, (2, 1)))
