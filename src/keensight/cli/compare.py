"""The command ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import table_options


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.argument("source", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Directory for compare.html, which shows the images whose prediction changed.",
)  # fmt: skip
@table_options
@shared
def compare(asked: Invocation, first: Path, second: Path, source: str | None, out: Path | None, **columns: Any) -> None:
    """Compare SECOND with FIRST (runs or bundles) by a paired test on the same images.

    Without SOURCE, the test images that two runs have in common are used; images that one of the models was trained on
    are excluded.
    """
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show import comparison

    found = workflow.compare(first, second, source, out=out, **columns)
    page = str(out / "compare.html") if out else ""
    document = {"verdict": comparison.verdict(found), **to_plain(found), "page": page or None}
    asked.answer(document, lambda: comparison.in_words(found, page))
