"""A Keras model from elsewhere: figures as Keras gives them, and a report that claims no more than is known."""

import numpy as np
import pytest

import keensight as ks
from keensight.assess.calibration import at_temperature
from keensight.workflow import run_self_test

pytestmark = pytest.mark.slow

CLASSES = ("red", "green", "blue")


def draw(n, seed):
    """Images (n, 16, 12, 3) that are a little brighter in the channel of their class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = rng.integers(0, 200, (n, 16, 12, 3), dtype=np.uint8)
    images[np.arange(n), :, :, labels] += 8
    return images, labels


@pytest.fixture(scope="module")
def model():
    """A plain Keras model of pixels from 0 to 1 that compares the channels' means, by weights that were set."""
    keras, _ = ks.framework()
    layers = keras.layers
    net = keras.Sequential([
        keras.Input((16, 12, 3)), layers.RandomFlip(), layers.Conv2D(3, 1, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax"),
    ], name="theirs")  # fmt: skip
    equal = np.eye(3, dtype=np.float32)
    net.layers[1].set_weights([equal[None, None], np.zeros(3)])
    net.layers[3].set_weights([40 * equal, np.zeros(3)])
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


@pytest.fixture(scope="module")
def parts():
    _, tf = ks.framework()
    return {
        name: tf.data.Dataset.from_tensor_slices(draw(n, seed)).batch(50)
        for name, n, seed in (("train", 240, 0), ("val", 60, 1), ("test", 150, 2))
    }


@pytest.fixture(scope="module")
def run(model, parts, tmp_path_factory):
    data = ks.open(parts, class_names=CLASSES)
    return ks.adopt(model, data, normalisation="0..1", run=tmp_path_factory.mktemp("adopted") / "run", command="a test")


def test_the_figures_are_those_of_keras(model, run):
    images, labels = draw(150, 2)
    loss, accuracy = model.evaluate(images / 255.0, labels, verbose=0)
    found = run.record.results["test"]
    assert found["n"] == 150
    assert abs(found["accuracy"] - accuracy) < 1e-6
    assert accuracy > 0.5
    bare = ks.load(run).changed(temperature=1.0).predict_array(images)
    assert -np.log(bare[np.arange(150), labels]).mean() == pytest.approx(loss, rel=1e-4)


def test_it_gets_what_a_trained_model_gets(model, run):
    classifier, package = ks.load(run), ks.open_bundle(run.path)
    images, labels = draw(150, 2)
    given = at_temperature(model.predict(images / 255.0, verbose=0), classifier.temperature)
    assert classifier.temperature != 1
    assert classifier.predict_array(images) == pytest.approx(given, abs=1e-4)
    assert run.record.results["test"]["loss"] == pytest.approx(-np.log(given[np.arange(150), labels]).mean(), rel=1e-3)
    assert classifier.decision.n == 60
    assert classifier.decision.set_threshold is not None
    assert run.evaluation.abstention.set_coverage is not None
    assert package.subspace() is not None
    assert len(classifier.predict(list(images[:3])).ood_scores) == 3
    assert package.prototypes().means.shape == (3, 3)


def test_the_bundle_answers_as_the_model_and_passes_its_exam(model, run):
    classifier = ks.load(run)
    images, _ = draw(20, 3)
    assert np.array_equal(
        classifier.predict_array(images).argmax(1), model.predict(images / 255.0, verbose=0).argmax(1)
    )
    assert run_self_test(classifier, ks.open_bundle(run.path).exam()) < 1e-5
    manifest = ks.open_bundle(run.path).manifest
    assert manifest.labels.names == CLASSES
    assert manifest.normalisation.startswith("pixels / 255")
    assert ks.embed(run, list(images[:2])).vectors.shape == (2, 3)


def test_report_and_card_say_that_its_training_is_not_known(run):
    report = run.report_path.read_text(encoding="utf-8")
    card = ks.open_bundle(run.path).card_path.read_text(encoding="utf-8")
    assert "trained elsewhere" in report
    assert "theirs evaluated on tf.data" in report
    assert "trained elsewhere" in card
    assert "took no part in training" not in report + card
    assert run.history.epochs == ()
    assert ks.report(run) == run.report_path
    log = (run.path / "log.txt").read_text(encoding="utf-8")
    assert "removed, because only training needs them: random_flip" in log


def test_a_wrong_normalisation_or_order_is_called_into_question(model, tmp_path):
    images, labels = draw(200, 4)
    run = ks.adopt(model, ks.from_arrays(images, labels), normalisation="imagenet", run=tmp_path / "wrong")
    counts = run.record.results["data"]
    assert counts["train"] == 0
    assert counts["val"] + counts["test"] == 200
    log = (run.path / "log.txt").read_text(encoding="utf-8")
    assert "would give" in log or "hardly better than chance" in log


def test_a_network_without_an_embedding_refuses_no_image(tmp_path):
    keras, _ = ks.framework()
    layers = keras.layers
    net = keras.Sequential([
        keras.Input((16, 12, 3)), layers.Conv2D(3, 1), layers.GlobalAveragePooling2D(), layers.Softmax(),
    ])  # fmt: skip
    asked = {"decision.target_coverage": 0.8}
    run = ks.adopt(net, ks.from_arrays(*draw(90, 7)), normalisation="0..1", settings=asked, run=tmp_path / "bare")
    assert ks.load(run).decision.asked == 0.8
    assert ks.open_bundle(run.path).subspace() is None
    assert ks.open_bundle(run.path).prototypes() is None
    assert "the network has no last dense layer" in (run.path / "log.txt").read_text(encoding="utf-8")


def test_it_is_said_which_parts_were_cut_out_of_the_training_images(model, tmp_path):
    _, tf = ks.framework()
    streams = {
        name: tf.data.Dataset.from_tensor_slices(draw(n, seed)).batch(50)
        for name, n, seed in (("train", 240, 0), ("test", 60, 1))
    }
    run = ks.adopt(model, ks.open(streams, class_names=CLASSES), normalisation="0..1", run=tmp_path / "no val")
    n = run.record.results["data"]["val"]
    log = (run.path / "log.txt").read_text(encoding="utf-8")
    told = f"The validation set, {n} images, was taken from the training images"
    assert told in log
    assert told in run.report_path.read_text(encoding="utf-8")
    assert "The test set" not in log


def test_one_sigmoid_for_two_classes(tmp_path):
    keras, _ = ks.framework()
    layers = keras.layers
    net = keras.Sequential([keras.Input((16, 12, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    images, labels = draw(90, 5)
    images, labels = images[labels < 2], labels[labels < 2]
    run = ks.adopt(
        net, ks.from_arrays(images, labels, class_names=["a", "b"]), normalisation="-1..1", run=tmp_path / "two"
    )
    assert ks.load(run).predict_array(images).sum(axis=1) == pytest.approx(1)


def test_a_model_of_other_classes_is_refused_before_anything_is_written(model, tmp_path):
    images, labels = draw(40, 6)
    with pytest.raises(ks.UsageError, match="3 outputs, but there are 4 class names"):
        ks.adopt(model, ks.from_arrays(images, np.arange(40) % 4), run=tmp_path / "none")
    with pytest.raises(ks.UsageError, match=r"train\.epochs has no effect"):
        ks.adopt(model, ks.from_arrays(images, labels), settings={"train.epochs": 3}, run=tmp_path / "none")
    with pytest.raises(ks.DataError, match="classes that class_names does not contain: 2"):
        ks.adopt(model, ks.from_arrays(images, labels), class_names=["0", "1", "other"], run=tmp_path / "none")
    assert not (tmp_path / "none").exists()
