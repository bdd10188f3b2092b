"""The command ``export``: a model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.errors import one_line
from keensight.cli.invocation import Invocation, shared
from keensight.core.export_formats import FORMATS
from keensight.errors import UsageError

if TYPE_CHECKING:
    from keensight.core.exports import Exported

BUNDLE = "bundle"
"""Not a format: it adds a file to the bundle."""


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "to", type=click.Choice((*FORMATS, BUNDLE)), required=True, help="Format.")
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
    self-test and a short reader in Python are written beside it. The export must predict as the model does (in int8:
    as accurately) on the self-test and up to 500 test images; otherwise nothing is written and the exit code is 3.
    `bundle` adds model.tflite to the bundle of an earlier version, so that it predicts without TensorFlow.
    """
    from keensight import workflow

    if to == BUNDLE:
        _light(asked, model, alone=out is None and data is None and not replace)
        return
    made = workflow.export(model, to, out=out, data=data, replace=replace)
    asked.answer(document(made), lambda: one_line(made.sentence()))


def _light(asked: Invocation, model: Path, alone: bool) -> None:
    """Add the light form to a bundle."""
    from keensight import workflow

    if not alone:
        raise UsageError("--to bundle changes the bundle itself", "remove --out, --data and --replace")
    bundle = workflow.add_light_form(model)
    file = bundle.path / "model.tflite"
    found = {"export": str(bundle.path), "format": BUNDLE, "file": str(file)}
    asked.answer(
        {**found, "bytes": file.stat().st_size},
        lambda: f"{bundle.path} has {file.name}: it predicts without TensorFlow",
    )


def document(made: Exported) -> dict[str, Any]:
    """The output of ``export --json``."""
    from keensight.core.codec import to_plain

    record = made.record
    return {
        "export": str(made.path),
        "format": record.format,
        "file": str(made.file),
        "bytes": made.size,
        "labels": list(record.labels),
        "outputs": [{"name": one.name, "shape": [None, *one.shape]} for one in record.outputs],
        "parity": {**to_plain(made.parity), "ok": made.parity.ok},
    }
