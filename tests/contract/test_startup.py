"""Help is instant: no command's help imports anything heavy."""

import json
import subprocess
import sys

import click
import pytest

from keensight.cli.main import COMMANDS, root

HEAVY = {
    "IPython", "PIL", "fsspec", "jax", "jinja2", "keras", "matplotlib", "mlxtend", "numpy", "pandas", "pyarrow", "ray",
    "rich", "scipy", "seaborn", "sklearn", "tensorflow",
}  # fmt: skip


def packages_after(code):
    """Top-level packages that a new Python process has imported after running ``code``."""
    listed = "import json, sys\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})), file=sys.stderr)"
    script = f"{code}\n{listed}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def paths(command, before=()):
    yield before
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from paths(command.get_command(context, name), (*before, name))


@pytest.mark.parametrize("path", list(paths(root)), ids=" ".join)
def test_help_imports_nothing_heavy(path):
    assert not packages_after(f"from keensight.cli.main import main\nassert main({[*path, '--help']}) == 0") & HEAVY


def test_importing_the_package_imports_nothing_heavy():
    assert not packages_after("import keensight") & HEAVY


def test_the_probe_sees_heavy_packages():
    assert "numpy" in packages_after("import keensight.core.records")


def test_root_help_imports_no_command():
    script = (
        "import sys\nfrom keensight.cli.main import main\nmain(['--help'])\n"
        "print([n for n in sys.modules if n.startswith('keensight.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", check=True)
    for name in COMMANDS:
        assert f"'keensight.cli.{name.replace('-', '_')}'" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_tells_the_truth(name):
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.name == name
    assert command.help
