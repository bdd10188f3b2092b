"""The table of engines for frozen layers, and which of them is chosen."""

import json
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from keensight.core.records import ImageSpec
from keensight.errors import UsageError
from keensight.nets import engines, gpu, runtime

CPU, BOTH = ["CPU:0"], ["CPU:0", "GPU:0"]
PACKAGES = {"openvino": "2025.1", "ai-edge-litert": "2.3", "tensorflow": "2.21"}


@pytest.fixture
def installed(monkeypatch):
    """The versions of what is installed; a test may take some away."""
    packages = dict(PACKAGES)

    def version(name):
        if name not in packages:
            raise PackageNotFoundError(name)
        return packages[name]

    monkeypatch.setattr(engines, "version", version)
    monkeypatch.setattr(runtime, "devices", lambda: CPU)
    return packages


def names(devices):
    return [engine.name for engine in engines.available(devices)]


def test_each_engine_has_its_name_setting_package_and_device():
    assert [(one.name, one.setting, one.distribution, one.device) for one in engines.ENGINES] == [
        ("TensorFlow on GPU", "gpu", "tensorflow", "GPU"),
        ("OpenVINO", "openvino", "openvino", "CPU"),
        ("LiteRT", "litert", "ai-edge-litert", "CPU"),
    ]
    assert [engines.of_setting(one) for one in ("auto", "litert", "gpu")] == [None, "LiteRT", "TensorFlow on GPU"]


def test_what_is_available_follows_from_packages_and_devices(installed):
    assert names(CPU) == ["OpenVINO"]
    assert names(BOTH) == names(["CPU:0", "GPU:0", "GPU:1"]) == ["TensorFlow on GPU", "OpenVINO"]
    del installed["openvino"]
    assert (names(CPU), names(BOTH)) == (["LiteRT"], ["TensorFlow on GPU", "LiteRT"])
    assert names(["CPU:0", "XLA_GPU:0"]) == ["LiteRT"]


def test_a_cpu_leaves_nothing_to_measure(installed):
    chosen = engines.choose(None, devices=CPU)
    assert (chosen.engine.identity, chosen.reason, chosen.measured) == (
        "OpenVINO 2025.1", "version 2025.1 is installed", False)  # fmt: skip
    del installed["openvino"]
    assert engines.choose(None).reason == "OpenVINO is not installed"


def test_a_wanted_engine_is_chosen_within_the_block_only(installed):
    told = []
    with engines.using("LiteRT 2.2", told=told.append):
        assert engines.choose(None).engine.identity == "LiteRT 2.3"
        with engines.using(None):
            assert engines.choose(None).engine.name == "OpenVINO"
        assert engines.choose(None).engine.name == "LiteRT"
    assert [one.engine.name for one in told] == ["LiteRT"]  # once
    assert engines.choose(None).engine.name == "OpenVINO"


def test_a_block_decides_once_and_tells_it_when_it_is_used(installed):
    told = []
    with engines.using(None, told=told.append):
        assert not told
        first = engines.choose(None)
        del installed["openvino"]
        assert engines.choose(None) is first
    assert told == [first]


def test_one_that_is_not_there_is_refused(installed):
    del installed["openvino"]
    with pytest.raises(UsageError, match=r"need OpenVINO 2025\.1, which is not installed here") as caught:
        engines.using("OpenVINO 2025.1").__enter__()
    assert "pip install openvino" in caught.value.hint
    with pytest.raises(UsageError, match="TensorFlow on a GPU, but TensorFlow sees none here") as caught:
        engines.using("TensorFlow on GPU 2.21").__enter__()
    assert "keensight doctor" in caught.value.hint
    assert engines.choose(None).engine.name == "LiteRT"


@pytest.fixture(scope="module")
def net():
    from keensight.nets.models.build import build
    from keensight.nets.training.images import features_of

    return features_of(build("efficientnet_lite0", ImageSpec(64, 64), 3))


@pytest.mark.slow
def test_tensorflow_gives_the_features_that_litert_gives_and_a_timed_step_decides(net, tmp_path, monkeypatch):
    """With a stand-in list of devices, TensorFlow computes on the CPU that it has."""
    monkeypatch.setattr(gpu, "_MOST", 8)
    monkeypatch.setattr(engines, "_SECONDS", 0.1)
    memory = tmp_path / "engines.json"
    first = engines.choose(net, tmp_path, memory, BOTH)
    ((key, rates),) = json.loads(memory.read_text()).items()
    cpu = names(CPU)[0]
    assert "parameters at 64x64 px" in key
    assert first.measured and min(rates.values()) > 0
    assert first.engine.name == max(rates, key=rates.get)
    assert f"{rates['TensorFlow on GPU']:,.0f} on TensorFlow on GPU" in first.reason
    images = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    expected = engines.ENGINES[-1].freeze(net, tmp_path)(images)
    for faster in ("TensorFlow on GPU", cpu):
        memory.write_text(json.dumps({key: dict.fromkeys(rates, 1.0) | {faster: 2.0}}))
        chosen = engines.choose(net, tmp_path, memory, BOTH)
        assert chosen.engine.name == faster
        frozen = chosen.engine.freeze(net, tmp_path)
        assert frozen.shape == expected.shape[1:]
        np.testing.assert_allclose(frozen(images), expected, rtol=1e-4, atol=1e-4)
        parts = frozen.stream(lambda begin=begin: images[begin : begin + 9] for begin in range(0, 20, 9))
        np.testing.assert_allclose(np.concatenate(list(parts)), expected, rtol=1e-4, atol=1e-4)
