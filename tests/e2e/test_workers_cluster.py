"""``keensight train --workers --address``, as real processes on a cluster of this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.scale.fill_cache import FEWEST
from keensight.store.run import open_run

pytestmark = pytest.mark.slow
IMAGES = 2 * FEWEST + 8
OPEN = {**os.environ, "RAY_AUTH_MODE": "disabled"}
"""A cluster without Ray's token, which a machine has or has not."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def head(log: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address of a Ray cluster with two CPUs, for as long as the block lasts."""
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    from ray.util import get_node_ip_address

    # Ray takes 127.0.0.1 for this address of the machine, and a cluster must be there, too.
    address = f"{get_node_ip_address()}:{free_port()}"
    words = ["start", "--head", "--block", "--num-cpus=2", "--include-dashboard=false",
             f"--port={address.partition(':')[2]}", "--disable-usage-stats"]  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *words],
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=environment,
        )
    try:
        until = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text(errors="replace"):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < until
            time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a Ray cluster without a token."""
    if find_spec("jax") is None:  # not imported: it sets TF_CPP_MIN_LOG_LEVEL, also of later processes
        pytest.skip("the extra cluster is not installed")
    with head(tmp_path_factory.mktemp("cluster") / "log", OPEN) as address:
        yield address


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Photos of two classes, and one file that is none."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("set") / "photos"
    for label in ("day", "night"):
        (folder / label).mkdir(parents=True)
    for number in range(IMAGES):
        image = rng.integers(0, 120, (6, 6, 3)) + 100 * (number % 2)
        blown = Image.fromarray(image.astype(np.uint8)).resize((100, 100), Image.Resampling.BICUBIC)
        blown.save(folder / ("day", "night")[number % 2] / f"{number}.jpg")
    (folder / "day" / "none.jpg").write_bytes(b"not an image")
    return folder


def train(place: Path, cache: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "keensight", "train", *words], cwd=place, capture_output=True, text=True, timeout=500,
        env={**OPEN, "KEENSIGHT_CACHE": str(place / cache)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_workers_of_a_cluster_decode_and_compute_features_as_one_process_does(cluster, photos, tmp_path):
    words = (photos.name, "--effort", "quick", "--image-size", "96")
    (tmp_path / photos.name).symlink_to(photos)  # the cluster was not started here
    train(tmp_path, "one", *words, "--run", "alone")
    told = train(tmp_path, "two", *words, "--run", "spread", "--workers", "2", "--address", cluster)
    assert re.search(r"decoding \(2 workers\)", told)
    assert re.search(r"computing features \(2 workers\)", told)
    assert "computing features:" not in told.replace("(2 workers)", "")
    alone, spread = (open_run(tmp_path / name) for name in ("alone", "spread"))
    assert spread.record.results["weights_digest"] == alone.record.results["weights_digest"]
    assert spread.record.results["test"] == alone.record.results["test"]
    assert (spread.path / "audit.json").read_bytes() == (alone.path / "audit.json").read_bytes()


def test_workers_of_a_cluster_train_and_its_run_is_continued_there(cluster, photos, tmp_path):
    words = (str(photos), "--model", "cnn", "--effort", "quick", "--epochs", "3", "--image-size", "24",
             "--set", "train.checkpoint_minutes=0", "--workers", "2", "--address", cluster)  # fmt: skip
    train(tmp_path, "cache", *words, "--run", "alone")
    place = {**OPEN, "KEENSIGHT_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "keensight", "train", *words, "--run", "killed"], cwd=tmp_path, env=place,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 300
    while process.poll() is None and not any((tmp_path / "killed" / "checkpoints").glob("*.checkpoint")):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["state"] == "training"
    train(tmp_path, "cache", "--resume", "killed", "--address", cluster)
    alone, killed = (open_run(tmp_path / name) for name in ("alone", "killed"))
    assert killed.record.results["weights_digest"] == alone.record.results["weights_digest"]


def test_a_cluster_that_asks_for_a_token_is_joined_with_it_and_the_error_without_it_says_so(tmp_path):
    token = tmp_path / "token"
    token.write_text("a" * 40)
    known = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    code = (
        "import sys; from keensight.scale.cluster import connected\n"
        "from keensight.errors import DataError\n"
        "try:\n"
        "    with connected(sys.argv[1], 1): print('joined')\n"
        "except DataError as error: print(error.message, error.hint, sep='\\n')\n"
    )
    with head(tmp_path / "log", known) as address:

        def join(environment: dict[str, str]) -> str:
            return subprocess.run(
                [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=300, env=environment,
                check=True,
            ).stdout  # fmt: skip

        assert join(known) == "joined\n"
        message, hint = join(OPEN).splitlines()
        assert message.startswith(f"no Ray cluster at {address}: ")
        assert "RAY_AUTH_MODE=token" in hint
