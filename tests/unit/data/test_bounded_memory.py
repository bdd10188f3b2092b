"""Large sets: memory grows with the number of images and not faster, blocks change no result, equal values are kept
once."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keensight.core.pixels import encode_png
from keensight.core.progress import Silent
from keensight.core.records import Dataset, ImageInfo, ImageSpec, LabelSet, Sample
from keensight.core.task import Task
from keensight.data import units
from keensight.data.audit import candidates as search
from keensight.data.audit.audit import audit
from keensight.data.audit.cached import remembered_looks
from keensight.data.audit.quality import looks
from keensight.data.cache import prepare
from keensight.data.feature_cache import FeatureCache
from keensight.data.pixels import ArrayPixels, scan
from keensight.data.sources import name_patterns
from keensight.data.sources.readers import from_arrays, open_source
from keensight.data.splits import make_split
from keensight.data.stratify import stratify
from keensight.store import run_tables


def _set(n: int, classes: int = 4) -> Dataset:
    info = ImageInfo("PNG", "RGB", 8, 8)
    names = tuple(f"class {k}" for k in range(classes))
    samples = tuple(
        Sample(f"{i}.png", names[i % classes], hashlib.sha256(str(i).encode()).hexdigest(), 100, info=info)
        for i in range(n)
    )
    return Dataset("drawn", "folder", LabelSet(names), samples)


def _peak(work: Callable[[], Any]) -> int:
    """Bytes that Python and NumPy allocate at most."""
    work()  # imports, and what is kept from the first call
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_split_takes_memory_in_proportion_to_the_images() -> None:
    few, many = (_peak(lambda data=data: make_split(data, ties=[(0, 5), (1, 9)])) for data in map(_set, (500, 2000)))
    assert (many - few) / 1500 < 600, "bytes for each further image"


def test_the_tables_of_a_run_take_memory_in_proportion_to_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tables, "_ROWS", 100)
    few, many = (
        _peak(lambda data=data, split=split: run_tables.write_split(tmp_path / "split.csv", split, data))
        for data in map(_set, (500, 2000))
        for split in [make_split(data)]
    )
    assert (many - few) / 1500 < 40, "bytes for each further image; its line has 84"


def test_tables_written_in_pieces_are_read_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _set(250)
    split = make_split(data)
    run_tables.write_split(tmp_path / "whole.csv", split, data)
    monkeypatch.setattr(run_tables, "_ROWS", 100)
    run_tables.write_split(tmp_path / "pieces.csv", split, data)
    run_tables.write_dataset(tmp_path / "pieces.parquet", data)
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert run_tables.read_dataset(tmp_path / "pieces.parquet") == data


def test_a_scan_takes_its_result_only_once() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4000, 16, 16, 3), dtype=np.uint8)
    data = _set(len(images))
    pixels = ArrayPixels(images, {}, data, ImageSpec(16, 16))
    rows = np.arange(len(images))
    (found,) = scan(pixels, rows, [lambda some: some.repeat(4, axis=1)])
    peak = _peak(lambda: scan(pixels, rows, [lambda some: some.repeat(4, axis=1)]))
    assert (found == images.repeat(4, axis=1)).all()
    assert peak < found.nbytes + 8 * 5 * 4 * 2**20, "besides, a few chunks of 4 MiB with their fourfold"
    assert peak < 4 * found.nbytes


def _describe(n: int) -> search.Describe:
    vectors = np.random.default_rng(0).normal(size=(n, 24)).astype(np.float32)
    vectors[n // 2 :] = vectors[: n - n // 2] + 0.1 * vectors[n // 2 :]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return lambda some, view: vectors[some]


def test_the_search_for_duplicates_in_small_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search.look_alikes(_describe(600), 600, 2, Silent())
    assert whole.shape[1] > 300
    monkeypatch.setattr(search, "_COMPARED", 500)  # 20 rows of 25 cells
    assert (search.look_alikes(_describe(600), 600, 2, Silent()) == whole).all()


def test_the_search_for_duplicates_takes_memory_in_proportion_to_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_COMPARED", 2**12)
    monkeypatch.setattr(search, "_BLOCK", 64)
    few, many = (
        _peak(lambda n=n, describe=_describe(n): search.look_alikes(describe, n, 2, Silent())) for n in (600, 2400)
    )
    assert (many - few) / 1800 < 600, "bytes for each further image; cosines with all cells would take ever more"


def test_more_images_need_more_likeness() -> None:
    assert search._least_alike(2, 32) == search._least_alike(100_000, 32) == 0.75
    assert 0.78 < search._least_alike(1_000_000, 32) < search._HIGHEST
    assert search._least_alike(1_000_000, 3) == search._HIGHEST


def test_looks_from_the_cache_are_those_that_were_measured() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
    images[20] = images[3]
    data = from_arrays(images, np.arange(30) % 2)
    pixels, rows = prepare(data, ImageSpec(12, 12)), np.arange(30)
    for asked in (rows[:10], rows[::-1], rows):  # none, some and all of them are cached
        assert (remembered_looks(data, pixels, asked) == looks(images[asked])).all()
    cache = FeatureCache("a" * 32, 2)
    cache.add(["x", "y"], np.array([[1, 2], [3, 4]], np.float32))
    found, known = cache.read(["y", "z", "x"])
    assert known.tolist() == [True, False, True]
    assert found[known].tolist() == [[3, 4], [1, 2]]


def test_equal_values_of_a_folder_are_kept_once(tmp_path: Path) -> None:
    for i in range(6):
        place = tmp_path / ("a cat" if i % 2 else "a dog") / f"{i}.png"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(encode_png(np.full((8, 8, 3), i, np.uint8)))
    data = open_source(tmp_path)
    run_tables.write_dataset(tmp_path / "dataset.parquet", data)
    for samples in (data.samples, run_tables.read_dataset(tmp_path / "dataset.parquet").samples):
        assert len({id(sample.label) for sample in samples}) == 2
        assert len({id(sample.info) for sample in samples}) == 1
        assert len({id(sample.metadata) for sample in samples}) == 1


def test_connected_samples_are_those_with_something_in_common() -> None:
    rng = np.random.default_rng(1)
    samples = [
        Sample(f"{i}", "x", str(rng.integers(40)), group=str(rng.integers(30)) if rng.random() < 0.5 else None)
        for i in range(60)
    ]
    ties = [tuple(rng.choice(60, 3, replace=False).tolist()) for _ in range(4)]
    held: list[set[object]] = [
        {("digest", s.digest), *([("group", s.group)] if s.group else []), *(t for t in ties if i in t)}
        for i, s in enumerate(samples)
    ]
    found = units.tokens(samples, ties)
    given = {token for i in (3, 17) for token in held[i]}
    assert found.shared_with([3, 17]).tolist() == [bool(own & given) for own in held]
    assert not found.shared_with([]).any()
    pool = np.arange(5, 55)
    component = dict(zip(pool.tolist(), found.components(pool).tolist(), strict=True))
    for i in component:
        for j in component:
            if held[i] & held[j]:
                assert component[i] == component[j]
    assert len(set(component.values())) == len(_joined({i: held[i] for i in component}))
    assert units.make_units(samples, [], 0) == []


def _joined(held: dict[int, set[object]]) -> list[set[object]]:
    groups: list[set[object]] = []
    for own in held.values():
        touching = [group for group in groups if group & own]
        groups = [group for group in groups if not group & own] + [own.union(*touching)]
    return groups


def _by_rounds(samples: Sequence[Sample], given: Sequence[units.Unit], ranges: Any) -> dict[str, str]:
    """Sechidis' order, as it is written: the rarest label among the units left, counted again in every round."""
    from keensight.data import stratify as module

    sizes = {unit.key: module._sizes(samples, unit) for unit in given}
    room, assigned, left = module._room(sizes.values(), ranges), {}, list(given)
    while left:
        count = Counter(name for unit in left for name in unit.classes)
        rarest = min(count, key=lambda name: (count[name], module.natural_key(name)), default="")
        for unit in [unit for unit in left if rarest in unit.classes or not rarest]:
            part = assigned[unit.key] = module._choose(unit, sizes[unit.key], rarest, room, ranges)
            for name, n in sizes[unit.key].items():
                room[part][name] -= n
        left = [unit for unit in left if unit.key not in assigned]
    return assigned


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_stratified_in_the_order_of_their_rarity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"label {k}" for k in range(12)]
    samples = []
    for i in range(150):
        held = tuple(name for k, name in enumerate(names) if rng.random() < 0.5 / (k + 1))
        samples.append(Sample(f"{i}", "|".join(held), str(rng.integers(140)), labels=held))
    given = units.make_units(samples, range(150), seed)
    ranges: Any = {"test": (0.0, 0.15), "val": (0.15, 0.3), "train": (0.3, float("inf"))}
    assert stratify(samples, given, ranges) == _by_rounds(samples, given, ranges)


PATTERNS = [
    name_patterns._EXPORTED, name_patterns._AUGMENTOR, name_patterns._WITHOUT_COUNTER,
    f"([^/]+/{name_patterns._WITHOUT_COUNTER[1:]}", rf"({name_patterns._NUMBER}){name_patterns._REST}",
    rf"([^/]+/{name_patterns._NUMBER}){name_patterns._REST}", rf"([^/]+?){name_patterns._EDIT}?\.\w+$",
    rf"([^/]+/[^/]+?){name_patterns._EDIT}?\.\w+$", rf"(?:^|/)[^/\d]+(\d+[A-Za-z]*){name_patterns._REST}",
    "^(?:[^/]+/){1}([^/]+)/", r"(patient[-_ ]?\d+)",
]  # fmt: skip
PATHS = [
    "cat/IMG_0012 (3).jpg", "a 1/b 2/c_3-4_aug1.png", "12_34.png", "x", "dog/patient 7/1_2_3.jpg",
    "original_a.png_0123abcd-12ab.png", "d/original_a.png_0123abcd-12ab.png", "a.rf.12ab.jpg",
    "q/a b.rf.12ab.jpg", "/1_2.jpg",
    "cat/3_4.jpg\n", "cat 5/patient12", "a/b/.hidden_1.png", "cat/cat001_2.png",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_the_same_from_where_it_can_begin(pattern: str) -> None:
    import re

    searched, start = re.compile(pattern), name_patterns._start_of(pattern)
    for path in PATHS:
        assert name_patterns.group_name(searched, path, start(path)) == name_patterns.group_name(searched, path), path


def test_many_labels_need_no_table_of_images_by_labels() -> None:
    names = tuple(f"label {k:04d}" for k in range(300))
    samples = tuple(
        Sample(f"{i}", "|".join(held), str(i), labels=held)
        for i in range(600)
        for held in [(names[i % 300], names[(i * 7 + 1) % 300])]
    )
    data = Dataset("many", "table", LabelSet(names), samples, task=Task.MULTILABEL)
    from keensight.data.audit.label_checks import label_co_occurrence

    (found,) = label_co_occurrence(data, None)
    table: NDArray[np.int64] = data.indicators().astype(np.int64)
    together = table.T @ table
    assert found.count == int((together[np.triu_indices(300, 1)] > 0).sum())
    assert _peak(lambda: label_co_occurrence(data, None)) < 600 * 300 * 8 + 300 * 300 * 24


def test_a_finding_on_very_many_images_lists_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keensight.core.audit.LISTED", 5)
    info = ImageInfo("PNG", "CMYK", 8, 8)
    samples = tuple(Sample(f"{i}.png", f"class {i % 2}", str(i // 2), info=info) for i in range(40))
    report = audit(Dataset("x", "folder", LabelSet(("class 0", "class 1")), samples))
    found = {finding.kind: finding for finding in report.findings}
    unusual = found["unusual-mode"]
    assert (unusual.count, unusual.total) == (40, 40)
    assert unusual.rows == ((0,), (1,), (2,), (3,), (4,))
    assert unusual.images == tuple((f"{i}.png",) for i in range(5))
    assert len(found["duplicate"].rows) == 20, "a split needs them all"
