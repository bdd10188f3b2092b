"""The tour and the recipes teach public names only: `import keensight as ks`, and names that it lists."""

import ast
import re
from pathlib import Path

import pytest

import keensight as ks
from keensight.core.task import Task
from keensight.show.notebook.tour import Tour, notebook

ROOT = Path(__file__).parents[2]
RECIPES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "recipes").glob("*.py"))}
TOURS = {
    f"tour ({task})": "\n".join(
        re.sub(r"^( *)%pip.*$", r"\1pass", "".join(cell["source"]), flags=re.MULTILINE)
        for cell in notebook(Tour("mnist", 28, 10, {}, sample=True, task=task))["cells"]
        if cell["cell_type"] == "code"
    )
    for task in (Task.MULTICLASS, Task.MULTILABEL)
}
PROGRAMS = RECIPES | TOURS


def private(program):
    """What a program uses of Keensight beyond its public names."""
    found = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.asname) for alias in node.names]
            found += [
                name for name, short in names if name.startswith("keensight") and (name, short) != ("keensight", "ks")
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keensight"):
            found.append(node.module)
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            public = {"ks": ks.__all__, "ks.show": ks.show.__all__}.get(ast.unparse(node.value))
            found += [name] if public is not None and node.attr not in public else []
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_public_names_are_used(name):
    assert "import keensight as ks" in PROGRAMS[name]
    assert private(PROGRAMS[name]) == []


@pytest.mark.parametrize(
    "program",
    [
        "from keensight.assess.intervals import wilson",
        "import keensight.show",
        "ks.trian(data)",
        "ks.show.confusoin(ev)",
    ],
)
def test_the_check_finds_what_is_private(program):
    assert private(program)
