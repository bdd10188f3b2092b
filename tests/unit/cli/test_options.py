import click
import pytest

from keensight.cli.main import main
from keensight.cli.options import setting_option, settings_options, table_options
from keensight.core.config import settings
from keensight.errors import UsageError


@click.command()
@setting_option("--epochs", "train.epochs")
@table_options
@settings_options
def probe(**values):
    """Hand back what was parsed."""
    return values


def parse(*arguments):
    return probe.main(list(arguments), standalone_mode=False)


def test_nothing_given_is_nothing_set():
    unset = dict.fromkeys(("epochs", "label", "labels", "path", "label_regex", "label_level"))
    assert parse() == {**unset, "settings": {}}


def test_values_are_converted_by_the_setting():
    assert parse("--epochs", "12", "--label", "kind")["epochs"] == 12
    with pytest.raises(UsageError, match=r"train\.epochs cannot be '0'"):
        parse("--epochs", "0")


def test_set_wins_over_the_config_file(tmp_path):
    config = tmp_path / "my settings.toml"
    config.write_text("[train]\nseed = 3\nbatch_size = 64\n", encoding="utf-8")
    values = parse("--config", str(config), "--set", "train.seed=4", "--set", "augment.flip=none")["settings"]
    assert values == {"train.seed": "4", "train.batch_size": 64, "augment.flip": "none"}


def test_a_config_file_with_an_unknown_setting_is_refused(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[train]\nepoch = 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"no setting 'train.epoch'"):
        parse("--config", str(config))


def test_help_of_an_option_is_the_help_of_its_setting(capsys):
    described = {setting.dotted: setting for setting in settings()}
    main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for dotted in ("model.name", "train.effort", "train.epochs", "data.image_size", "train.seed", "data.group"):
        words = described[dotted].help
        assert words[1:] in text, dotted
    assert "[quick|standard|best]" in text
