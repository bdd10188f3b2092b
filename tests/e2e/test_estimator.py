"""The estimator in scikit-learn's hands: cross-validation, grid search, pipeline, pickle, groups, files."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import keensight as ks
from keensight.assess.calibration import at_temperature
from keensight.core.pixels import encode_png

pytestmark = pytest.mark.slow

PLAIN = {"model": "cnn", "epochs": 6, "settings": {"model.width": 4, "train.batch_size": 8}}


def draw(n=45, seed=0):
    """Images (n, 12, 12, 3) and the names of the channels that are brighter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = rng.integers(0, 100, (n, 12, 12, 3), dtype=np.uint8)
    images[np.arange(n), :, :, labels] += 150
    return images, np.array(["red", "green", "blue"])[labels]


@pytest.fixture(scope="module")
def fitted():
    return ks.ImageClassifier(**{**PLAIN, "epochs": 20}).fit(*draw())


def test_it_learns_and_answers_in_the_order_of_its_classes(fitted):
    images, labels = draw(30, 1)
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (30, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(fitted.predict(images), fitted.classes_[probabilities.argmax(1)])
    assert fitted.score(images, labels) > 0.8
    assert fitted.classifier_.keras_model.output_shape == (None, 3)


def test_a_pickle_and_a_deep_copy_answer_alike(fitted):
    images, _ = draw(6, 2)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert other.classifier_.temperature == fitted.classifier_.temperature
        assert other.classifier_.decision == fitted.classifier_.decision
        assert np.array_equal(other.predict_proba(images), fitted.predict_proba(images))
        assert other.get_params() == fitted.get_params()


def test_probabilities_are_calibrated():
    fitted = ks.ImageClassifier(**PLAIN).fit(*draw(240, 5))
    images, _ = draw(6, 2)
    classifier = fitted.classifier_
    assert classifier.temperature != 1
    assert classifier.decision.n >= 30
    assert classifier.decision.set_threshold is not None
    bare = classifier.changed(temperature=1.0).predict_array(images)
    found = fitted.predict_proba(images)
    assert found == pytest.approx(at_temperature(bare, classifier.temperature), abs=1e-4)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(images), found)


def test_a_contradiction_in_the_settings_is_refused_before_any_work():
    settings = {"decision.target_precision": 0.9, "decision.target_coverage": 0.9}
    with pytest.raises(ks.UsageError, match="both given"):
        ks.ImageClassifier("cnn", settings=settings).fit(*draw(12))


def test_a_clone_knows_nothing_and_the_same_number_gives_the_same_classifier(fitted):
    images, _ = draw(6, 2)
    fresh = clone(fitted)
    with pytest.raises(NotFittedError):
        fresh.predict(images)
    again = fresh.fit(*draw()).predict_proba(images)
    assert again == pytest.approx(fitted.predict_proba(images), abs=1e-5)


def test_files_bytes_and_arrays_of_any_size_are_images(fitted, tmp_path):
    images, _ = draw(4, 3)
    path = tmp_path / "one.png"
    path.write_bytes(encode_png(images[0]))
    mixed = [str(path), path, encode_png(images[2]), np.repeat(images[3], 2, axis=0)]
    found = fitted.predict_proba(mixed)
    assert found[0] == pytest.approx(fitted.predict_proba(images[:1])[0], abs=1e-6)
    assert np.array_equal(found[0], found[1])
    with pytest.raises(ks.DataError, match="1 images cannot be read"):
        fitted.predict([path, tmp_path / "none.png"])
    with pytest.raises(ks.DataError, match="shape"):
        fitted.predict(np.zeros((3, 4), np.uint8))


def test_it_stands_in_grid_search_pipeline_and_cross_validation():
    images, labels = draw(60, 4)
    search = GridSearchCV(ks.ImageClassifier(**PLAIN), {"epochs": [1, 6]}, cv=2).fit(images, labels)
    assert search.best_params_ in ({"epochs": 1}, {"epochs": 6})
    darker = make_pipeline(FunctionTransformer(lambda x: x // 2), ks.ImageClassifier(**PLAIN))
    scores = cross_val_score(darker, images, labels, cv=GroupKFold(2), groups=np.arange(60) // 3)
    assert scores.shape == (2,)
    assert not np.isnan(scores).any()


def test_groups_are_not_parted(monkeypatch):
    from keensight.workflow import estimator

    seen = []
    train = estimator.train_network

    def spy(data, parts, *more):
        seen.append((data, parts))
        return train(data, parts, *more)

    monkeypatch.setattr(estimator, "train_network", spy)
    images, labels = draw()
    ks.ImageClassifier(**PLAIN).fit(images, labels, groups=np.arange(45) // 5)
    ((data, parts),) = seen
    group = {part: {data.samples[i].group for i in getattr(parts, part)} for part in ("train", "val")}
    assert parts.test == ()
    assert len(parts.train) + len(parts.val) == 45
    assert group["val"]
    assert not group["train"] & group["val"]
    with pytest.raises(ks.DataError, match="45 images but 3 groups"):
        ks.ImageClassifier(**PLAIN).fit(images, labels, groups=[1, 2, 3])


def test_one_image_is_no_sequence_and_one_in_a_list_is_one_answer(fitted):
    images, _ = draw(1, 3)
    assert fitted.predict(images).shape == fitted.predict([images[0]]).shape == (1,)
    for one in (images[0], images[0, :, :, 0]):
        with pytest.raises(ks.DataError, match=r"one per element is needed|X has shape"):
            fitted.predict(one)


def test_pillow_images_and_columns_of_paths_answer_as_arrays_do(fitted, tmp_path):
    images, _ = draw(4, 3)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(encode_png(image))
    wanted = fitted.predict_proba(images)
    column = pd.Series([str(path) for path in paths])
    for given in ([Image.fromarray(image) for image in images], column, pd.DataFrame({"path": column}), column.array):
        assert np.array_equal(fitted.predict_proba(given), wanted)
    with pytest.raises(ks.DataError, match="uint8 from 0 to 255"):
        fitted.predict(images / 255)
