"""What a bundle is opened on for many images, with a stand-in for a GPU: TensorFlow computes on the CPU that it has."""

import json

import numpy as np
import pytest

import keensight as ks
from keensight.nets import gpu, runtime
from keensight.workflow import engines

SPEC = ks.ImageSpec(16, 16)


class Told:
    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


@pytest.mark.slow
def test_a_gpu_is_taken_for_many_images_if_a_timed_step_is_faster(tmp_path, cache_folder, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    data = ks.from_arrays(images, np.repeat(("blue", "green"), 20))
    split = ks.Split(tuple(range(0, 40, 2)), tuple(range(1, 40, 4)), tuple(range(3, 40, 4)), "by number")
    bundle = ks.bundle(ks.Classifier(ks.build(data, SPEC, "cnn", width=4), data.labels, SPEC), data, split,
                       tmp_path / "bundle")  # fmt: skip
    told = Told()
    monkeypatch.setattr(gpu, "has_driver", lambda: True)
    assert engines.suited(bundle, "auto", 10_000, told) == "auto"  # a driver, but TensorFlow sees no GPU
    monkeypatch.setattr(runtime, "devices", lambda: ["CPU:0", "GPU:0"])
    assert engines.suited(bundle, "auto", 100, told) == "auto"
    assert engines.suited(bundle, "litert", 10_000, told) == "litert"
    assert not told.said
    chosen = engines.suited(bundle, "auto", 10_000, told)
    memory = cache_folder / "engines.json"
    ((key, rates),) = json.loads(memory.read_text()).items()
    assert chosen == max(rates, key=rates.get) and min(rates.values()) > 0
    assert told.said == [
        f"images per second on this machine: {rates['keras']:,.0f} on a GPU, {rates['litert']:,.0f} on LiteRT"
    ]
    for faster in rates:
        memory.write_text(json.dumps({key: dict.fromkeys(rates, 1.0) | {faster: 2.0}}))
        assert engines.suited(bundle, "auto", 10_000, told) == faster
    keras, light = (engines.classifier_of(bundle, name).predict_array(images) for name in rates)
    np.testing.assert_allclose(keras, light, atol=1e-4)
