"""Heatmaps of networks whose evidence is known: one channel sees red, one sees blue, and each is a class."""

import numpy as np
import pytest

from keensight.core.prototypes import Prototypes
from keensight.core.records import ImageSpec, LabelSet
from keensight.errors import UsageError

pytestmark = pytest.mark.slow
SPEC, LABELS = ImageSpec(32, 48), LabelSet(("red", "blue"))
RED, BLUE = (slice(4, 10), slice(6, 14)), (slice(20, 28), slice(30, 38))


def network(nested=(), head="mean"):
    """Color detectors as a convolution, then a mean or a flattening, then the logits."""
    from keensight.nets.runtime import framework

    keras, _ = framework()
    layers = keras.layers
    inputs = keras.Input(SPEC.shape, dtype="uint8")
    body = [layers.Rescaling(1 / 255), layers.Conv2D(2, 3, padding="same", name="seen"), layers.ReLU()]
    x = inputs
    if "sequential" in nested:
        x = keras.Sequential(body)(x)
    elif "functional" in nested:
        inner = keras.Input(SPEC.shape)
        y = inner
        for layer in body[1:]:
            y = layer(y)
        x = keras.Model(inner, y, name="backbone")(body[0](x))
    else:
        for layer in body:
            x = layer(x)
    x = layers.GlobalAveragePooling2D()(x) if head == "mean" else layers.Flatten()(layers.MaxPooling2D(8)(x))
    x = layers.Dropout(0.5)(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits", use_bias=False)(x))
    kernel = np.full((3, 3, 3, 2), -1 / 9, np.float32)
    kernel[:, :, 0, 0] = kernel[:, :, 2, 1] = 1 / 9
    body[1].set_weights([kernel, np.zeros(2, np.float32)])
    rows = model.get_layer("logits").get_weights()[0].shape[0]
    model.get_layer("logits").set_weights([np.tile(np.eye(2, dtype=np.float32), (rows // 2, 1))])
    return model


def image():
    picture = np.full((32, 48, 3), 60, np.uint8)
    picture[RED] = (255, 20, 20)
    picture[BLUE] = (20, 20, 255)
    return picture


def explainer(model, mirror=False, prototypes=None, labels=LABELS, **more):
    from keensight.nets.classifier import Classifier
    from keensight.nets.gradcam import Explainer

    return Explainer(Classifier(model, labels, SPEC, mirror=mirror, prototypes=prototypes), **more)


def share_inside(heat, place):
    return heat[place].sum() / heat.sum()


@pytest.mark.parametrize("nested", [(), ("sequential",), ("functional",)], ids=["flat", "sequential", "functional"])
@pytest.mark.parametrize("method", ["gradcam", "hirescam", "layercam"])
def test_the_heat_is_where_the_evidence_is(nested, method):
    heats = explainer(network(nested), method=method).heatmaps(np.stack([image()] * 2), np.array([0, 1]))
    assert heats.shape == (2, 32, 48) and heats.dtype == np.float32
    np.testing.assert_allclose(heats.max(axis=(1, 2)), 1)
    assert heats.min() >= 0
    assert share_inside(heats[0], RED) > 0.6 and share_inside(heats[1], BLUE) > 0.6
    assert share_inside(heats[0], BLUE) < 0.01 and share_inside(heats[1], RED) < 0.01


def test_flattening_keeps_places_apart():
    heat = explainer(network(head="flat")).heatmaps(image()[None], np.array([0]))[0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert abs(row - 7) <= 8 and abs(column - 10) <= 8, "the map has one place for 8 x 8 pixels"


def test_mirror_images_count_where_they_were():
    plain, mirrored = (explainer(network(), mirror=m).heatmaps(image()[None], np.array([0])) for m in (False, True))
    np.testing.assert_allclose(mirrored, plain, atol=1e-5)


def test_nothing_speaks_for_a_class_that_is_not_there():
    grey = np.full((1, 32, 48, 3), 60, np.uint8)
    assert not explainer(network()).heatmaps(grey, np.array([0])).any()


def test_an_enrolled_class_is_explained_by_its_mean():
    means = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    prototypes = Prototypes(np.zeros(2, np.float32), means, np.array([9, 9, 3]), -1.0, 1.0, 0.1)
    made = explainer(network(), prototypes=prototypes, labels=LabelSet(("red", "blue", "navy")))
    heat = made.heatmaps(image()[None], np.array([2]))[0]
    assert share_inside(heat, BLUE) > 0.6


@pytest.mark.parametrize("name", ["cnn", "resnet", "efficientnet_lite0", "mobilenet_v3_small", "densenet121"])
def test_every_architecture_finds_its_own_maps(name):
    from keensight.nets.classifier import Classifier
    from keensight.nets.gradcam import Explainer
    from keensight.nets.models.build import build

    spec = ImageSpec(64, 48)
    made = Explainer(Classifier(build(name, spec, 3, weights=None), LabelSet(("a", "b", "c")), spec))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
    assert made.heatmaps(pixels, np.array([0, 1, 2])).shape == (3, 64, 48)
    assert made.side > 1


def test_places_add_up_to_the_logit():
    made = explainer(network(), method="hirescam")
    (evidence,) = made._evidence(image()[None], np.array([0]))
    logit = float(network()(image()[None], training=False)[0, 0])
    np.testing.assert_allclose(evidence.sum(), logit, rtol=1e-4)


def test_a_coarse_last_map_is_joined_by_a_finer_one():
    from keensight.nets.gradcam import fine_map, last_maps
    from keensight.nets.models.build import build

    lite = build("efficientnet_lite0", ImageSpec(160, 160), 2, weights=None)
    assert [tensor.shape[1] for tensor in last_maps(lite)] == [10, 5, 5, 5]
    assert last_maps(lite)[-1].shape[3] == 1280, "the deepest map comes last"
    assert fine_map(lite) is last_maps(lite)[0]
    assert fine_map(build("cnn", ImageSpec(28, 28), 2)).shape[1:] == (7, 7, 128)
    assert fine_map(build("mobilenet_v2", ImageSpec(224, 224), 2, weights=None)) is None


def test_what_cannot_be_explained_is_refused_in_words():
    from keensight.nets.gradcam import flat, last_maps
    from keensight.nets.runtime import framework

    keras, _ = framework()
    plain = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(UsageError, match="no feature map"):
        last_maps(flat(plain))

    class Hidden(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UsageError, match="subclassed"):
        flat(Hidden())
    with pytest.raises(UsageError, match="hirescm"):
        explainer(network(), method="hirescm")


def test_a_flat_network_answers_as_the_nested_one_does():
    from keensight.nets.gradcam import flat

    model = network(("functional",))
    made = flat(model)
    assert made is not model and flat(made) is made
    np.testing.assert_allclose(made(image()[None], training=False), model(image()[None], training=False), atol=1e-6)
