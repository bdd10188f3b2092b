"""Files of the cache that were damaged or written by another version: made again, with the same result."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuzz_targets import NASTY, _places
from keensight.core import pixels as decoder
from keensight.core.records import ImageSpec
from keensight.data.audit.cached import cached_duplicates
from keensight.data.cache import prepare
from keensight.data.feature_cache import FeatureCache
from keensight.data.sources.readers import open_source

pytestmark = pytest.mark.slow  # seconds in all
SPEC = ImageSpec(16, 16)
N = 6


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    import os

    rng = np.random.default_rng(0)
    for i in range(N):
        path = tmp_path / "photos" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        path.write_bytes(decoder.encode_png(image if i else image[:, ::-1]))
        os.utime(path, (1_600_000_000, 1_600_000_000))  # old enough to be remembered
    (tmp_path / "photos" / "cat" / "copy.png").write_bytes((tmp_path / "photos" / "cat" / "2.png").read_bytes())
    os.utime(tmp_path / "photos" / "cat" / "copy.png", (1_600_000_000, 1_600_000_000))
    return tmp_path / "photos"


def work(photos: Path) -> list[Any]:
    """What is read from the cache, or made: digests and headers, pixels, duplicates."""
    data = open_source(photos)
    made = prepare(data, SPEC)
    found = cached_duplicates(data, made)
    facts = [(sample.path, sample.digest, sample.info, sample.error) for sample in data.samples]
    pixels = made.take(np.arange(len(data)))
    return [facts, pixels.tolist(), found]


def changed(document: Any, rng: random.Random) -> Iterator[Any]:
    """The document with each value replaced, one at a time."""
    text = json.dumps(document)
    for place in range(len(list(_places(document)))):
        for value in rng.sample(NASTY, 3):
            copy = json.loads(text)
            holder, key = list(_places(copy))[place]
            if holder[key] != value:
                holder[key] = value
                yield copy


@pytest.mark.parametrize("kind", ["index", "pixels", "copies"])
def test_any_other_value_in_a_file_of_the_cache(kind: str, photos: Path, cache_folder: Path) -> None:
    wanted = work(photos)
    assert work(photos) == wanted
    rng = random.Random(kind)
    files = sorted((cache_folder / kind).rglob("*.json"))
    assert files
    tried = 0
    for name in (path.relative_to(cache_folder) for path in files):
        whole = (cache_folder / name).read_text(encoding="utf-8")
        for document in changed(json.loads(whole), rng):
            (cache_folder / name).write_text(json.dumps(document), encoding="utf-8")
            assert work(photos)[1] == wanted[1], document  # no error, and the same pixels
            for path in (cache_folder / kind).rglob("*.*"):
                if path.relative_to(cache_folder) != name and path.suffix in (".json", ".rows") and path not in files:
                    path.unlink()
            tried += 1
    assert tried > 10


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", "\x00", "{}", '{"schema": 99, "version": 99}'])
@pytest.mark.parametrize("kind", ["index", "pixels", "copies"])
def test_a_file_of_the_cache_that_is_none(kind: str, text: str, photos: Path, cache_folder: Path) -> None:
    wanted = work(photos)
    for path in (cache_folder / kind).rglob("*.json"):
        path.write_text(text, encoding="utf-8")
    assert work(photos) == wanted


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "null", '{"schema": 99}', '{"digests": 5, "failed": {}, "schema": 1}']
)
def test_damaged_features_are_computed_again(text: str, cache_folder: Path) -> None:
    cache = FeatureCache("a" * 64, 3)
    cache.add(["one", "two"], np.eye(3, dtype=np.float32)[:2])
    assert set(cache.find(["one", "two"])) == {"one", "two"}
    (index,) = (cache_folder / "features").rglob("*.json")
    index.write_text(text, encoding="utf-8")
    assert cache.find(["one", "two"]) == {}
