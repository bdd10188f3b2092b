from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from keensight.core.audit import Finding
from keensight.core.records import ImageSpec
from keensight.data.audit.audit import audit
from keensight.data.cache import prepare
from keensight.data.sources.readers import open_source
from keensight.errors import DataError
from keensight.workflow.prepare import refuse_unreadable

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def fill(folder: Path, n: int = 20) -> None:
    folder.mkdir()
    for i in range(n):
        Image.new("RGB", (8, 8), (i % 250, len(str(folder)) % 200, i // 250)).save(folder / f"{i}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    fill(tmp_path / "set/cat")
    fill(tmp_path / "set/dog")
    return tmp_path / "set"


def findings(root: Path) -> dict[str, Finding]:
    return {finding.kind: finding for finding in audit(open_source(root)).findings}


def test_a_whole_set_loses_nothing(root: Path) -> None:
    assert not {"lost-class", "foreign-names", "unsupported-format", "empty-class"} & findings(root).keys()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_class_whose_name_is_not_utf_8_is_read_and_told(root: Path) -> None:
    fill(root / os.fsdecode(b"caf\xe9"))
    data = open_source(root)
    assert data.labels.names == ("café", "cat", "dog")
    assert len(data) == 60
    assert isinstance(data.load(0), bytes)
    assert all(sample.path.isprintable() and sample.path.encode("utf-8") for sample in data.samples)
    found = findings(root)["foreign-names"]
    assert (found.severity, found.count) == ("warning", 20)
    assert "(class café)" in found.message
    fill(root / "café")
    data = open_source(root)  # the same name twice, in two encodings, is one class of distinct paths
    assert data.counts().tolist() == [40, 20, 20]
    assert len({sample.path for sample in data.samples}) == 80
    assert all(isinstance(data.load(i), bytes) for i in range(80))


def test_a_class_that_is_not_read_at_all_is_severe(root: Path) -> None:
    (root / "fox").mkdir()
    for i in range(20):
        (root / f"fox/{i}.CR2").write_bytes(HEIC)
    found = findings(root)
    assert found["lost-class"].severity == "severe"
    assert "fox 20 of 20 (not an image type that can be read (.cr2))" in found["lost-class"].message
    assert found["unsupported-format"].severity == "warning"
    assert found["unsupported-format"].message.startswith(
        "20 files are images in an unsupported format (.cr2 20) and were not read"
    )
    assert "convert" in found["unsupported-format"].message
    assert found["empty-class"].severity == "severe"


def test_most_of_a_class_is_severe_and_half_of_it_a_warning(root: Path) -> None:
    for i in range(20):
        (root / f"cat/{i}.cr2").write_bytes(HEIC)
    found = findings(root)
    assert "lost-class" not in found
    assert found["unsupported-format"].count == 20
    (root / "cat/more.cr2").write_bytes(HEIC)
    assert "cat 21 of 41" in findings(root)["lost-class"].message


def test_images_that_need_an_extra_stay_in_their_class_and_are_told_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    for i in range(20):
        (root / f"cat/{i}.HEIC").write_bytes(HEIC)
    found = findings(root)
    assert found["unsupported-format"].message == (
        "20 HEIC photos are not read, because the extra is not installed: pip install 'keensight[heic]', "
        "or convert to JPEG or PNG."
    )
    assert (found["unsupported-format"].severity, found["unsupported-format"].count) == ("warning", 20)
    assert "skipped" not in found
    assert open_source(root).counts().tolist() == [40, 20]


def test_unreadable_images_of_one_class_are_severe_though_few_of_the_set(root: Path) -> None:
    fill(root / "crow", 400)
    for i in range(11):
        (root / f"cat/{i}.png").write_bytes(b"")
    found = findings(root)
    assert found["unreadable"].severity == "warning"
    assert found["lost-class"].message.startswith(
        "1 class loses all or most of the images: cat 11 of 20 (the file is empty)"
    )


def test_an_empty_folder_is_severe_and_one_of_scripts_a_warning(root: Path) -> None:
    (root / "scripts").mkdir()
    (root / "scripts/make.py").write_text("x")
    assert findings(root)["empty-class"].severity == "warning"
    (root / "emu").mkdir()
    assert findings(root)["empty-class"].severity == "severe"


def test_a_link_to_another_class_is_a_lost_class(root: Path) -> None:
    (root / "fox").symlink_to(root / "dog")
    assert "fox (a link to a folder that was already read)" in findings(root)["lost-class"].message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_class_folder_that_may_not_be_read_is_severe(root: Path) -> None:
    fill(root / "fox")
    (root / "fox").chmod(0)
    try:
        assert "fox (the folder cannot be read" in findings(root)["lost-class"].message
    finally:
        (root / "fox").chmod(0o755)


def test_table_rows_without_files_or_labels_are_severe(root: Path) -> None:
    rows = [f"cat/{i}.png,cat" for i in range(20)] + [f"gone/{i}.png,fox" for i in range(20)] + ["dog/1.png,dog"]
    (root / "t.csv").write_text("\n".join(["path,label", *rows]))
    found = findings(root / "t.csv")
    assert "fox 20 of 20 (the file is missing)" in found["lost-class"].message
    rows = [f"cat/{i}.png,{'cat' if i < 4 else ''}" for i in range(20)] + ["dog/1.png,dog"]
    (root / "t.csv").write_text("\n".join(["path,label", *rows]))
    assert findings(root / "t.csv")["unlabelled"].severity == "severe"


def test_more_loose_images_than_images_in_classes_are_severe(root: Path) -> None:
    for i in range(41):
        Image.new("RGB", (8, 8), (i, 7, 7)).save(root / f"{i}.png")
    assert findings(root)["skipped"].severity == "severe"


def test_images_that_changed_since_they_were_opened_are_severe_and_refused_by_name(root: Path) -> None:
    data = open_source(root)
    for path in root.glob("*/*.png"):
        Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    pixels = prepare(data, ImageSpec(8, 8))
    found = {finding.kind: finding for finding in audit(data, pixels).findings}
    assert found["unreadable"].severity == "severe"
    assert found["unreadable"].count == 40
    assert "40 images have changed since the set was opened" in found["unreadable"].message
    with pytest.raises(DataError, match="40 of 40 images of set have changed since they were opened"):
        refuse_unreadable(data, pixels)
