"""The command ``cache``."""

from __future__ import annotations

import click

from keensight.cli.invocation import Invocation, shared, size
from keensight.cli.lazy import HelpfulGroup


@click.group(cls=HelpfulGroup, invoke_without_command=True)
@shared
@click.pass_context
def cache(context: click.Context, asked: Invocation) -> None:
    """Show or clear the cache of decoded images, which makes later runs faster."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@cache.command()
@shared
def show(asked: Invocation) -> None:
    """Show where the cache is and how large it is."""
    from keensight.data.cache import usage

    held = usage()
    document = {"directory": str(held.directory), "images": held.images, "bytes": held.bytes}
    asked.answer(document, lambda: f"{held.images:,} images, {size(held.bytes)} in {held.directory}")


@cache.command()
@shared
def clear(asked: Invocation) -> None:
    """Delete all decoded images; the next training decodes again."""
    from keensight.data import cache as images

    freed, directory = images.clear(), str(images.cache_directory())
    asked.answer({"directory": directory, "bytes": freed}, lambda: f"deleted {size(freed)} in {directory}")
