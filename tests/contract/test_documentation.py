"""The documentation covers every command, option, setting and error, and is current."""

import importlib.util
import inspect
from pathlib import Path

import click
import pytest

import keensight
from keensight import errors
from keensight.cli.main import root
from keensight.core.config import settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "made_by"),
    [("commands.md", "commands_page"), ("settings.md", "settings_page"), ("backbones.md", "backbones_page")],
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
    described = section(page("commands.md"), context.command_path.removeprefix("keensight "))
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
    named = set()
    for file in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.strip().removeprefix("$ ").split()
            if len(words) > 1 and words[0] == "keensight" and words[1].isalpha():
                named.add(words[1])
    assert named
    assert named <= known


def test_the_reference_calls_names_of_keensight_what_are_such():
    steps = page("reference.md").split("::: keensight.workflow\n")[1].split(":::")[0]
    listed = {name.strip() for name in steps.split("members: [")[1].split("]")[0].split(",")}
    assert listed == set(keensight._HOMES["keensight.workflow"])
