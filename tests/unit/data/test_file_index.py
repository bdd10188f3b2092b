"""Digests and headers, remembered."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.files import MISSING, read_bounded
from keensight.core.records import ImageInfo, Sample
from keensight.data.sources import file_index
from keensight.data.sources.file_index import Facts, FileReader, examine, stat_files
from keensight.errors import ImageError


def _photo(path: Path, value: int = 7, age_s: float = 60.0) -> bytes:
    data = pixels.encode_png(np.full((5, 4, 3), value, np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return data


def _examine(root: Path, *names: str) -> list[Facts]:
    return examine(root, root, stat_files(root, names))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose body is read from here on."""
    names: list[str] = []
    real = file_index.read_bounded

    def spy(path: Path, limit: int) -> bytes:
        names.append(path.name)
        return real(path, limit)

    monkeypatch.setattr(file_index, "read_bounded", spy)
    return names


def test_digest_and_header_of_a_file(tmp_path: Path) -> None:
    data = _photo(tmp_path / "a.png")
    assert _examine(tmp_path, "a.png") == [Facts(hashlib.sha256(data).hexdigest(), ImageInfo("PNG", "RGB", 4, 5), None)]


def test_a_second_look_reads_no_body(tmp_path: Path, opened: list[str]) -> None:
    _photo(tmp_path / "a.png")
    _photo(tmp_path / "b.png", 8)
    first = _examine(tmp_path, "a.png", "b.png")
    assert sorted(opened) == ["a.png", "b.png"]
    opened.clear()
    assert _examine(tmp_path, "a.png", "b.png") == first
    assert opened == []


def test_a_changed_file_is_read_again_and_the_others_are_not(tmp_path: Path, opened: list[str]) -> None:
    _photo(tmp_path / "a.png")
    _photo(tmp_path / "b.png")
    _examine(tmp_path, "a.png", "b.png")
    data = _photo(tmp_path / "b.png", 99, age_s=30)
    opened.clear()
    facts = _examine(tmp_path, "a.png", "b.png")
    assert opened == ["b.png"]
    assert facts[1].digest == hashlib.sha256(data).hexdigest()


def test_a_file_of_this_very_moment_is_not_trusted_yet(tmp_path: Path, opened: list[str]) -> None:
    _photo(tmp_path / "a.png", age_s=0)
    _examine(tmp_path, "a.png")
    _examine(tmp_path, "a.png")
    assert opened == ["a.png", "a.png"]


def test_a_file_from_the_future_is_remembered(tmp_path: Path, opened: list[str]) -> None:
    _photo(tmp_path / "a.png", age_s=-86400)
    _examine(tmp_path, "a.png")
    _examine(tmp_path, "a.png")
    assert opened == ["a.png"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "entries": {"a.png": [1]}}'])
def test_a_damaged_index_is_made_anew(tmp_path: Path, cache_folder: Path, content: bytes, opened: list[str]) -> None:
    _photo(tmp_path / "a.png")
    first = _examine(tmp_path, "a.png")
    (file,) = (cache_folder / "index").iterdir()
    file.write_bytes(content)
    assert _examine(tmp_path, "a.png") == first
    assert len(opened) == 2


def test_a_cache_that_cannot_be_written_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _photo(tmp_path / "a.png")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "file" / "below"))
    assert _examine(tmp_path, "a.png")[0].error is None


def test_bad_files_carry_their_reason_and_are_looked_at_again(tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("this is not an image")
    (tmp_path / "folder.png").mkdir()
    names = ("empty.png", "text.jpg", "folder.png", "gone.png", "a\0b.png")
    empty, text, folder, gone, null = _examine(tmp_path, *names)
    assert empty.error == "the file is empty (0 bytes)"
    assert text.error and text.info is None and len(text.digest) == 64
    assert folder.error == "not a regular file (a folder)"
    assert gone.error == MISSING and gone.digest == ""
    assert null.error and "null" in null.error
    then = time.time() - 60
    os.utime(tmp_path / "text.jpg", (then, then))
    opened.clear()
    _examine(tmp_path, "text.jpg")
    _examine(tmp_path, "text.jpg")
    assert opened == ["text.jpg", "text.jpg"]


def test_what_was_read_before_an_interruption_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{i:03d}.png" for i in range(40)]
    for i, name in enumerate(names):
        _photo(tmp_path / name, i)
    real = file_index.read_bounded

    def stop(path: Path, limit: int) -> bytes:
        if path.name >= "020.png":
            raise KeyboardInterrupt
        return real(path, limit)

    monkeypatch.setattr(file_index, "read_bounded", stop)
    with pytest.raises(KeyboardInterrupt):
        _examine(tmp_path, *names)
    seen: list[str] = []
    monkeypatch.setattr(file_index, "read_bounded", lambda path, limit: (seen.append(path.name), real(path, limit))[1])
    _examine(tmp_path, *names)
    assert sorted(seen) == names[20:]


def test_progress_counts_the_files_that_are_read(tmp_path: Path) -> None:
    from contextlib import contextmanager

    class Log:
        calls: list[object]

        def __init__(self) -> None:
            self.calls = []

        @contextmanager
        def task(self, label: str, total: int, unit: str = "images"):  # type: ignore[no-untyped-def]
            self.calls.append(total)
            yield self

        def advance(self, amount: int = 1, note: str | None = None) -> None:
            self.calls.append(amount)

        def say(self, message: str) -> None:
            self.calls.append(message)

        def detail(self, message: str) -> None:
            self.calls.append(message)

    _photo(tmp_path / "a.png")
    _photo(tmp_path / "b.png")
    log = Log()
    files = stat_files(tmp_path, ["a.png", "b.png"])
    examine(tmp_path, tmp_path, files, log)
    examine(tmp_path, tmp_path, files, log)
    assert log.calls == [2, 1, 1]


def test_the_reader_hands_out_the_bytes(tmp_path: Path) -> None:
    data = _photo(tmp_path / "cat" / "a.png")
    reader = FileReader(tmp_path)
    assert reader.load(Sample("cat/a.png", "cat", "")) == data
    with pytest.raises(ImageError, match="missing"):
        reader.load(Sample("cat/b.png", "cat", ""))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(ImageError, match="too large"):
        read_bounded(path, MAX_BYTES)


@pytest.mark.skipif(os.name != "posix", reason="Windows does not say when a file was moved")
def test_files_of_one_size_and_time_that_are_swapped_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pixels.encode_png(np.full((5, 4, 3), 7, np.uint8)))
    (tmp_path / "b.png").write_bytes(pixels.encode_png(np.full((5, 4, 3), 8, np.uint8)))
    assert (tmp_path / "a.png").stat().st_size == (tmp_path / "b.png").stat().st_size
    for name in ("a.png", "b.png"):
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    first = _examine(tmp_path, "a.png", "b.png")
    time.sleep(0.05)  # a step of the file system's clock
    for name, place in (("a.png", "c.png"), ("b.png", "a.png"), ("c.png", "b.png")):
        os.rename(tmp_path / name, tmp_path / place)  # noqa: PTH104 - as mv does
    assert _examine(tmp_path, "a.png", "b.png") == first[::-1]
