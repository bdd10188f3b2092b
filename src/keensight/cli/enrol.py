"""The command ``enrol``: add a class to a model."""

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

    Writes a new bundle with the old classes, in the same order, and the new one; MODEL is not changed. The new bundle
    also marks images that are similar to none of its classes as unknown (decision "abstain"). Images are files, folders
    or patterns; five or more are recommended. More images of a class added earlier refine it.
    """
    from keensight import workflow

    done = workflow.enrol(model, label, images, out)
    asked.answer(document(done), lambda: in_words(done))


def document(done: Enrolment) -> dict[str, Any]:
    """The output of ``enrol --json``."""
    return {
        "bundle": str(done.bundle.path),
        "label": done.label,
        "index": done.index,
        "images": done.images,
        "labels": list(done.bundle.manifest.labels.names),
        "errors": dict(done.errors),
    }


def in_words(done: Enrolment) -> str:
    """One line for the terminal."""
    left_out = f"; {len(done.errors)} skipped" if done.errors else ""
    return f"{done.bundle.path} knows {done.label!r} as class {done.index}, from {done.images} images{left_out}"
