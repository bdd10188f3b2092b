import importlib

import numpy as np
import pytest

from keensight.core.records import ImageSpec
from keensight.errors import StoreError, UsageError
from keensight.nets.models.backbones import ARCHITECTURES, NORMALISATIONS, without_download

pytestmark = pytest.mark.slow
APPLICATIONS = [name for name, item in ARCHITECTURES.items() if item.application]
QUICK = ["efficientnet_lite0", "efficientnet_b0", "mobilenet_v3_small", "resnet50", "convnext_tiny"]
MODULES = {
    "mobilenet_v3_small": "mobilenet_v3",
    "mobilenet_v3_large": "mobilenet_v3",
    "efficientnet_v2_b0": "efficientnet_v2",
    "resnet50": "resnet",
    "resnet50_v2": "resnet_v2",
    "densenet121": "densenet",
}


@pytest.fixture
def build():
    from keensight.nets.models.build import build

    return build


def pixels(side, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", QUICK)
def test_a_backbone_is_one_flat_graph_of_stock_layers_that_loads_in_safe_mode(name, build, tmp_path):
    from keensight.nets.runtime import framework
    from keensight.store.safety import check_model

    keras, _ = framework()
    model = build(name, ImageSpec(64, 96), 7, weights=None)
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]
    assert model.input.dtype == "uint8"
    assert [layer.name for layer in model.layers[-3:]] == ["features", "dropout", "logits"]
    images = pixels(96)[:, :64]
    logits = np.asarray(model(images))
    assert logits.shape == (2, 7)
    assert logits.dtype == np.float32
    model.save(tmp_path / "model.keras")
    check_model(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(logits, np.asarray(loaded(images)))


@pytest.mark.parametrize("side", [32, 64, 75, 160])
def test_lite_takes_any_side_and_its_weights_come_along(side, build):
    model = build("efficientnet_lite0", ImageSpec(side, side), 3)
    assert model.get_layer("head").output.shape == (None, -(-side // 32), -(-side // 32), 1280)
    assert np.isfinite(np.asarray(model(pixels(side)))).all()
    fresh = build("efficientnet_lite0", ImageSpec(side, side), 3, weights="none")
    assert not np.array_equal(model.get_layer("stem").get_weights()[0], fresh.get_layer("stem").get_weights()[0])


@pytest.mark.parametrize("name", ["efficientnet_lite1", "efficientnet_lite2"])
def test_the_larger_ones_take_their_weights_where_installed(name, build):
    pytest.importorskip(ARCHITECTURES[name].embedded.package)
    model = build(name, ImageSpec(64, 64), 3)
    assert np.isfinite(np.asarray(model(pixels(64)))).all()


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_first_layer_does_what_keras_asks_for(name):
    from keensight.nets.models.normalise import normalise
    from keensight.nets.runtime import framework

    keras, _ = framework()
    inputs = keras.layers.Input((8, 8, 3), dtype="uint8")
    ours = keras.Model(inputs, normalise(inputs, ARCHITECTURES[name].normalisation))
    images = pixels(8)
    if name in ("efficientnet_b0", "convnext_tiny"):  # Keras' own graphs do this inside
        module, mode = keras.applications.imagenet_utils, {"mode": "torch"}
    else:
        module, mode = importlib.import_module(f"keras.applications.{MODULES.get(name, name)}"), {}
    expected = module.preprocess_input(images.astype(np.float32), **mode)
    np.testing.assert_allclose(np.asarray(ours(images)), expected, rtol=1e-5, atol=1e-4)


def test_lite_normalises_as_its_weights_were_trained(build):
    from keensight.nets.runtime import framework

    keras, _ = framework()
    model = build("efficientnet_lite0", ImageSpec(32, 32), 2, weights=None)
    first = keras.Model(model.input, model.get_layer("normalise").output)
    images = pixels(32)
    np.testing.assert_allclose(np.asarray(first(images)), (images.astype(np.float32) - 127) / 128, atol=1e-6)


def test_the_layers_that_keras_puts_before_efficientnet_b0_do_nothing(build):
    from keensight.nets.runtime import framework

    keras, _ = framework()
    model = build("efficientnet_b0", ImageSpec(32, 32), 2, weights=None)
    ends = [model.get_layer("normalise").output, model.get_layer("stem_conv_pad").input]
    ours, stem = keras.Model(model.input, ends)(pixels(32))
    np.testing.assert_allclose(np.asarray(ours), np.asarray(stem), rtol=1e-5, atol=1e-5)


def test_the_flat_convnext_computes_what_the_nested_one_does(build):
    from keensight.nets.models import convnext
    from keensight.nets.runtime import framework

    keras, _ = framework()
    nested = keras.applications.ConvNeXtTiny(include_top=False, weights=None)
    rng = np.random.default_rng(0)
    nested.set_weights([rng.normal(0, 0.1, w.shape).astype(np.float32) for w in nested.get_weights()])
    model = build("convnext_tiny", ImageSpec(64, 64), 2, weights=None)
    convnext.fill(keras.Model(model.get_layer("normalise").output, model.get_layer("head_norm").output), nested)
    flat = keras.Model(model.input, model.get_layer("head_norm").output)
    images = pixels(64)
    np.testing.assert_allclose(np.asarray(flat(images)), np.asarray(nested(images.astype(np.float32))), atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "convnext_tiny"])
def test_without_a_network_one_sentence_names_what_needs_none(name, build, monkeypatch, tmp_path):
    import urllib.request

    def refuse(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(StoreError, match=f"{name} cannot be downloaded: .*not known") as caught:
        build(name, ImageSpec(64, 64), 2)
    assert "efficientnet_lite0" in caught.value.hint


def test_a_fixed_width_is_refused(build):
    with pytest.raises(UsageError, match="width of efficientnet_lite0 is fixed"):
        build("efficientnet_lite0", ImageSpec(64, 64), 2, width=8)


@pytest.mark.parametrize(("name", "side"), [("efficientnet_lite0", 28), ("xception", 64)])
def test_an_image_that_is_too_small_is_refused(name, side, build):
    with pytest.raises(UsageError, match="needs images of at least"):
        build(name, ImageSpec(side, side), 2)


def test_the_table_is_whole():
    adopted = {"unit"}  # asked for by networks from elsewhere only
    assert {item.normalisation for item in ARCHITECTURES.values()} == set(NORMALISATIONS) - adopted
    assert without_download() == [f"efficientnet_lite{i}" for i in range(3)]
    sources = {item.name: item.source for item in ARCHITECTURES.values()}
    assert sources["cnn"] == "none"
    assert sources["efficientnet_lite0"] == "embedded"
    assert sources["efficientnet_lite2"] == "extra lite"
    assert sources["resnet50"] == "download"
