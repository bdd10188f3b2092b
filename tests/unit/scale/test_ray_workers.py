"""What the driver of a distributed training hears of its workers."""

import json
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

import pytest

from keensight.core.codec import to_plain
from keensight.core.decisions import SCHEMA, Decisions
from keensight.core.records import Epoch
from keensight.errors import StoreError, TrainingError, UsageError
from keensight.scale.train import RayWorkers, _Heard, workers_of
from keensight.scale.worker import FAULT, PROGRESS, Told, free_address, work
from keensight.store.run import open_run
from store_builders import make_run

EPOCH = Epoch(1, "train", 3, 0.5, 0.01, 0.7, 0.5, 0.6, 0.75, None)


class Screen:
    def __init__(self):
        self.done, self.notes, self.said = 0, [], []

    def advance(self, amount=1, note=None):
        self.done += amount
        self.notes.append(note)

    @contextmanager
    def task(self, label, total, unit="images"):
        yield self

    def say(self, message):
        self.said.append(message)

    detail = say


@pytest.fixture
def heard(tmp_path):
    screen, epochs = Screen(), []
    return screen, epochs, _Heard(tmp_path, screen, screen, epochs.append)


def test_steps_and_epochs_are_passed_on_once(tmp_path, heard):
    screen, epochs, ear = heard
    ear.read()  # nothing is there yet
    told = Told(tmp_path)
    told.begin(0)
    told.step(4, "loss 0.5")
    told.step(5, "at once: not worth a line")
    told.epoch(EPOCH)
    ear.read()
    ear.read()
    assert (screen.done, screen.notes, epochs) == (4, [None, "loss 0.5"], [EPOCH])
    with (tmp_path / PROGRESS).open("a") as stream:
        stream.write('{"step": 9, "no')  # the rest is still being written
        stream.flush()
        ear.read()
        stream.write('te": "loss 0.4"}\n')
    ear.read()
    assert (screen.done, screen.notes[-1]) == (9, "loss 0.4")


def test_after_a_loss_steps_are_not_counted_twice(tmp_path, heard):
    screen, epochs, ear = heard
    lines = [{"begun": 0}, {"step": 7, "note": "x"}, {"epoch": to_plain(EPOCH)}, {"begun": 5}, {"step": 6, "note": "x"},
             {"epoch": to_plain(EPOCH)}, {"step": 8, "note": "x"}, {"epoch": to_plain(replace(EPOCH, epoch=2))},
             {"said": "hello"}]  # fmt: skip
    (tmp_path / PROGRESS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    ear.read()
    assert screen.done == 8
    assert [one.epoch for one in epochs] == [1, 2]
    assert screen.said == ["a worker was lost: training continues after step 5", "hello"]


def test_what_a_worker_failed_of_is_raised_here(tmp_path, heard):
    (tmp_path / FAULT).write_text(json.dumps({"kind": "StoreError", "message": "no cache", "hint": "share it"}))
    with pytest.raises(StoreError, match="no cache") as caught:
        heard[2].read()
    assert caught.value.hint == "share it"
    (tmp_path / FAULT).write_text(json.dumps({"kind": "unheard of", "message": "odd", "hint": None}))
    with pytest.raises(TrainingError, match="odd"):
        heard[2].read()


def test_more_workers_than_cpus_are_refused_before_any_work():
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    if find_spec("jax") is None:  # not imported: it sets TF_CPP_MIN_LOG_LEVEL, also of later processes
        pytest.skip("the extra cluster is not installed")
    with pytest.raises(UsageError, match="and 4096 workers need one each"):
        RayWorkers(4096).check()
    RayWorkers(1).check()


def test_a_free_address_has_a_host_and_a_port():
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    host, port = free_address().rsplit(":", 1)
    assert host
    assert 0 < int(port) < 65536


def test_a_run_remembers_its_workers(tmp_path):
    run = make_run(tmp_path / "run")
    assert workers_of(run.path, None) is None
    with pytest.raises(UsageError, match="was started without --workers"):
        workers_of(run.path, "auto")
    run.save_decisions(Decisions(1, {}, "dataset", {}, workers=2))
    assert workers_of(run.path, "auto") == RayWorkers(2, "auto")
    # An earlier version, which knows no workers, would resume it alone, so it must refuse the record.
    assert open_run(run.path).decisions.schema == SCHEMA == 2


def test_workers_that_are_started_again_after_their_command_was_stopped_do_nothing(tmp_path):
    assert work({"folder": str(tmp_path / "removed")}) is None
