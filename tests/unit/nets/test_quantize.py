"""int8: what is measured on the training images is put right, and the head stays exact."""

import numpy as np
import pytest

import keensight as ks
from keensight.nets.export.quantize import Tail, corrected, to_int8

RNG = np.random.default_rng(0)
D, CLASSES = 6, 3


def tail():
    return Tail(
        RNG.normal(size=(D, CLASSES)).astype(np.float32), RNG.normal(size=CLASSES).astype(np.float32),
        np.zeros(D, np.float32),
    )  # fmt: skip


def logits(one, features):
    return (features - one.shift) @ one.kernel + one.bias


def test_exact_features_change_nothing():
    features = RNG.normal(size=(50, D)).astype(np.float32)
    first = tail()
    second = corrected(first, features, features)
    np.testing.assert_allclose(second.shift, 0, atol=1e-7)
    np.testing.assert_allclose(logits(second, features), logits(first, features), atol=1e-5)


def test_a_shift_is_subtracted():
    features = RNG.normal(size=(50, D)).astype(np.float32)
    moved = features + np.arange(D, dtype=np.float32)
    first = tail()
    second = corrected(first, features, moved)
    np.testing.assert_allclose(second.shift, np.arange(D), atol=1e-5)
    np.testing.assert_allclose(logits(second, moved), logits(first, features), atol=1e-4)


def test_a_feature_that_became_noise_loses_its_weight_and_keeps_its_mean():
    features = RNG.normal(size=(2000, D)).astype(np.float32)
    features[:, 0] = 5 + 1e-3 * features[:, 0]
    rounded = features.copy()
    rounded[:, 0] = 5 + RNG.normal(size=2000) * 0.1
    first = tail()
    first.kernel[0] *= 1000
    second = corrected(first, features, rounded)
    assert np.abs(second.kernel[0]).max() < 0.01 * np.abs(first.kernel[0]).max()
    error = logits(second, rounded) - logits(first, features)
    naive = logits(first, rounded) - logits(first, features)
    assert np.abs(error).mean() < 0.1 * np.abs(naive).mean()
    assert np.abs(error.mean(axis=0)).max() < 1


@pytest.mark.slow
@pytest.mark.parametrize("mirror", [False, True])
def test_the_convolutions_are_int8_and_the_head_is_float(mirror):
    from ai_edge_litert.interpreter import Interpreter

    spec = ks.ImageSpec(32, 24)
    images = RNG.integers(0, 255, (40, *spec.shape), np.uint8)
    network = ks.build(CLASSES, spec, "resnet")
    model = ks.Classifier(network, ks.LabelSet(("a", "b", "c")), spec, temperature=1.5, mirror=mirror)
    flatbuffer = to_int8(model, images)
    interpreter = Interpreter(model_content=flatbuffer)
    tensors = {one["index"]: one for one in interpreter.get_tensor_details()}
    kinds = {}
    for operation in interpreter._get_ops_details():
        kinds.setdefault(operation["op_name"], set()).add(tensors[operation["outputs"][0]]["dtype"])
    assert kinds["CONV_2D"] == {np.int8} and kinds["FULLY_CONNECTED"] == kinds["SOFTMAX"] == {np.float32}
    scales = [len(one["quantization_parameters"]["scales"]) for one in tensors.values() if one["dtype"] is np.int8]
    assert max(scales) >= 16  # one for each output channel
    (entry,), (first, second) = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] is np.uint8 and first["dtype"] is second["dtype"] is np.float32
    interpreter.resize_tensor_input(entry["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], images)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(first["index"]), model.predict_array(images), atol=0.05)
    expected = model.embed_array(images)
    found = interpreter.get_tensor(second["index"])
    np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=0.02 * np.abs(expected).max())
