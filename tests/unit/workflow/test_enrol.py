"""A class enrolled in a bundle: the old classes stay, the new one is found, noise is unknown."""

import json

import numpy as np
import pytest

import keensight as ks
from keensight.cli.main import main
from keensight.core.pixels import encode_png
from keensight.errors import DataError, StoreError, UsageError
from keensight.workflow import prototypes_of, run_self_test

pytestmark = pytest.mark.slow
SIDE = 16
COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30), "white": (220, 220, 220)}


def draw(kind, n, seed):
    rng = np.random.default_rng([seed, sorted(COLOURS).index(kind)])
    noise = rng.integers(-25, 26, (n, SIDE, SIDE, 3))
    return np.clip(np.array(COLOURS[kind]) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle trained on blue and green, with class means."""
    kinds = ("blue", "green")
    images = np.concatenate([draw(kind, 60, 0) for kind in kinds])
    data = ks.from_arrays(images, np.repeat(kinds, 60))
    spec = ks.image_spec(data, image_size=SIDE)
    pixels, split = ks.prepare(data, spec), ks.split(data)
    ks.framework()[0].utils.set_random_seed(1)
    model = ks.build(data, spec, "cnn", width=8)
    ks.fit(model, data, split, pixels, epochs=4, settings={"train.batch_size": 16})
    classifier = ks.Classifier(model, data.labels, spec)
    means = prototypes_of(classifier, data, split, pixels)
    return ks.bundle(classifier, data, split, tmp_path_factory.mktemp("b") / "old", prototypes=means)


@pytest.fixture(scope="module")
def enrolled(bundle, tmp_path_factory):
    return ks.enrol(bundle, "red", list(draw("red", 5, 1)), tmp_path_factory.mktemp("e") / "new")


def test_embeddings_at_hand_are_not_computed_again(bundle):
    classifier = ks.load(bundle.path)
    images = np.concatenate([draw(kind, 60, 0) for kind in ("blue", "green")])
    data = ks.from_arrays(images, np.repeat(("blue", "green"), 60))
    vectors = classifier.embed_array(images)
    found = prototypes_of(classifier, data, ks.split(data), None, features=lambda model, rows: vectors[rows])
    np.testing.assert_allclose(found.means, bundle.prototypes().means, atol=1e-5)
    assert found.kept >= 0.95


def test_the_old_bundle_is_as_it_was_and_the_new_one_has_the_class_at_the_end(bundle, enrolled):
    before = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    assert ks.open_bundle(bundle.path).manifest == bundle.manifest
    assert enrolled.bundle.manifest.labels.names == ("blue", "green", "red")
    assert (enrolled.label, enrolled.index, enrolled.images) == ("red", 2, 5)
    assert enrolled.bundle.model_path.read_bytes() == before["model.keras"]
    assert enrolled.bundle.manifest.decision == {
        "rule": "nearest class mean",
        "trained": 2,
        "enrolled": ["red"],
        "mirror": False,
    }
    assert "Added after training" in enrolled.bundle.card_path.read_text(encoding="utf-8")


def test_old_classes_answer_as_before_and_the_new_one_is_found(bundle, enrolled):
    old, new = ks.load(bundle.path), ks.load(enrolled.bundle.path)
    known = np.concatenate([draw("blue", 20, 2), draw("green", 20, 2)])
    p, q = old.predict_array(known), new.predict_array(known)
    np.testing.assert_array_equal(q.argmax(1), p.argmax(1))
    np.testing.assert_allclose(q.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(q[:, :2] / q[:, :2].sum(1, keepdims=True), p, atol=1e-4)
    assert (new.predict_array(draw("red", 20, 2)).argmax(1) == 2).all()


def test_only_an_enrolled_bundle_says_unknown(bundle, enrolled):
    noise = list(np.random.default_rng(4).integers(0, 256, (20, SIDE, SIDE, 3), dtype=np.uint8))
    assert {row["decision"] for row in ks.predict(bundle.path, noise).rows()} == {"accept"}
    decisions = [row["decision"] for row in ks.predict(enrolled.bundle.path, noise).rows()]
    assert decisions.count("abstain") >= 18
    known = ks.predict(enrolled.bundle.path, list(draw("blue", 20, 5)))
    assert [row["decision"] for row in known.rows()].count("accept") >= 17


def test_the_exam_covers_the_new_class(enrolled):
    exam = enrolled.bundle.exam()
    assert exam.probabilities.shape[1] == 3 and exam.names[-1] == "enrolled: red"
    assert exam.probabilities[-1].argmax() == 2
    assert run_self_test(ks.load(enrolled.bundle.path), exam) < 1e-5


def test_an_enrolled_bundle_is_evaluated_like_any_other(enrolled):
    images = np.concatenate([draw(kind, 10, 6) for kind in ("blue", "green", "red")])
    found = ks.evaluate(enrolled.bundle.path, ks.from_arrays(images, np.repeat(("blue", "green", "red"), 10)))
    assert found.n == 30 and found.accuracy.value > 0.9


def test_a_second_class_and_more_images_of_the_first(enrolled, tmp_path):
    two = ks.enrol(enrolled.bundle, "white", draw("white", 3, 1), tmp_path / "two")
    assert two.bundle.manifest.labels.names == ("blue", "green", "red", "white")
    more = ks.enrol(two.bundle, "red", draw("red", 4, 7), tmp_path / "more")
    assert (more.index, more.images) == (2, 9)
    assert more.bundle.manifest.labels == two.bundle.manifest.labels
    assert more.bundle.exam().names == tuple(dict.fromkeys(more.bundle.exam().names))
    assert more.bundle.manifest.provenance["enrolled_images"] == {"red": 9, "white": 3}


def test_unreadable_images_are_left_out_and_named(bundle, tmp_path):
    (tmp_path / "good.png").write_bytes(encode_png(draw("red", 1, 1)[0]))
    (tmp_path / "bad.png").write_bytes(b"torn")
    done = ks.enrol(bundle, "red", [tmp_path, tmp_path / "good.png"], tmp_path / "out")
    assert done.images == 1
    assert set(done.errors) == {str(tmp_path / "bad.png")}
    with pytest.raises(DataError, match="none of the images of the new class"):
        ks.enrol(bundle, "red", tmp_path / "bad.png", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("label", ["blue", "", "  ", " red"])
def test_a_name_that_is_taken_or_empty_is_refused(bundle, tmp_path, label):
    with pytest.raises(UsageError):
        ks.enrol(bundle, label, draw("red", 1, 1), tmp_path / "out")


def test_a_folder_that_is_taken_is_refused(bundle, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="already exists"):
        ks.enrol(bundle, "red", draw("red", 1, 1), tmp_path)


def test_a_bundle_without_class_means_says_train_again(bundle, tmp_path):
    classifier = ks.load(bundle.path)
    data = ks.from_arrays(draw("blue", 6, 0), np.repeat(("blue", "green"), 3))
    bare = ks.bundle(classifier, data, ks.Split((0, 3), (1, 4), (2, 5), "by hand"), tmp_path / "bare")
    assert bare.prototypes() is None
    with pytest.raises(StoreError, match="no class means"):
        ks.enrol(bare, "red", draw("red", 1, 1), tmp_path / "out")


def test_the_command_enrols_and_predict_writes_embeddings(bundle, tmp_path, capsys):
    (tmp_path / "red").mkdir()
    for i, image in enumerate(draw("red", 3, 1)):
        (tmp_path / "red" / f"{i}.png").write_bytes(encode_png(image))
    (tmp_path / "red" / "torn.png").write_bytes(b"torn")
    new, photos = str(tmp_path / "new"), str(tmp_path / "red")
    assert main(["enrol", str(bundle.path), "red", photos, "--out", new, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["labels"] == ["blue", "green", "red"] and said["index"] == 2 and said["images"] == 3
    assert [path.rsplit("torn", 1)[1] for path in said["errors"]] == [".png"]
    assert main(["predict", new, photos, "--embeddings", str(tmp_path / "e.npz"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in rows] == ["red", "red", "red", None]
    with np.load(tmp_path / "e.npz") as stored:
        assert list(stored["paths"]) == [row["path"] for row in rows]
        np.testing.assert_allclose(stored["vectors"][:3], ks.embed(new, photos).vectors[:3], atol=1e-6)
    assert main(["predict", new, photos, "--embeddings", "e.json"]) == 2
    assert main(["enrol", str(bundle.path), "blue", photos, "--out", str(tmp_path / "again")]) == 2
