"""Commands that compare: ``compare`` and ``learning-curve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import setting_option, settings_options, table_options


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

    Without SOURCE, on the test images that two runs have in common; images that one of them has learned from are left
    out.
    """
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show import comparison

    found = workflow.compare(first, second, source, out=out, **columns)
    page = str(out / "compare.html") if out else ""
    document = {"verdict": comparison.verdict(found), **to_plain(found), "page": page or None}
    asked.answer(document, lambda: comparison.in_words(found, page))


@click.command("learning-curve")
@click.argument("source")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Directory for the curve (learning_curve.png)."
)
@setting_option("--model", "model.name")
@setting_option("--image-size", "data.image_size")
@setting_option("--seed", "train.seed")
@setting_option("--group", "data.group")
@table_options
@settings_options
@shared
def learning_curve(
    asked: Invocation, source: str, out: Path | None, settings: dict[str, Any], **shortcuts: Any
) -> None:
    """Estimate the accuracy with twice the data, from models trained on 1/8, 1/4, 1/2 and all of SOURCE.

    Each is a logistic head on frozen features of a pretrained network, measured on the validation part.
    """
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show import comparison, figures

    curve = workflow.learning_curve(source, settings=settings, **shortcuts)
    if out:
        figures.save(comparison.curve_figure(curve), out / "learning_curve.png")
    document = {"sentence": comparison.curve_sentence(curve), **to_plain(curve)}
    asked.answer(document, lambda: comparison.curve_in_words(curve))
