"""The command ``learning-curve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import setting_option, settings_options, table_options, tables_options


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
@tables_options
@settings_options
@shared
def learning_curve(
    asked: Invocation, source: str, out: Path | None, settings: dict[str, Any], **shortcuts: Any
) -> None:
    """Estimate the accuracy with twice the data, from models trained on 1/8, 1/4, 1/2 and all of SOURCE.

    Each is a linear classifier on frozen features of a pretrained network, measured on the validation set.
    """
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show import comparison, figures

    curve = workflow.learning_curve(source, settings=settings, **shortcuts)
    if out:
        figures.save(comparison.curve_figure(curve), out / "learning_curve.png")
    document = {"sentence": comparison.curve_sentence(curve), **to_plain(curve)}
    asked.answer(document, lambda: comparison.curve_in_words(curve))
