from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import keensight.data.cache as cache_module
import keensight.data.pixels as views_module
import keensight.data.shards as shards_module
from keensight.core.files import sha256
from keensight.core.pixels import decode, encode_png
from keensight.core.records import Dataset, ImageInfo, ImageSpec, LabelSet, Sample
from keensight.data.cache import Pixels, Undecoded, cache_directory, clear, decode_into, prepare, usage
from keensight.errors import DataError, ImageError, StoreError

SPEC = ImageSpec(8, 10)
INFO = ImageInfo("PNG", "RGB", 10, 8)
"""By these headers the survey has SPEC too, so that images are decoded at one size, unless a test wants two."""


@dataclass
class Shelf:
    """A reader over files kept in a dictionary; it counts what is read."""

    files: dict[str, bytes | np.ndarray]
    read: list[str] = field(default_factory=list)

    def load(self, sample: Sample) -> bytes | np.ndarray:
        self.read.append(sample.path)
        if sample.path not in self.files:
            raise ImageError("the file is missing")
        return self.files[sample.path]


@dataclass
class Notes:
    """A progress that remembers; ``stop_after`` images it acts as if Ctrl-C were pressed."""

    said: list[str] = field(default_factory=list)
    tasks: list[tuple[str, int]] = field(default_factory=list)
    done: int = 0
    stop_after: int | None = None

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Notes]:
        self.tasks.append((label, total))
        yield self

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        self.done += amount
        if self.stop_after is not None and self.done >= self.stop_after:
            raise KeyboardInterrupt

    def say(self, message: str) -> None:
        self.said.append(message)

    def detail(self, message: str) -> None:
        self.said.append(message)


def picture(seed: int, height: int = 12, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def shelf(files: Sequence[bytes | np.ndarray]) -> tuple[Dataset, Shelf]:
    reader = Shelf({f"{i}.png": data for i, data in enumerate(files)})
    samples = tuple(
        Sample(path, "a", sha256(data if isinstance(data, bytes) else data.tobytes() + bytes(data.shape)), info=INFO)
        for path, data in reader.files.items()
    )
    return Dataset("shelf", "folder", LabelSet(("a",)), samples, reader=reader), reader


def pngs(n: int, first: int = 0) -> list[bytes]:
    return [encode_png(picture(first + seed)) for seed in range(n)]


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != "in-use")


def check(pixels: Pixels, files: Sequence[bytes], spec: ImageSpec = SPEC) -> None:
    """``pixels`` gives what the decoder gives, in any order and with repetitions."""
    assert len(pixels) == len(files)
    assert pixels.shape == spec.shape
    good = np.array([i for i in range(len(files)) if i not in pixels.errors])
    order = np.random.default_rng(0).choice(good, 2 * len(good))
    taken = pixels.take(order)
    assert taken.dtype == np.uint8
    assert taken.shape == (len(order), *spec.shape)
    assert taken.flags.c_contiguous
    for row, index in zip(taken, order, strict=True):
        assert np.array_equal(row, decode(files[index], spec))


@pytest.fixture(params=["kept", "given back"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of small caches stay in memory, those of others are given back; the pixels are the same."""
    if request.param == "given back":
        monkeypatch.setattr(cache_module, "_RESIDENT_BYTES", 0)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", ["auto", "always", "never"])
def test_pixels_are_those_of_the_decoder(mode: cache_module.CacheMode) -> None:
    files = pngs(70)
    dataset, _ = shelf(files)
    pixels = prepare(dataset, SPEC, mode=mode, workers=3)
    assert pixels.decoded == 70
    check(pixels, files)


@pytest.mark.usefixtures("either_way")
def test_a_second_call_reads_no_file_and_a_third_only_the_new_ones() -> None:
    dataset, reader = shelf(pngs(40))
    prepare(dataset, SPEC)
    reader.read.clear()
    notes = Notes()
    again = prepare(dataset, SPEC, progress=notes)
    assert again.decoded == 0
    # One look at the first sample tells a source of files from a source of arrays.
    assert reader.read in ([], ["0.png"])
    assert not notes.tasks
    more, more_reader = shelf(pngs(43))
    third = prepare(more, SPEC, progress=notes)
    assert third.decoded == 3
    assert notes.tasks == [("decoding", 3)]
    assert {"40.png", "41.png", "42.png"} <= set(more_reader.read) <= {"0.png", "40.png", "41.png", "42.png"}
    check(third, pngs(43))


def test_another_size_or_fit_is_another_cache() -> None:
    files = pngs(3)
    dataset, _ = shelf(files)
    for spec in (SPEC, ImageSpec(9, 10), ImageSpec(8, 10, "pad"), replace(SPEC, decoder=SPEC.decoder + 1)):
        pixels = prepare(dataset, spec)
        assert pixels.decoded == 3
        check(pixels, files, spec)


def test_equal_contents_are_decoded_once() -> None:
    one, two = pngs(2)
    dataset, _ = shelf([one, two, one, one])
    pixels = prepare(dataset, SPEC)
    assert pixels.decoded == 2
    check(pixels, [one, two, one, one])
    assert usage().images == 2


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_bad_images_are_named_and_the_rest_is_there(mode: cache_module.CacheMode) -> None:
    files = [*pngs(3), b"text", b"", *pngs(2, first=3), b"text"]
    dataset, reader = shelf(files)
    samples = list(dataset.samples)
    samples[4] = replace(samples[4], digest="", error="the file is empty")
    del reader.files["6.png"]
    dataset = replace(dataset, samples=tuple(samples))
    pixels = prepare(dataset, SPEC, mode=mode)
    assert list(pixels.errors) == [3, 4, 6, 7]
    assert "text file" in pixels.errors[3]
    assert pixels.errors[7] == pixels.errors[3]
    assert pixels.errors[4] == "the file is empty"
    assert pixels.errors[6] == "the file is missing"
    assert pixels.decoded == 4
    assert "4.png" not in reader.read
    for bad in (3, 6):
        with pytest.raises(DataError, match=f"{bad}.png has no pixels"):
            pixels.take([0, bad])
    assert np.array_equal(pixels.take([5])[0], decode(files[5], SPEC))


def test_reasons_are_remembered_but_not_those_that_may_pass() -> None:
    files = [*pngs(2), b"text"]
    dataset, reader = shelf(files)
    gone = reader.files.pop("1.png")
    first = prepare(dataset, SPEC)
    assert set(first.errors) == {1, 2}
    reader.files["1.png"] = gone
    reader.read.clear()
    second = prepare(dataset, SPEC)
    assert set(second.errors) == {2}
    assert second.decoded == 1
    assert "2.png" not in reader.read


def test_a_lack_of_memory_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = shelf(pngs(2))

    def no_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("PIL.PngImagePlugin.PngImageFile.load", no_memory)
        assert set(prepare(dataset, SPEC).errors) == {0, 1}
    assert not prepare(dataset, SPEC).errors


def test_the_other_copy_serves_where_one_is_gone() -> None:
    (one,) = pngs(1)
    dataset, reader = shelf([one, one])
    del reader.files["0.png"]
    pixels = prepare(dataset, SPEC)
    assert not pixels.errors
    assert np.array_equal(pixels.take([0])[0], decode(one, SPEC))


def test_a_file_changed_since_it_was_listed_does_not_enter_the_cache() -> None:
    old, new = pngs(2)
    dataset, reader = shelf([old])
    reader.files["0.png"] = new
    assert "has changed" in prepare(dataset, SPEC).errors[0]
    reader.files["0.png"] = old
    assert np.array_equal(prepare(dataset, SPEC).take([0])[0], decode(old, SPEC))


def test_indices_out_of_range_are_refused() -> None:
    dataset, _ = shelf(pngs(2))
    pixels = prepare(dataset, SPEC)
    for wrong in ([2], [-1], [0, 99]):
        with pytest.raises(DataError, match="no sample"):
            pixels.take(wrong)
    assert pixels.take([]).shape == (0, *SPEC.shape)


def test_a_sample_without_digest_or_error_is_refused() -> None:
    dataset, _ = shelf(pngs(1))
    nameless = replace(dataset, samples=(replace(dataset.samples[0], digest=""),))
    with pytest.raises(DataError, match="neither a digest nor an error"):
        prepare(nameless, SPEC)


def test_a_dataset_without_images_at_hand_says_so() -> None:
    dataset, _ = shelf(pngs(1))
    with pytest.raises(DataError, match="images are not available"):
        prepare(replace(dataset, reader=None), SPEC)
    assert not written(cache_directory())


def test_an_empty_dataset() -> None:
    pixels = prepare(Dataset("none", "folder", LabelSet(()), ()), SPEC)
    assert len(pixels) == 0
    assert pixels.take([]).shape == (0, *SPEC.shape)


# Survey


def wide(dataset: Dataset, side: int = 400) -> Dataset:
    """By these headers the survey has 128 px."""
    info = ImageInfo("PNG", "RGB", side, side)
    return replace(dataset, samples=tuple(replace(sample, info=info) for sample in dataset.samples))


SURVEY = ImageSpec(128, 128)


@pytest.mark.parametrize("mode", ["auto", "never"])
@pytest.mark.parametrize("spec", [SPEC, SURVEY, ImageSpec(20, 30, "pad"), ImageSpec(150, 150, "crop")])
def test_the_survey_is_the_same_whatever_the_size(spec: ImageSpec, mode: cache_module.CacheMode) -> None:
    files = [*pngs(9), b"text"]
    pixels = prepare(wide(shelf(files)[0]), spec, mode=mode)
    check(pixels, files, spec)
    check(pixels.survey, files, SURVEY)
    assert pixels.survey.spec == SURVEY and pixels.survey.survey is pixels.survey
    assert pixels.errors == pixels.survey.errors
    assert (pixels.survey is pixels) == (spec == SURVEY)


def test_one_pass_over_the_files_serves_both_sizes_and_each_is_made_once() -> None:
    dataset, reader = shelf(pngs(40))
    dataset = wide(dataset)
    notes = Notes()
    pixels = prepare(dataset, SPEC, progress=notes)
    assert (pixels.decoded, pixels.survey.decoded, notes.tasks) == (40, 40, [("decoding", 40)])
    assert sorted(set(reader.read)) == sorted(reader.files) and len(reader.read) <= 42
    assert prepare(dataset, SURVEY, progress=notes).decoded == 0
    other = prepare(dataset, ImageSpec(9, 9), progress=notes)
    assert (other.decoded, other.survey.decoded, len(notes.tasks)) == (40, 0, 2)
    assert usage().images == 120


def test_parts_that_others_decode_into_the_cache_are_found() -> None:
    files = pngs(4)
    dataset = wide(shelf([*files, files[0], b"no image"])[0])
    left = Undecoded(dataset, SPEC)
    specs = left.specs
    assert [spec.shape for spec in specs] == [(8, 10, 3), (128, 128, 3)]
    assert left.rows.tolist() == [0, 1, 2, 3, 5]  # 4 has the content of 0
    for some in ((0, 2), (5,)):
        decode_into(replace(dataset, samples=tuple(dataset.samples[row] for row in some)), specs)
    assert Undecoded(dataset, SPEC).rows.tolist() == [1, 3, 5]  # another machine may be able to decode 5
    pixels = prepare(dataset, SPEC)
    assert (pixels.decoded, pixels.survey.decoded, [*pixels.errors]) == (2, 2, [5])
    assert Undecoded(dataset, SPEC).rows.tolist() == []


def test_a_survey_alone_is_one_size() -> None:
    pixels = prepare(wide(shelf(pngs(5))[0]), SURVEY)
    assert (pixels.decoded, usage().images) == (5, 5)


def test_what_fails_at_one_size_has_pixels_at_none() -> None:
    files = pngs(4)
    dataset, reader = shelf(files)
    prepare(wide(dataset), SURVEY)
    del reader.files["2.png"]
    pixels = prepare(wide(dataset), SPEC)
    assert set(pixels.errors) == set(pixels.survey.errors) == {2}


def test_the_survey_of_large_arrays_in_memory_is_decoded() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 200, 200, 3), np.uint8)
    dataset = wide(shelf(list(images))[0], 200)
    pixels = prepare(dataset, ImageSpec(200, 200))
    assert (pixels.decoded, pixels.survey.decoded) == (0, 4)
    assert np.array_equal(pixels.survey.take([3])[0], decode(images[3], SURVEY))


# Arrays


@pytest.mark.parametrize("shape", [(8, 10), (8, 10, 3)])
def test_small_arrays_of_the_right_size_stay_in_memory(shape: tuple[int, ...], cache_folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, *shape), np.uint8)
    dataset, _ = shelf(list(images))
    samples = (*dataset.samples[:19], replace(dataset.samples[19], error="all zero"))
    pixels = prepare(replace(dataset, samples=samples), SPEC)
    assert pixels.decoded == 0
    assert not cache_folder.exists()
    assert pixels.shape == SPEC.shape
    assert dict(pixels.errors) == {19: "all zero"}
    taken = pixels.take([5, 2, 5])
    want = images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=3)
    assert np.array_equal(taken, want[[5, 2, 5]])
    taken[:] = 0
    assert np.array_equal(pixels.take([5])[0], want[5])
    with pytest.raises(DataError, match="all zero"):
        pixels.take([19])


@pytest.mark.parametrize("shapes", [[(12, 12, 3)] * 4, [(8, 10), (8, 10, 3)], [(8, 10, 3), (20, 20)], [(8, 10, 4)] * 2])
def test_other_arrays_go_through_the_decoder(shapes: list[tuple[int, ...]]) -> None:
    arrays = [np.random.default_rng(i).integers(0, 256, shape, np.uint8) for i, shape in enumerate(shapes)]
    dataset, _ = shelf(arrays)
    pixels = prepare(dataset, SPEC)
    assert pixels.decoded == len(arrays)
    for i, array in enumerate(arrays):
        assert np.array_equal(pixels.take([i])[0], decode(array, SPEC))


def test_large_array_sets_go_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "_ARRAY_BYTES", 100)
    dataset, _ = shelf([np.full((8, 10), k, np.uint8) for k in range(5)])
    pixels = prepare(dataset, SPEC)
    assert pixels.decoded == 5
    assert pixels.take([3]).min() == pixels.take([3]).max() == 3


# Disk


def space(free: int) -> object:
    return lambda path: SimpleNamespace(total=10**12, used=0, free=free)


def test_auto_streams_where_the_disk_has_no_room(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    files = [*pngs(5), b"text"]
    dataset, _ = shelf(files)
    monkeypatch.setattr(shutil, "disk_usage", space(2**30))
    notes = Notes()
    pixels = prepare(dataset, SPEC, progress=notes)
    assert len(notes.said) == 1
    assert "GB free" in notes.said[0]
    assert not cache_folder.exists()
    assert set(pixels.errors) == {5}
    assert pixels.decoded == 5
    check(pixels, files)


def test_always_is_an_error_where_the_disk_has_no_room(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    dataset, _ = shelf(pngs(5))
    monkeypatch.setattr(shutil, "disk_usage", space(1000))
    with pytest.raises(StoreError, match="not enough space") as caught:
        prepare(dataset, SPEC, mode="always")
    assert "KEENSIGHT_CACHE" in (caught.value.hint or "")
    assert not cache_folder.exists()
    monkeypatch.setattr(shutil, "disk_usage", space(2**20))
    assert prepare(dataset, SPEC, mode="always").decoded == 5


def test_a_full_cache_needs_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = shelf(pngs(5))
    prepare(dataset, SPEC)
    monkeypatch.setattr(shutil, "disk_usage", space(0))
    notes = Notes()
    check(prepare(dataset, SPEC, progress=notes), pngs(5))
    assert not notes.said


class FullDisk:
    """A file that takes some bytes and then has no space left, also when it is closed."""

    def __init__(self, stream: object, room: int) -> None:
        self.stream, self.room = stream, room

    def write(self, data: memoryview) -> int:
        self.room -= data.nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.stream.write(data)  # type: ignore[attr-defined]

    def close(self) -> None:
        self.stream.close()  # type: ignore[attr-defined]
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        self.stream.flush()  # type: ignore[attr-defined]

    def fileno(self) -> int:
        return self.stream.fileno()  # type: ignore[attr-defined]


@pytest.fixture
def disk_fills_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second shard of a call meets a full disk in its middle."""
    monkeypatch.setattr(cache_module, "_SHARD_BYTES", 10 * 240)
    original = Path.open

    def full(self: Path, mode: str = "r", *given: int, **options: object) -> object:
        stream = original(self, mode, *given, **options)  # type: ignore[call-overload]
        if ".rows." not in self.name or mode != "xb":
            return stream
        complete = list(self.parent.glob("*.json"))
        return FullDisk(stream, 3 * 240 if complete else 10**9)

    monkeypatch.setattr(Path, "open", full)


@pytest.mark.usefixtures("disk_fills_up")
def test_a_disk_that_fills_up_leaves_nothing_and_auto_goes_on(cache_folder: Path) -> None:
    files = [*pngs(30), b"text"]
    dataset, _ = shelf(files)
    notes = Notes()
    pixels = prepare(dataset, SPEC, progress=notes)
    assert len(notes.said) == 1
    assert "disk is full" in notes.said[0]
    assert written(cache_folder) == []
    assert set(pixels.errors) == {30}
    assert pixels.decoded == 30
    check(pixels, files)


@pytest.mark.usefixtures("disk_fills_up")
def test_a_disk_that_fills_up_is_an_error_with_always(cache_folder: Path) -> None:
    dataset, _ = shelf(pngs(30))
    with pytest.raises(StoreError, match="disk is full") as caught:
        prepare(dataset, SPEC, mode="always")
    assert caught.value.hint
    assert written(cache_folder) == []


def test_a_folder_that_cannot_be_written(cache_folder: Path) -> None:
    cache_folder.write_text("a file stands where the cache should be")
    dataset, _ = shelf(pngs(3))
    notes = Notes()
    check(prepare(dataset, SPEC, progress=notes), pngs(3))
    assert len(notes.said) == 1
    with pytest.raises(StoreError):
        prepare(dataset, SPEC, mode="always")


# Interrupts, other processes, leftovers


@pytest.mark.parametrize("shard_bytes", [10**9, 64 * 240])
def test_ctrl_c_keeps_whole_shards_only(monkeypatch: pytest.MonkeyPatch, cache_folder: Path, shard_bytes: int) -> None:
    monkeypatch.setattr(cache_module, "_SHARD_BYTES", shard_bytes)
    files = pngs(300)
    dataset, _ = shelf(files)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, SPEC, progress=Notes(stop_after=150))
    assert threading.active_count() == threads
    assert not [name for name in written(cache_folder) if name.startswith(".")]
    kept = usage().images
    assert 150 <= kept < 300
    pixels = prepare(dataset, SPEC)
    assert pixels.decoded == 300 - kept
    check(pixels, files)


def test_ctrl_c_in_a_streaming_pass_stops_the_threads() -> None:
    dataset, reader = shelf(pngs(300))
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, SPEC, mode="never", progress=Notes(stop_after=64))
    assert threading.active_count() == threads
    assert len(reader.read) < 300


def test_a_killed_process_leaves_nothing_that_counts(cache_folder: Path) -> None:
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from test_cache import SPEC, Notes, pngs, shelf
from keensight.data.cache import prepare
class Killed(Notes):
    def advance(self, amount=1, note=None):
        super().advance(amount)
        if self.done > 100:
            os._exit(9)
prepare(shelf(pngs(200))[0], SPEC, progress=Killed())
"""
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], check=False, timeout=60)
    assert done.returncode == 9
    (left,) = written(cache_folder)
    assert left.startswith(".")
    assert usage().images == 0
    dataset, _ = shelf(pngs(200))
    assert prepare(dataset, SPEC).decoded == 200
    assert left in written(cache_folder), "it may belong to a process that is still at work"
    hidden = next(cache_folder.rglob(left))
    os.utime(hidden, (time.time() - 7200,) * 2)
    prepare(shelf(pngs(201))[0], SPEC)
    assert left not in written(cache_folder)


@pytest.mark.slow
def test_two_processes_at_once(cache_folder: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cache import SPEC, check, pngs, shelf
from keensight.data.cache import prepare
files = pngs(150)
check(prepare(shelf(files)[0], SPEC, mode="always"), files)
"""
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent)]
    running = [subprocess.Popen(arguments) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert not [name for name in written(cache_folder) if name.startswith(".")]
    check(prepare(shelf(pngs(150))[0], SPEC), pngs(150))


@pytest.mark.parametrize("damage", ["shorter rows", "no rows", "text", "other schema", "list"])
def test_damaged_shards_are_passed_over(cache_folder: Path, damage: str) -> None:
    files = pngs(5)
    dataset, _ = shelf(files)
    prepare(dataset, SPEC)
    (rows,) = cache_folder.rglob("*.rows")
    index = rows.with_suffix(".json")
    if damage == "shorter rows":
        rows.write_bytes(rows.read_bytes()[:-1])
    elif damage == "no rows":
        rows.unlink()
    else:
        good = index.read_text()
        bad = {"text": good[:-9], "list": "[]", "other schema": good.replace('"schema": 1', '"schema": 99')}
        assert bad[damage] != good
        index.write_text(bad[damage])
    pixels = prepare(dataset, SPEC)
    assert pixels.decoded == 5
    check(pixels, files)


def test_a_cache_cleared_by_another_process_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pngs(5)
    original = shards_module.ShardWriter.finish

    def finish(self: shards_module.ShardWriter) -> None:
        original(self)
        assert clear() == 0, "this process uses it"
        shutil.rmtree(cache_directory() / "pixels")

    monkeypatch.setattr(shards_module.ShardWriter, "finish", finish)
    notes = Notes()
    check(prepare(shelf(files)[0], SPEC, progress=notes), files)
    assert "cleared" in notes.said[0]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_pixels_at_hand_survive_a_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_RESIDENT_BYTES", 0)
    files = pngs(5)
    pixels = prepare(shelf(files)[0], SPEC)
    assert clear() == 0, "this process uses all of it"
    assert prepare(shelf(files)[0], SPEC).decoded == 0
    shutil.rmtree(cache_directory())
    check(pixels, files)
    del pixels
    prepare(shelf(files)[0], SPEC)
    assert clear() > 5 * 240


def test_several_shards_and_pages_given_back(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    monkeypatch.setattr(cache_module, "_RESIDENT_BYTES", 0)
    monkeypatch.setattr(cache_module, "_SHARD_BYTES", 33 * 240)
    monkeypatch.setattr(shards_module, "_MAP_LIMIT", 5 * 2**16)
    released = []
    original = shards_module.MappedShards._release

    def release(self: shards_module.MappedShards) -> None:
        released.append(self)
        original(self)

    monkeypatch.setattr(shards_module.MappedShards, "_release", release)
    files = pngs(100)
    check(prepare(shelf(files)[0], SPEC), files)
    assert len(list(cache_folder.rglob("*.rows"))) == 4
    assert len(released) == 200 // 5


@pytest.mark.slow
def test_a_random_batch_of_small_images_takes_well_under_a_millisecond() -> None:
    spec = ImageSpec(28, 28)
    grey = np.random.default_rng(0).integers(0, 256, (6000, 28, 28), np.uint8)
    dataset, _ = shelf(list(grey))
    in_memory = prepare(dataset, spec)
    cached = prepare(
        replace(dataset, reader=Shelf({s.path: grey[i][:, :, None] for i, s in enumerate(dataset.samples)})), spec
    )
    assert (in_memory.decoded, cached.decoded) == (0, 6000)
    rows = np.random.default_rng(1).integers(0, 6000, (200, 128))
    for pixels in (in_memory, cached):
        seconds = []
        for batch in rows:
            start = time.perf_counter()
            pixels.take(batch)
            seconds.append(time.perf_counter() - start)
        assert np.median(seconds) < 1e-3


# Where, how much


def test_usage_and_clear_touch_nothing_else(cache_folder: Path) -> None:
    assert usage().images == usage().bytes == clear() == 0
    prepare(shelf(pngs(5))[0], SPEC)
    prepare(shelf(pngs(4))[0], ImageSpec(4, 4))
    (cache_folder / "index").mkdir(exist_ok=True)
    (cache_folder / "index" / "listing.json").write_text("{}")
    mine = [
        cache_folder / "thesis.txt",
        cache_folder / "pixels" / "notes.txt",
        cache_folder / "pixels" / SPEC.key / "a.txt",
    ]
    for path in mine:
        path.write_text("not Keensight's")
    used = usage()
    assert used.directory == cache_folder
    assert used.images == 9
    assert used.files == 6
    assert used.bytes == clear() > 5 * 240 + 4 * 48
    assert written(cache_folder) == ["a.txt", "notes.txt", "thesis.txt"]
    assert usage().bytes == 0


def test_the_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "x"))
    assert cache_directory() == tmp_path / "x"
    monkeypatch.delenv("KEENSIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_directory() == tmp_path / "xdg" / "keensight"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_directory().parts[-3:] == ("Library", "Caches", "keensight")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_directory() == tmp_path / "local" / "keensight" / "cache"


def test_streamed_pixels_name_a_file_that_went_away() -> None:
    dataset, reader = shelf(pngs(3))
    pixels = prepare(dataset, SPEC, mode="never")
    del reader.files["1.png"]
    with pytest.raises(ImageError, match=r"1\.png: the file is missing"):
        pixels.take([0, 1])
