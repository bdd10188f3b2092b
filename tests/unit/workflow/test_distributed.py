"""What several workers cannot do is refused by name, before any work."""

from dataclasses import dataclass, replace

import pytest

from keensight.core.config import RunConfig
from keensight.core.decisions import Decisions
from keensight.core.records import Split
from keensight.errors import UsageError
from keensight.workflow.distributed import (
    for_workers,
    refuse_other_workers,
    refuse_unsupported,
    refuse_without_work,
    what_they_do,
)
from store_builders import make_run

QUICK = RunConfig().with_values({"model.name": "efficientnet_lite0", "train.effort": "quick"})


@dataclass(frozen=True)
class Some:
    count: int
    address: str | None = None

    def check(self):
        pass


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data.task", "anomaly", "an anomaly detector is not trained by several workers"),
        ("train.precision", "bfloat16", "float32 only"),
        ("train.tensorboard", True, "TensorBoard"),
        ("train.halve_batch", True, "batch size that fits into memory"),
        ("data.cache", "never", "from the cache"),
        ("train.batch_size", 25, "a batch of 25 images cannot be divided among 2 workers"),
    ],
)
def test_settings_that_workers_cannot_follow(name, value, message):
    with pytest.raises(UsageError, match=message) as caught:
        refuse_unsupported(RunConfig().with_values({name: value}), Some(2))
    assert name in caught.value.hint or name == "data.task"
    refuse_unsupported(RunConfig().with_values({"train.batch_size": 24}), Some(2))


def test_a_head_alone_is_no_work_for_several_workers():
    with pytest.raises(UsageError, match="quick fits only the last layer of efficientnet_lite0"):
        refuse_without_work(QUICK, Some(2), 100)
    refuse_without_work(QUICK, None, 100)
    refuse_without_work(QUICK, Some(64, "auto"), 100)  # a cluster computes the features
    for values in ({"model.name": "cnn"}, {"model.weights": "none"}, {"train.effort": "standard"}):
        refuse_without_work(QUICK.with_values(values), Some(2), 100)
        with pytest.raises(UsageError, match="images is too small for 64 workers"):
            refuse_without_work(QUICK.with_values(values), Some(64), 100)


def test_what_workers_do_is_said_in_one_line():
    rest = "all other steps run on this machine"
    assert what_they_do(QUICK, Some(3, "auto")) == f"3 workers decode images and compute features; {rest}"
    tuned = QUICK.with_values({"train.effort": "standard"})
    assert what_they_do(tuned, Some(3)) == f"3 workers train the network; {rest}"
    assert what_they_do(tuned, Some(3, "auto")) == (
        f"3 workers decode images, compute features and train the network; {rest}"
    )
    scratch = QUICK.with_values({"model.name": "cnn"})
    assert what_they_do(scratch, Some(3, "auto")) == f"3 workers decode images and train the network; {rest}"


@pytest.mark.parametrize(("count", "batch"), [(1, 16), (2, 16), (3, 15), (5, 15)])
def test_a_batch_is_divided_among_the_workers(count, batch):
    split = Split(tuple(range(100)), (100,), (101,), "some")
    found = for_workers(RunConfig().with_values({"model.name": "cnn"}), split, Some(count))
    assert (found.train.batch_size, found.train.precision) == (batch, "float32")
    assert for_workers(QUICK, split, Some(count)) is QUICK  # a head has no batches
    with pytest.raises(UsageError, match="a batch of 16 images is too small for 17 workers"):
        for_workers(RunConfig().with_values({"model.name": "cnn"}), split, Some(17))


def test_a_run_goes_on_with_as_many_workers(tmp_path):
    run = make_run(tmp_path / "run")
    alone = Decisions(1, {}, "dataset", {})
    by_two = replace(alone, workers=2)
    refuse_other_workers(run, alone, None)
    refuse_other_workers(run, by_two, Some(2))
    for known, workers, message in (
        (alone, Some(2), "was started without workers"),
        (by_two, None, "is trained by 2 workers"),
        (by_two, Some(3), "is trained by 2 workers, not 3"),
    ):
        with pytest.raises(UsageError, match=message):
            refuse_other_workers(run, known, workers)
