"""What the workers of a cluster put into the cache; that they really do is in tests/e2e/test_workers_cluster.py."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

import numpy as np
import pytest

import keensight.scale.cluster as cluster_module
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


def test_a_machine_that_does_not_see_the_cache_is_named(cluster, monkeypatch, cache_folder):
    seen = []
    monkeypatch.setattr(cluster_module, "machines", lambda: 2)
    monkeypatch.setattr(
        cluster_module, "on_each_machine",
        lambda asked, path: seen.append(asked(path)) or [("first", True), ("second", False)],
    )  # fmt: skip
    with pytest.raises(StoreError, match=f"the machine second of the cluster does not see the cache, {cache_folder}"):
        decode(some(FILES), SPEC, RayWorkers(2, "auto"), silent())
    assert (seen, cluster) == ([True], [])
    assert [*cache_folder.glob(".workers-*")] == []


def test_every_image_that_is_not_decoded_is_given_to_a_worker(cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "machines", lambda: 1)
    decode(some(FILES), SPEC, RayWorkers(2, "auto"), silent())
    assert [sample.path for part in cluster for sample in part] == [f"{number}.png" for number in range(2 * FEWEST)]


def test_without_room_for_all_this_machine_decides(cluster, monkeypatch):
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", "10kB")
    decode(some(FILES), SPEC, RayWorkers(2, "auto"), silent())
    assert cluster == []


def test_without_an_address_this_machine_does_it(monkeypatch):
    monkeypatch.setattr("keensight.scale.train.decode", lambda *given: pytest.fail("workers were asked"))
    monkeypatch.setattr("keensight.scale.train.extract", lambda *given: pytest.fail("workers were asked"))
    RayWorkers(2).decode(some(None), SPEC, silent())
    RayWorkers(2).extract(None, None, some(None), None, silent())


@pytest.mark.slow
def test_another_version_of_the_engine_is_refused_by_name(tmp_path, monkeypatch):
    setup = {"folder": str(tmp_path), "key": "k" * 64, "values": 4,
             "engine": "LiteRT", "identity": "LiteRT 0.0.1"}  # fmt: skip
    with pytest.raises(
        TrainingError, match=r"a worker on .* has LiteRT [\d.]+, and the machine that starts it LiteRT 0.0.1"
    ):
        Extractor(setup)._frozen()


SCRIPT = """
import os, signal
from types import SimpleNamespace
from keensight.errors import StoreError
from keensight.scale.cluster import connected
from keensight.scale.fill_cache import _all

class Odd:
    def __init__(self, folder):
        self.folder = folder
    def do(self, part):
        if part == 3 and not os.path.exists(self.folder + "/killed"):
            open(self.folder + "/killed", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if part == "broken":
            raise StoreError("the cache is elsewhere", "share it")
        return part

with connected(None, 1):
    done = []
    _all(Odd, (os.getcwd(),), [1, 2, 3, 4], 1, SimpleNamespace(advance=done.append))
    print(sorted(done))
    try:
        _all(Odd, (os.getcwd(),), [1, "broken"], 1, SimpleNamespace(advance=done.append))
    except StoreError as error:
        print(error.message, error.hint)
    _all(Odd, (os.getcwd(),), [5], 1, SimpleNamespace(advance=print))  # the CPU is free again
"""


@pytest.mark.slow
def test_a_part_survives_its_worker_and_an_error_arrives_as_it_is(tmp_path):
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout == "[1, 2, 3, 4]\nthe cache is elsewhere share it\n5\n", done.stderr
