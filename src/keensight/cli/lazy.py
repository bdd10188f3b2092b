"""Command groups: one with hints for misspelt commands, and one that imports only the command in use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import click

from keensight.core.registry import did_you_mean
from keensight.errors import UsageError


class HelpfulGroup(click.Group):
    """A click group that refuses an unknown command with a hint."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command in the arguments.

        Raises:
            UsageError: there is no such command; the hint suggests the nearest name.
        """
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            raise UsageError(
                f"there is no command {args[0]!r}", did_you_mean(args[0], known, f"see `{ctx.command_path} --help`")
            )
        return super().resolve_command(ctx, args)


class LazyGroup(HelpfulGroup):
    """A group over a table of command to one line of help; ``a-name`` is ``a_name`` in ``keensight.cli.a_name``."""

    def __init__(self, *args: Any, commands_table: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = commands_table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None if there is none."""
        if cmd_name not in self._table:
            return None
        name = cmd_name.replace("-", "_")
        return cast(click.Command, getattr(import_module(f"keensight.cli.{name}"), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table as help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))
