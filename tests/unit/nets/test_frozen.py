import numpy as np
import pytest

from keensight.core.records import ImageSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net():
    from keensight.nets.build import build
    from keensight.nets.transfer import features_of

    return features_of(build("efficientnet_lite0", ImageSpec(64, 64), 3))


def _images(n=9):
    return np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def test_a_frozen_network_gives_the_features_that_keras_gives(net):
    from keensight.nets.frozen import freeze

    frozen, images = freeze(net), _images()
    expected = np.asarray(net(images))
    assert frozen.shape == expected.shape[1:]
    np.testing.assert_allclose(frozen(images), expected, rtol=1e-4, atol=1e-4)
    parts = list(frozen.stream(lambda begin=begin: images[begin : begin + 2] for begin in range(0, 9, 2)))
    np.testing.assert_array_equal(np.concatenate(parts), frozen(images))


def test_openvino_gives_the_same_features_for_every_size_of_batch(net):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    from keensight.nets import engines
    from keensight.nets.frozen import FrozenNet, _convert

    flatbuffer, images = _convert(net), _images(15)
    assert engines.chosen().name == "OpenVINO"
    litert, openvino = engines.litert(flatbuffer, 1)[0], engines.openvino(flatbuffer, 2)[0]
    assert openvino.shape == litert.shape
    for n in (1, 7):
        np.testing.assert_allclose(openvino.run(images[:n]), litert.run(images[:n]), rtol=1e-4, atol=1e-4)
    frozen = FrozenNet(flatbuffer, 2)
    parts = list(frozen.stream(lambda begin=begin: images[begin : begin + 4] for begin in range(0, 15, 4)))
    np.testing.assert_allclose(np.concatenate(parts), np.asarray(net(images)), rtol=1e-4, atol=1e-4)


def test_litert_runs_what_openvino_cannot_read(net, monkeypatch):
    from keensight.nets import engines
    from keensight.nets.backbones import Choice
    from keensight.nets.frozen import freeze

    def refuse(flatbuffer, count):
        raise RuntimeError("an operation that is not known")

    monkeypatch.setattr(engines, "chosen", lambda: Choice("OpenVINO", "said by a test"))
    monkeypatch.setattr(engines, "openvino", refuse)
    images = _images(2)
    np.testing.assert_allclose(freeze(net)(images), np.asarray(net(images)), rtol=1e-4, atol=1e-4)


def test_a_converted_network_is_kept_and_found_by_its_weights(net, tmp_path, monkeypatch):
    from keensight.nets import frozen

    first = frozen.freeze(net, tmp_path)(_images(2))
    (kept,) = tmp_path.glob("*.tflite")
    assert kept.stem == frozen.digest(net)
    monkeypatch.setattr(frozen, "_convert", lambda model: pytest.fail("converted again"))
    np.testing.assert_array_equal(frozen.freeze(net, tmp_path)(_images(2)), first)


def test_another_weight_is_another_network(net):
    from keensight.nets.frozen import digest

    before, layer = digest(net), net.get_layer("stem")
    kernel = layer.get_weights()[0]
    layer.set_weights([kernel + 1e-3])
    assert digest(net) != before
    layer.set_weights([kernel])
    assert digest(net) == before


def test_nothing_is_printed_or_logged_while_it_is_converted(net, capfd, caplog):
    from keensight.nets.frozen import freeze

    freeze(net)
    out, error = capfd.readouterr()
    assert (out, error, caplog.records) == ("", "", [])


def test_the_same_network_built_again_has_the_same_digest():
    from keensight.nets.build import build
    from keensight.nets.frozen import digest
    from keensight.nets.transfer import features_of

    def made(side):
        return digest(features_of(build("efficientnet_lite0", ImageSpec(side, side), 3)))

    assert made(64) == made(64)  # whatever names Keras has given its layers
    assert made(64) != made(96)
