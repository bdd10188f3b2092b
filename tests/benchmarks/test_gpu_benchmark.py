"""The benchmark on a GPU: what it says without one, and the section that shows its results."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_its_section_shows_rates_and_trainings(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tables_training

    known = {"versions": {"GPU": "NVIDIA T4"}, "command": "python benchmarks/gpu.py photos", "machine": "a CPU",
             "date": "2026-01-01"}  # fmt: skip
    run = {"val_accuracy": 0.9, "test_accuracy": 0.91, "interval_95": [0.88, 0.94], "n_test": 300, "seconds": 12.0,
           "seconds_to": {"0.90": 12.0, "0.99": None}}  # fmt: skip
    rates = {"LiteRT": {"images_per_second": 120}, "TensorFlow on GPU": {"images_per_second": 2100}}
    page = tables_training.gpu_section([
        {"name": "gpu-photos", "figures": {"keensight quick": run}, **known},
        {"name": "gpu-rates", "figures": rates, **known},
    ])  # fmt: skip
    assert "GPU: NVIDIA T4." in "\n".join(page)
    assert "\n### photos\n" in page
    assert any(line.startswith("| keensight quick | 0.900 | 0.910 (0.880 to 0.940) | 300 |") for line in page)
    assert "| TensorFlow on GPU | 2,100 |" in page


@pytest.mark.slow
def test_without_a_gpu_it_says_why_and_stops(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), str(tmp_path), "--python", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True)
    if "TensorFlow sees no GPU" not in done.stderr:
        pytest.skip("TensorFlow sees a GPU here")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: TensorFlow sees no GPU: ") and done.stderr.count("\n") == 1
