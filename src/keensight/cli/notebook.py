"""The command ``notebook``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import setting_option, table_options


@click.command()
@click.argument("source", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="Notebook file (.ipynb); default: named after SOURCE, in the working directory.",
)  # fmt: skip
@table_options
@setting_option("--group", "data.group")
@setting_option("--group-regex", "data.group_regex")
@shared
def notebook(asked: Invocation, source: str | None, out: Path | None, **columns: Any) -> None:
    """Write the guided tour for SOURCE as a Jupyter notebook, ready to run from top to bottom.

    SOURCE is any source that `keensight train` accepts (default: a built-in sample dataset). The network is defined
    layer by layer, so that you can change it. Nothing is trained now, and no file is overwritten.
    """
    from keensight import workflow

    written = workflow.write_tour(source, out, **columns)
    document = {"notebook": str(written), "source": source or workflow.SAMPLE}
    asked.answer(document, lambda: f"{written}: open it in Jupyter, VS Code, Colab or Kaggle and run all cells")
