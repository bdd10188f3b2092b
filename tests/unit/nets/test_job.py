"""What driver and workers of a distributed training write for each other."""

import numpy as np
import pytest

from keensight.core.config import RunConfig
from keensight.core.records import Epoch, History
from keensight.errors import StoreError
from keensight.nets.training.fit import schedule
from keensight.nets.training.job import (
    NETWORK,
    Before,
    Job,
    Outcome,
    Plan,
    read_job,
    read_outcome,
    together,
    write_job,
    write_outcome,
)


class Network:
    """As much of a Keras model as a driver uses."""

    weights = ()

    def save(self, path):
        path.write_bytes(b"network")

    def set_weights(self, weights):
        self.weights = weights


def job(before=None, targets=None):
    config = RunConfig().with_values({"model.name": "cnn", "train.epochs": 3, "augment.crop": 0.8, "train.ema": 0.9})
    plan = Plan(config, schedule(config.train, "cnn", 6), "train", 2, before)
    targets = np.arange(10) % 2 if targets is None else targets
    return Job(Network(), np.array([9, 1, 2, 3, 4, 5]), np.array([7, 8]), targets, plan)


def test_a_worker_reads_what_the_driver_wrote(tmp_path):
    given = job(Before(0.9, 2))
    write_job(given, tmp_path / "workers")
    found = read_job(tmp_path / "workers")
    assert found.plan == given.plan
    assert (tmp_path / "workers" / NETWORK).read_bytes() == b"network"
    assert found.targets.tolist() == [1, 1, 0, 1, 0, 1]
    assert found.val_targets.tolist() == [1, 0]
    assert (found.rows.tolist(), found.val_rows.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7])
    assert given.images.tolist() == [9, 1, 2, 3, 4, 5, 7, 8]


def test_only_a_phase_with_something_to_improve_on_is_hopeless(tmp_path):
    for name, before in (("first", None), ("second", Before(1.0, 1000))):
        write_job(job(before), tmp_path / name)
    assert not read_job(tmp_path / "first").hopeless([0.1] * 9, 10)
    assert read_job(tmp_path / "second").hopeless([0.1] * 9, 10)


def test_a_job_that_is_not_there_or_torn_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_job(tmp_path)
    write_job(job(), tmp_path)
    (tmp_path / "targets.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(StoreError, match="cannot be read"):
        read_job(tmp_path)


def test_an_outcome_is_there_once_it_is_complete(tmp_path):
    assert read_outcome(tmp_path) is None
    epoch = Epoch(1, "train", 3, 0.5, 0.01, 0.7, 0.5, 0.6, 0.75, None)
    weights = [np.arange(12, dtype=np.float32).reshape(3, 4) + number for number in range(12)]
    write_outcome(Outcome(History((epoch,), 1, "early"), weights), tmp_path)
    found = read_outcome(tmp_path)
    assert found.history == History((epoch,), 1, "early")
    for one, other in zip(found.weights, weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_drivers_network_ends_with_the_workers_weights():
    given, weights = job(), [np.ones(3, np.float32)]
    history = together(lambda job, **callbacks: Outcome(History((), 0), weights), given)
    assert given.model.weights is weights
    assert history == History((), 0)
