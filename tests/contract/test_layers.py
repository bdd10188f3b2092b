"""The rules of the layers: which may import which, and which may decode an image."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*command, cwd=ROOT):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False)


def test_a_layer_imports_only_the_layers_below_it():
    done = run(str(BIN / "lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def imported(path, known):
    """Modules of the package that one imports, also inside of functions; those for type checkers only aside."""
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in full)
        waiting += ast.iter_child_nodes(node)


def test_no_modules_import_each_other_in_a_circle():
    source = ROOT / "src"
    paths = {".".join(p.relative_to(source).with_suffix("").parts): p for p in source.rglob("*.py")}
    modules = {name: p for name, p in paths.items() if not name.endswith("__init__")}
    left = {name: {other for other in imported(path, modules) if other in modules} for name, path in modules.items()}
    assert any(left.values())
    while free := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in free}
    assert not left, f"in or behind a circle: {sorted(left)}"


def test_only_one_file_opens_images():
    done = run(sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251", "src")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "from PIL import Image\nImage.open('a.png')\n",
        "import PIL.Image\nPIL.Image.open('a.png')\n",
        "import keras\nkeras.utils.load_img('a.png')\n",
        "import tensorflow as tf\ntf.io.decode_png(b'')\n",
        "import keras\nkeras.utils.image_dataset_from_directory('photos')\n",
    ],
)
def test_the_ban_on_other_decoders_bites(line, tmp_path):
    offender = tmp_path / "offender.py"
    offender.write_text(line, encoding="utf-8")
    config = str(ROOT / "pyproject.toml")
    done = run(
        sys.executable, "-m", "ruff", "check", "--no-cache", "--config", config, "--select", "TID251", str(offender)
    )
    assert done.returncode == 1
    assert "TID251" in done.stdout
