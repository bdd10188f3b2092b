"""The command ``export``: a model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.errors import SCHEMA
from keensight.cli.invocation import Invocation, shared
from keensight.core.export_formats import FORMATS

if TYPE_CHECKING:
    from keensight.core.exports import Exported


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "to", type=click.Choice(tuple(FORMATS)), required=True, help="Format.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory of the export; default: exports/FORMAT in the run."
)
@click.option(
    "--data", metavar="SOURCE", help="The image set that the model was trained on; default: where it was at training."
)
@click.option("--replace", is_flag=True, help="Replace an export that already exists.")
@shared
def export(asked: Invocation, model: Path, to: str, out: Path | None, data: str | None, replace: bool) -> None:
    """Export MODEL (a run or a bundle) to another format, checked against the model.

    The network takes raw pixels (uint8) and returns calibrated probabilities and the embedding; scaling, temperature,
    softmax and test-time augmentation are inside. A record (labels, preprocessing, decision rule, test results), a
    self-test and a short reader in Python are written beside it. The export must predict as the model does on the
    self-test and up to 500 test images; otherwise nothing is written and the exit code is 3.
    """
    from keensight import workflow

    made = workflow.export(model, to, out=out, data=data, replace=replace)
    asked.answer(document(made), made.sentence)


def document(made: Exported) -> dict[str, Any]:
    """The output of ``export --json``."""
    from keensight.core.codec import to_plain

    record = made.record
    return {
        "schema": SCHEMA,
        "export": str(made.path),
        "format": record.format,
        "file": str(made.file),
        "bytes": made.size,
        "labels": list(record.labels),
        "outputs": [{"name": one.name, "shape": [None, *one.shape]} for one in record.outputs],
        "parity": {**to_plain(made.parity), "ok": made.parity.ok},
    }
