import numpy as np
import pytest

from keensight.core.progress import Silent
from keensight.core.records import ImageSpec, LabelSet
from keensight.workflow.measure import EvaluationSet

pytestmark = pytest.mark.slow


class Pixels:
    def __init__(self, images):
        self.images = images

    def take(self, rows):
        return self.images[rows]


def validation(targets, images):
    return EvaluationSet(None, np.arange(len(targets)), Pixels(images), targets, "val")


def _lopsided():
    """Logits from the brightness of the left and of the right half: of no use by itself, telling on average."""
    from keensight.nets.classifier import Classifier
    from keensight.nets.runtime import framework

    keras, _ = framework()
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255.0)(inputs))
    logits = keras.layers.Dense(2, name="logits")(flat)
    model = keras.Model(inputs, logits)
    kernel = np.zeros((2, 2, 3, 2), np.float32)
    kernel[:, 0, :, 1] = 1.0
    model.get_layer("logits").set_weights([kernel.reshape(12, 2), np.array([1.5, 0.0], np.float32)])
    return Classifier(model, LabelSet(("dark", "bright")), ImageSpec(2, 2))


def test_the_mean_of_both_looks_is_taken_where_it_helps():
    from keensight.workflow.calibrate import mirrored_if_it_pays

    rng = np.random.default_rng(0)
    targets = np.arange(40) % 2
    images = np.zeros((40, 2, 2, 3), np.uint8)
    images[:, :, 0] = rng.integers(0, 255, (40, 1, 1))  # the left half tells nothing by itself
    images[:, :, 1] = (targets[:, None, None] * 255 + 0 - images[:, :, 0].astype(int)).clip(0, 255)
    plain = _lopsided()
    double = mirrored_if_it_pays(plain, validation(targets, images), Silent())
    assert double.mirror
    np.testing.assert_allclose(double.predict_array(images), double.predict_array(images[:, :, ::-1].copy()), atol=1e-6)
    assert (double.predict_array(images).argmax(1) == targets).mean() >= (
        plain.predict_array(images).argmax(1) == targets
    ).mean()


def test_the_plain_classifier_stays_where_mirroring_harms():
    from keensight.workflow.calibrate import mirrored_if_it_pays

    targets = np.arange(40) % 2
    images = np.zeros((40, 2, 2, 3), np.uint8)
    images[targets == 1, :, 0] = 255  # the left half alone tells
    plain = _lopsided()
    assert mirrored_if_it_pays(plain, validation(targets, images), Silent()) is plain
