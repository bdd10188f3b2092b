from pathlib import Path

import pytest

from keensight.data.sources import remote
from keensight.data.sources.remote import Remote, address_of
from keensight.errors import DataError, ImageError
from s3_builders import s3


@pytest.mark.parametrize(
    ("text", "root", "key", "name"),
    [
        ("s3://bucket/a b/#1.jpg", "s3://bucket/", "a b/#1.jpg", "s3://bucket/a b/#1.jpg"),
        ("S3://bucket", "s3://bucket/", "", "s3://bucket/"),
        ("s3://me:secret@bucket/x/?region=r", "s3://me:secret@bucket/?region=r", "x", "s3://bucket/x"),
        ("hdfs://node:8020//data/x.png", "hdfs://node:8020/", "data/x.png", "hdfs://node:8020/data/x.png"),
    ],
)
def test_an_address_has_a_root_a_key_and_a_name_without_secrets(text, root, key, name):
    found = address_of(text)
    assert (found, found.name) == (Remote(root, key), name)


@pytest.mark.parametrize(
    "text", ["photos/a.jpg", "/photos", "C:\\photos", "C:/photos", "file:///photos/a.jpg", "a:b", ""]
)
def test_a_path_of_this_computer_is_no_address(text):
    assert address_of(text) is None


def test_a_file_is_read_in_one_request_and_what_is_wrong_with_others_is_said(tmp_path):
    bucket = tmp_path / "set"
    (bucket / "x").mkdir(parents=True)
    png = b"\x89PNG\r\n\x1a\n" + bytes(2_000_000)
    for name, data in (("a.png", png), ("x/10.png", b"\x89PNG\r\n\x1a\n"), ("x/9.png", b""), (".hidden.png", png)):
        (bucket / name).write_bytes(data)
    with s3(tmp_path) as (options, asked):
        files = remote.files_below(address_of(f"s3://a:b@set/{options}"))
        assert [file.key for file in files] == ["a.png", "x/9.png", "x/10.png"]
        assert remote.files_below(files[0]) is None and remote.files_below(files[1].folder) == files[1:]
        del asked[:]
        assert remote.read(files[0]) == png
        assert [line.split()[0] for line in asked] == ["HEAD", "GET", "GET"]
        del asked[:]
        remote.read(files[2])
        assert len(asked) == 2
        with pytest.raises(ImageError, match="the file is empty"):
            remote.read(files[1])
        with pytest.raises(ImageError, match="the file is missing"):
            remote.read(Remote(files[0].root, "none.png"))
        assert remote.fetch(files[0], tmp_path).read_bytes() == png
        with pytest.raises(DataError, match=r"s3://set/none\.csv does not exist"):
            remote.fetch(Remote(files[0].root, "none.csv"), tmp_path)


def test_a_file_system_of_fsspec_is_found_by_its_scheme():
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    with fsspec.open("memory://set/a b.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
    (found,) = remote.files_below(address_of("memory://set"))
    assert (found.name, remote.read(found)) == ("memory://set/a b.png", b"\x89PNG\r\n\x1a\n")


def test_an_address_of_no_file_system_is_refused_with_those_that_there_are():
    with pytest.raises(DataError, match="nowhere://bucket/x cannot be opened") as caught:
        remote.files_below(address_of("nowhere://bucket/x"))
    assert "s3://" in caught.value.hint
    with pytest.raises(ImageError, match="nowhere://bucket/x cannot be opened"):
        remote.read(address_of("nowhere://bucket/x"))


def test_a_file_larger_than_the_limit_is_not_fetched(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    Path(tmp_path / "set" / "a.png").write_bytes(bytes(4096))
    monkeypatch.setattr(remote, "MAX_BYTES", 1024)
    with s3(tmp_path) as (options, asked), pytest.raises(ImageError, match="the file is too large"):
        remote.read(address_of(f"s3://a:b@set/a.png{options}"))
    assert not [line for line in asked if line.startswith("GET set/a.png")]
