"""Groups of processes that train one network on JAX: two compute what one does, and end alike after a break."""

import dataclasses
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from keensight.core.codec import from_plain, to_plain
from keensight.core.config import RunConfig
from keensight.core.files import read_json, write_json
from keensight.core.records import History, ImageSpec

pytestmark = pytest.mark.slow
SETTINGS = {"model.name": "cnn", "train.batch_size": 16, "train.epochs": 3, "augment.flip": "horizontal",
            "augment.color": "light", "augment.erase": 0.3, "augment.crop": 0.8}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A job of 3 epochs of 3 steps on images of several labels, done by groups of one and two processes at once."""
    if find_spec("jax") is None:  # not imported: it sets TF_CPP_MIN_LOG_LEVEL, also of later processes
        pytest.skip("the extra cluster is not installed")
    from keensight.nets import runtime
    from keensight.nets.models.build import build
    from keensight.nets.training.fit import schedule
    from keensight.nets.training.job import Job, Plan, write_job

    folder = tmp_path_factory.mktemp("job")
    rng, numbers = np.random.default_rng(0), np.arange(73)
    targets = np.stack([numbers % 2, numbers // 2 % 2], axis=1)
    config = RunConfig().with_values(SETTINGS)
    runtime.configure(seed=0)
    model = build("cnn", ImageSpec(12, 12), 2, width=2, dropout=0.3)
    plan = Plan(config, schedule(config.train, "cnn", 48), "train", 2)
    write_job(Job(model, np.arange(48), np.arange(48, 73), targets, plan), folder)
    images = rng.integers(0, 120, (73, 12, 12, 3)) + 110 * targets[:, :1, None, None]
    np.save(folder / "pixels.npy", images.astype(np.uint8))
    write_json(folder / "spec.json", to_plain(ImageSpec(12, 12)))
    _run(folder, (1, False), (2, True))
    return folder


def _run(folder, *groups):
    processes = []
    for count, breaks in groups:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{one.getsockname()[1]}"
        script = Path(__file__).with_name("data_parallel_worker.py")
        for number in range(count):
            words = [sys.executable, str(script), str(folder), address, str(number), str(count), str(int(breaks))]
            processes.append(subprocess.Popen(words, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]


def weights(folder, name):
    with np.load(folder / f"{name}.npz") as arrays:
        return [arrays[f"arr_{number}"] for number in range(len(arrays.files))]


def history(folder, name):
    found = from_plain(History, read_json(folder / f"{name}.json"))
    epochs = tuple(dataclasses.replace(epoch, seconds=0.0) for epoch in found.epochs)
    return dataclasses.replace(found, epochs=epochs)


def test_two_workers_compute_what_one_computes(folder):
    for one, two in zip(weights(folder, "whole-1-0"), weights(folder, "whole-2-0"), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)
    alone, both = history(folder, "whole-1-0"), history(folder, "whole-2-0")
    for one, two in zip(alone.epochs, both.epochs, strict=True):
        assert (one.loss, one.val_loss, one.val_map) == pytest.approx((two.loss, two.val_loss, two.val_map), rel=1e-4)
        assert (one.accuracy, one.val_accuracy) == (two.accuracy, two.val_accuracy)
    assert len({epoch.loss for epoch in both.epochs}) == 3


def test_all_workers_have_the_same_bits(folder):
    for first, second in zip(weights(folder, "whole-2-0"), weights(folder, "whole-2-1"), strict=True):
        np.testing.assert_array_equal(first, second)
    assert history(folder, "whole-2-0") == history(folder, "whole-2-1")


def test_a_training_that_was_broken_off_ends_in_the_same_bits(folder):
    for whole, resumed in zip(weights(folder, "whole-2-0"), weights(folder, "resumed-2-0"), strict=True):
        np.testing.assert_array_equal(whole, resumed)
    assert history(folder, "whole-2-0") == history(folder, "resumed-2-0")


def test_two_workers_fine_tune_as_one_does(tmp_path):
    if find_spec("jax") is None:  # not imported: it sets TF_CPP_MIN_LOG_LEVEL, also of later processes
        pytest.skip("the extra cluster is not installed")
    from keensight.nets import runtime
    from keensight.nets.models.build import build
    from keensight.nets.training.fit import schedule
    from keensight.nets.training.job import Before, Job, Plan, write_job
    from keensight.nets.training.tuning import keeping_statistics

    name, rng, targets = "efficientnet_lite0", np.random.default_rng(0), np.arange(73) % 2
    settings = {"model.name": name, "train.batch_size": 16, "train.epochs": 2, "train.optimizer": "adamw",
                "train.precision": "float32", "augment.flip": "horizontal", "augment.color": "light"}  # fmt: skip
    config = RunConfig().with_values(settings)
    runtime.configure(seed=0)
    model = build(name, ImageSpec(64, 64), 2, dropout=0.2, weights="imagenet")
    numbers = dataclasses.replace(schedule(config.train, name, 48), head_rate=0.1)
    with keeping_statistics(model):
        plan = Plan(config, numbers, "whole", 2, Before(0.5, 25))
        write_job(Job(model, np.arange(48), np.arange(48, 73), targets, plan), tmp_path)
    images = rng.integers(0, 120, (73, 64, 64, 3)) + 110 * targets[:, None, None, None]
    np.save(tmp_path / "pixels.npy", images.astype(np.uint8))
    write_json(tmp_path / "spec.json", to_plain(ImageSpec(64, 64)))
    _run(tmp_path, (1, False), (2, False))
    before, kept = model.get_weights(), 0
    for old, one, two, other in zip(
        before, *(weights(tmp_path, f"whole-{group}") for group in ("1-0", "2-0", "2-1")), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(two, other)
        kept += bool((old == one).all())
    norms = sum(type(layer).__name__ == "BatchNormalization" for layer in model.layers)
    assert kept == 4 * norms < len(before)  # all else was trained
