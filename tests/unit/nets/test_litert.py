import numpy as np
import pytest

from keensight.core.records import ImageSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net():
    from keensight.nets.models.build import build
    from keensight.nets.training.images import features_of

    return features_of(build("efficientnet_lite0", ImageSpec(64, 64), 3))


def _images(n=9):
    return np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def test_a_frozen_network_gives_the_features_that_keras_gives(net):
    from keensight.nets.litert import freeze

    litert, images = freeze(net), _images()
    expected = np.asarray(net(images))
    assert litert.shape == expected.shape[1:]
    np.testing.assert_allclose(litert(images), expected, rtol=1e-4, atol=1e-4)
    parts = list(litert.stream(lambda begin=begin: images[begin : begin + 2] for begin in range(0, 9, 2)))
    np.testing.assert_array_equal(np.concatenate(parts), litert(images))


def test_openvino_gives_the_same_features_for_every_size_of_batch(net):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    from keensight.nets import litert
    from keensight.nets.litert import FrozenNet, _convert

    flatbuffer, images = _convert(net), _images(15)
    lite, openvino = next(litert.litert(flatbuffer, 1)), next(litert.openvino(flatbuffer, 2))
    assert openvino.shapes == lite.shapes
    for n in (1, 7):
        np.testing.assert_allclose(openvino.run(images[:n])[0], lite.run(images[:n])[0], rtol=1e-4, atol=1e-4)
    frozen = FrozenNet(flatbuffer, litert.openvino_or_litert, 2)
    parts = list(frozen.stream(lambda begin=begin: images[begin : begin + 4] for begin in range(0, 15, 4)))
    np.testing.assert_allclose(np.concatenate(parts), np.asarray(net(images)), rtol=1e-4, atol=1e-4)


def test_litert_runs_what_openvino_cannot_read(net, monkeypatch):
    from keensight.nets import litert
    from keensight.nets.litert import freeze

    def refuse(flatbuffer, count):
        raise RuntimeError("an operation that is not known")

    monkeypatch.setattr(litert, "openvino", refuse)
    found, images = freeze(net, make=litert.openvino_or_litert), _images(2)
    np.testing.assert_allclose(found(images), np.asarray(net(images)), rtol=1e-4, atol=1e-4)


def test_a_converted_network_is_kept_and_found_by_its_weights(net, tmp_path, monkeypatch):
    from keensight.nets import litert

    first = litert.freeze(net, tmp_path)(_images(2))
    (kept,) = tmp_path.glob("*.tflite")
    assert kept.stem == litert.digest(net)
    monkeypatch.setattr(litert, "_convert", lambda model: pytest.fail("converted again"))
    np.testing.assert_array_equal(litert.freeze(net, tmp_path)(_images(2)), first)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:-32], lambda data: b"", lambda data: b"\0" + data[1:]]
)
def test_a_damaged_converted_network_is_converted_again(net, tmp_path, damage):
    from keensight.nets import litert

    first = litert.freeze(net, tmp_path)(_images(2))
    (kept,) = tmp_path.glob("*.tflite")
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    np.testing.assert_array_equal(litert.freeze(net, tmp_path)(_images(2)), first)
    assert kept.read_bytes()[:-32] == whole[:-32]


def test_another_weight_is_another_network(net):
    from keensight.nets.litert import digest

    before, layer = digest(net), net.get_layer("stem")
    kernel = layer.get_weights()[0]
    layer.set_weights([kernel + 1e-3])
    assert digest(net) != before
    layer.set_weights([kernel])
    assert digest(net) == before


def test_nothing_is_printed_or_logged_while_it_is_converted(net, capfd, caplog):
    from keensight.nets.litert import freeze

    freeze(net)
    out, error = capfd.readouterr()
    assert (out, error, caplog.records) == ("", "", [])


def test_the_same_network_built_again_has_the_same_digest():
    from keensight.nets.litert import digest
    from keensight.nets.models.build import build
    from keensight.nets.training.images import features_of

    def made(side):
        return digest(features_of(build("efficientnet_lite0", ImageSpec(side, side), 3)))

    assert made(64) == made(64)  # whatever names Keras has given its layers
    assert made(64) != made(96)
