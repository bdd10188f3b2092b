"""The command ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.errors import one_line
from keensight.cli.invocation import Invocation, shared
from keensight.errors import GateError, StoreError

if TYPE_CHECKING:
    from keensight.core.verification import Verification


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@shared
@click.pass_context
def verify(context: click.Context, asked: Invocation, model: Path) -> None:
    """Check MODEL (a run, bundle or export): checksums, and a self-test that must reproduce its stored predictions.

    Files, SHA-256, labels, preprocessing and decision rule are checked, then the self-test is taken: stored images must
    get the stored predictions. The exit code is 1 if something is damaged or was changed, 3 if the self-test fails.
    This finds damage and mix-ups; it does not prove who made the model.
    """
    from keensight import workflow

    found = workflow.verify(model)
    asked.answer(_document(found), lambda: _listed(found))
    if not found.ok:
        context.exit(StoreError.exit_code if found.damaged else GateError.exit_code)


def _document(found: Verification) -> dict[str, Any]:
    return {
        "bundle": found.bundle,
        "checks": [{"name": check.name, "ok": check.ok, "message": check.message or None} for check in found.checks],
        "worst": found.worst,
        "ok": found.ok,
    }


def _listed(found: Verification) -> str:
    told = [(f"{check.name}: {check.message}" if check.message else check.name, check.ok) for check in found.checks]
    return "\n".join(
        [*(f"{'ok    ' if ok else 'FAILED'}  {one_line(text)}" for text, ok in told), one_line(found.sentence())]
    )
