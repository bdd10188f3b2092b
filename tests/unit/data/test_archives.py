"""Zip and tar archives of images, read in place."""

import zipfile
from pathlib import Path

import pytest

from archive_builders import PNG, class_folders, write_tar, write_zip
from keensight.core.records import Dataset, Sample
from keensight.data.sources.assemble import OneClass
from keensight.data.sources.containers.archives import archive_kind, read_archive
from keensight.data.sources.readers import open_source
from keensight.errors import DataError, ImageError

TARS = {"s.tar": "w", "s.tar.gz": "w:gz", "s.tgz": "w:gz", "s.tar.bz2": "w:bz2", "s.tar.xz": "w:xz"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))


def facts(data: Dataset) -> list[tuple[str, str, str, int]]:
    return [(sample.path, sample.label, sample.digest, sample.size) for sample in data]


def folder(tmp_path: Path, files: dict[str, bytes]) -> Dataset:
    for name, png in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    return open_source(tmp_path / "folder")


@pytest.mark.parametrize("name", ["s.zip", *TARS])
def test_the_same_images_as_in_a_folder(tmp_path: Path, name: str) -> None:
    files = class_folders()
    noise = {"__MACOSX/photos/cat/._0.png": b"x", "photos/.DS_Store": b"x", "photos/notes.txt": b"x"}
    path = (
        write_zip(tmp_path / name, files | noise)
        if name == "s.zip"
        else write_tar(tmp_path / name, files | noise, TARS[name])
    )
    data = open_source(path)
    assert facts(data) == facts(folder(tmp_path, files))
    assert [data.load(i) for i in range(12)] == [files[sample.path] for sample in data]
    assert {item.path for item in data.skipped} == {"__MACOSX", "photos/.DS_Store", "photos/notes.txt"}
    assert data.reading is not None
    assert data.reading.layout == f"{'zip' if name == 's.zip' else 'tar'} archive: folder per class"
    assert facts(open_source(path)) == facts(data)


def test_splits_and_windows_separators(tmp_path: Path) -> None:
    files = {f"a\\{'train' if i < 8 else 'test'}\\{'cat' if i % 2 else 'dog'}\\{i}.png": PNG[i] for i in range(12)}
    data = open_source(write_zip(tmp_path / "s.zip", files, zipfile.ZIP_STORED))
    assert {sample.split for sample in data} == {"train", "test"} and data.class_names == ("cat", "dog")
    assert data[0].path.startswith("a/test/cat/")


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "..\\x.png"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    for path in (write_zip(tmp_path / "s.zip", class_folders() | {name: PNG[0]}),
                 write_tar(tmp_path / "s.tar", class_folders() | {name: PNG[0]})):  # fmt: skip
        with pytest.raises(DataError, match="leads out of it"):
            open_source(path)


def test_links_are_not_followed(tmp_path: Path) -> None:
    import tarfile

    path = write_tar(tmp_path / "s.tar", class_folders(""))
    with tarfile.open(path, "a") as archive:
        for kind, name in ((tarfile.SYMTYPE, "cat/a.png"), (tarfile.LNKTYPE, "dog/b.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    data = open_source(path)
    assert {sample.path for sample in data if sample.error} == {"cat/a.png", "dog/b.png"}
    assert "link" in str(next(sample.error for sample in data if sample.error))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", class_folders(), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        open_source(path)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keensight.data.sources.containers.archives._MOST_FREE", 1 << 20)
    zeros = {f"cat/{i}.png": bytes(1 << 20) for i in range(4)}
    with pytest.raises(DataError, match="as bombs do"):
        open_source(write_zip(tmp_path / "s.zip", zeros))
    with pytest.raises(DataError, match="it is a bomb"):
        open_source(write_tar(tmp_path / "s.tar.xz", zeros, "w:xz"))
    assert not list((tmp_path / "cache").rglob("*.plain"))


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", {"cat/a.png": PNG[0] * 9, "dog/b.png": PNG[1]}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 20 : at + 28] = (len(PNG[0]) * 20).to_bytes(4, "little") * 2
    path.write_bytes(data)
    with pytest.raises(DataError, match="overlap"):
        open_source(path)


def test_a_damaged_member_is_an_error_of_its_image(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", class_folders(), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.index(PNG[3])
    data[at + 20] ^= 1
    path.write_bytes(data)
    broken = [sample for sample in open_source(path) if sample.error]
    assert [sample.path for sample in broken] == ["photos/dog/3.png"] and "checksum" in str(broken[0].error)


@pytest.mark.parametrize("name", ["s.zip", *TARS])
def test_truncated_archives_are_a_sentence(tmp_path: Path, name: str) -> None:
    files = class_folders()
    path = write_zip(tmp_path / name, files) if name == "s.zip" else write_tar(tmp_path / name, files, TARS[name])
    whole = path.read_bytes()
    for keep in (0, 3, 100, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:keep])
        with pytest.raises(DataError):
            open_source(path)


def test_a_tar_with_a_damaged_header_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", class_folders(""))
    data = bytearray(path.read_bytes())
    at = data.index(b"cat/6.png")
    data[at + 148 : at + 156] = b"99999999"  # the checksum
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read beyond 6 files"):
        open_source(path)


@pytest.mark.parametrize("name", ["s.7z", "s.rar", "s.tar.zst"])
def test_other_archives_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"7z")
    with pytest.raises(DataError, match="cannot be read") as caught:
        open_source(tmp_path / name)
    assert "unpack" in str(caught.value.hint)


def test_a_foreign_sample(tmp_path: Path) -> None:
    archive = read_archive(write_zip(tmp_path / "s.zip", class_folders()))
    with pytest.raises(ImageError, match="not in the archive"):
        archive.load(Sample("x", "cat", ""))
    assert archive_kind("photos.jpg") is None


def test_a_table_next_to_loose_images(tmp_path: Path) -> None:
    rows = "".join(f"images/{i}.png,{'ab'[i % 2]}\n" for i in range(11))
    files = {f"images/{i}.png": PNG[i] for i in range(12)} | {"labels.csv": b"file,label\n" + rows.encode()}
    data = open_source(write_zip(tmp_path / "s.zip", files))
    assert facts(data) == [(s.path, s.label, s.digest, s.size) for s in folder(tmp_path, files)]
    assert [data.load(i) for i in range(11)] == list(PNG[:11]) and data.name == "s"
    assert data.reading is not None and data.reading.layout.startswith("zip archive: images and CSV table")
    assert "1 image in images/ not used" in data.reading.warnings[0]


def test_metadata_next_to_class_folders(tmp_path: Path) -> None:
    table = "".join(f"{name.removeprefix('photos/')},p{i // 2}\n" for i, name in enumerate(class_folders()))
    files = class_folders() | {"photos/metadata.csv": b"path,patient\n" + table.encode()}
    data = open_source(write_tar(tmp_path / "s.tgz", files, "w:gz"), group="patient")
    assert data[0].group == "p0" and len({sample.group for sample in data}) == 6


def test_label_level_and_refusals_name_the_archive(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", {f"{top}/{leaf}/{i}.png": PNG[i] for i, (top, leaf) in enumerate(
        (top, leaf) for top in ("fruit", "tool") for leaf in ("a", "b", "c"))})  # fmt: skip
    assert len(open_source(path, label_level="top").class_names) == 2
    assert open_source(path, label_level="path").class_names[0] == "fruit/a"
    flat = write_zip(tmp_path / "flat.zip", {f"{i}.png": PNG[i] for i in range(4)})
    with pytest.raises(DataError, match=r"flat\.zip holds 4 images but no class folders"):
        open_source(flat)
    single = write_zip(tmp_path / "one.zip", {f"cat/{i}.png": PNG[i] for i in range(4)})
    with pytest.raises(OneClass, match="one has only one class") as caught:
        open_source(single)
    assert caught.value.dataset.load(2) == PNG[2]


def test_utf_8_names_that_are_not_marked_as_such(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", {f"{'été' if i % 2 else 'hiver'}/{i}.png": PNG[i] for i in range(12)})
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        start = 0
        while (start := data.find(signature, start)) >= 0:
            data[start + at] &= ~8 & 255
            start += 4
    path.write_bytes(data)
    assert open_source(path).class_names == ("hiver", "été")


def test_names_that_no_folder_could_have(tmp_path: Path) -> None:
    files = class_folders() | {"photos/a.csv/b.csv": b"x", "photos/a.csv": b"path,label\n"}
    with pytest.raises(DataError, match="cannot be copied to a temporary folder"):
        open_source(write_zip(tmp_path / "s.zip", files))


def test_a_folder_with_nothing_but_an_archive_says_to_open_that(tmp_path: Path) -> None:
    write_zip(tmp_path / "s.zip", class_folders())
    with pytest.raises(DataError, match="contains no images") as caught:
        open_source(tmp_path)
    assert caught.value.hint == f"open the archive itself: {tmp_path / 's.zip'}"
