"""What the workers of a cluster put into the cache; that they really do is in tests/e2e/test_workers_cluster.py."""

from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

import numpy as np
import pytest

import keensight.scale.fill_cache as module
from keensight.core.records import Dataset, ImageInfo, ImageSpec, LabelSet, Sample
from keensight.data.sources.file_index import FileReader
from keensight.errors import StoreError, TrainingError
from keensight.scale.fill_cache import FEWEST, Extractor, decode, parts
from keensight.scale.train import RayWorkers

FILES = FileReader(Path("photos"))
SPEC, INFO = ImageSpec(8, 8), ImageInfo("PNG", "RGB", 8, 8)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 100_000])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_image_is_in_one_part_and_each_worker_has_several(n, workers):
    found = parts(n, workers)
    assert np.concatenate(found).tolist() == list(range(n))
    assert max(map(len, found)) <= 4096
    assert len(found) >= min(8 * workers, -(-n // 64)) // 2


def some(reader: object, n: int = 2 * FEWEST) -> Dataset:
    samples = tuple(Sample(f"{number}.png", "a", digest=f"{number:064x}", info=INFO) for number in range(n))
    return Dataset("some", "folder", LabelSet(("a",)), samples, reader=reader)


class Held:
    """A reader that cannot be sent."""

    def __init__(self):
        self.lock = Lock()

    def load(self, sample):
        return b""


@pytest.fixture
def cluster(monkeypatch):
    """A cluster whose workers do nothing; the parts that they were given."""
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    given = []
    monkeypatch.setattr(module, "connected", lambda address, count: nullcontext())
    monkeypatch.setattr(module, "_all", lambda kind, arguments, work, count, task: given.extend(work))
    return given


def silent():
    return SimpleNamespace(task=lambda label, total: nullcontext())


def test_few_images_and_readers_that_cannot_be_sent_are_left_to_this_machine(cluster):
    decode(some(FILES, 2 * FEWEST - 1), SPEC, RayWorkers(2, "auto"), silent())
    decode(some(Held()), SPEC, RayWorkers(2, "auto"), silent())
    assert cluster == []


def test_workers_of_another_cache_are_an_error(cluster, cache_folder):
    with pytest.raises(StoreError, match=f"not in the cache of this machine, {cache_folder}") as caught:
        decode(some(FILES), SPEC, RayWorkers(2, "auto"), silent())
    assert sum(map(len, cluster)) == 2 * FEWEST
    assert "KEENSIGHT_CACHE" in caught.value.hint


def test_without_an_address_this_machine_does_it(monkeypatch):
    monkeypatch.setattr("keensight.scale.train.decode", lambda *given: pytest.fail("workers were asked"))
    monkeypatch.setattr("keensight.scale.train.extract", lambda *given: pytest.fail("workers were asked"))
    RayWorkers(2).decode(some(None), SPEC, silent())
    RayWorkers(2).extract(None, None, some(None), None, silent())


@pytest.mark.slow
def test_another_version_of_the_engine_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "read_shared", lambda folder: None)
    setup = {"cache": str(tmp_path), "folder": str(tmp_path), "key": "k" * 64, "values": 4,
             "engine": "LiteRT", "identity": "LiteRT 0.0.1"}  # fmt: skip
    with pytest.raises(TrainingError, match=r"a worker has LiteRT [\d.]+, and the machine that starts it LiteRT 0.0.1"):
        Extractor(setup)._frozen()
