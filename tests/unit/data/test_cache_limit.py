"""The cache stays below its limit; what was not used for longest goes first, and nothing that a process uses."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_cache import SPEC, Notes, check, pngs, shelf

from keensight.core.files import derived_digest
from keensight.core.records import Dataset, ImageSpec
from keensight.data.cache import clear, prepare, usage
from keensight.data.cache_entries import Claim, claimed, entries, evict
from keensight.data.cache_limit import limit, make_room, parse_size
from keensight.data.cache_sets import cached_sets, matching
from keensight.data.feature_cache import FeatureCache
from keensight.errors import StoreError, UsageError

ROW = SPEC.height * SPEC.width * 3
_USE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cache import SPEC, pngs, shelf
from keensight.data.cache import prepare
pixels = prepare(shelf(pngs(20))[0], SPEC)
print(pixels.decoded, flush=True)
sys.stdin.read()
"""


@contextmanager
def used_elsewhere() -> Iterator[subprocess.Popen[str]]:
    """Another process that uses twenty images, until it is killed."""
    child = subprocess.Popen([sys.executable, "-c", _USE, str(Path(__file__).parent)], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "20\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def named(name: str, files: list[bytes]) -> Dataset:
    return replace(shelf(files)[0], name=name)


def pixels_of(name: str) -> int:
    return sum(one.pixels for one in cached_sets() if one.name == name)


def grow_older(folder: Path, seconds: float) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (path.stat().st_mtime - seconds,) * 2)


@pytest.mark.parametrize(
    ("text", "size"),
    [("5", 5e9), ("0", 0), ("1.5GB", 1.5e9), (" 2 gib ", 2**31), ("300mb", 3e8), ("7B", 7), ("None", float("inf"))],
)
def test_a_size(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "5 XB", "nan", "1e3", "5,5"])
def test_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_what_was_not_used_for_longest_makes_room(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("old", "newer", "newest")):
        prepare(named(name, pngs(20, first=100 * number)), SPEC)
        grow_older(cache_folder, 60)
    prepare(named("old", pngs(20)), SPEC)  # now it is the last used
    grow_older(cache_folder, 60)
    assert [pixels_of(name) > 20 * ROW for name in ("old", "newer", "newest")] == [True] * 3
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", f"{usage().bytes + 5 * ROW}B")
    notes = Notes()
    check(prepare(named("another", pngs(20, first=900)), SPEC, progress=notes), pngs(20, first=900))
    assert not notes.said
    assert usage().bytes <= limit()
    assert [pixels_of(name) > 0 for name in ("old", "newer", "newest", "another")] == [True, False, True, True]
    assert prepare(named("old", pngs(20)), SPEC).decoded == 0
    assert prepare(named("newer", pngs(20, first=100)), SPEC).decoded == 20


def test_a_set_for_which_there_is_no_room_is_streamed_and_nothing_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(named("one", pngs(20)), SPEC)
    before = usage().bytes
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", f"{30 * ROW}B")
    notes = Notes()
    check(prepare(named("large", pngs(50, first=100)), SPEC, progress=notes), pngs(50, first=100))
    assert len(notes.said) == 1
    assert "the cache may have 0.0 GB, which is too little" in notes.said[0]
    assert usage().bytes == before
    with pytest.raises(StoreError, match="too little") as caught:
        prepare(named("large", pngs(50, first=100)), SPEC, mode="always")
    assert "`keensight cache limit 1GB`" in (caught.value.hint or "")
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", "lots")
    with pytest.raises(UsageError, match="KEENSIGHT_CACHE_LIMIT is 'lots'"):
        prepare(named("large", pngs(50, first=100)), SPEC)


def test_what_another_process_uses_is_kept_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with used_elsewhere() as child:
        held = usage().bytes
        assert clear() == 0
        assert evict(1) == 0
        monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", f"{held + 5 * ROW}B")
        with pytest.raises(StoreError, match="too little"):
            make_room(20 * ROW)
        assert usage().bytes == held
        assert claimed()
        child.kill()
        child.wait()
        assert not claimed()
        make_room(20 * ROW)
        assert usage().bytes < held
        assert clear() > 0
    assert usage().bytes == 0


def test_a_claim_ends_with_what_it_is_of(cache_folder: Path) -> None:
    pixels = prepare(shelf(pngs(5))[0], SPEC)
    assert len(claimed()) == 2, "a shard and the set"
    assert claimed() <= {entry.name for entry in entries()}
    del pixels
    assert not claimed()
    assert not list((cache_folder / "in-use").iterdir())


def test_a_cache_that_cannot_be_written_is_used_all_the_same(cache_folder: Path) -> None:
    prepare(shelf(pngs(5))[0], SPEC)
    (cache_folder / "in-use").rmdir()
    (cache_folder / "in-use").write_text("not a folder")
    claim = Claim()
    claim.add(["pixels/a/b"])
    assert prepare(shelf(pngs(5))[0], SPEC).decoded == 0
    with pytest.raises(StoreError):
        clear()


def test_features_are_of_the_set_of_their_images_and_are_not_stored_without_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = named("birds", pngs(6))
    pixels = prepare(dataset, SPEC)
    digests = [sample.digest for sample in dataset.samples]
    rows = np.ones((6, 4), np.float32)
    FeatureCache("net", 4).add([derived_digest(digest, SPEC.key) for digest in digests], rows)
    FeatureCache("net", 4).add(["unknown"], rows[:1])
    (birds,) = matching("birds")
    assert birds.pixels > 6 * ROW
    assert birds.features > 6 * 16
    assert {one.name for one in cached_sets()} == {"birds", "other images"}
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", "0")
    FeatureCache("net", 4).add(["more"], rows[:1])
    assert not FeatureCache("net", 4).find(["more"])
    assert len(pixels) == 6


def test_files_of_a_process_that_was_killed_make_room_after_an_hour(cache_folder: Path) -> None:
    folder = cache_folder / "pixels" / SPEC.key
    folder.mkdir(parents=True)
    left = folder / ".0123-abc.rows.9f"
    left.write_bytes(b"x" * 1000)
    (cache_folder / "archives").mkdir()
    (cache_folder / "archives" / ".0123.plain.77").write_bytes(b"x" * 1000)
    assert evict(1) == 0
    os.utime(left, (time.time() - 7200,) * 2)
    assert evict(1) == 1000
    assert not left.exists()
    assert clear() == 1000


def test_a_set_grows_with_its_images_and_other_sizes_belong_to_it() -> None:
    prepare(named("birds", pngs(4)), SPEC)
    prepare(named("birds", pngs(6)), ImageSpec(4, 4))
    (birds,) = [one for one in cached_sets() if one.images]
    assert birds.images == 6
    with pytest.raises(UsageError, match="the cache has nothing of fish"):
        matching("fish")


@pytest.mark.parametrize("text", ["{", "[]", '{"limit": "much"}', '{"limit": null}', '{"limit": 3}'])
def test_a_damaged_stored_limit_is_ignored(cache_folder: Path, text: str) -> None:
    cache_folder.mkdir()
    (cache_folder / "limit.json").write_text(text)
    assert limit() == max(20e9, 0.1 * shutil.disk_usage(cache_folder).total)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1, "name": 5, "source": null, "digests": 3}', '{"schema": 9}'])
def test_a_damaged_list_of_a_set_is_written_again(cache_folder: Path, text: str) -> None:
    prepare(named("birds", pngs(4)), SPEC)
    (path,) = (cache_folder / "sets").iterdir()
    whole = path.read_text()
    path.write_text(text)
    assert [one.name for one in cached_sets()] == ["other images", "indexes and results of checks"]
    prepare(named("birds", pngs(4)), SPEC)
    assert path.read_text() == whole


_CROWD = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cache import SPEC, Notes, check, pngs, shelf
from keensight.data.cache import prepare
for turn in range(6):
    first = 40 * (int(sys.argv[2]) + turn) % 240
    files, notes = pngs(40, first), Notes()
    check(prepare(shelf(files)[0], SPEC, progress=notes), files)
    assert all("too little" in line for line in notes.said), notes.said
"""


@pytest.mark.slow
def test_many_processes_share_a_cache_that_is_too_small_for_all(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", f"{100 * ROW + 30_000}B")
    children = [
        subprocess.Popen([sys.executable, "-c", _CROWD, str(Path(__file__).parent), str(number)], text=True,
                         stderr=subprocess.PIPE)
        for number in range(4)
    ]  # fmt: skip
    killed = subprocess.Popen([sys.executable, "-c", _CROWD, str(Path(__file__).parent), "5"])
    time.sleep(1.5)
    killed.kill()
    killed.wait()
    told = [child.communicate(timeout=300)[1] for child in children]
    assert [child.returncode for child in children] == [0] * 4, told
    assert not claimed()
    assert [path for path in (cache_folder / "in-use").iterdir() if path.suffix == ".lock"] == []
    prepare(named("after", pngs(40, first=2000)), SPEC)
    assert usage().bytes <= limit()
