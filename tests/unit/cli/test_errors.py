import errno
import json

import click
import pytest

from keensight import errors
from keensight.cli.errors import explain
from keensight.cli.invocation import Invocation
from keensight.cli.main import main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DataError("no images", "look elsewhere"), 1),
        (errors.ImageError("truncated"), 1),
        (errors.StoreError("disk full"), 1),
        (errors.TrainingError("loss is NaN"), 1),
        (errors.UsageError("no such setting"), 2),
        (errors.GateError("refused"), 3),
        (errors.InterruptedRun("stopped"), 130),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.ClickException("odd"), 1),
        (click.UsageError("odd"), 2),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_exit_codes_follow_the_tree(error, code, capsys):
    assert explain(error, Invocation()) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("error", [ImportError("initialization failed"), ValueError("not a valid PEP 3118 buffer")])
def test_what_compiled_code_makes_of_an_interrupt_is_an_interrupt(error, capsys):
    assert explain(error, Invocation(), interrupted=True) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_an_error_that_says_what_to_do_is_told_after_an_interrupt_too(capsys):
    assert explain(errors.DataError("no images"), Invocation(), interrupted=True) == 1
    assert capsys.readouterr().err == "error: no images\n"


def test_message_and_hint_are_one_line_each(capsys):
    explain(errors.DataError("two\nlines", "a\n hint"), Invocation())
    assert capsys.readouterr().err == "error: two lines\nhint: a hint\n"


def test_a_bug_asks_for_a_report(capsys):
    explain(RuntimeError("boom"), Invocation())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: unexpected RuntimeError: boom"
    assert "report" in lines[1]
    assert "--debug" in lines[1]


def test_debug_shows_the_traceback(capsys):
    try:
        raise errors.DataError("no images")
    except errors.DataError as error:
        explain(error, Invocation(debug=True))
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("error: no images\n")


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        (["trian"], "there is no command 'trian'", "did you mean 'train'?"),
        (["cache", "claer"], "there is no command 'claer'", "did you mean 'clear'?"),
        (["train", "x", "--epoch", "3"], "there is no option '--epoch'", "did you mean '--epochs'?"),
        (["train", "x", "--batch-size", "3"], "there is no option '--batch-size'", "--set train.batch_size=VALUE"),
        (["train", "x", "--lr", "0.1"], "there is no option '--lr'", "--set train.learning_rate=VALUE"),
        (["tune", "x", "--task", "anomaly"], "there is no option '--task'", "leave it out: this command is for class"),
        (["train", "x", "--model", "efficientnet_lit"], "there is no model", "did you mean 'efficientnet_lite0'?"),
        (["train", "x", "--set", "train.epoch=3"], "there is no setting 'train.epoch'", "did you mean 'train.epochs'?"),
        (["train", "x", "--config", "typo.toml"], "there is no setting 'train.epohcs'", "did you mean 'train.epochs'?"),
        (["qqq"], "there is no command 'qqq'", "see `keensight --help`"),
        (["train"], "missing argument 'SOURCE'", "see `keensight train --help`"),
        (["train", "x", "--epochs", "0"], "train.epochs cannot be '0'", "from 1 to 1000"),
        (["train", "x", "--epochs", "many"], "train.epochs cannot be 'many'", "a whole number"),
        (["train", "x", "--effort", "hard"], "train.effort cannot be 'hard'", "one of quick, standard, best"),
        (["train", "x", "--set", "epochs"], "--set 'epochs' has no '='", "--set train.epochs=5"),
        (["train", "x", "--config", "none.toml"], "the config file none.toml cannot be read", "TOML"),
        (["samples", "mnist"], "the output folder is missing", "keensight samples mnist"),
        (["predict", "m", "x.png", "--top", "0"], "invalid value for '--top'", "see `keensight predict --help`"),
    ],
)
def test_usage_errors_speak_in_one_voice(line, error, hint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "typo.toml").write_text("[train]\nepohcs = 3\n", encoding="utf-8")
    assert main(line) == 2
    printed = capsys.readouterr()
    first, second = printed.err.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second
    assert len(second) < 150
    assert printed.out == ""


def test_a_misspelt_sample_dataset_gets_one_suggestion(capsys):
    assert main(["inspect", "mnst"]) == 1
    hint = "give a folder, a table, an .npz file or a sample dataset; did you mean 'mnist'?"
    assert capsys.readouterr().err == f"error: mnst does not exist\nhint: {hint}\n"


def test_no_command_shows_the_help_and_is_a_usage_error(capsys):
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("keensight ")


def test_with_json_an_error_is_a_document_too(capsys):
    assert main(["runs", "--nope", "--json"]) == 2
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["schema"] == 1
    assert document["error"]["code"] == 2
    assert document["error"]["message"] == "there is no option '--nope'"
    assert printed.err.startswith("error: there is no option '--nope'\n")


def test_control_characters_of_a_name_never_reach_the_terminal(capsys):
    explain(errors.DataError("no \x1b[31mred\x07 \u202efile"), Invocation())
    assert capsys.readouterr().err == "error: no \\x1b[31mred\\x07 \\u202efile\n"


def test_a_model_that_is_none(answer, place):
    (place / "nothing").mkdir()
    for line in (["predict", "nothing", "x.png"], ["evaluate", "nothing"], ["report", "nothing"]):
        printed = answer(*line, code=1)
        assert printed.err.splitlines()[-2].startswith("error: ")
        assert "unexpected" not in printed.err


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (MemoryError(), "error: out of memory", "train.batch_size"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b.bin"),
            "error: the system refuses: a/b.bin: No space",
            "free",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a/b.bin"),
            "error: the system refuses: a/b.bin: Perm",
            "permissions",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: the output cannot be written: No space", "redirect"),
        (RuntimeError("can't start new thread"), "error: the system refuses: can't start new thread", "ulimit"),
    ],
)
def test_what_the_system_refuses_is_no_bug(error, message, hint, capsys):
    assert explain(error, Invocation()) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(message)
    assert second.startswith("hint: ")
    assert hint in second
    assert "bug" not in second
