"""A run under way whose process is gone is dead; its record stays as it was."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keensight.core.codec import to_plain
from keensight.core.files import write_json
from keensight.core.records import Process
from keensight.errors import StoreError
from keensight.store.liveness import _by_ps, alive, same_system, this_process
from keensight.store.run import Run, open_run
from store_builders import make_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asked of POSIX systems only")


def ended() -> Process:
    """Of a process that has come to its end."""
    code = "from keensight.core.codec import to_plain; from keensight.store.liveness import this_process; import json; "
    done = subprocess.run([sys.executable, "-c", f"{code}print(json.dumps(to_plain(this_process())))"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return Process(**json.loads(done.stdout))


def of(run: Run, process: Process | None) -> Run:
    write_json(run.path / "run.json", to_plain(dataclasses.replace(run.record, process=process)))
    return open_run(run.path)


def test_this_process_is_there() -> None:
    assert alive(this_process()) is True


def test_a_process_that_ended_is_gone() -> None:
    assert alive(ended()) is False


def test_a_later_process_of_the_same_number_is_another() -> None:
    now = this_process()
    if now.started:
        assert alive(dataclasses.replace(now, started=now.started + "1")) is False
    assert alive(dataclasses.replace(now, started="")) is True


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no boot ID")
def test_after_a_restart_of_the_computer_no_process_is_there() -> None:
    now = this_process()
    assert now.boot
    assert now.namespace
    assert alive(dataclasses.replace(now, boot="another")) is False
    assert alive(dataclasses.replace(now, started=f"another {now.started}", boot="", namespace="")) is False
    assert alive(dataclasses.replace(now, started=f"{now.boot} {now.started}", boot="", namespace="")) is True


def test_of_another_machine_or_container_nothing_is_known() -> None:
    assert alive(dataclasses.replace(ended(), host="another", boot="another")) is None
    assert alive(dataclasses.replace(ended(), id=-1)) is None
    if this_process().namespace:
        assert alive(dataclasses.replace(ended(), namespace="pid:[1]")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_child_that_nobody_waited_for_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert alive(dataclasses.replace(this_process(), id=child.pid, started="")) is False
    finally:
        child.wait()


def test_a_run_says_that_it_is_dead_and_its_file_does_not(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run").update(state="training")
    (run.path / "decisions.json").touch()
    assert run.state == "training"
    run = of(run, ended())
    assert (run.state, run.record.state) == ("dead", "training")
    assert "dead" in repr(run)
    with pytest.raises(StoreError, match=r"has no audit\.json: its state is dead$") as caught:
        _ = run.audit
    assert caught.value.hint == run.next_step
    assert f"`keensight train --resume {run.path}` continues it" in run.next_step
    assert of(run.update(state="finished"), ended()).state == "finished"
    assert of(run.update(state="training"), None).state == "training"


def test_how_to_go_on_depends_on_what_is_known_of_the_process(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert (run.alive, run.next_step) == (
        True, f"wait until it is finished; process {os.getpid()} is working on it",
    )  # fmt: skip
    far = of(run, dataclasses.replace(ended(), host="far", boot="another"))
    assert (far.alive, far.state) == (None, "created")
    assert "on far is still working on it cannot be seen from here" in far.next_step
    old = of(run, None)
    assert (old.alive, old.state) == (None, "created")
    assert "whether another process is still working" in old.next_step
    failed = run.update(state="failed", message="the disk is full")
    assert failed.alive is False
    assert failed.next_step.startswith("it cannot be continued: train again, and `keensight runs delete")
    with pytest.raises(StoreError, match=r"its state is failed: the disk is full$"):
        _ = failed.audit
    assert run.update(state="finished").next_step == ""


def test_a_record_that_a_link_leads_out_for_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "audit.json").write_text("{}")
    (run.path / "audit.json").symlink_to(tmp_path / "audit.json")
    with pytest.raises(StoreError, match="points outside"):
        _ = run.audit
    (run.path / "run.json").rename(run.path / "kept.json")
    (run.path / "run.json").symlink_to("kept.json")
    assert open_run(run.path).record == run.record
    (run.path / "run.json").unlink()
    (run.path / "kept.json").rename(tmp_path / "run.json")
    (run.path / "run.json").symlink_to(tmp_path / "run.json")
    with pytest.raises(StoreError, match="points outside"):
        open_run(run.path)


@pytest.mark.skipif(not this_process().namespace, reason="other systems have no boot ID")
def test_a_computer_of_another_name_now_still_knows_its_processes() -> None:
    assert alive(dataclasses.replace(this_process(), host="before")) is True
    assert alive(dataclasses.replace(ended(), host="before")) is False
    assert alive(dataclasses.replace(ended(), host="before", boot="another")) is None
    assert alive(dataclasses.replace(ended(), host="before", namespace="")) is None


def test_a_folder_that_begins_with_a_dash_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed = make_run(Path("-x")).update(state="failed")
    assert "`keensight runs delete ./-x` deletes it" in failed.next_step


@pytest.mark.parametrize(
    ("shown", "started"),
    [
        ("Ss   Mon Nov 30 14:06:44 2026\n", "Mon-Nov-30-14:06:44-2026"),
        ("Z+   Mon Nov 30 14:06:44 2026\n", "ended"),
        ("\n", ""),
    ],
)
def test_where_there_is_no_proc_the_start_is_that_of_ps(
    monkeypatch: pytest.MonkeyPatch, shown: str, started: str
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, shown, ""))
    assert _by_ps(1) == started


def test_without_ps_no_start_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert _by_ps(os.getpid()) == ""


def test_the_first_process_of_a_system_is_only_asked_for_and_there_is_none_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, asked = this_process(), list[tuple[int, int]]()
    monkeypatch.setattr(os, "kill", lambda number, signal: asked.append((number, signal)))
    assert alive(dataclasses.replace(now, id=1, started="")) is True
    assert alive(dataclasses.replace(now, id=0, started="")) is None
    assert asked == [(1, 0)], "signal 0 does nothing to a process"


def test_a_number_that_no_system_has_is_of_no_process() -> None:
    assert alive(dataclasses.replace(this_process(), id=2**70)) is False


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("ps") is None, reason="ps tells the time in seconds")
def test_a_process_is_known_by_the_time_of_its_start() -> None:
    age = float(Path("/proc/uptime").read_text().split()[0]) - int(this_process().started) / os.sysconf("SC_CLK_TCK")
    shown = subprocess.run(["ps", "-o", "etimes=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    assert age == pytest.approx(int(shown.stdout), abs=3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a boot ID")
def test_where_the_system_shows_no_boot_id_or_container_the_rest_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = this_process()
    monkeypatch.setattr("keensight.store.liveness._BOOT", tmp_path / "none")
    assert this_process() == dataclasses.replace(now, boot="")
    assert alive(now) is True
    assert alive(dataclasses.replace(now, host="another")) is None
    assert not same_system(now) and not same_system(this_process())
    (tmp_path / "none").write_bytes(b"\xff")
    assert this_process().boot == ""
    monkeypatch.setattr("keensight.store.liveness._NAMESPACE", tmp_path / "none")
    assert this_process().namespace == ""
    assert alive(this_process()) is True
    assert alive(now) is None, "it was seen in a container"


def test_a_process_of_another_user_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    now = this_process()
    monkeypatch.setattr(os, "kill", denied)
    assert alive(now) is True


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps")
def test_ps_tells_when_a_process_started_in_one_language_and_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    shown = datetime.strptime(_by_ps(os.getpid()), "%a-%b-%d-%H:%M:%S-%Y").replace(tzinfo=UTC)
    assert timedelta(seconds=-2) < datetime.now(UTC) - shown < timedelta(hours=6)
    assert _by_ps(2**22 + 1) == ""
