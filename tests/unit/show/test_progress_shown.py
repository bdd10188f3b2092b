from __future__ import annotations

import io
import sys
import time
from types import SimpleNamespace

import pytest

from keensight.show import progress


def test_plain_lines_for_a_log(capsys):
    shown = progress.PlainProgress()
    with shown.task("prepare", 3) as task:
        for _ in range(3):
            task.advance()
    shown.say("model: cnn")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "prepare: 3 images\nmodel: cnn\n"


def test_plain_lines_come_at_most_once_a_pause(monkeypatch):
    now, stream = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.PlainProgress(pause=30, stream=stream).task("train", 1000, "steps") as task:
        for _ in range(1000):
            now[0] += 0.1
            task.advance(1, "loss 0.31")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "train: 1,000 steps"
    assert len(lines) == 1 + 3 + 1
    assert lines[1] == "train: 300 of 1,000 steps, 10 steps/s, 1 min 10 s left, loss 0.31"
    assert lines[-1] == "train: done, 1,000 of 1,000 steps in 1 min 40 s, loss 0.31"
    assert "\r" not in stream.getvalue()


def test_a_phase_that_fails_says_where():
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), progress.PlainProgress(stream=stream).task("decode", 9) as task:
        task.advance(4)
        raise KeyboardInterrupt
    assert "decode: stopped at 4 of 9 images" in stream.getvalue()


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def run_bar(columns: int, monkeypatch, note: str | None) -> str:
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setitem(progress._SETTINGS, "delay", 1e-9)
    monkeypatch.setitem(progress._SETTINGS, "mininterval", 0)
    monkeypatch.setitem(progress._SETTINGS, "dynamic_ncols", False)
    monkeypatch.setitem(progress._SETTINGS, "ncols", columns)
    with progress.TerminalProgress().task("train", 200, "steps") as task:
        for _ in range(200):
            task.advance(1, note)
    return screen.getvalue()


def test_a_bar_shows_label_counts_rate_and_note(monkeypatch):
    last = run_bar(119, monkeypatch, "epoch 2/20 loss 0.312").rstrip("\n").split("\r")[-1]
    for part in ("train", "100%", "200/200 steps", "steps/s", "in 00:00", "epoch 2/20 loss 0.312"):
        assert part in last


def test_a_narrow_terminal_keeps_the_note_whole(monkeypatch):
    note = "epoch 12/20 loss 0.312 accuracy 0.904 val 0.911"
    frames = [f for f in run_bar(79, monkeypatch, note).strip("\n").split("\r") if note in f]
    assert len(frames) > 100
    assert max(map(len, frames)) <= 79


def test_short_phases_leave_no_bar(monkeypatch):
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.TerminalProgress().task("quick", 5) as task:
        task.advance(5)
    assert "quick" not in screen.getvalue()
    progress.TerminalProgress().say("stays")
    assert screen.getvalue().endswith("stays\n")


def test_a_notebook_bar_is_one_html_cell_that_is_updated(monkeypatch):
    updates: list[str] = []
    handle = SimpleNamespace(update=lambda bundle, raw: updates.append(bundle["text/html"]))

    def display(bundle, raw, display_id):
        assert display_id and bundle["text/plain"].startswith("prepare <1>")
        updates.append(bundle["text/html"])
        return handle

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setitem(progress._SETTINGS, "delay", 1e-9)
    monkeypatch.setitem(progress._SETTINGS, "mininterval", 0)
    with progress.NotebookProgress().task("prepare <1>", 40) as task:
        for _ in range(40):
            time.sleep(0.001)
            task.advance(1, "loss 0.5")
    assert '<progress value="40" max="40"' in updates[-1]
    assert "prepare &lt;1&gt; 100% 40/40 images" in updates[-1]
    assert "loss 0.5" in updates[-1]


def test_the_best_progress_for_where_we_are(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress.best_progress(), progress.PlainProgress)
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert isinstance(progress.best_progress(), progress.TerminalProgress)
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert isinstance(progress.best_progress(), progress.NotebookProgress)
