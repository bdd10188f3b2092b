"""What TensorFlow does on a GPU, as far as a stand-in shows it."""

import os
import stat
from dataclasses import replace

import numpy as np
import pytest

from keensight.errors import TrainingError
from keensight.nets import gpu, runtime
from keensight.nets.gpu import Machine, verdict

T4 = Machine(("CPU:0",), "Linux", "550.54.15", "Tesla T4", "12.5.1", None)


@pytest.mark.parametrize(
    ("changes", "used", "words", "hint"),
    [
        ({"devices": ("CPU:0", "GPU:0")}, True, "Tesla T4, used by TensorFlow", ""),
        ({"driver": None, "gpu": ""}, False, "none (no NVIDIA driver", ""),
        ({"driver": "", "gpu": ""}, False, "does not respond", "Colab"),
        ({"visible": ""}, False, "Tesla T4 is there (driver 550.54.15), but not used: CUDA_VISIBLE_DEVICES", "unset"),
        ({"visible": "-1"}, False, "CUDA_VISIBLE_DEVICES", "unset"),
        ({"visible": "0"}, False, "CUDA libraries", "pip install 'tensorflow[and-cuda]'"),
        ({"system": "Windows", "cuda": None}, False, "Windows", "WSL2"),
        ({"cuda": None}, False, "built without CUDA", "pip install 'tensorflow[and-cuda]'"),
        ({"driver": "470.82.01"}, False, "CUDA 12.5.1 needs driver 525 or newer", "update"),
        ({"driver": "550.54.15", "cuda": "13.0"}, False, "needs driver 580", "update"),
        ({}, False, "does not find the CUDA libraries", "pip install 'tensorflow[and-cuda]'"),
    ],
)
def test_why_a_gpu_is_not_used(changes, used, words, hint):
    found = verdict(replace(T4, **changes))
    assert (found.used, words in found.text, hint in found.hint) == (used, True, True)
    assert bool(found.hint) == bool(hint)


def command(folder, prints, code=0):
    """A program ``nvidia-smi`` that is found first."""
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("prints", "code", "found"),
    [
        ("550.54.15, Tesla T4", 0, ("550.54.15", "Tesla T4")),
        ("NVIDIA-SMI has failed because it could not communicate with the driver", 9, ("", "")),
        ("No devices were found", 0, ("", "")),
        ("", 0, ("", "")),
    ],
)
def test_the_driver_is_asked(tmp_path, monkeypatch, prints, code, found):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu._driver() == (None, "") and not gpu.has_driver()
    command(tmp_path, prints, code)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert gpu._driver() == found and gpu.has_driver()


def test_the_16_bits_that_a_gpu_multiplies_fast():
    cases = {None: None, (6, 0): None, (7, 0): "float16", (7, 5): "float16", (8, 0): "bfloat16", (9, 0): "bfloat16"}
    assert {capability: gpu._half(capability) for capability in cases} == cases
    assert gpu.half_precision(["CPU:0"]) == "bfloat16"


@pytest.mark.slow
def test_passes_are_halved_where_memory_ends_and_stay_so():
    from keensight.nets.network import Passes

    tf = runtime.framework()[1]
    sizes = []

    def forward(images):
        sizes.append(len(images))
        if len(images) > 5:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return images.astype(np.float32) * 2

    passes, images = Passes(forward, 16), np.arange(14, dtype=np.uint8)
    out = np.zeros(14, np.float32)
    for some, found in passes(images):
        out[some] = found
    np.testing.assert_array_equal(out, images * 2)
    assert (sizes, passes.size) == ([14, 7, 3, 3, 3, 3, 2], 3)
    assert [some for some, _ in passes(images[:4])] == [slice(0, 3), slice(3, 4)]

    def never(images):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(TrainingError, match="by a single image"):
        list(Passes(never, 2)(images))


@pytest.mark.slow
def test_predictions_are_in_full_float32():
    from keensight.nets.network import KerasNetwork

    enabled = runtime.framework()[1].config.experimental.tensor_float_32_execution_enabled
    seen = []

    def forward(images):
        seen.append(enabled())
        return np.zeros((len(images), 2)), np.zeros((len(images), 0))

    KerasNetwork(forward, 4, (2,), 0)(np.zeros((6, 1, 1, 3), np.uint8))
    assert seen == [False, False]
    assert enabled()
