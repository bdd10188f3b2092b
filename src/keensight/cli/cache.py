"""The command ``cache``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.confirm import YES, confirmed
from keensight.cli.invocation import Invocation, shared, size, table
from keensight.cli.lazy import HelpfulGroup

if TYPE_CHECKING:
    from keensight.data.cache_sets import CachedSet

_COLUMNS = ("name", "images", "decoded", "features", "all", "last used", "source")


@click.group(cls=HelpfulGroup, invoke_without_command=True)
@shared
@click.pass_context
def cache(context: click.Context, asked: Invocation) -> None:
    """Show, limit or clear the cache of decoded images and features, which makes later runs faster."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@cache.command()
@shared
def show(asked: Invocation) -> None:
    """Show where the cache is, how large it may become, and what it has of each image set, the last used first."""
    from keensight.data.cache import usage
    from keensight.data.cache_limit import limit
    from keensight.data.cache_sets import cached_sets

    held, most, sets = usage(), limit(), cached_sets()
    document = {
        "directory": str(held.directory),
        "images": held.images,
        "bytes": held.bytes,
        "limit": None if math.isinf(most) else int(most),
        "sets": [_described(one) for one in sets],
    }
    decoded = f"{held.images:,} decoded images (one for each size)"
    total = f"{decoded}, {size(held.bytes)} in {held.directory}; {_limited(most)}"
    asked.answer(document, lambda: f"{_listed(sets)}\n\n{total}" if sets else total)


@cache.command()
@click.argument("sets", metavar="[SET]...", nargs=-1)
@YES
@shared
def clear(asked: Invocation, sets: tuple[str, ...], yes: bool) -> None:
    """Delete what the cache has of each SET, by its name or its folder; without SET, everything.

    It asks first. What a running process uses is kept. Later trainings decode and compute again.
    """
    from keensight.data import cache as images
    from keensight.data.cache_sets import clear_sets, matching

    found = [one for name in sets for one in matching(name)]
    total = sum(one.bytes for one in found) if sets else images.usage().bytes
    what = ", ".join(dict.fromkeys(one.name for one in found)) or "everything"
    directory = images.cache_directory()
    if not confirmed(asked, f"delete {what} from the cache {directory} ({size(total)})", yes):
        asked.answer({"directory": str(directory), "bytes": 0}, lambda: "nothing was deleted")
        return
    freed = clear_sets(found) if sets else images.clear()
    kept = f"; {size(total - freed)} are kept, because a running process uses them" if freed < total else ""
    asked.answer({"directory": str(directory), "bytes": freed}, lambda: f"deleted {size(freed)} in {directory}{kept}")


@cache.command()
@click.argument("limit", metavar="[SIZE]", required=False)
@shared
def limit(asked: Invocation, limit: str | None) -> None:
    """Show how large the cache may become, or set it: 50GB, 500MB, none, or default (20 GB, or 10% of the disk).

    What was not used for longest is deleted when more is to be stored. The environment variable KEENSIGHT_CACHE_LIMIT
    overrides it.
    """
    from keensight.data import cache_limit

    if limit is not None:
        cache_limit.set_limit(limit)
    most = cache_limit.limit()
    asked.answer({"limit": None if math.isinf(most) else int(most)}, lambda: _limited(most))


def _limited(most: float) -> str:
    return "no limit" if math.isinf(most) else f"limit: {size(most)}"


def _listed(sets: list[CachedSet]) -> str:
    rows = [
        {
            "name": one.name,
            "images": f"{one.images:,}" if one.images else None,
            "decoded": size(one.pixels),
            "features": size(one.features),
            "all": size(one.bytes),
            "last used": time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used)),
            "source": one.source,
        }
        for one in sets
    ]
    return table(rows, _COLUMNS)


def _described(one: CachedSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "source": one.source,
        "images": one.images,
        "pixels": one.pixels,
        "features": one.features,
        "bytes": one.bytes,
        "used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.used)),
    }
