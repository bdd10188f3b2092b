"""The command ``drift``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared, table
from keensight.errors import GateError

if TYPE_CHECKING:
    from keensight.core.drift import DriftReport

_BAR = 20
"""Characters for a distance of 1."""


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "--reference", type=click.Path(path_type=Path),
    help="Images or predictions to compare with (default: the test images that MODEL has measurements of).",
)  # fmt: skip
@click.option(
    "--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.01, show_default=True,
    help="Maximum probability of a false alarm.",
)  # fmt: skip
@click.option(
    "--strict", is_flag=True,
    help="Exit with code 3 if the images are not like the test images, or nothing could be compared.",
)  # fmt: skip
@shared
@click.pass_context
def drift(
    context: click.Context,
    asked: Invocation,
    model: Path,
    images: tuple[str, ...],
    reference: Path | None,
    level: float,
    strict: bool,
) -> None:
    """Check whether IMAGES are like those that MODEL (a run or a bundle) was tested on.

    IMAGES are files, folders or patterns, or a file that `keensight predict --out` wrote. Image properties, confidence,
    out-of-distribution scores and predicted classes are compared, each by a Kolmogorov-Smirnov test, with a correction
    for their number.
    """
    from keensight import workflow

    found = workflow.drift(model, images, reference=reference, level=level)
    asked.answer(found.document(), lambda: _listed(found))
    if strict and not found.shifts:
        raise _uncompared(found)
    if strict and found.differs:
        context.exit(GateError.exit_code)


def _uncompared(found: DriftReport) -> GateError:
    """A check that could not be made does not pass."""
    from keensight.assess.drift import FEWEST

    old = f"{FEWEST} or more test images with --reference"
    hint = f"give {FEWEST} or more images" + (f", and {old}" if found.reference < FEWEST else "")
    return GateError(
        f"nothing could be compared with the test images, so --strict does not pass ({found.n:,} new images, "
        f"{found.reference:,} test images)",
        hint if found.n < FEWEST else f"give {old}",
    )


def _listed(found: DriftReport) -> str:
    rows = [
        {
            "property": one.property,
            "test images": _number(one.tested),
            "new images": _number(one.new) or one.change,
            "distance": f"{one.distance:.2f} {'#' * round(_BAR * one.distance)}",
            "p": f"{one.adjusted:.2g}",
            "": "differs" if one.differs else "",
        }
        for one in found.shifts
    ]
    lines = [table(rows, rows[0])] if rows else []
    if found.unlike is not None and found.expected_unlike is not None:
        lines.append(f"out-of-distribution: {found.unlike:.1%} (test images: {found.expected_unlike:.1%})")
    if found.unreadable:
        lines.append(f"{found.unreadable:,} files could not be read")
    return "\n".join([*lines, *found.notes, found.sentence()])


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3g}"
