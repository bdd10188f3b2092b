"""One process at a time works on a run; the other process is a real one."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keensight.core.codec import to_plain
from keensight.core.files import write_json
from keensight.core.records import Process
from keensight.errors import StoreError
from keensight.store.liveness import this_process
from keensight.store.run import Run, open_run
from keensight.store.run_lock import LOCK_FILE, locked_run, refuse_busy, take_over
from store_builders import make_run

_BEGIN = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from store_builders import make_run
from keensight.store.run_lock import locked_run
run = make_run(Path(sys.argv[1]))
with locked_run(run.path):
    run.update(state="training")
    print("training", flush=True)
    sys.stdin.read()
"""


@contextmanager
def trained_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on a run until it is killed."""
    helpers = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", _BEGIN, str(path), helpers], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "training\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def with_process(run: Run, process: Process) -> Run:
    write_json(run.path / "run.json", to_plain(dataclasses.replace(run.record, process=process)))
    return open_run(run.path)


def test_a_live_run_is_refused_by_name_and_a_killed_one_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with trained_elsewhere(path) as child:
        for attempt in (lambda: take_over(open_run(path)), lambda: locked_run(path).__enter__()):
            with pytest.raises(StoreError, match=f"in use: process {child.pid} on .* is working on it") as caught:
                attempt()
            assert str(path) in caught.value.message
        with pytest.raises(StoreError, match="contains a run already"):
            make_run(path)
        assert open_run(path).alive is True
        child.kill()
        child.wait()
        assert open_run(path).state == "dead"
    run = take_over(open_run(path))
    assert (run.state, run.alive, run.record.process) == ("created", True, this_process())
    assert len(run.record.resumed) == 1
    assert open_run(path).record == run.record
    again = take_over(run)
    assert len(again.record.resumed) == 2
    assert not (path / LOCK_FILE).exists()


def test_a_live_process_is_enough_where_its_lock_is_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with trained_elsewhere(path) as child:
        (path / LOCK_FILE).unlink()
        with pytest.raises(StoreError, match=f"in use: process {child.pid} on"):
            take_over(open_run(path))


def test_a_run_of_another_computer_is_taken_over_only_on_request(tmp_path: Path) -> None:
    run = with_process(make_run(tmp_path / "run"), dataclasses.replace(this_process(), host="far", boot="other"))
    with pytest.raises(StoreError, match=r"started on far, and whether process .* cannot be seen from here") as caught:
        take_over(run)
    assert f"keensight runs delete {run.path} --take-over" in caught.value.hint
    assert f"keensight runs delete {run.path} --take-over" in run.next_step
    assert open_run(run.path).record == run.record
    with pytest.raises(StoreError, match="cannot be seen from here"):
        refuse_busy(run)
    assert take_over(run, unseen=True).alive is True


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no namespaces of processes")
def test_of_another_container_on_this_computer_the_lock_is_enough(tmp_path: Path) -> None:
    run = with_process(make_run(tmp_path / "run"), dataclasses.replace(this_process(), namespace="pid:[1]"))
    assert run.alive is None
    refuse_busy(run)


def test_a_finished_run_is_not_busy(tmp_path: Path) -> None:
    refuse_busy(make_run(tmp_path / "run").update(state="finished"))


def test_a_folder_in_which_a_run_could_not_begin_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    for name in (LOCK_FILE, ".claim", ".run.json.abc"):
        (path / name).write_text("")
    assert make_run(path).state == "created"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.toml").write_text("mine")
    with pytest.raises(StoreError, match="is not empty already"):
        make_run(tmp_path / "mine")


def test_a_run_that_a_living_process_has_left_is_taken_over_on_request(tmp_path: Path) -> None:
    run = with_process(make_run(tmp_path / "run"), dataclasses.replace(this_process(), id=os.getppid(), started=""))
    assert run.alive is True
    with pytest.raises(StoreError, match="is working on it") as caught:
        take_over(run)
    assert f"keensight train --resume {run.path} --take-over" in (caught.value.hint or "")
    with locked_run(run.path), pytest.raises(StoreError, match="is working on it"):
        take_over(run, unseen=True)
    assert take_over(run, unseen=True).record.process == this_process()
