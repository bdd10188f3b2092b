"""A checkpoint is whole or passed over, and there are never more than two."""

import json
import time

import numpy as np
import pytest

from keensight.core.records import Epoch
from keensight.core.training_state import Begun, TrainingState
from keensight.errors import StoreError
from keensight.store import checkpoint
from keensight.store.checkpoint import FORMAT, CheckpointFolder, read_checkpoint, write_checkpoint

EPOCH = Epoch(1, "train", 5, 0.5, 0.1, 0.7, 0.6, float("nan"), 0.4)
ARRAYS = {
    "model/0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "model/1": np.zeros((0, 4), np.float32),
    "optimizer/0": np.int64(7),
    "seed": np.array([1, 2], np.uint32),
}


def state(epoch=1, step=2, epochs=(EPOCH,), stopped="completed"):
    return TrainingState("train", epoch, step, 5, tuple(epochs), len(epochs), stopped, averaged=False)


def test_it_comes_back_as_it_was(tmp_path):
    write_checkpoint(tmp_path / "one", state(epochs=[Epoch(1, "train", 5, 0.5, 0.1, 0.7, 0.6, 0.5, 0.4)]), ARRAYS)
    found, arrays = read_checkpoint(tmp_path / "one")
    assert (found.epoch, found.step, found.best_epoch, found.epochs[0].val_loss) == (1, 2, 1, 0.5)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)


def test_a_loss_that_is_no_number_comes_back_too(tmp_path):
    write_checkpoint(tmp_path / "one", state(), ARRAYS)
    assert np.isnan(read_checkpoint(tmp_path / "one")[0].epochs[0].val_loss)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (state(0, 0, ()), Begun(0, 0, stopped=False)),
        (state(1, 2), Begun(1, 7, stopped=False)),
        (state(0, 5), Begun(1, 5, stopped=False)),
        (state(0, 5, stopped="early"), Begun(1, 5, stopped=True)),
        (state(1, 5), Begun(1, 10, stopped=False)),
    ],
)
def test_the_place_where_a_training_goes_on(at, expected):
    assert at.next == expected


def test_any_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "one"
    write_checkpoint(path, state(), ARRAYS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError, match="damaged"):
            read_checkpoint(path)
    for length in (0, 10, len(FORMAT), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="damaged"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "table",
    [
        [["model/0", "|O", [1]]],
        [["model/0", "<f4", [100]]],
        [["model/0", "<f4", [-1]]],
        [],
        "text",
        [["model/0", "nonsense", [1]]],
    ],
)
def test_a_table_that_does_not_fit_is_refused_even_with_the_right_digest(tmp_path, table):
    header = json.dumps({"state": {}, "arrays": table}).encode() + b"\n"
    parts = [header, b"1234"]
    (tmp_path / "one").write_bytes(b"".join([FORMAT, checkpoint._digest(parts), *parts]))
    with pytest.raises(StoreError, match="damaged"):
        read_checkpoint(tmp_path / "one")


def test_the_newest_two_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    told = []
    folder = CheckpointFolder(tmp_path / "run", 0, told.append)
    (tmp_path / "run").mkdir()
    folder = CheckpointFolder(tmp_path / "run" / "checkpoints", 0, told.append)
    for step in range(4):
        folder.save(state(step=step), ARRAYS)
    names = sorted(path.name for path in folder.folder.iterdir())
    assert names == ["train-00001-0000002.checkpoint", "train-00001-0000003.checkpoint"]
    (folder.folder / names[1]).write_bytes(b"")
    found = folder.newest("train")
    assert found is not None and found[0].step == 2
    assert told == [f"the checkpoint {names[1]} is damaged or of another format: the one before it is used"]
    assert [path.name for path in folder.folder.iterdir()] == names[:1]
    assert folder.newest("whole") is None
    (folder.folder / f".{names[0]}.0123").write_bytes(b"half")
    folder.clear()
    assert not folder.folder.exists()


def test_a_removed_run_is_not_begun_again_by_a_checkpoint(tmp_path):
    with pytest.raises(StoreError, match="was removed"):
        CheckpointFolder(tmp_path / "gone" / "checkpoints", 0).save(state(), ARRAYS)
    assert not (tmp_path / "gone").exists()


def test_the_clock_decides_when_to_save(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    folder = CheckpointFolder(tmp_path / "checkpoints", minutes=2)
    now[0] = 49
    assert not folder.due(epoch_ended=True)
    now[0] = 50  # until it was measured, saving is assumed to take a second: 2% of this
    assert folder.due(epoch_ended=True)
    now[0] = 119
    assert not folder.due(epoch_ended=False) and folder.due(epoch_ended=True)
    now[0] = 120
    assert folder.due(epoch_ended=False)

    def slow(path, state, arrays):
        now[0] += 2.0

    monkeypatch.setattr(checkpoint, "write_checkpoint", slow)
    folder.save(state(), ARRAYS)
    now[0] += 99.0  # saving took two seconds, which is more than 2% of this
    assert not folder.due(epoch_ended=True)
    now[0] += 1.0
    assert folder.due(epoch_ended=True)


def test_what_cannot_be_read_is_passed_over_and_kept(tmp_path, monkeypatch):
    told = []
    folder = CheckpointFolder(tmp_path / "checkpoints", 0, told.append)
    for step in range(2):
        folder.save(state(step=step), ARRAYS)
    (folder.folder / "train-00001-0000009.checkpoint").mkdir()
    locked = folder.folder / "train-00001-0000001.checkpoint"
    real = type(locked).read_bytes

    def denied(path):
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(type(locked), "read_bytes", denied)
    found = folder.newest("train")
    assert found is not None and found[0].step == 0
    assert told == [f"{locked} cannot be read: Permission denied: the one before it is used"]
    assert locked.is_file()
    for step in (2, 3, 4):
        folder.save(state(step=step), ARRAYS)
    assert sorted(int(path.stem[-7:]) for path in folder.folder.iterdir()) == [3, 4, 9]
    folder.clear()
    assert [path.stem[-7:] for path in folder.folder.iterdir()] == ["0000009"]


def test_the_checkpoint_just_written_is_kept_beside_later_ones(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints", 0)
    for step in (7, 8, 2, 3, 4):
        folder.save(state(step=step), ARRAYS)
    assert sorted(int(path.stem[-7:]) for path in folder.folder.iterdir()) == [3, 4, 7, 8]


def test_checkpoints_are_dropped_with_a_reason_and_other_files_stay(tmp_path):
    told = []
    folder = CheckpointFolder(tmp_path / "checkpoints", 0, told.append)
    folder.drop("there are none")
    folder.save(state(), ARRAYS)
    (folder.folder / "notes.txt").write_text("mine")
    folder.drop("the settings have changed")
    assert told == ["there are none", "the settings have changed"]
    assert [path.name for path in folder.folder.iterdir()] == ["notes.txt"]
    assert folder.newest("train") is None


def test_a_single_earlier_checkpoint_is_kept_beside_the_new_one(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints", 0)
    for step in (1, 2):
        folder.save(state(step=step), ARRAYS)
        assert folder.due(epoch_ended=False)  # no minutes: after each step
    assert sorted(int(path.stem[-7:]) for path in folder.folder.iterdir()) == [1, 2]


def test_bytes_that_belong_to_no_array_are_counted(tmp_path):
    plain = json.dumps({"state": {}, "arrays": [["a", "<i2", [1]]]}).encode() + b"\n"
    for extra, says in ((b"12", "the checkpoint one is damaged: "), (b"12345", "3 bytes belong to no array")):
        parts = [plain, extra]
        (tmp_path / "one").write_bytes(b"".join([FORMAT, checkpoint._digest(parts), *parts]))
        with pytest.raises(StoreError, match=says) as caught:
            read_checkpoint(tmp_path / "one")
        assert caught.value.hint == "resume from an earlier one"
