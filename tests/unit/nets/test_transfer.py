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
def test_fine_tuning_changes_every_layer_but_normalization(images, shop, precision):
    from keensight.nets.training.tuning import train_whole

    model = _model()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    history = train_whole(model, images, _config(**{"train.precision": precision}), shop[0])
    assert [epoch.phase for epoch in history.epochs] == ["whole", "whole"]
    for layer in model.layers:
        same = all(np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
        assert same == (not layer.weights or layer.name.endswith("_norm")), layer.name
        assert layer.compute_dtype == "float32" or not layer.weights
    assert all(layer.trainable for layer in model.layers if layer.name != "normalise")


def test_standard_counts_both_phases_as_one_training(images, shop):
    from keensight.nets.training.transfer import transfer

    history = transfer(_model(), images, _config(), shop[0]).history
    assert [epoch.phase for epoch in history.epochs] == ["head", "whole", "whole"]
    assert [epoch.epoch for epoch in shop[1]] == [1, 2, 3]


def test_several_labels_are_fine_tuned_and_judged_by_their_ranking(images, shop):
    from keensight.nets.training.transfer import transfer

    labels = np.stack([images.targets, np.arange(96) % 3 == 0], axis=1).astype(int)
    several = dataclasses.replace(images, targets=labels)
    history = transfer(_model(), several, _config(**{"train.label_smoothing": 0.0}), shop[0]).history
    assert [epoch.phase for epoch in history.epochs] == ["head", "whole", "whole"]
    assert all(0 < epoch.val_map <= 1 for epoch in history.epochs)


def test_a_phase_that_does_not_pay_is_taken_back(images, shop):
    from keensight.nets.training.transfer import transfer

    model = _model()
    spoiled = _config(**{"train.learning_rate": 5.0, "train.schedule": "constant", "train.ema": 0})
    history = transfer(model, images, spoiled, shop[0]).history
    assert history.best_epoch == 1
    logits = np.asarray(model(images.pixels.take(images.split.part("val"))))
    assert (logits.argmax(1) == images.targets[64:]).mean() == history.epochs[0].val_accuracy


def test_weights_are_averaged_with_those_before_unless_others_are_certainly_better():
    from keensight.nets.training.transfer import Examination, _averaged

    targets = np.arange(400) % 2

    def share_of(right):
        """Of a model whose weights before and after are 0 and 1; ``right`` images are right with these weights."""
        model = Weights()
        model.now = [np.array(1.0)]
        hit = lambda: np.arange(400) // 2 < right(float(model.now[0])) / 2  # noqa: E731
        logits = lambda: 2.0 * np.eye(2)[np.where(hit(), targets, 1 - targets)]  # noqa: E731
        found, share = _averaged(model, [np.array(0.0)], Examination(logits(), targets, logits))
        assert model.now == [share]
        assert found.reached == pytest.approx(right(share) / 400, abs=0.005)
        return share

    assert share_of(lambda weight: 300) == 0.75
    assert share_of(lambda weight: 300 + 4 * weight) == 0.75
    assert share_of(lambda weight: 100 + 280 * weight) == 1.0
    assert share_of(lambda weight: 380 - 280 * weight) == 0.5


def test_the_last_layer_learns_at_a_tenth_of_the_rate(images, shop):
    import keras

    from keensight.nets.training.fit import slowed

    fast, slow = keras.Variable(np.ones(2, np.float32)), keras.Variable(np.ones(2, np.float32))
    optimizer = slowed(keras.optimizers.AdamW, [slow], 0.1)(learning_rate=0.01, weight_decay=0.0)
    optimizer.build([fast, slow])
    optimizer.apply([np.ones(2, np.float32), np.ones(2, np.float32)], [fast, slow])
    np.testing.assert_allclose(1 - np.asarray(slow), 0.1 * (1 - np.asarray(fast)), rtol=1e-3)


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
    """A model that is nothing but its weights: the number of images that it gets right."""

    def __init__(self):
        self.now = [np.array(8.0)]

    def get_weights(self):
        return self.now

    def set_weights(self, weights):
        self.now = weights


def epochs(*reached):
    return tuple(Epoch(i + 1, "top", 1, 1.0, 0.1, 1.0, 0.5, 1.0, value) for i, value in enumerate(reached))


def _examination(model):
    """Ten images of class 0: the head gets eight of them right."""
    from keensight.nets.training.transfer import Examination

    def logits(right):
        return np.where(np.arange(10)[:, None] < right, [[2.0, 0.0]], [[0.0, 2.0]])

    return Examination(logits(8), np.zeros(10, int), lambda: logits(model.now[0]))


@pytest.mark.parametrize(
    ("after", "now", "kept", "best"),
    [(epochs(1.0), 10.0, 9.5, 2), (epochs(0.5), 5.0, 8.0, 1), (None, 5.0, 8.0, 1)],
)
def test_an_interrupted_phase_leaves_the_better_weights(after, now, kept, best):
    from keensight.nets.training.fit import TrainingInterrupted
    from keensight.nets.training.images import Caches
    from keensight.nets.training.transfer import _kept_unless_worse

    model, shop = Weights(), Caches(Nothing, None, lambda epoch: None, Silent())

    def phase(shop):
        model.set_weights([np.array(now)])
        raise TrainingInterrupted(History(after, 1, "interrupted")) if after else KeyboardInterrupt

    with pytest.raises(TrainingInterrupted) as caught:
        _kept_unless_worse(model, History(epochs(0.8), 1), phase, _examination(model), shop)
    assert model.now == [kept]
    assert (caught.value.history.best_epoch, caught.value.history.stopped) == (best, "interrupted")


def test_a_phase_that_is_not_certainly_worse_is_kept():
    from keensight.nets.training.images import Caches
    from keensight.nets.training.transfer import _kept_unless_worse

    model, shop = Weights(), Caches(Nothing, None, lambda epoch: None, Silent())

    def phase(shop):
        model.set_weights([np.array(6.0)])
        return History(epochs(0.7), 1)

    history = _kept_unless_worse(model, History(epochs(0.8), 1), phase, _examination(model), shop)
    assert (model.now, history.best_epoch) == ([6.5], 2)


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
