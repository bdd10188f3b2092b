"""Every format gives the outputs of the model: calibrated, mirrored, of every task, for any number of images."""

import importlib.util
import sys

import numpy as np
import pytest

import keensight as ks
from keensight.core.export_formats import FORMATS
from keensight.errors import UsageError
from keensight.nets.export.formats import check_packages, check_runtime, open_network, write_network

pytestmark = pytest.mark.slow
SPEC = ks.ImageSpec(24, 32)
TOLERANCE = {"float32": 2e-6, "float16": 5e-3}
IMAGES = np.random.default_rng(0).integers(0, 255, (7, *SPEC.shape), np.uint8)


def installed(name):
    return pytest.param(
        name,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(module) is None for module in FORMATS[name].writers),
            reason=f"the packages of {name} are not installed",
        ),
    )


NAMES = [installed(name) for name, kind in FORMATS.items() if kind.precision != "int8" and name != "html"]
"""The page of ``html`` is tested with the page."""


@pytest.fixture(scope="module")
def network():
    import keras

    keras.utils.set_random_seed(2)  # of some weights the mirror image hardly matters
    model = ks.build(3, SPEC, "cnn", width=6)
    rng = np.random.default_rng(1)
    head = model.get_layer("logits")
    head.set_weights([rng.normal(size=one.shape).astype(np.float32) for one in head.get_weights()])
    return model


def exported(name, model, place, images):
    file = place / FORMATS[name].file
    outputs = write_network(FORMATS[name], model, file)
    run = open_network(FORMATS[name], file, outputs)
    return outputs, [np.array(one) for one in run(images)]


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_and_embeddings_are_those_of_a_mirrored_and_calibrated_model(name, network, tmp_path):
    labels = ks.LabelSet(("a", "b", "c"))
    model = ks.Classifier(network, labels, SPEC, temperature=1.7, mirror=True)
    allowed = TOLERANCE[FORMATS[name].precision]
    outputs, (probabilities, vectors) = exported(name, model, tmp_path, IMAGES)
    assert outputs == ("probabilities", "embedding")
    np.testing.assert_allclose(probabilities, model.predict_array(IMAGES), atol=allowed)
    np.testing.assert_allclose(vectors, model.embed_array(IMAGES), rtol=1e3 * allowed, atol=1e2 * allowed)
    assert np.abs(probabilities - model.changed(mirror=False).predict_array(IMAGES)).max() > 10 * allowed


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_images_is_taken_one_after_another(name, network, tmp_path):
    model = ks.Classifier(network, ks.LabelSet(("a", "b", "c")), SPEC)
    file = tmp_path / FORMATS[name].file
    run = open_network(FORMATS[name], file, write_network(FORMATS[name], model, file))
    expected = model.predict_array(IMAGES)
    for some in (slice(0, 1), slice(0, 7), slice(2, 4)):
        np.testing.assert_allclose(run(IMAGES[some])[0], expected[some], atol=TOLERANCE[FORMATS[name].precision])


@pytest.mark.parametrize("name", NAMES)
def test_a_multi_label_model_has_sigmoids(name, network, tmp_path):
    model = ks.Classifier(network, ks.LabelSet(("a", "b", "c")), SPEC, temperature=0.6, thresholds=(0.5, 0.5, 0.5))
    _, (probabilities, _) = exported(name, model, tmp_path, IMAGES)
    np.testing.assert_allclose(probabilities, model.predict_array(IMAGES), atol=TOLERANCE[FORMATS[name].precision])
    assert np.abs(probabilities.sum(axis=1) - 1).max() > 0.01


@pytest.fixture(scope="module")
def detector():
    from keensight.core.anomaly import Limits, PatchSampler
    from keensight.nets.detector import Detector, levels, with_memory

    spec = ks.ImageSpec(72, 64)
    images = np.random.default_rng(0).integers(0, 256, (20, *spec.shape)).astype(np.uint8)
    lower, patches = levels(ks.build(2, spec, "efficientnet_lite0", weights="none")), []
    for level in lower(images):
        sampler = PatchSampler(int(np.prod(level.shape[:3])))
        sampler.add(np.asarray(level))
        patches.append(sampler.finish())
    return Detector(with_memory(lower, patches), spec, Limits(2.0, 1.5, 0.05, 20))


@pytest.mark.parametrize("name", NAMES)
def test_a_detector_gives_the_scores_of_its_patches(name, detector, tmp_path):
    new = np.random.default_rng(1).integers(0, 256, (3, *detector.spec.shape)).astype(np.uint8)
    outputs, (found,) = exported(name, detector, tmp_path, new)
    assert outputs == ("levels",)
    scores = detector.score(detector.predict_levels(new))
    relative = {"float32": 1e-4, "float16": 0.03}[FORMATS[name].precision]
    np.testing.assert_allclose(detector.score(found), scores, rtol=relative)


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_missing_packages_are_named_with_the_extra_that_installs_them(name, monkeypatch):
    monkeypatch.setattr("keensight.nets.export.formats.find_spec", lambda module: None)
    with pytest.raises(UsageError, match=FORMATS[name].writers[0]) as caught:
        check_packages(FORMATS[name])
    assert caught.value.hint == f'run: pip install "keensight[{name}]"'
    with pytest.raises(UsageError, match=f"runs {name}, is not installed"):
        check_runtime(FORMATS[name])


def test_the_names_of_onnx_are_those_of_the_graph(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model = ks.Classifier(network, ks.LabelSet(("a", "b", "c")), SPEC)
    write_network(FORMATS["onnx"], model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape) == ("images", "tensor(uint8)", ["n", *SPEC.shape])
    found = {one.name: one.shape for one in session.get_outputs()}
    assert found == {"probabilities": ["n", 3], "embedding": ["n", model.embedding_size]}
    assert sys.modules["tf2onnx"]
