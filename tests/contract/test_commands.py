"""Every command keeps the shared contract, and its body stays thin."""

import ast
from pathlib import Path

import click
import pytest

from keensight.cli.main import root

CLI = Path(__file__).parents[2] / "src" / "keensight" / "cli"
LONGEST = 15


def commands(command=root, context=None):
    context = context or click.Context(command, info_name="keensight")
    if command is not root:
        yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from commands(child, click.Context(child, info_name=name, parent=context))


ALL = list(commands())


@pytest.mark.parametrize(("command", "context"), ALL, ids=[context.command_path for _, context in ALL])
def test_every_command_takes_the_shared_options_and_explains_its_options(command, context):
    options = {name: param for param in command.params if isinstance(param, click.Option) for name in param.opts}
    assert {"--json", "--debug", "--quiet", "--verbose"} <= set(options)
    assert all(option.help and option.help[0].isupper() and option.help.endswith(".") for option in options.values())


def bodies():
    for file in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any("command" in ast.dump(item) for item in node.decorator_list):
                yield file.name, node


def test_the_bodies_are_found():
    assert len(list(bodies())) >= len([command for command, _ in ALL if not isinstance(command, click.Group)])


@pytest.mark.parametrize(("file", "node"), list(bodies()), ids=lambda value: getattr(value, "name", value))
def test_a_command_has_a_thin_body(file, node):
    statements = node.body[1:] if ast.get_docstring(node) else node.body
    lines = statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0
    assert lines <= LONGEST, f"{file}: {node.name}"


def defined_in(file):
    tree = ast.parse((CLI / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}


@pytest.mark.parametrize("name", root.list_commands(click.Context(root)))
def test_a_command_is_in_the_file_of_its_name(name):
    function = name.replace("-", "_")
    assert function in defined_in(f"{function}.py")
