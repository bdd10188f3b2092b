"""The network of patches and its Gaussian, as one graph."""

import numpy as np
import pytest

from keensight.core.anomaly import Limits, gaussian
from keensight.core.records import ImageSpec
from keensight.errors import DataError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lower():
    from keensight.nets.detector import patches
    from keensight.nets.models.build import build

    return patches(build("efficientnet_lite0", ImageSpec(72, 64), 2))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 72, 64, 3)).astype(np.uint8)


def test_patches_join_the_narrowest_maps_of_both_strides(lower):
    assert lower.output_shape == (None, 9, 8, 40 + 80)


def test_the_graph_gives_the_mahalanobis_distance_and_loads_again(lower, images, tmp_path):
    from keensight.nets.detector import Detector, with_gaussian

    patches = np.asarray(lower(images))
    mean, whiten = gaussian([patches])
    detector = Detector(with_gaussian(lower, mean, whiten), ImageSpec(72, 64), Limits(2.0, 1.5, 0.05, 20))
    found = detector.predict_maps(images)
    expected = (((patches - mean) @ whiten) ** 2).mean(axis=-1)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert found.mean() == pytest.approx(1, abs=0.05)
    detector.keras_model.save(tmp_path / "model.keras")
    again = Detector.open(tmp_path / "model.keras", detector.spec, detector.limits)
    assert again.predict(list(images[:3])).scores == pytest.approx(detector.score(found[:3]), rel=1e-4)
    with pytest.raises(DataError, match="uint8"):
        again.predict_maps(images.astype(np.float32))
