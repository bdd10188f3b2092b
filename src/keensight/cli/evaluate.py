"""The command ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import table_options
from keensight.core.training_overlap import LeftOut

if TYPE_CHECKING:
    from keensight.core.anomaly_evaluation import AnomalyEvaluation
    from keensight.core.evaluation import Evaluation


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source", required=False)
@table_options
@shared
def evaluate(asked: Invocation, model: Path, source: str | None, **columns: Any) -> None:
    """Show the test results of MODEL (a run or a bundle), or evaluate it on SOURCE.

    SOURCE is any source that `keensight train` accepts. Images that the model was trained or validated on are excluded:
    the same files, files with the same pixels, and compressed or resized copies.
    """
    from keensight import workflow
    from keensight.show import terminal

    evaluation = workflow.evaluate(model, source, **columns)
    asked.answer(document(model, source, evaluation), lambda: terminal.result(evaluation))


def document(model: Path, source: str | None, evaluation: Evaluation | AnomalyEvaluation) -> dict[str, Any]:
    """The output of ``evaluate --json``; with a source, ``test`` and ``seconds`` are for that source."""
    from keensight import workflow
    from keensight.store.run import is_run, open_run

    known = workflow.document(open_run(model)) if is_run(model) else _of_bundle(model)
    if source is None:
        return known
    seen = getattr(evaluation, "left_out", None) or LeftOut()
    return known | {
        "source": source, "seconds": evaluation.seconds, "test": evaluation.headline(), "left_out": seen.counts,
        "same_group": seen.same_group, "notes": list(seen.notes),
    }  # fmt: skip


def _of_bundle(path: Path) -> dict[str, Any]:
    from keensight.store.bundle import open_bundle

    bundle = open_bundle(path)
    manifest = bundle.manifest
    return {
        "run": None,
        "bundle": str(bundle.path),
        "labels": list(manifest.labels.names),
        "model": manifest.model,
        "data": manifest.provenance.get("data", {}),
    }
