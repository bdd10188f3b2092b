"""A training that was killed after any step ends as if it had never been."""

import dataclasses

import numpy as np
import pytest

from keensight.core.config import RunConfig
from keensight.core.records import ImageSpec, Split
from keensight.store.checkpoint import CheckpointFolder

pytestmark = pytest.mark.slow


class Memory:
    def __init__(self, images):
        self.images, self.shape = images, images.shape[1:]

    def take(self, indices):
        return self.images[indices]


class KilledError(Exception):
    pass


class Killing(CheckpointFolder):
    """Saves after each step, and ends the training after so many."""

    def __init__(self, folder, after):
        super().__init__(folder, minutes=0)
        self.left = after

    def save(self, state, arrays):
        super().save(state, arrays)
        self.left -= 1
        if not self.left:
            raise KilledError


def trained(checkpoints, labels=1, **values):
    """Weights and history of a small training: 3 epochs of 3 steps, with dropout and augmentation."""
    from keensight.nets import runtime
    from keensight.nets.models.build import build
    from keensight.nets.training.fit import fit

    rng = np.random.default_rng(0)
    targets = np.arange(72) % 2
    images = (rng.integers(0, 120, (72, 12, 12, 3)) + 110 * targets[:, None, None, None]).astype(np.uint8)
    split = Split(tuple(range(48)), tuple(range(48, 72)), (), "two thirds")
    if labels > 1:
        targets = np.stack([targets, np.arange(72) // 2 % 2], axis=1)
    settings = {"model.name": "cnn", "train.batch_size": 16, "train.epochs": 3, "augment.flip": "horizontal",
                "augment.color": "light", "augment.erase": 0.3, "augment.crop": 0.8, **values}  # fmt: skip
    runtime.configure(seed=0)
    model = build("cnn", ImageSpec(12, 12), 2, width=4, dropout=0.3)
    history = fit(model, Memory(images), targets, split, RunConfig().with_values(settings), checkpoints=checkpoints)
    epochs = tuple(dataclasses.replace(epoch, seconds=0.0) for epoch in history.epochs)
    return model.get_weights(), dataclasses.replace(history, epochs=epochs)


CASES = {
    "sgd with averages": {},
    "adamw without averages": {"train.optimizer": "adamw", "train.ema": 0},
    "bfloat16": {"train.precision": "bfloat16"},
    "float16, whose loss is scaled": {"train.precision": "float16"},
    "several labels": {"labels": 2, "train.optimizer": "adamw"},
    "early stopping": {"train.patience": 1, "train.learning_rate": 3.0, "train.epochs": 8},
}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_ends_with_the_same_bits(tmp_path, case):
    """Each epoch saves three steps and its end: it is killed at a step of the first, then at the end of the second."""
    expected, history = trained(None, **CASES[case])
    told = []
    for after in (2, 6):
        with pytest.raises(KilledError):
            trained(Killing(tmp_path, after), **CASES[case])
    checkpoints = CheckpointFolder(tmp_path, 0, told.append)
    state, _ = checkpoints.newest("train")
    assert (state.epoch, state.step, state.ended) == (1, 3, True)
    found, resumed = trained(checkpoints, **CASES[case])
    assert resumed == history
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert told == []


@pytest.fixture(scope="module")
def undisturbed():
    return trained(None)


@pytest.mark.parametrize("after", range(1, 12))
def test_every_state_that_is_saved_leads_to_the_same_bits(tmp_path, undisturbed, after):
    """Also that after the last step of an epoch, of which only the validation is left."""
    expected, history = undisturbed
    with pytest.raises(KilledError):
        trained(Killing(tmp_path, after))
    found, resumed = trained(CheckpointFolder(tmp_path, 0))
    assert resumed == history
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_one_that_had_ended_is_not_trained_again(tmp_path):
    expected, history = trained(CheckpointFolder(tmp_path, 0))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    found, resumed = trained(CheckpointFolder(tmp_path, 0))
    assert resumed == history
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path):
    expected, history = trained(None)
    with pytest.raises(KilledError):
        trained(Killing(tmp_path, 6))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    told = []
    found, resumed = trained(CheckpointFolder(tmp_path, 0, told.append))
    assert resumed == history
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert told == [f"the checkpoint {newest.name} is damaged or of another format: the one before it is used"]


def test_checkpoints_of_another_network_are_dropped(tmp_path):
    with pytest.raises(KilledError):
        trained(Killing(tmp_path, 6), labels=2, **{"train.ema": 0})
    told = []
    expected, history = trained(None)
    found, resumed = trained(CheckpointFolder(tmp_path, 0, told.append))
    assert resumed == history
    assert told == ["the checkpoints do not fit this training, which starts from the beginning"]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
