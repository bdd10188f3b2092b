"""What an audit finds, on files made for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core.audit import AuditReport, Finding
from keensight.core.codec import from_plain, to_plain
from keensight.core.pixels import encode_png
from keensight.core.records import ImageSpec
from keensight.data.audit.audit import audit
from keensight.data.cache import prepare
from keensight.data.sources.readers import from_arrays, open_source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def _photo(path: Path, seed: int, size: tuple[int, int] = (8, 8), grey: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    if grey:
        pixels[...] = pixels[..., :1]
    path.write_bytes(encode_png(pixels))


def _fill(root: Path, start: int = 1000, **counts: int) -> None:
    for number, (label, n) in enumerate(counts.items()):
        for i in range(n):
            _photo(root / label.replace("__", "/") / f"{i}.png", start + 1000 * number + i)


def _audit(root: Path) -> AuditReport:
    data = open_source(root)
    return audit(data, prepare(data, ImageSpec(8, 8)))


def _kinds(report: AuditReport) -> dict[str, Finding]:
    return {finding.kind: finding for finding in report.findings}


def test_a_sound_set_has_no_findings(root: Path) -> None:
    _fill(root, cat=20, dog=25)
    report = _audit(root)
    assert report.findings == ()
    assert (report.dataset, report.n, report.counts) == ("source", 45, {"cat": 20, "dog": 25})
    assert (report.formats, report.modes, report.sizes) == ({"PNG": 45}, {"RGB": 45}, {"8x8": 45})
    assert (report.width_range, report.height_range) == ((8, 8, 8), (8, 8, 8))
    assert (report.parts, report.quarantined, report.grey_share) == ({}, (), 0.0)


def test_unreadable_headers_and_bodies_are_quarantined_with_their_reasons(root: Path) -> None:
    _fill(root, cat=30, dog=30)
    (root / "cat/empty.png").touch()
    (root / "dog/text.jpg").write_text("no image")
    _photo(root / "dog/cut.png", 1, (64, 64))
    whole = (root / "dog/cut.png").read_bytes()
    (root / "dog/cut.png").write_bytes(whole[: len(whole) // 2])
    data = open_source(root)
    by_header = audit(data)
    assert {item.path for item in by_header.quarantined} == {"cat/empty.png", "dog/text.jpg"}
    report = audit(data, prepare(data, ImageSpec(8, 8)))
    assert {item.path for item in report.quarantined} == {"cat/empty.png", "dog/text.jpg", "dog/cut.png"}
    assert all(item.reason for item in report.quarantined)
    finding = _kinds(report)["unreadable"]
    assert (finding.severity, finding.count) == ("warning", 3)
    assert set(finding.images) == {("cat/empty.png",), ("dog/text.jpg",), ("dog/cut.png",)}
    assert report.counts == {"cat": 31, "dog": 32}


def test_two_reasons_are_both_given_and_of_more_the_most_frequent_one(root: Path) -> None:
    _fill(root, cat=30, dog=30)
    (root / "cat/empty.png").touch()
    (root / "dog/text.jpg").write_text("no image")
    two = _kinds(_audit(root))["unreadable"].message
    assert "training and testing (1: the file is empty; 1: it is a text file, not an image)" in two
    reading = open_source(root).reading
    assert reading is not None
    assert "2 images cannot be read: 1: the file is empty; 1: it is a text file, not an image" in reading.warnings
    (root / "cat/cut.png").write_bytes((root / "dog/0.png").read_bytes()[:20])
    assert "(for example: truncated PNG" in _kinds(_audit(root))["unreadable"].message
    (root / "cat/cut.png").unlink()
    (root / "dog/empty.png").touch()
    assert "(2: the file is empty; 1: it is a text file, not an image)" in _kinds(_audit(root))["unreadable"].message
    (root / "dog/cut.png").write_bytes((root / "dog/0.png").read_bytes()[:20])
    assert "(most often, 2 times: the file is empty): " in _kinds(_audit(root))["unreadable"].message


def test_many_unreadable_files_are_severe(root: Path) -> None:
    _fill(root, cat=20, dog=20)
    for i in range(5):
        (root / "dog" / f"bad{i}.png").touch()
    assert _kinds(_audit(root))["unreadable"].severity == "severe"


def test_copies_and_conflicting_labels(root: Path) -> None:
    _fill(root, cat=20, dog=20)
    for target in ("cat/copy.png", "cat/copy2.png", "dog/other.png"):
        source = "cat/1.png" if target != "dog/other.png" else "cat/2.png"
        (root / target).write_bytes((root / source).read_bytes())
    found = _kinds(_audit(root))
    assert (found["duplicate"].severity, found["duplicate"].count) == ("warning", 3)
    assert set(found["duplicate"].images[0]) == {"cat/1.png", "cat/copy.png", "cat/copy2.png"}
    assert (found["label-conflict"].severity, found["label-conflict"].count) == ("severe", 1)
    assert found["label-conflict"].images == (("cat/2.png", "dog/other.png"),)
    assert "leak" not in found


def test_a_leak_between_given_parts(root: Path) -> None:
    _fill(root, train__cat=20, train__dog=20, test__cat=20, test__dog=20)
    (root / "test/cat/copy.png").write_bytes((root / "train/cat/3.png").read_bytes())
    report = _audit(root)
    assert report.parts == {"train": 40, "test": 41}
    leak = _kinds(report)["leak"]
    assert (leak.severity, leak.count, leak.images) == ("severe", 1, (("test/cat/copy.png", "train/cat/3.png"),))
    assert report.findings[0] is leak


def test_a_group_across_given_parts(root: Path) -> None:
    _fill(root, cat=4, dog=4)
    rows = [
        f"{label}/{i}.png,p{i},{'train' if label == 'cat' else 'test'}" for label in ("cat", "dog") for i in range(4)
    ]
    rows[0] = "cat/0.png,p9,train"
    (root / "metadata.csv").write_text("\n".join(["path,who,split", *rows]))
    found = _kinds(audit(open_source(root, group="who")))
    assert found["group-leak"].count == 3
    assert ("cat/1.png", "dog/1.png") in found["group-leak"].images
    assert "in both the training and the test set, so the test score is too optimistic" in found["group-leak"].message
    (root / "metadata.csv").write_text("\n".join(["path,who,split", *rows]).replace(",test", ",val"))
    leak = _kinds(audit(open_source(root, group="who")))["group-leak"]
    assert leak.severity == "warning"
    assert "training and the validation set, so validation scores" in leak.message
    assert "test" not in leak.message


@pytest.mark.parametrize(("n", "severity"), [(61, "info"), (59, None), (200, "warning")])
def test_imbalance(n: int, severity: str | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20 + n, 8, 8), dtype=np.uint8)
    found = _kinds(audit(from_arrays(pixels, ["few"] * 20 + ["many"] * n)))
    assert (found["imbalance"].severity if severity else found.get("imbalance")) == severity


def test_small_empty_and_absent_classes(root: Path) -> None:
    _fill(root, train__cat=20, train__dog=20, train__fox=19, test__cat=20, test__dog=1)
    (root / "train/emu").mkdir()
    (root / "train/gnu").mkdir()
    (root / "train/gnu/1.png").touch()
    found = _kinds(_audit(root))
    assert (found["small-class"].severity, found["small-class"].count) == ("warning", 1)
    assert "fox (19)" in found["small-class"].message
    assert found["empty-class"].count == 2
    assert "train/emu, gnu" in found["empty-class"].message
    absent = [finding for finding in audit(open_source(root)).findings if finding.kind == "absent-class"]
    assert [(finding.severity, finding.count) for finding in absent] == [("severe", 1), ("warning", 2)]
    assert "train set has no image of gnu, so that class cannot be learned" in absent[0].message
    assert "test set has no image of fox, gnu, so those classes are not evaluated there" in absent[1].message


def test_odd_files_are_told(root: Path) -> None:
    _fill(root, cat=20, dog=20)
    _photo(root / "cat/really_png.jpg", 1)
    _photo(root / "cat/wide.png", 2, (8, 40))
    frames = [Image.new("RGB", (8, 8), (90 * i, 0, 0)) for i in range(3)]
    frames[0].save(root / "dog/moves.gif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (8, 8), (1, 2, 3, 4)).save(root / "dog/print.jpg")
    (root / "dog/notes.txt").write_text("x")
    found = _kinds(_audit(root))
    assert found["wrong-extension"].images == (("cat/really_png.jpg",),)
    assert found["animated"].images == (("dog/moves.gif",),)
    assert found["unusual-mode"].images == (("dog/print.jpg",),)
    assert "0.20" not in found["mixed-sizes"].message and "5.00" in found["mixed-sizes"].message
    assert found["skipped"].images == (("dog/notes.txt",),)
    assert found.pop("low-information").images == (("dog/moves.gif",), ("dog/print.jpg",)), "one color throughout"
    assert {finding.severity for finding in found.values()} == {"info"}


def test_tables_without_some_labels_and_groups(root: Path) -> None:
    _fill(root, img=6)
    (root / "t.csv").write_text("path,label,who\nimg/0.png,a,1\nimg/1.png,b,\nimg/2.png,,1\nimg/3.png,,2\n")
    found = _kinds(audit(open_source(root / "t.csv", group="who")))
    assert (found["unlabelled"].count, found["unlabelled"].severity) == (2, "warning")
    assert found["ungrouped"].images == (("img/1.png",),)


def test_grey_pictures_stored_in_colour_count_as_grey(root: Path) -> None:
    for i in range(30):
        _photo(root / ("a" if i % 2 else "b") / f"{i}.png", i, grey=i < 20)
    Image.new("L", (8, 8), 9).save(root / "a/true_grey.png")
    Image.new("L", (8, 8), 8).save(root / "a/true_grey2.png")
    data = open_source(root)
    assert audit(data).grey_share == pytest.approx(2 / 32)
    assert audit(data, prepare(data, ImageSpec(8, 8))).grey_share == pytest.approx(22 / 32)


def test_the_report_survives_json(root: Path) -> None:
    _fill(root, cat=3, dog=30)
    (root / "cat/bad.png").touch()
    report = _audit(root)
    assert from_plain(AuditReport, to_plain(report)) == report


def test_messages_are_one_plain_sentence_with_a_hint(root: Path) -> None:
    _fill(root, train__cat=20, train__dog=3, test__cat=20)
    (root / "train/cat/bad.png").touch()
    (root / "test/cat/copy.png").write_bytes((root / "train/cat/3.png").read_bytes())
    findings = audit(open_source(root)).findings
    assert len(findings) >= 6
    for finding in findings:
        assert finding.message[0].isupper() or finding.message[0].isdigit()
        assert finding.message.endswith(".") and "\n" not in finding.message
        assert any(mark in finding.message for mark in (":", ";"))
