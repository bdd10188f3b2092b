import io
import json
import sys

import click
import pytest

from keensight.cli.invocation import Invocation, as_json, shared, size, table, tolerate_any_console


@click.command()
@shared
def chatty(asked):
    print("a library prints")
    asked.answer({"name": "café ✓", "n": 1}, lambda: "as text ✓")


def run(*arguments, monkeypatch, encoding="utf-8"):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    tolerate_any_console(out, err)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    chatty.main(list(arguments), standalone_mode=False, obj=Invocation(output=out))
    monkeypatch.undo()
    return out.buffer.getvalue().decode(encoding), err.buffer.getvalue().decode(encoding)


def test_text_is_the_default(monkeypatch):
    out, err = run(monkeypatch=monkeypatch)
    assert out.splitlines() == ["a library prints", "as text ✓"]
    assert err == ""


def test_json_leaves_nothing_else_on_standard_output(monkeypatch):
    out, err = run("--json", monkeypatch=monkeypatch)
    assert json.loads(out) == {"schema": 1, "name": "café ✓", "n": 1}
    assert err.strip() == "a library prints"


def test_standard_output_is_itself_again_afterwards(monkeypatch):
    before = sys.stdout
    run("--json", monkeypatch=monkeypatch)
    assert sys.stdout is before


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_old_console_shows_a_question_mark(monkeypatch, encoding):
    out, _ = run(monkeypatch=monkeypatch, encoding=encoding)
    assert out.splitlines()[1] == "as text ?"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_is_whole_on_every_console(monkeypatch, encoding):
    out, _ = run("--json", monkeypatch=monkeypatch, encoding=encoding)
    assert json.loads(out)["name"] == "café ✓"


def test_json_is_readable_where_it_can_be():
    assert "café" in as_json(["café"], "utf-8")
    assert "café" in as_json(["café"], "cp1252")
    assert as_json(["café"], None).isascii()


def test_a_file_name_that_is_not_unicode_survives_json():
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert json.loads(as_json([name], "utf-8")) == [name]


def test_json_never_holds_nan():
    with pytest.raises(ValueError, match="Out of range"):
        as_json({"loss": float("nan")}, "utf-8")


def test_command_is_what_was_typed():
    assert Invocation(arguments=("train", "my photos")).command == "keensight train 'my photos'"


def test_table_aligns_by_width_on_screen():
    lines = table([{"name": "数字", "n": 5}, {"name": "ab", "n": None}], ("name", "n")).splitlines()
    assert lines == ["name  n", "数字  5", "ab    -"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (5e12, "4656.6 GiB")],
)
def test_sizes_in_words(count, words):
    assert size(count) == words
