"""The serving graph, converted for LiteRT, gives what the model gives."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keensight.core.records import ImageSpec, LabelSet
from keensight.errors import StoreError

SPEC = ImageSpec(12, 16)
LABELS = LabelSet(("a", "b", "c"))


def _images(n, spec=SPEC):
    return np.random.default_rng(0).integers(0, 256, (n, *spec.shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    from keensight.nets import runtime
    from keensight.nets.models.build import build

    runtime.configure(seed=0)
    return build("cnn", SPEC, 3, width=4)


def _light(model, workers=2):
    from keensight.nets.export.graph import serving_graph
    from keensight.nets.export.tflite import to_tflite
    from keensight.nets.light import LightNetwork

    return LightNetwork(to_tflite(serving_graph(model)), workers)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 3.0}, {"temperature": 0.5, "mirror": True}, {"thresholds": (0.5, 0.5, 0.5), "mirror": True}],
)
def test_temperature_mirror_and_activation_are_inside(network, settings):
    from keensight.nets.classifier import Classifier

    model = Classifier(network, LABELS, SPEC, **settings)
    light = _light(model)
    assert (light.shape, light.outputs, light.embedding_size) == (SPEC.shape, (3,), model.embedding_size)
    for n in (1, 5, 700):
        answers = model.answer_array(_images(n))
        probabilities, vectors = light(_images(n))
        np.testing.assert_allclose(probabilities, answers.probabilities, atol=1e-5)
        np.testing.assert_allclose(vectors, answers.vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_threads_share_one_network(network):
    from keensight.nets.classifier import Classifier

    light, images = _light(Classifier(network, LABELS, SPEC)), _images(64)
    expected = light(images)[0]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: light(images[i : i + 1])[0], range(64)))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)


@pytest.mark.slow
def test_a_network_without_an_embedding_has_probabilities_alone():
    from keensight.nets.classifier import Classifier
    from keensight.nets.export.graph import serving_graph
    from keensight.nets.runtime import framework

    keras, _ = framework()
    inputs = keras.Input(SPEC.shape, dtype="uint8")
    maps = keras.layers.Conv2D(3, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    model = Classifier(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps)), LABELS, SPEC)
    assert serving_graph(model).outputs == ("probabilities",)
    probabilities, vectors = _light(model)(_images(3))
    assert vectors.shape == (3, 0)
    np.testing.assert_allclose(probabilities, model.predict_array(_images(3)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "operation"), [("float32", "Erfinv"), ("mixed_bfloat16", "BiasAdd, Conv2D")])
def test_an_operation_that_litert_lacks_is_named(dtype, operation):
    from keensight.nets.classifier import Classifier
    from keensight.nets.export.graph import serving_graph
    from keensight.nets.export.tflite import to_tflite
    from keensight.nets.runtime import framework

    keras, _ = framework()
    inputs = keras.Input(SPEC.shape, dtype="uint8")
    maps = keras.layers.Conv2D(4, 3, dtype=dtype)(keras.layers.Rescaling(1 / 255)(inputs))
    if dtype == "float32":
        maps = keras.ops.erfinv(maps)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(maps)
    model = Classifier(keras.Model(inputs, keras.layers.Dense(3, name="logits")(pooled)), LABELS, SPEC)
    with pytest.raises(StoreError, match=f"LiteRT cannot run the network: it has no {operation}"):
        to_tflite(serving_graph(model))


@pytest.mark.slow
def test_a_detector_has_its_levels():
    from keensight.core.anomaly import Limits, PatchSampler
    from keensight.nets.detector import Detector, levels, with_memory
    from keensight.nets.models.build import build

    spec = ImageSpec(72, 64)
    lower, patches = levels(build("efficientnet_lite0", spec, 2, weights=None)), []
    for level in lower(_images(20, spec)):
        sampler = PatchSampler(int(np.prod(level.shape[:3])))
        sampler.add(np.asarray(level))
        patches.append(sampler.finish())
    model = Detector(with_memory(lower, patches), spec, Limits(2.0, 1.5, 0.05, 20))
    light = _light(model)
    assert (light.outputs, light.embedding_size) == ((9, 8, 3), 0)
    np.testing.assert_allclose(light(_images(5, spec))[0], model.predict_levels(_images(5, spec)), rtol=1e-3, atol=1e-3)


def test_a_damaged_file_is_refused():
    from keensight.nets.light import LightNetwork

    with pytest.raises(StoreError, match="light form"):
        LightNetwork(b"nothing" * 100)
