import json
import os
import platform

import pytest

from keensight.nets.training.precision import choose_precision


def test_what_is_asked_for_is_taken_and_short_trainings_are_not_worth_measuring():
    assert choose_precision("bfloat16", 1.0).name == "bfloat16"
    assert choose_precision("float32", 1e12).reason == "as set"
    assert choose_precision("auto", 1e6).name == "float32"


@pytest.mark.slow
def test_a_measured_step_decides_and_is_remembered(tmp_path):
    memory = tmp_path / "cache" / "precision.json"
    first = choose_precision("auto", 1e12, memory)
    (machine, seconds), *_ = json.loads(memory.read_text()).items()
    assert 0 < min(seconds.values()) < 60
    assert first.name == ("bfloat16" if seconds["float32"] > 1.15 * seconds["bfloat16"] else "float32")
    memory.write_text(json.dumps({machine: {"float32": 2.0, "bfloat16": 1.0}}))
    assert choose_precision("auto", 1e12, memory).name == "bfloat16"
    memory.write_text(json.dumps({machine: {"float32": 1.0, "bfloat16": 1.0}}))
    assert choose_precision("auto", 1e12, memory).name == "float32"


@pytest.mark.slow
def test_a_damaged_memory_is_measured_anew(tmp_path):
    memory = tmp_path / "precision.json"
    memory.write_text("no json")
    assert choose_precision("auto", 1e12, memory).name in ("float32", "bfloat16")
    assert json.loads(memory.read_text())


@pytest.mark.slow
def test_networks_of_depthwise_convolutions_are_measured_by_a_block_of_such(tmp_path):
    memory = tmp_path / "precision.json"
    choose_precision("auto", 1e12, memory)
    chosen = choose_precision("auto", 1e12, memory, depthwise=True)
    assert "depthwise block" in chosen.reason
    kept = json.loads(memory.read_text())
    assert len(kept) == 2  # the one does not drive out the other
    (machine,) = (name for name in kept if name.endswith("depthwise"))
    memory.write_text(json.dumps(kept | {machine: {"float32": 2.0, "bfloat16": 1.0}}))
    assert choose_precision("auto", 1e12, memory, depthwise=True).name == "bfloat16"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "resnet", "efficientnet_lite0", "mobilenet_v2", "resnet50"])
def test_the_table_knows_which_networks_are_depthwise(name):
    from keensight.core.records import ImageSpec
    from keensight.nets.models.backbones import ARCHITECTURES
    from keensight.nets.models.build import build

    kinds = [type(layer).__name__ for layer in build(name, ImageSpec(32, 32), 3, weights=None).layers]
    assert ("DepthwiseConv2D" in kinds) == ARCHITECTURES[name].depthwise


@pytest.mark.slow
def test_a_gpu_is_asked_for_the_16_bits_that_it_multiplies_fast(tmp_path, monkeypatch):
    from keensight.nets import gpu
    from keensight.nets.runtime import versions

    both, memory = ["CPU:0", "GPU:0"], tmp_path / "precision.json"
    assert choose_precision("auto", 1e12, memory, devices=both).reason.startswith("the GPU is not known")
    facts = {"compute_capability": (7, 5), "device_name": "Tesla T4"}
    monkeypatch.setattr(gpu, "_details", lambda: facts)
    key = f"{platform.node()}, {os.cpu_count()} CPUs, TensorFlow {versions()['tensorflow']}, Tesla T4"
    for seconds, chosen in ((0.004, "float16"), (0.009, "float32")):
        memory.write_text(json.dumps({key: {"float32": 0.01, "float16": seconds}}))
        found = choose_precision("auto", 1e12, memory, devices=both)
        assert found.name == chosen
        assert f"{seconds:g} s in float16 and 0.01 s in float32" in found.reason
