import numpy as np
import pytest

from keensight.core.records import ImageSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lite():
    from keensight.nets.models.build import build

    return build("efficientnet_lite0", ImageSpec(64, 64), 3, weights="none")


def test_a_cut_never_falls_where_a_shortcut_runs_beside_it(lite):
    from keensight.nets.training.split_model import cuts

    places = cuts(lite)
    names = [place.layer for place in places]
    assert "block2_add" in names
    assert "block2_depthwise" not in names  # block 2 adds its input
    assert "block1_depthwise" in names  # block 1 halves the map and adds nothing
    assert "block11_project" not in names  # the means of block 10 go on beside it
    shares = [place.below for place in places]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1


def test_both_halves_together_are_the_network_and_share_its_weights(lite):
    from keensight.nets.training.split_model import cuts, halves

    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    for place in cuts(lite)[:: len(cuts(lite)) // 4]:
        lower, upper = halves(lite, place.layer)
        activations = np.asarray(lower(images))
        assert activations[0].size == place.values
        np.testing.assert_allclose(np.asarray(upper(activations)), np.asarray(lite(images)), atol=1e-5)
    assert len(cuts(lite)) > 20  # cutting it has not changed what is found


def test_multiplications_are_those_of_the_textbook():
    from keensight.nets.runtime import framework
    from keensight.nets.training.split_model import multiplications

    keras, _ = framework()
    inputs = keras.Input((10, 10, 3))
    convolution = keras.layers.Conv2D(8, 3, padding="same")
    depthwise = keras.layers.DepthwiseConv2D(3, strides=2, padding="same")
    dense = keras.layers.Dense(5)
    keras.Model(inputs, dense(keras.layers.Flatten()(depthwise(convolution(inputs)))))
    assert multiplications(convolution) == 10 * 10 * 3 * 3 * 3 * 8
    assert multiplications(depthwise) == 5 * 5 * 3 * 3 * 8
    assert multiplications(dense) == 5 * 5 * 8 * 5


def test_the_freezing_point_follows_the_share(lite):
    from keensight.nets.training.tuning import freezing_point

    assert freezing_point(lite, 0.65).layer == "block10_add"
    assert freezing_point(lite, 0.0).below <= freezing_point(lite, 0.3).below <= 0.3
