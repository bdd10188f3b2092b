"""The command ``rerun``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keensight.cli.invocation import Invocation, shared
from keensight.errors import GateError

if TYPE_CHECKING:
    from keensight.core.decisions import Rerun


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("source", required=False)
@click.option("--run", "into", type=click.Path(path_type=Path), help="Directory of the repetition; default: a new one "
              "under runs/.")  # fmt: skip
@click.option("--address", metavar="auto|HOST:PORT", help="The Ray cluster, for a run that several workers have "
              "trained; default: processes of this machine.")  # fmt: skip
@shared
@click.pass_context
def rerun(
    context: click.Context, asked: Invocation, run: Path, source: str | None, into: Path | None, address: str | None
) -> None:
    """Repeat the finished run RUN from its own settings and images, and compare both.

    SOURCE is the image set; default: where RUN found it. What timing decided in RUN (model, CPU threads, precision,
    engine) is not decided again. Compared are the split, the weights bit for bit, the training history, the test
    metrics, and temperature and decision rule. The exit code is 3 if something differs.
    """
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.scale.train import workers_of

    workers = workers_of(run, address)
    found = workflow.rerun(run, source, into=into, command=asked.command, workers=workers)
    document = {"same": found.same, **to_plain(found)}
    asked.answer(document, lambda: described(found))
    context.exit(0 if found.same else GateError.exit_code)


def described(found: Rerun) -> str:
    """The comparison as lines of text."""
    lines = [f"{check.what:<14}{'same' if check.same else 'DIFFERENT'}" for check in found.checks]
    lines += [f"not the same   {one.what}: {one.recorded or '-'} then, {one.here or '-'} now ({one.consequence})"
              for one in found.differences]  # fmt: skip
    return "\n".join([*lines, f"run           {found.second}"])
