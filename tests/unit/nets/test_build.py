import numpy as np
import pytest

from keensight.core.records import ImageSpec
from keensight.errors import UsageError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["cnn", "resnet"])
@pytest.mark.parametrize("side", [8, 28, 112])
def test_every_network_takes_uint8_images_and_gives_one_logit_per_class(name, side):
    from keensight.nets.models.build import build

    model = build(name, ImageSpec(side, side + 4), 7, width=4)
    assert model.input.dtype == "uint8"
    assert model.input_shape == (None, side, side + 4, 3)
    logits = model(np.zeros((2, side, side + 4, 3), np.uint8))
    assert logits.shape == (2, 7)
    assert logits.dtype == "float32"


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_networks_are_stock_layers_that_load_in_safe_mode_with_equal_answers(name, tmp_path):
    from keensight.nets.models.build import build
    from keensight.nets.runtime import framework

    keras, _ = framework()
    model = build(name, ImageSpec(28, 28), 5, width=4)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 3), dtype=np.uint8)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(loaded(images)))


def test_an_input_that_is_too_small_says_what_to_do():
    from keensight.nets.models.build import build

    with pytest.raises(UsageError, match="at least 8 px") as caught:
        build("cnn", ImageSpec(4, 4), 2)
    assert "--image-size" in caught.value.hint


def test_an_unknown_network_names_the_nearest():
    from keensight.nets.models.build import build

    with pytest.raises(UsageError) as caught:
        build("resnt", ImageSpec(28, 28), 2)
    assert "did you mean 'resnet'" in caught.value.hint
