"""The command ``samples``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared, table
from keensight.errors import UsageError

if TYPE_CHECKING:
    from keensight.data.sources.samples import SampleSet


@click.command()
@click.argument("name", required=False)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@shared
def samples(asked: Invocation, name: str | None, directory: Path | None) -> None:
    """List the built-in sample datasets; with NAME and DIRECTORY, export one as class folders."""
    from keensight.data.sources import samples as sets
    from keensight.show.progress import best_progress

    if name is None:
        rows = [_described(entry) for entry in sets.list_samples()]
        asked.answer(rows, lambda: table(rows, ("name", "images", "classes", "size", "source")))
    elif directory is None:
        raise UsageError("the output folder is missing", f"give one: keensight samples {name} {name}/")
    else:
        written = sets.write(name, directory, progress=best_progress())
        document = {"name": name, "directory": str(directory), "images": written}
        asked.answer(document, lambda: f"{written:,} images in {directory}")


def _described(entry: SampleSet) -> dict[str, Any]:
    return {
        "name": entry.name,
        "images": entry.n,
        "classes": len(entry.classes),
        "size": entry.size,
        "source": entry.source,
        "licence": entry.licence,
    }
