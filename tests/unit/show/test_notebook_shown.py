"""IPython shows cards for records by itself, imports little for it, and its errors are the sentence and the hint."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from keensight.core.records import Epoch
from keensight.errors import DataError, InterruptedRun
from keensight.show.notebook import display


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_registered_records_show_as_html_and_as_text(shell, world):
    display.register(shell)
    for record in (world.dataset, world.audit, world.split, world.history, world.evaluation):
        shown, _ = shell.display_formatter.format(record)
        assert "<div" in shown["text/html"]
        assert shown["text/plain"].startswith("<")
        assert len(shown["text/plain"]) < 200


@pytest.mark.parametrize(("name", "place"), display.RECORDS.items())
def test_the_table_of_records_tells_the_truth(name, place):
    module, maker = place
    assert getattr(__import__(module, fromlist=[name]), name).__name__ == name
    assert callable(getattr(__import__("keensight.show.notebook.cards", fromlist=[maker]), maker))


def test_the_front_door_registers_where_ipython_runs_and_imports_nothing_heavy():
    script = (
        "import json, sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nbefore = set(sys.modules)\nimport keensight\n"
        "kinds = shell.display_formatter.formatters['text/html'].deferred_printers\n"
        "print(json.dumps([sorted(set(sys.modules) - before), [name for _, name in kinds]]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", check=True)
    imported, kinds = json.loads(done.stdout)
    assert set(display.RECORDS) <= set(kinds)
    assert not {name.split(".")[0] for name in imported} - {"keensight"}


def test_an_error_shows_its_sentence_and_its_hint_without_a_traceback(shell, capsys):
    shell.user_ns["error"] = DataError("there is no image in photos", "give a folder of images")
    shell.run_cell("raise error")
    told = capsys.readouterr()
    assert "DataError: there is no image in photos\nhint: give a folder of images" in told.out + told.err
    assert "Traceback" not in told.out + told.err
    assert InterruptedRun("stopped")._render_traceback_() == ["InterruptedRun: stopped"]


def epoch(number):
    return Epoch(number, "train", 10, 1.0, 0.1, 1 / number, 0.5, 1 / number, 0.5 + number / 100)


def test_live_curves_are_one_place_that_is_drawn_anew(monkeypatch):
    drawn = []
    handle = SimpleNamespace(update=lambda bundle, raw: drawn.append(bundle))
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, display_id: drawn.append(bundle) or handle)
    running = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", running)
    draw = display.live_curves()
    for number in (1, 2, 3):
        draw(epoch(number))
    assert len(drawn) == 3
    assert "3 epochs" in drawn[-1]["text/html"] and "best: epoch 3" in drawn[-1]["text/html"]
    assert drawn[-1]["text/plain"].startswith("<History of 3 epochs")


def test_live_curves_outside_a_notebook_draw_nothing(capsys):
    display.live_curves()(epoch(1))
    assert capsys.readouterr().out == ""
