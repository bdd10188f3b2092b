"""``enrol``: a new class for a finished model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared

if TYPE_CHECKING:
    from keensight.workflow.enrol import Enrolment


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("label", metavar="CLASS")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory for the new bundle.")
@shared
def enrol(asked: Invocation, model: Path, label: str, images: tuple[str, ...], out: Path) -> None:
    """Add CLASS to MODEL (a run or a bundle) from a few images, without retraining.

    Writes a new bundle whose classes are the old ones, with the same numbers, and the new one; MODEL stays as it is.
    The new bundle also marks images that are like none of its classes as unknown (decision "abstain"). Images are
    files, folders or patterns; five or more are recommended. More images of a class enrolled earlier refine it.
    """
    from keensight import workflow

    done = workflow.enrol(model, label, images, out)
    asked.answer(document(done), lambda: in_words(done))


def document(done: Enrolment) -> dict[str, Any]:
    """What ``enrol --json`` prints."""
    return {
        "bundle": str(done.bundle.path),
        "label": done.label,
        "index": done.index,
        "images": done.images,
        "labels": list(done.bundle.manifest.labels.names),
        "errors": dict(done.errors),
    }


def in_words(done: Enrolment) -> str:
    """One line for people."""
    left_out = f"; {len(done.errors)} left out" if done.errors else ""
    return f"{done.bundle.path} knows {done.label!r} as class {done.index}, from {done.images} images{left_out}"
