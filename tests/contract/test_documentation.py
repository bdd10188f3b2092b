"""The documentation covers every command, option, setting and error, and is current."""

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
import pytest
import yaml

import keensight
from keensight import errors
from keensight.cli.main import root
from keensight.core.config import settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "made_by"),
    [
        ("commands.md", "commands_page"),
        ("settings.md", "settings_page"),
        ("backbones.md", "backbones_page"),
        ("sources.md", "sources_page"),
    ],
)
def test_a_generated_page_is_current(name, made_by):
    assert page(name) == getattr(generator(), made_by)(), "run `make docs`"


def commands(command, context):
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from commands(child, click.Context(child, info_name=name, parent=context))


def section(text, title):
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize(
    ("command", "context"),
    list(commands(root, click.Context(root, info_name="keensight")))[1:],
    ids=lambda value: value.command_path if isinstance(value, click.Context) else "",
)
def test_every_command_and_option_is_documented(command, context):
    text = page("commands.md")
    described = text.split("\n## ", 1)[0] + section(text, context.command_path)
    for param in command.params:
        expected = param.opts[0] if isinstance(param, click.Option) else param.make_metavar(context)
        assert expected in described


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: setting.dotted)
def test_every_setting_is_documented(setting):
    assert f"| `{setting.dotted}` |" in page("settings.md")


@pytest.mark.parametrize(
    "error", [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.KeensightError)]
)
def test_every_error_is_documented(error):
    assert f"| {error.exit_code} | `{error.__name__}` |" in page("commands.md")
    assert error.__name__ in errors.__doc__


def test_the_readme_shows_both_commands_on_its_first_screen():
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_every_command_named_in_the_prose_exists():
    known = set(root.list_commands(click.Context(root)))
    said_to_be_missing = {"serve"}
    named = {
        name
        for file in [ROOT / "README.md", *DOCS.rglob("*.md")]
        for name in re.findall(r"(?:^|`|\$ ) *keensight ([a-z][a-z-]*)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert "learning-curve" in named
    assert named - said_to_be_missing <= known


def test_the_python_reference_is_current_and_has_every_public_name_once():
    pages = generator().reference_pages()
    assert {path.name for path in (DOCS / "reference").glob("*.md")} == set(pages), "run `make docs`"
    for name, text in pages.items():
        assert page(f"reference/{name}") == text, "run `make docs`"
    listed = Counter(re.findall(r"heading: (ks\.\S+)", "".join(pages.values())))
    public = [f"ks.{name}" for name in keensight.__all__ if name not in ("__version__", "errors", "show")]
    assert listed == Counter([*public, *(f"ks.show.{name}" for name in keensight.show.__all__)])


def navigation(entry):
    """Title and file of every page in the navigation of mkdocs.yml."""
    if isinstance(entry, list):
        return [page for one in entry for page in navigation(one)]
    ((title, below),) = entry.items()
    return [(title, below)] if isinstance(below, str) else navigation(below)


def test_the_site_has_the_sections_that_a_user_looks_for_and_every_page():
    sections = [next(iter(entry)) for entry in SITE["nav"]]
    assert sections == [
        "Home", "Get started", "Prepare data", "Train", "Evaluate", "Explain", "Use and deploy", "Reference",
    ]  # fmt: skip
    files = [file for _, file in navigation(SITE["nav"])]
    assert sorted(files) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


SUBJECTS = [
    "Data leakage", "Transfer learning", "Class imbalance", "Early stopping", "Export", "Docker", "Augmentation",
    "Fine-tuning", "Overfitting", "Calibration", "Confidence interval", "Out-of-distribution", "Grad-CAM", "Embedding",
    "Anomaly detection", "Multi-label", "Label error", "Duplicate", "GPU", "scikit-learn", "ONNX", "TFLite",
    "Sensitivity", "Jupyter", "Glossary", "FAQ",
]  # fmt: skip


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_in_a_heading_so_that_the_search_finds_it(subject):
    headings = re.findall(r"^#+ (.+)$", "\n".join(path.read_text("utf-8") for path in DOCS.glob("*.md")), re.MULTILINE)
    assert [heading for heading in headings if subject.lower() in heading.lower()]


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_search_index_has_every_subject(tmp_path):
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    documents = json.loads((tmp_path / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    titles = " ".join(document["title"] for document in documents).lower()
    assert not [subject for subject in SUBJECTS if subject.lower() not in titles]
    assert keensight.__version__ in (tmp_path / "index.html").read_text(encoding="utf-8")
    options = (tmp_path / "reference" / "train" / "index.html").read_text(encoding="utf-8")
    assert "Number of epochs" in options and "<code>...</code>" not in options


def test_the_architecture_lists_every_module_in_its_package():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w/]+)/` \|.*?\| (.*) \|$", text, re.MULTILINE))
    source = ROOT / "src" / "keensight"
    old_names = {"assess/uncertainty", "show/picks"}  # still importable, with a warning
    for package, modules in rows.items():
        here = {path.stem for path in (source / package).glob("*.py")} - {"__init__"}
        here -= {name.split("/")[1] for name in old_names if name.startswith(f"{package}/")}
        if package != "cli":  # one file per command
            listed = set(re.findall(r"`(\w+)`", modules))
            assert listed == here, f"ARCHITECTURE.md, {package}: add {here - listed}, remove {listed - here}"
    packages = {path.parent.relative_to(source).as_posix() for path in source.rglob("__init__.py")} - {"."}
    assert set(rows) == packages
