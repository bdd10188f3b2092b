"""``keensight train --workers``, as real processes: what is refused, and a training whose worker is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.store.run import open_run

pytestmark = pytest.mark.slow
COMMAND = (sys.executable, "-m", "keensight", "train")
OPTIONS = ("--model", "cnn", "--effort", "quick", "--epochs", "30", "--set", "model.width=4",
           "--set", "train.threads=1",
           "--set", "train.checkpoint_minutes=0", "--set", "train.batch_size=16")  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, label in enumerate("abc"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(30):
            image = rng.integers(0, 150, (12, 12, 3)) + 15 * number
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / "photos" / label / f"{i}.png")
    return tmp_path


def refused(place: Path, *words: str) -> str:
    done = subprocess.run([*COMMAND, *words], cwd=place, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert not (place / "runs").exists()
    return done.stderr


def test_what_workers_cannot_do_is_refused_by_name(place):
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    assert refused(place, "photos", "--workers", "4096").splitlines()[0].endswith("and 4096 workers need one each")
    assert refused(place, "photos", "--workers", "2", "--seeds", "2") == (
        "error: --seeds does not work together with --workers\nhint: train once per seed with --seed\n"
    )
    assert refused(place, "photos", "--address", "auto") == (
        "error: --address needs --workers\nhint: give --workers N: how many CPUs of the cluster to use\n"
    )


def test_a_training_survives_the_loss_of_a_worker(place):
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    if find_spec("jax") is None:  # not imported: it sets TF_CPP_MIN_LOG_LEVEL, also of later processes
        pytest.skip("the extra cluster is not installed")
    environment = {**os.environ, "KEENSIGHT_CACHE": str(place / "cache")}
    words = [*COMMAND, "photos", "--run", "run", "--workers", "2", "--json", *OPTIONS]
    process = subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    until = time.monotonic() + 500
    while process.poll() is None and not any((place / "run" / "checkpoints").glob("*.checkpoint")):
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(json.loads(next((place / "run").glob(".workers-*/worker-1.json")).read_text())["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["run"]
    run = open_run(place / "run")
    assert run.decisions is not None
    assert run.decisions.workers == 2
    log = (place / "run" / "log.txt").read_text()
    assert "2 workers train the network; all other steps run on this machine" in log
    assert "a worker was lost: training continues after step" in log
    assert not [*(place / "run").glob(".workers-*")]
    epochs = [epoch.epoch for epoch in run.history.epochs]  # early stopping may end it before the last one
    assert epochs == [*range(1, len(epochs) + 1)]
    resumed = subprocess.run(
        [*COMMAND, "--resume", "run", "--address", "auto", "--quiet"], cwd=place, capture_output=True, check=False
    )
    assert resumed.returncode == 0  # finished already: no cluster is needed
