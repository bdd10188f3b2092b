"""What copies do to an audit, to a split and to the score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core.findings import AuditReport, Finding
from keensight.core.records import PARTS, Dataset, ImageSpec, split_digest
from keensight.data import remembered
from keensight.data.audit import audit
from keensight.data.cache import CacheMode, prepare
from keensight.data.copies import seen, ties
from keensight.data.readers import from_arrays, open_source
from keensight.data.splits import make_split


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
    """Given parts: a near copy and a file of the same pixels in train and test, another near copy under two labels."""
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
    assert "near copies stay together" in split.method
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
    monkeypatch.setattr(remembered, "near_copies", None)
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
