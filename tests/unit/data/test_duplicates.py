"""What copies do to an audit, to a split and to the score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core.audit import AuditReport, Finding
from keensight.core.records import PARTS, Dataset, ImageSpec, split_digest
from keensight.data.audit import cached
from keensight.data.audit.audit import audit
from keensight.data.audit.duplicates import seen, ties
from keensight.data.cache import CacheMode, prepare
from keensight.data.sources.readers import from_arrays, open_source
from keensight.data.splits import make_split

pytestmark = pytest.mark.slow


def _photo(path: Path, seed: int, quality: int = 90, size: tuple[int, int] = (96, 96)) -> None:
    rng = np.random.default_rng(seed)
    canvas = np.zeros((*size, 3))
    for cells in (3, 6, 12, 24):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        canvas += np.asarray(blots.resize(size[::-1], Image.Resampling.BICUBIC)) / 4
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas.astype(np.uint8)).save(path, quality=quality)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Predefined splits: a near-duplicate and a file of the same pixels in both sets, another under two labels."""
    root = tmp_path / "source"
    for part, start, n in (("train", 0, 25), ("val", 200, 5), ("test", 300, 20)):
        for label in ("cat", "dog"):
            for i in range(n):
                _photo(root / part / label / f"{i}.png", start + i + (1000 if label == "dog" else 0))
    _photo(root / "test/cat/near.jpg", 0, 60)
    _photo(root / "test/dog/exact.bmp", 1001)
    _photo(root / "train/dog/other-label.jpg", 2, 60)
    return root


def _audited(root: Path) -> tuple[Dataset, AuditReport, dict[str, Finding]]:
    data = open_source(root)
    report = audit(data, prepare(data, ImageSpec(96, 96)))
    return data, report, {finding.kind: finding for finding in report.findings}


def test_leaks_and_conflicts_of_both_kinds_are_told_apart(given: Path) -> None:
    _, _, found = _audited(given)
    assert set(found) == {"leak", "duplicate", "near-leak", "near-label-conflict", "near-duplicate"}
    assert set(found["leak"].images[0]) == {"train/dog/1.png", "test/dog/exact.bmp"}
    assert set(found["near-leak"].images[0]) == {"train/cat/0.png", "test/cat/near.jpg"}
    assert set(found["near-label-conflict"].images[0]) == {"train/cat/2.png", "train/dog/other-label.jpg"}
    near = found["near-duplicate"]
    assert (near.count, near.severity, found["near-leak"].severity) == (2, "warning", "severe")
    torn = "Keensight's split keeps them together, except across predefined splits"
    assert all(torn in one.message for one in (near, found["duplicate"]))
    assert len(near.scores) == len(near.images) and near.threshold is not None and "correlation" in near.measure
    assert min(near.scores) >= near.threshold


def test_test_images_with_a_copy_elsewhere_were_seen(given: Path) -> None:
    data, report, _ = _audited(given)
    copied = seen(report, data, make_split(data))
    assert {data.samples[i].path for i in copied} == {"test/cat/near.jpg", "test/dog/exact.bmp"}


def test_a_split_made_here_keeps_near_copies_together(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for label in ("cat", "dog"):
        for i in range(40):
            _photo(root / label / f"{i}.png", i + (1000 if label == "dog" else 0))
            _photo(root / label / f"{i}-copy.jpg", i + (1000 if label == "dog" else 0), 60)
    data, report, _ = _audited(root)
    split = make_split(data, ties=ties(report, data))
    part_of = {data.samples[i].path.split(".")[0]: part for part in PARTS for i in split.part(part)}
    assert len(part_of) == 160
    assert all(part_of[path] == part_of[f"{path}-copy"] for path in part_of if not path.endswith("-copy"))
    assert "near-duplicates stay together" in split.method
    torn = make_split(data)
    assert seen(report, data, torn) and not seen(report, data, split)


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_a_split_does_not_depend_on_the_size_and_fit_of_the_model(tmp_path: Path, mode: CacheMode) -> None:
    root = tmp_path / "source"
    for label, start in (("cat", 0), ("dog", 1000)):
        for i in range(40):
            _photo(root / label / f"{i}.jpg", start + i, size=(256, 320))
        for i in range(0, 40, 3):  # copies of many kinds, some of which show at one size and not at another
            with Image.open(root / label / f"{i}.jpg") as image:
                copy = image.crop((8, 4, 310, 250)) if i % 2 else image.resize((150 - 3 * i, 120 - 2 * i))
                copy.save(root / label / f"{i}-copy.jpg", quality=30 + i)
    data = open_source(root)
    told = set()
    for spec in (ImageSpec(224, 224, "pad"), ImageSpec(128, 128), ImageSpec(320, 320), ImageSpec(64, 96, "crop")):
        pixels = prepare(data, spec, mode=mode)
        report = audit(data, pixels)
        split = make_split(data, ties=ties(report, data))
        told.add((split_digest(split, data), str(report.findings), pixels.survey.spec))
    assert len(told) == 1
    assert len(ties(report, data)) > 20


def test_a_digest_tells_splits_apart_and_not_the_order_of_the_files() -> None:
    data = from_arrays(np.random.default_rng(0).integers(0, 256, (60, 9, 9), dtype=np.uint8), ["a", "b"] * 30)
    turned = replace(data, samples=data.samples[::-1])
    digest = split_digest(make_split(data), data)
    assert len(digest) == 16 and split_digest(make_split(turned), turned) == digest
    assert split_digest(make_split(data, seed=1), data) != digest
    assert split_digest(make_split(data, exclude=[0]), data) != digest


def test_a_set_is_compared_once(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first, _ = _audited(given)
    monkeypatch.setattr(cached, "find_near_duplicates", None)
    assert _audited(given)[1] == first
    _photo(given / "train/dog/new.png", 77)
    with pytest.raises(TypeError):
        _audited(given)


def test_without_pixels_only_files_are_compared(given: Path) -> None:
    (given / "train/dog/again.png").write_bytes((given / "train/dog/3.png").read_bytes())
    report = audit(open_source(given))
    assert [finding.images for finding in report.findings if finding.kind == "duplicate"] == [
        (("train/dog/3.png", "train/dog/again.png"),)
    ]
    assert not any(finding.kind.startswith("near") for finding in report.findings)


def test_pictures_of_one_kind_are_not_tied_as_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    part = rng.integers(0, 256, (64, 64, 3))
    for label, count in (("good", 30), ("bad", 30)):
        (tmp_path / label).mkdir()
        for i in range(count):
            seen_once = part if label == "good" else rng.integers(0, 256, (64, 64, 3))
            noisy = (seen_once + rng.normal(0, 6, part.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / label / f"{i}.png")
    data, report, _ = _audited(tmp_path)
    (found,) = (finding for finding in report.findings if finding.kind == "alike")
    assert found.count == 30
    assert not ties(report, data)
    assert {data.samples[i].label for i in make_split(data, ties=ties(report, data)).test} == {"good", "bad"}


@pytest.mark.parametrize(
    ("splits", "words", "severity"),
    [
        (("train", "test"), "1 image is in both the training and the test set, so the test score is too", "severe"),
        (("val", "test"), "1 image is in both the validation and the test set, so the test score is too", "severe"),
        (("train", "val"), "1 image is in both the training and the validation set, so validation scores", "warning"),
        (("train", "val", "test"), "in the training, the validation and the test set, so the test score", "severe"),
    ],
)
@pytest.mark.parametrize("quality", [None, 60])
def test_a_leak_says_between_which_splits_and_which_score_suffers(
    tmp_path: Path, splits: tuple[str, ...], words: str, severity: str, quality: int | None
) -> None:
    for number, part in enumerate(PARTS):
        for i in range(6):
            _photo(tmp_path / part / "cat" / f"{i}.png", 100 * number + i)
            _photo(tmp_path / part / "dog" / f"{i}.png", 1000 + 100 * number + i)
    for number, part in enumerate(splits):
        name = "copy.png" if quality is None else f"copy.{'png' if number == 0 else 'jpg'}"
        _photo(tmp_path / part / "cat" / name, 5000, 90 if quality is None else quality + 10 * number)
    _, _, found = _audited(tmp_path)
    leak = found["leak" if quality is None else "near-leak"]
    assert words in leak.message
    assert leak.severity == severity
    assert ("the test score is too optimistic" in leak.message) is ("test" in splits)
    assert f"delete the duplicates from the {'training' if 'train' in splits else 'validation'}" in leak.message
    assert not any("given part" in finding.message for finding in found.values())


def test_leaks_of_both_consequences_are_two_findings(tmp_path: Path) -> None:
    for number, part in enumerate(PARTS):
        for i in range(6):
            _photo(tmp_path / part / "cat" / f"{i}.png", 100 * number + i)
            _photo(tmp_path / part / "dog" / f"{i}.png", 1000 + 100 * number + i)
    for i, pair in enumerate((("train", "test"), ("val", "test"), ("train", "val"))):
        for part in pair:
            _photo(tmp_path / part / "cat" / f"copy-{i}.png", 5000 + i)
    _, report, _ = _audited(tmp_path)
    severe, mild = (finding for finding in report.findings if finding.kind == "leak")
    assert severe.message.startswith("2 images are in the test set and also in the training or validation set, so")
    assert "delete the duplicates from the training and validation sets" in severe.message
    assert mild.message.startswith("1 image is in both the training and the validation set")
    assert {Path(path).name for group in mild.images for path in group} == {"copy-2.png"}


def _recolored(path: Path, source: Path, turn: int = 0, gains: tuple[float, float, float] = (1, 1, 1)) -> None:
    """A copy whose hues are turned by a third of the circle, which keeps its gray values, or with a color cast."""
    picture = np.roll(np.asarray(Image.open(source).convert("RGB"), float), turn, axis=2) * np.array(gains)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=80)


def _two_colors(root: Path) -> None:
    for i in range(20):
        _photo(root / "red" / f"{i}.png", i)
        _photo(root / "blue" / f"{i}.png", 1000 + i)


def test_one_thing_in_two_colors_is_no_label_conflict_where_color_is_the_label(tmp_path: Path) -> None:
    _two_colors(tmp_path)
    for i in range(3):
        _recolored(tmp_path / "blue" / f"same-{i}.jpg", tmp_path / "red" / f"{i}.png", turn=1)
    _, report, found = _audited(tmp_path)
    assert "near-label-conflict" not in found
    recolored = found["recolored"]
    assert (recolored.count, recolored.severity) == (3, "info")
    assert "in clearly different colors" in recolored.message
    assert len(ties(report, open_source(tmp_path))) == 3  # they still stay in one split


def test_a_copy_with_another_color_cast_under_another_label_is_a_conflict(tmp_path: Path) -> None:
    _two_colors(tmp_path)
    _recolored(tmp_path / "blue" / "mistaken.jpg", tmp_path / "red" / "3.png", gains=(1.1, 1.0, 0.93))
    _recolored(tmp_path / "blue" / "same.jpg", tmp_path / "red" / "4.png", turn=1)
    _, _, found = _audited(tmp_path)
    conflict = found["near-label-conflict"]
    assert "in similar colors" in conflict.message
    assert [set(group) for group in conflict.images] == [{"red/3.png", "blue/mistaken.jpg"}]
    assert [set(group) for group in found["recolored"].images] == [{"red/4.png", "blue/same.jpg"}]
