import numpy as np
import pytest

from keensight.core import pixels
from keensight.core.records import ImageSpec, LabelSet
from keensight.errors import DataError, StoreError

pytestmark = pytest.mark.slow
SPEC = ImageSpec(12, 16)


@pytest.fixture(scope="module")
def classifier():
    from keensight.nets import runtime
    from keensight.nets.classifier import Classifier
    from keensight.nets.models.build import build

    runtime.configure(seed=0)
    return Classifier(build("cnn", SPEC, 3, width=4), LabelSet(("a", "b", "c")), SPEC)


def _images(n):
    return np.random.default_rng(0).integers(0, 256, (n, *SPEC.shape), dtype=np.uint8)


def test_probabilities_sum_to_one_whatever_the_batch(classifier):
    images = _images(600)
    p = classifier.predict_array(images)
    assert p.shape == (600, 3) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(p[:5], classifier.predict_array(images[:5]), atol=1e-6)
    assert classifier.predict_array(images[:0]).shape == (0, 3)


def test_floats_and_other_shapes_are_refused(classifier):
    with pytest.raises(DataError, match="uint8"):
        classifier.predict_array(_images(2) / np.float32(255))
    with pytest.raises(DataError, match="shape"):
        classifier.predict_array(np.zeros((2, 9, 9, 3), np.uint8))


def test_a_temperature_softens_without_reordering(classifier):
    from keensight.nets.classifier import Classifier

    warm = Classifier(classifier.keras_model, classifier.labels, SPEC, temperature=3.0)
    p, q = classifier.predict_array(_images(20)), warm.predict_array(_images(20))
    np.testing.assert_array_equal(p.argmax(1), q.argmax(1))
    assert (q.max(1) <= p.max(1) + 1e-6).all()


def test_files_bytes_and_arrays_agree_and_a_bad_file_is_a_row(classifier, tmp_path):
    image = _images(1)[0]
    (tmp_path / "good.png").write_bytes(pixels.encode_png(image))
    (tmp_path / "bad.jpg").write_text("no image")
    sources = [tmp_path / "good.png", tmp_path / "bad.jpg", pixels.encode_png(image), image, tmp_path / "none.png"]
    result = classifier.predict(sources)
    np.testing.assert_allclose(
        result.probabilities[[0, 2, 3]], classifier.predict_array(image[None]).repeat(3, 0), atol=1e-6
    )
    rows = result.rows(top=2)
    assert rows[0]["label"] == rows[0]["top"][0][0] and len(rows[0]["top"]) == 2
    assert set(result.errors) == {str(tmp_path / "bad.jpg"), str(tmp_path / "none.png")}
    assert rows[1]["label"] is None and rows[1]["decision"] == "abstain" and rows[1]["error"]


def test_images_that_were_read_already_get_the_same_predictions(classifier):
    from keensight.nets.inputs import read_image

    sources = [pixels.encode_png(image) for image in _images(3)] + [b"no image"]
    read = classifier.predict_read([read_image(source, SPEC) for source in sources])
    assert read.rows() == classifier.predict(sources).rows()
    assert classifier.predict_read([]).rows() == []


def test_a_file_that_is_no_model_is_a_store_error(tmp_path):
    from keensight.nets.classifier import Classifier

    (tmp_path / "model.keras").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"model\.keras"):
        Classifier.open(tmp_path / "model.keras", LabelSet(("a", "b")), SPEC)


def _plain_network(activation=None):
    from keensight.nets.runtime import framework

    keras, _ = framework()
    inputs = keras.Input(SPEC.shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(
        inputs, keras.layers.Dense(3, activation, name="logits" if activation is None else "out")(x), name="plain"
    )


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_an_embedding_is_what_the_last_layer_takes_in(name):
    from keensight.nets import runtime
    from keensight.nets.classifier import Classifier
    from keensight.nets.models.build import build

    runtime.configure(seed=0)
    found = Classifier(build(name, SPEC, 3, width=4, dropout=0.5), LabelSet(("a", "b", "c")), SPEC)
    images = _images(600)
    vectors = found.embed_array(images)
    kernel, bias = found.keras_model.get_layer("logits").get_weights()
    assert vectors.shape == (600, found.embedding_size) == (600, len(kernel)) and vectors.dtype == np.float32
    logits = np.asarray(found.keras_model(images, training=False))
    np.testing.assert_allclose(vectors @ kernel + bias, logits, atol=1e-4)
    assert found.embed_array(images[:0]).shape == (0, len(kernel))


def test_an_unreadable_image_has_no_embedding(classifier, tmp_path):
    image = _images(1)[0]
    sources = [image, b"no image", tmp_path / "none.png"]
    found = classifier.embed(sources)
    np.testing.assert_allclose(found.vectors[0], classifier.embed_array(image[None])[0], atol=1e-5)
    assert np.isnan(found.vectors[1:]).all()
    assert set(found.errors) == {"image 1", str(tmp_path / "none.png")}
    predictions, again = classifier.predict_and_embed(sources)
    np.testing.assert_array_equal(again.vectors, found.vectors)
    np.testing.assert_array_equal(predictions.probabilities, classifier.predict(sources).probabilities)
    assert predictions.unknown is None
    assert classifier.embed([b"x"]).vectors.shape == (1, classifier.embedding_size)


def test_a_sequential_network_of_ones_own_predicts_embeds_and_is_explained():
    import keras

    from keensight.nets.classifier import Classifier
    from keensight.nets.gradcam import Explainer

    layers = [keras.Input(SPEC.shape, dtype="uint8"), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3),
              keras.layers.Flatten(), keras.layers.Dense(3, name="logits")]  # fmt: skip
    own = Classifier(keras.Sequential(layers), LabelSet(("a", "b", "c")), SPEC)
    assert own.predict_array(_images(2)).shape == (2, 3)
    assert own.embed_array(_images(2)).shape == (2, own.embedding_size)
    assert Explainer(own).heatmaps(_images(2), np.array([0, 1])).shape[0] == 2


def test_a_network_without_a_last_layer_of_logits_predicts_but_does_not_embed():
    from keensight.nets.classifier import Classifier

    other = Classifier(_plain_network("relu"), LabelSet(("a", "b", "c")), SPEC)
    assert other.predict_array(_images(2)).shape == (2, 3)
    with pytest.raises(DataError, match="no embedding"):
        other.embed_array(_images(2))


def test_labels_and_class_means_must_fit_the_network(classifier):
    from keensight.core.prototypes import Prototypes
    from keensight.nets.classifier import Classifier

    model, d = classifier.keras_model, classifier.embedding_size
    four = LabelSet(("a", "b", "c", "d"))
    for labels in (LabelSet(("a", "b")), four):
        with pytest.raises(StoreError, match="has 3 outputs"):
            Classifier(model, labels, SPEC)
    for shape in ((3, d), (4, d + 1)):
        means = Prototypes(np.zeros(shape[1], np.float32), np.ones(shape, np.float32), np.ones(shape[0]), 0.5, 1, 0.1)
        with pytest.raises(StoreError, match="belong to another network"):
            Classifier(model, four, SPEC, prototypes=means)


def test_many_models_in_one_process_warn_of_nothing(caplog):
    from keensight.nets.classifier import both
    from keensight.nets.runtime import framework

    keras, tf = framework()
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for _ in range(7):
            layers = [keras.Input((4, 4, 3), dtype="uint8"), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
            forward = both(keras.Sequential([*layers, keras.layers.Dense(2)]))
            assert forward(np.zeros((100, 4, 4, 3), np.uint8))[0].shape == (100, 2)
    finally:
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text
