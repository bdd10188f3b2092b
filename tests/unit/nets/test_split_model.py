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
