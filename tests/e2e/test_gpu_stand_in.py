"""TensorFlow on a GPU, with a stand-in list of devices: all of it runs, on the CPU that TensorFlow has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.nets import engines, gpu, runtime

pytestmark = pytest.mark.slow
SETTINGS = {"model.name": "efficientnet_lite0", "train.effort": "quick", "data.image_size": 64, "decision.ood": False}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root, rng = tmp_path_factory.mktemp("gpu") / "photos", np.random.default_rng(0)
    for number, label in enumerate(("dark", "light")):
        (root / label).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 150, (64, 64, 3)) + 60 * number
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{i}.png")
    return root


def test_a_run_is_the_same_on_either_engine_and_records_which(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "devices", lambda: ["CPU:0", "GPU:0"])
    monkeypatch.setattr(gpu, "_MOST", 8)
    monkeypatch.setattr(engines, "_SECONDS", 0.1)
    runs = {
        engine: ks.train(photos, run=tmp_path / engine, settings={**SETTINGS, "train.engine": engine})
        for engine in ("gpu", "litert", "auto")
    }
    recorded = {name: run.decisions.engine for name, run in runs.items()}
    assert recorded["gpu"].startswith("TensorFlow on GPU 2.")
    assert recorded["litert"].startswith("LiteRT ")
    log = (runs["auto"].path / "log.txt").read_text(encoding="utf-8")
    (line,) = [line for line in log.splitlines() if "frozen layers run on" in line]
    assert "images per second of this network on this machine" in line
    assert f"frozen layers run on {recorded['auto'].rpartition(' ')[0]} (" in line
    assert runs["gpu"].decisions.device == "CPU:0,GPU:0"
    gave = {name: ks.evaluate(run).predictions.probabilities for name, run in runs.items()}
    np.testing.assert_allclose(gave["gpu"], gave["litert"], atol=1e-3)
    np.testing.assert_allclose(gave["auto"], gave["litert"], atol=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in of nvidia-smi is a shell script")
def test_doctor_says_why_a_gpu_is_not_used(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '550.54.15, Tesla T4'\n")
    program.chmod(0o755)
    place = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-m", "keensight", "doctor"], capture_output=True, text=True, env=place)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    why = "Tesla T4 is there (driver 550.54.15), but not used: CUDA_VISIBLE_DEVICES hides it"
    assert f"GPU              {why}; to use it: unset CUDA_VISIBLE_DEVICES" in lines
    assert any(line.startswith("frozen layers    ") and "GPU" not in line for line in lines)
