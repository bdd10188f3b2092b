"""Options of several commands, defined by their settings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from keensight.core.config import Setting, find_setting, parse_assignments, read_config

Command = Callable[..., Any]

run_option = click.option(
    "--run", type=click.Path(path_type=Path), help="Directory of the run; default: a new one under runs/."
)

track_option = click.option(
    "--track",
    multiple=True,
    metavar="NAME[=PLACE]",
    help="Report to an experiment tracker: mlflow[=URI], wandb[=PROJECT], tensorboard[=DIR], or one that another "
    "package adds; repeatable. One that fails costs a warning, never the training.",
)


class SettingType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.5 on
    """A setting's validation as a click type, so that its range is defined once."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.name = {int: "integer", float: "number"}.get(setting.kind, "text")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """The choices, if any."""
        return f"[{'|'.join(self._setting.choices)}]" if self._setting.choices else None

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check and convert.

        Raises:
            UsageError: the value is not allowed.
        """
        return self._setting.convert(value)


def setting_option(name: str, dotted: str) -> Callable[[Command], Command]:
    """An option for one setting; None if it is not given."""
    setting = find_setting(dotted)
    unit = f" ({setting.unit})" if setting.unit else ""
    text = f"{setting.help[:1].upper()}{setting.help[1:]}{unit}; setting {dotted}."
    return click.option(name, type=SettingType(setting), default=None, help=text)


def flag_option(name: str, dotted: str) -> Callable[[Command], Command]:
    """A flag for one boolean setting; None if it is not given."""
    setting = find_setting(dotted)
    text = f"{setting.help[:1].upper()}{setting.help[1:]}; setting {dotted}."
    return click.option(name, is_flag=True, default=None, help=text)


def table_options(command: Command) -> Command:
    """``--label``, ``--labels`` and ``--path``: the columns of a table; ``--label-level``, ``--label-regex``: the class
    in the paths of a folder."""
    for name in ("path", "label_level", "label_regex", "labels", "label"):
        command = setting_option(f"--{name.replace('_', '-')}", f"data.{name}")(command)
    return command


def tables_options(command: Command) -> Command:
    """``--val`` and ``--test``: further tables, read like the first one."""
    return setting_option("--val", "data.val")(setting_option("--test", "data.test")(command))


def settings_options(command: Command) -> Command:
    """``--config`` and ``--set``, passed on together as ``settings``."""

    @functools.wraps(command)
    def merged(*args: Any, config: Path | None, assignments: tuple[str, ...], **kwargs: Any) -> Any:
        values = read_config(config) if config else {}
        return command(*args, settings=values | parse_assignments(assignments), **kwargs)

    decorated: Command = click.option(
        "--set", "assignments", multiple=True, metavar="NAME=VALUE",
        help="Any setting, such as train.batch_size=64; repeatable. docs/settings.md lists all settings.",
    )(merged)  # fmt: skip
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A TOML file of settings, such as a run's config.toml.",
    )(decorated)
