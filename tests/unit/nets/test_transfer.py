import dataclasses

import numpy as np
import pytest

from keensight.core.config import RunConfig
from keensight.core.progress import Silent
from keensight.core.records import Epoch, History, ImageSpec, Split

pytestmark = pytest.mark.slow
SIDE = 32


class Memory:
    def __init__(self, images):
        self.images, self.shape = images, images.shape[1:]

    def take(self, indices):
        return self.images[indices]


class Nothing:
    def __init__(self, network, values):
        pass

    def find(self, digests):
        return {}

    def add(self, digests, rows):
        pass


@pytest.fixture(scope="module")
def images():
    """Two textures that differ in direction: stripes down or across, with noise."""
    from keensight.nets.training.images import Images

    rng = np.random.default_rng(0)
    targets = np.arange(96) % 2
    stripes = np.where(np.arange(SIDE) % 8 < 4, 60, 190)
    pictures = np.stack([np.broadcast_to(stripes if t else stripes[:, None], (SIDE, SIDE)) for t in targets])
    noisy = pictures[..., None] + rng.integers(-60, 60, (96, SIDE, SIDE, 3))
    split = Split(tuple(range(64)), tuple(range(64, 96)), (), "by hand")
    return Images(Memory(noisy.astype(np.uint8)), targets, [str(i) for i in range(96)], np.arange(96), split)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


@pytest.fixture
def shop(networks):
    from keensight.nets.training.images import Caches

    seen = []
    return Caches(Nothing, networks, seen.append, Silent()), seen


def _config(**values):
    given = {"model.name": "efficientnet_lite0", "augment.flip": "none", "augment.color": "none"}
    return RunConfig().with_values({**given, "train.epochs": 2, "train.precision": "float32", **values})


def _model():
    from keensight.nets import runtime
    from keensight.nets.models.build import build

    runtime.configure(seed=0)
    return build("efficientnet_lite0", ImageSpec(SIDE, SIDE), 2)


def test_quick_folds_the_head_exactly(images, shop):
    from keensight.nets.litert import freeze
    from keensight.nets.training.images import features_of
    from keensight.nets.training.transfer import transfer

    model = _model()
    history = transfer(model, images, _config(**{"train.effort": "quick"}), shop[0]).history
    assert [epoch.phase for epoch in history.epochs] == ["head"] == [epoch.phase for epoch in shop[1]]
    assert history.epochs[0].val_accuracy > 0.9
    kernel, bias = model.get_layer("logits").get_weights()
    logits = freeze(features_of(model))(images.pixels.images) @ kernel + bias
    np.testing.assert_allclose(_softmax(np.asarray(model(images.pixels.images))), _softmax(logits), atol=1e-5)


def test_a_refitted_head_has_seen_every_image_and_gives_predictions_by_heads_that_had_not(images, shop):
    from keensight.nets.training.linear_head import score
    from keensight.nets.training.transfer import transfer

    wrong = images.targets.copy()
    wrong[70] = 1 - wrong[70]
    spoiled = dataclasses.replace(images, targets=wrong)
    done = transfer(_model(), spoiled, _config(**{"train.effort": "quick"}), shop[0], refit=True)
    held_out = done.held_out
    assert sorted(held_out.rows.tolist()) == list(range(96))
    place = held_out.rows.tolist().index(70)
    assert held_out.logits[place].argmax() != wrong[70]
    epoch = done.history.epochs[0]
    assert score(held_out.logits, wrong[held_out.rows]) == pytest.approx((epoch.val_loss, epoch.val_accuracy))
    assert transfer(_model(), spoiled, _config(**{"train.effort": "quick"}), shop[0]).held_out is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_standard_tunes_the_top_and_leaves_the_rest_as_it_was(images, shop, precision):
    from keensight.nets.training.transfer import transfer

    model = _model()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    history = transfer(model, images, _config(**{"train.precision": precision}), shop[0]).history
    assert [epoch.phase for epoch in history.epochs] == ["head", "top", "top"]
    assert [epoch.epoch for epoch in shop[1]] == [1, 2, 3]
    best = history.epochs[history.best_epoch - 1]
    val = np.asarray(model(images.pixels.take(images.split.part("val")))).argmax(1)
    assert (val == images.targets[64:]).mean() == pytest.approx(best.val_accuracy, abs=0.04)
    for layer in model.layers:
        same = all(np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
        if layer.name.startswith(("stem", "block0_", "block5_", "block10_")) or layer.name.endswith("_norm"):
            assert same, f"{layer.name} is below the freezing point or a statistic"
        assert layer.compute_dtype == "float32" or not layer.weights
    assert all(layer.trainable for layer in model.layers if layer.name != "normalise")


def test_a_phase_that_does_not_pay_is_taken_back(images, shop):
    from keensight.nets.training.transfer import transfer

    model = _model()
    spoiled = _config(**{"train.learning_rate": 5.0, "train.schedule": "constant", "train.ema": 0})
    history = transfer(model, images, spoiled, shop[0]).history
    assert history.best_epoch == 1
    logits = np.asarray(model(images.pixels.take(images.split.part("val"))))
    assert (logits.argmax(1) == images.targets[64:]).mean() == history.epochs[0].val_accuracy


def test_best_goes_on_with_the_whole_network(images, shop):
    from keensight.nets.training.transfer import transfer

    history = transfer(_model(), images, _config(**{"train.effort": "best", "train.epochs": 1}), shop[0]).history
    assert [epoch.phase for epoch in history.epochs] == ["head", "top", "whole"]


def test_views_are_a_function_of_seed_view_and_image(images):
    from keensight.nets.training.activations import AugmentedPixels, how_many

    config = _config(**{"augment.flip": "horizontal"}).augment
    first, second = (AugmentedPixels(images.pixels, config, 0, 1) for _ in range(2))
    np.testing.assert_array_equal(first.take(np.array([3, 4]))[1], second.take(np.array([4]))[0])
    assert not np.array_equal(first.take(np.array([4])), images.pixels.take(np.array([4])))
    plain = AugmentedPixels(images.pixels, config, 0, 0)
    np.testing.assert_array_equal(plain.take(np.array([4])), images.pixels.take(np.array([4])))
    assert how_many(7, 10**9, 10**9) == 7
    assert how_many(None, 10, 10) == 4
    assert how_many(None, 10**9, 10**9) == 1


def test_a_bank_larger_than_memory_lies_in_a_file(images, monkeypatch):
    from keensight.nets.training import activations

    monkeypatch.setattr(activations, "_memory_budget", lambda: 10)
    bank = activations._bank((2, 3, 4))
    assert isinstance(bank, np.memmap)
    bank[:] = 1
    assert bank.sum() == 24


def _softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_class_weights_reach_the_head(images, shop):
    from keensight.nets.training.transfer import transfer

    few = tuple(i for i in images.split.train if images.targets[i] == 0 or i < 8)
    rare = dataclasses.replace(images, split=dataclasses.replace(images.split, train=few))
    config = _config(**{"train.effort": "quick", "train.class_weights": "true"})
    assert transfer(_model(), rare, config, shop[0]).history.epochs[0].val_accuracy > 0.8


class Weights:
    """A model that is nothing but its weights."""

    def __init__(self):
        self.now = "head"

    def get_weights(self):
        return self.now

    def set_weights(self, weights):
        self.now = weights


def epochs(*reached):
    return tuple(Epoch(i + 1, "top", 1, 1.0, 0.1, 1.0, 0.5, 1.0, value) for i, value in enumerate(reached))


def _examination(model):
    """Ten images of class 0: the head gets eight of them right, the phase as many as it reached."""
    from keensight.nets.training.transfer import Examination

    def logits(right):
        return np.where(np.arange(10)[:, None] < right, [[2.0, 0.0]], [[0.0, 2.0]])

    return Examination(logits(8), np.zeros(10, int), lambda: logits({"better": 10, "worse": 5}[model.now]))


@pytest.mark.parametrize(
    ("after", "now", "best"), [(epochs(1.0), "better", 2), (epochs(0.5), "worse", 1), (None, "worse", 1)]
)
def test_an_interrupted_phase_leaves_the_better_weights(after, now, best):
    from keensight.nets.training.fit import TrainingInterrupted
    from keensight.nets.training.images import Caches
    from keensight.nets.training.transfer import _kept_if_better

    model, shop = Weights(), Caches(Nothing, None, lambda epoch: None, Silent())

    def phase(shop):
        model.set_weights(now)
        raise TrainingInterrupted(History(after, 1, "interrupted")) if after else KeyboardInterrupt

    with pytest.raises(TrainingInterrupted) as caught:
        _kept_if_better(model, History(epochs(0.8), 1), phase, _examination(model), shop)
    assert model.now == (now if best == 2 else "head")
    assert (caught.value.history.best_epoch, caught.value.history.stopped) == (best, "interrupted")


def test_a_phase_is_not_begun_where_too_few_images_are_wrong(images, shop):
    from keensight.nets.training import transfer as module

    said = []
    progress = Silent()
    progress.say = said.append
    many = dataclasses.replace(images.split, val=images.split.val * 10)
    easy = dataclasses.replace(images, split=many)
    caches = dataclasses.replace(shop[0], progress=progress)
    history = module.transfer(_model(), easy, _config(), caches).history
    assert history.epochs[0].val_accuracy == 1
    assert [epoch.phase for epoch in history.epochs] == ["head"]
    assert any("skipped" in text for text in said)
