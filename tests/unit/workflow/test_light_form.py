"""The light form in a bundle: made, checked, added later, and used in place of Keras."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import keensight as ks
from keensight.core.files import sha256_file
from keensight.errors import GateError, StoreError
from keensight.workflow import add_light_form, prototypes_of

pytestmark = pytest.mark.slow
SIDE = 16
SPEC = ks.ImageSpec(SIDE, SIDE)


class Told:
    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def draw(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)


def written(folder, network, told=None, **settings):
    data = ks.from_arrays(draw(40), np.repeat(("blue", "green"), 20))
    split = ks.Split(tuple(range(0, 40, 2)), tuple(range(1, 40, 4)), tuple(range(3, 40, 4)), "by number")
    classifier = ks.Classifier(network, data.labels, SPEC, **settings)
    pixels = ks.prepare(data, SPEC)
    means = prototypes_of(classifier, data, split, pixels) if classifier.embeds else None
    return ks.bundle(classifier, data, split, folder, prototypes=means, pixels=pixels, progress=told)


@pytest.fixture(scope="module")
def network():
    ks.framework()[0].utils.set_random_seed(0)
    data = ks.from_arrays(draw(40), np.repeat(("blue", "green"), 20))
    return ks.build(data, SPEC, "cnn", width=4)


@pytest.fixture(scope="module")
def made(network, tmp_path_factory):
    return written(tmp_path_factory.mktemp("made") / "bundle", network, temperature=1.5, mirror=True)


@pytest.fixture
def bundle(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "bundle")
    return ks.open_bundle(tmp_path / "bundle")


def edit(bundle, **changes):
    path = bundle.path / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    there = [name for name in plain["files"] if (bundle.path / name).is_file()]
    plain["files"] = {name: sha256_file(bundle.path / name) for name in there}
    path.write_text(json.dumps(plain | changes), encoding="utf-8")
    return ks.open_bundle(bundle.path)


def as_schema_5(bundle):
    (bundle.path / "model.tflite").unlink()
    return edit(bundle, schema=5)


def test_both_engines_predict_and_embed_the_same(bundle):
    light, keras = ks.load(bundle.path), ks.load(bundle.path, engine="keras")
    assert (light.engine, keras.engine) == ("litert", "keras")
    assert light.embedding_size == keras.embedding_size
    images = draw(60, 1)
    for found, expected in zip(light.answer_array(images), keras.answer_array(images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    files = [*images[:3], b"no image", *images[3:9]]
    one, other = light.predict(files), keras.predict(files)
    assert one.errors == other.errors and len(one.errors) == 1
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
    parts = list(light.stream(iter(files)))
    assert [name for part in parts for name in part.paths] == list(one.paths)
    np.testing.assert_array_equal(np.concatenate([part.probabilities for part in parts]), one.probabilities)


def test_the_keras_model_is_there_too(bundle):
    light = ks.load(bundle.path)
    assert light.keras_model.output_shape == (None, 2)
    assert light.changed(decision=None).engine == "litert"
    cold = light.changed(temperature=0.5)
    assert cold.engine == "keras"
    image = draw(1, 2)
    assert cold.predict_array(image).max() > light.predict_array(image).max()


def test_a_class_enrolled_later_is_found_on_both(bundle, tmp_path):
    done = ks.enrol(bundle, "red", list(draw(5, 3)), tmp_path / "wider")
    assert done.bundle.light() == bundle.light()
    assert [check.name for check in ks.verify(done.bundle.path).checks][-1] == "self-test on LiteRT"


def test_a_network_that_litert_lacks_leaves_a_bundle_that_keras_runs(tmp_path):
    keras, _ = ks.framework()
    inputs = keras.Input(SPEC.shape, dtype="uint8")
    odd = keras.ops.erfinv(keras.layers.Rescaling(1 / 300)(inputs))
    flat = keras.layers.GlobalAveragePooling2D()(odd)
    told = Told()
    bundle = written(tmp_path / "odd", keras.Model(inputs, keras.layers.Dense(2, name="logits")(flat)), told)
    assert told.said == [
        "no light form, so that predicting needs TensorFlow: LiteRT cannot run the network: it has no Erfinv"
    ]
    assert not bundle.has_light and ks.load(bundle.path).engine == "keras" and ks.verify(bundle.path).ok
    with pytest.raises(StoreError, match="has no light form"):
        ks.load(bundle.path, engine="litert")
    with pytest.raises(StoreError, match="it has no Erfinv"):
        add_light_form(bundle)


def test_an_older_bundle_gets_the_light_form_in_its_place(bundle):
    image = draw(4, 4)
    expected = ks.load(bundle.path).predict_array(image)
    old = as_schema_5(bundle)
    assert ks.load(old.path).engine == "keras"
    found = add_light_form(old.path)
    assert (found.path, found.manifest.schema) == (old.path, 6)
    assert dataclasses.replace(found.manifest, files={}, schema=5) == dataclasses.replace(old.manifest, files={})
    np.testing.assert_allclose(ks.load(found.path).predict_array(image), expected, atol=1e-5)
    assert ks.verify(found.path).ok


def test_another_models_light_form_fails_the_self_test(bundle, network, tmp_path):
    other = written(tmp_path / "other", network, temperature=0.3)
    shutil.copy(other.path / "model.tflite", bundle.path / "model.tflite")
    edit(bundle)
    with pytest.raises(GateError, match="self-test failed"):
        ks.load(bundle.path)
    found = ks.verify(bundle.path)
    assert not found.ok and not found.damaged and found.checks[-1].name == "self-test on LiteRT"


def test_a_light_form_that_differs_is_not_written(network, tmp_path, monkeypatch):
    from keensight.assess import parity

    monkeypatch.setitem(parity.TOLERANCE, "float32", -1.0)
    told = Told()
    bundle = written(tmp_path / "strict", network, told)
    assert (
        not bundle.has_light and "the light form does not predict as the model does: largest difference" in told.said[0]
    )
    with pytest.raises(GateError, match="does not predict as the model does"):
        add_light_form(bundle)
    assert not ks.open_bundle(bundle.path).has_light
