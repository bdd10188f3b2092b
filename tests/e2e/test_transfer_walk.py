"""From a folder of photographs to a transferred classifier, and what a second training need not do again."""

import shutil
import tomllib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.config import read_config
from keensight.core.progress import Silent

pytestmark = pytest.mark.slow


class Recorder(Silent):
    """Notes what is said and how much each phase does."""

    def __init__(self):
        self.said, self.done = [], {}

    def say(self, message):
        self.said.append(message)

    def detail(self, message):
        self.said.append(message)

    @contextmanager
    def task(self, label, total, unit="images"):
        recorder = self

        class Task:
            def advance(self, amount=1, note=None):
                recorder.done[label] = recorder.done.get(label, 0) + amount

        yield Task()


def _folder(root, side, n=16):
    """Stripes across, stripes down, and dots: noisy, in color, no two of one width and place."""
    rng = np.random.default_rng(0)
    for name in ("across", "down", "dots"):
        (root / name).mkdir(parents=True)
        for i in range(n):
            line = np.where((np.arange(side) + i) // (5 + i % 3) % 2, 200, 60)
            across = line[:, None] * np.ones(side)
            pattern = {"across": across, "down": across.T, "dots": np.minimum(across, across.T)}[name]
            noisy = pattern[..., None] + rng.integers(-50, 50, (side, side, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEENSIGHT_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _one_cache(cache, cache_folder, monkeypatch):
    """One cache for all tests here: converting a network again in each would take most of their time."""
    monkeypatch.setenv("KEENSIGHT_CACHE", str(cache))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return _folder(tmp_path_factory.mktemp("set") / "photos", side=112)


@pytest.fixture(scope="module")
def first(photos, cache, tmp_path_factory):
    progress = Recorder()
    run = ks.train(photos, run=tmp_path_factory.mktemp("runs") / "first", effort="quick", progress=progress)
    return run, progress


def test_the_configuration_claims_what_was_used_and_trains_the_same_again(first, photos, tmp_path):
    run, _ = first
    written = tomllib.loads(run.config_path.read_text(encoding="utf-8"))
    assert not {"epochs", "optimizer", "learning_rate", "batch_size", "patience"} & set(written["train"])
    assert written["model"]["weights"] == "imagenet"
    settings = read_config(run.config_path)
    again = ks.train(photos, run=tmp_path / "again", settings=settings, progress=Recorder())
    assert again.record.results["test"] == run.record.results["test"]
    assert again.config_path.read_text(encoding="utf-8") == run.config_path.read_text(encoding="utf-8")


def test_photographs_go_to_the_pretrained_network_which_says_why(first):
    run, progress = first
    assert run.record.results["model"] == "efficientnet_lite0"
    assert any("images are large enough" in line for line in progress.said)
    assert run.evaluation.accuracy.value > 0.9
    assert [epoch.phase for epoch in run.history.epochs] == ["head"]
    assert run.report_path.is_file()


def test_a_second_training_decodes_nothing_and_computes_no_feature(first, photos, tmp_path):
    again = Recorder()
    run = ks.train(photos, run=tmp_path / "run", effort="quick", settings={"train.class_weights": True}, progress=again)
    assert not {"decoding", "computing features", "class means", "testing"} & again.done.keys()
    assert run.evaluation.n == first[0].evaluation.n


def test_the_figures_from_features_are_those_of_the_whole_bundle(first, photos):
    run = first[0]
    whole = ks.load(run).predict([photos / path for path in run.predictions.paths]).probabilities
    np.testing.assert_allclose(run.predictions.probabilities, whole, atol=1e-5)


def test_validation_images_that_the_head_was_fitted_to_are_judged_by_heads_that_were_not(first, photos, tmp_path):
    run, data = first[0], ks.open(photos)
    held_out = run.held_out(data.labels, data.task)
    assert sorted(held_out.paths) == sorted(data.samples[i].path for i in (*run.split.train, *run.split.val))
    found = ks.evaluate(run.path, data, split=run.split, part="val")
    place = [held_out.paths.index(path) for path in found.predictions.paths]
    temperature = ks.load(run).temperature
    expected = held_out.probabilities[place] ** (1 / temperature)
    np.testing.assert_allclose(
        found.predictions.probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-5
    )
    fitted = ks.evaluate(ks.load(run), data, split=run.split, part="val")
    assert found.loss > fitted.loss
    shutil.copytree(photos, tmp_path / "photos")
    for file in (tmp_path / "photos").glob("*/*.png"):
        Image.open(file).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(file)
    other = ks.evaluate(run, ks.open(tmp_path / "photos"), split=run.split, part="val")
    assert not np.allclose(other.predictions.probabilities, found.predictions.probabilities)


def test_a_run_starts_from_an_earlier_one(first, photos, tmp_path):
    start = {"model.weights": f"run:{first[0].path}", "model.name": "efficientnet_lite0"}
    run = ks.train(photos, run=tmp_path / "run", effort="quick", settings=start)
    assert run.evaluation.accuracy.value > 0.9


def test_the_steps_by_hand_transfer_too(photos):
    data = ks.open(photos)
    split = ks.split(data)
    spec = ks.image_spec(data, model="efficientnet_lite0", image_size=64)
    pixels = ks.prepare(data, spec)
    model = ks.build(data, spec, "efficientnet_lite0")
    history = ks.fit(model, data, split, pixels, effort="quick")
    assert history.epochs[0].val_accuracy > 0.6
    evaluation = ks.evaluate(ks.Classifier(model, data.labels, spec), data, split=split)
    assert evaluation.n == len(split.test)


def test_middle_sized_images_are_decided_by_a_race(tmp_path):
    from keensight.core.config import RunConfig
    from keensight.workflow.choose_model import choose_model

    data = ks.open(_folder(tmp_path / "small", side=48))
    choice = choose_model(data, ks.split(data), RunConfig(), Silent())
    assert choice.name in ("efficientnet_lite0", "resnet")
    assert "short training on" in choice.reason
    assert "efficientnet_lite0 " in choice.reason


def test_no_race_that_would_take_longer_than_the_effort(tmp_path, monkeypatch):
    from keensight.core.config import RunConfig
    from keensight.workflow import choose_model

    data = ks.open(_folder(tmp_path / "small", side=48))
    split = ks.split(data)
    passes = 5  # enough for standard, too few for quick
    monkeypatch.setattr(choose_model, "_RACE_PIXELS", passes * len(split.train) * 48**2)
    choice = choose_model.choose_model(data, split, RunConfig().with_values({"train.effort": "quick"}), Silent())
    assert choice.name == "efficientnet_lite0"
    assert "comparing it with resnet (10 epochs) would take too long for --effort quick" in choice.reason
    assert "short training on" in choose_model.choose_model(data, split, RunConfig(), Silent()).reason


def test_no_race_where_the_answer_is_known(tmp_path):
    from keensight.core.config import RunConfig
    from keensight.workflow.choose_model import choose_model

    data = ks.open(_folder(tmp_path / "large", side=100, n=6))
    split = ks.split(data)
    assert choose_model(data, split, RunConfig(), Silent()).name == "efficientnet_lite0"
    for setting in ({"model.weights": "none"}, {"model.width": 8}, {"data.image_size": 24}):
        chosen = choose_model(data, split, RunConfig().with_values(setting), Silent())
        assert chosen.name in ("cnn", "resnet"), setting
    asked = RunConfig().with_values({"model.name": "cnn"})
    assert choose_model(data, split, asked, Silent()).reason == "as set"
