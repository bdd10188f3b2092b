from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from keensight.core.config import RunConfig, TrainConfig
from keensight.core.records import ImageSpec, Split
from keensight.errors import TrainingError

pytestmark = pytest.mark.slow


class Memory:
    def __init__(self, images):
        self.images, self.shape = images, images.shape[1:]

    def take(self, indices):
        return self.images[indices]


def _bright_or_dark(n=96, side=12):
    """Class 1 is brighter: learnable in a few steps."""
    rng = np.random.default_rng(0)
    targets = np.arange(n) % 2
    images = rng.integers(0, 120, (n, side, side, 3)) + 110 * targets[:, None, None, None]
    split = Split(tuple(range(n // 2)), tuple(range(n // 2, n)), (), "halves")
    return Memory(images.astype(np.uint8)), targets, split


def _config(**values):
    off = {
        "augment.enabled": False,
        "augment.flip": "none",
        "augment.color": "none",
        "augment.shift": 0,
        "augment.erase": 0,
    }
    return RunConfig().with_values({"model.name": "cnn", "train.batch_size": 16, **off, **values})


def _model(width=4):
    from keensight.nets import runtime
    from keensight.nets.models.build import build

    runtime.configure(seed=0)
    return build("cnn", ImageSpec(12, 12), 2, width=width)


def test_training_learns_and_keeps_the_best_epoch():
    from keensight.nets.training.fit import fit

    pixels, targets, split = _bright_or_dark()
    seen = []
    model = _model()
    history = fit(model, pixels, targets, split, _config(**{"train.epochs": 12}), on_epoch=seen.append)
    assert list(history.epochs) == seen
    assert history.epochs[history.best_epoch - 1].val_loss == min(e.val_loss for e in history.epochs)
    assert history.epochs[history.best_epoch - 1].val_accuracy > 0.9
    logits = np.asarray(model(pixels.take(split.part("val"))))
    accuracy = (logits.argmax(1) == targets[split.part("val")]).mean()
    assert accuracy == pytest.approx(history.epochs[history.best_epoch - 1].val_accuracy)


def test_two_trainings_with_one_seed_agree():
    from keensight.nets.training.fit import fit

    def run():
        pixels, targets, split = _bright_or_dark()
        return fit(_model(), pixels, targets, split, _config(**{"train.epochs": 2})).epochs[-1].loss

    assert run() == pytest.approx(run(), rel=1e-5)


def test_a_loss_that_is_nan_stops_training_and_names_the_step():
    from keensight.nets.training.fit import fit

    pixels, targets, split = _bright_or_dark()
    settings = {
        "train.epochs": 20,
        "train.learning_rate": 10.0,
        "train.weight_decay": 1.0,
        "train.schedule": "constant",
    }
    model = _model()
    model.layers[-1].kernel.assign(np.full(model.layers[-1].kernel.shape, np.inf, np.float32))
    with pytest.raises(TrainingError, match=r"at step 1 \(epoch 1\)") as caught:
        fit(model, pixels, targets, split, _config(**settings))
    assert "learning_rate=2" in caught.value.hint


def test_it_stops_early_when_validation_gets_no_better():
    from keensight.nets.training.fit import fit

    pixels, targets, split = _bright_or_dark()
    noise = np.random.default_rng(1).permutation(targets)
    settings = {"train.epochs": 60, "train.patience": 2, "train.learning_rate": 0.05, "train.schedule": "constant"}
    history = fit(_model(), pixels, noise, split, _config(**settings))
    assert history.stopped == "early"
    assert len(history.epochs) == history.best_epoch + 2


def test_it_leaves_when_it_is_told_that_there_is_no_hope():
    from keensight.nets.training import batches
    from keensight.nets.training.fit import drive, plan, schedule
    from keensight.nets.training.losses import objective_of

    pixels, targets, split = _bright_or_dark()
    config, rows, val = _config(**{"train.epochs": 5}), split.part("train"), split.part("val")
    numbers = schedule(config.train, "cnn", len(rows))
    steps = plan(config.train, "cnn", rows, targets, 2)
    training = partial(batches.training, steps, pixels, config.augment, numbers.epochs)
    asked = []

    def hopeless(reached, epochs):
        asked.append(list(reached))
        return epochs == 5 and len(reached) == 2

    history = drive(
        _model(), training, batches.plain(val, targets[val], 2, pixels), config, numbers, hopeless=hopeless,
        objective=objective_of(targets[rows], config.train.class_weights), val_targets=targets[val],
    )  # fmt: skip
    assert (history.stopped, len(history.epochs)) == ("early", 2)
    assert asked[-1] == [epoch.reached for epoch in history.epochs]


@pytest.mark.parametrize("changes", [{"train.optimizer": "adamw"}, {"train.schedule": "cosine"}, {"train.ema": 0}])
def test_every_optimizer_and_schedule_trains(changes):
    from keensight.nets.training.fit import fit

    pixels, targets, split = _bright_or_dark()
    history = fit(_model(), pixels, targets, split, _config(**{"train.epochs": 2, **changes}))
    assert np.isfinite([e.loss for e in history.epochs]).all()


def test_class_weights_are_inverse_to_frequency_with_mean_one():
    from keensight.nets.training.fit import class_weights

    targets = np.array([0] * 30 + [1] * 10)
    weights = class_weights(targets, 2, balanced=True)
    assert weights[1] / weights[0] == pytest.approx(3)
    assert weights[targets].mean() == pytest.approx(1)
    np.testing.assert_array_equal(class_weights(targets, 2, balanced=False), 1)


@pytest.mark.parametrize(
    ("n_train", "effort", "epochs", "batch"),
    [(54_000, "standard", 12, 128), (500, "standard", 60, 16), (3_500, "quick", 24, 64), (54_000, "quick", 5, 128)],
)
def test_the_schedule_follows_effort_and_size(n_train, effort, epochs, batch):
    from keensight.nets.training.fit import schedule

    numbers = schedule(replace(TrainConfig(), effort=effort), "cnn", n_train)
    assert (numbers.epochs, numbers.batch_size) == (epochs, batch)
    assert numbers.steps == n_train // batch
    assert numbers.learning_rate == pytest.approx(0.05 * batch / 128)
