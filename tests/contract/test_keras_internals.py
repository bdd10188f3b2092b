"""Only ``nets/keras_private.py`` uses what Keras and TensorFlow do not document."""

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src" / "keensight"
ALLOWED = SOURCES / "nets" / "keras_private.py"
STANDARD = {"os", "threading", "atexit"}
INTERNAL = ("keras.src", "tensorflow.python", "tensorflow.lite.python")


def private(name):
    return name.startswith("_") and not name.startswith("__") and "." not in name


def offences(text):
    """Lines that import Keras' inside, or use a private attribute that the file itself does not define."""
    nodes = list(ast.walk(ast.parse(text)))
    stored = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store)]
    own = {getattr(node, "attr", None) or getattr(node, "id", None) for node in stored}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in nodes:
        if any(name.startswith(INTERNAL) or (private(name) and name not in own) for name in names(node)):
            yield node.lineno


def names(node):
    """What a node imports, or takes out of an object."""
    match node:
        case ast.Import(names=found):
            return [name.name for name in found]
        case ast.ImportFrom(module=str(module)):
            return [module]
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return [] if owner in STANDARD else [name, f"{owner}.{name}"]
        case ast.Attribute(attr=name):
            return [name]
        case ast.Call(func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(str(name)), *_]):
            return [name]
    return []


def test_no_other_file_uses_what_keras_keeps_to_itself():
    found = [
        f"{file.relative_to(SOURCES)}:{line}"
        for file in sorted(SOURCES.rglob("*.py"))
        if file != ALLOWED
        for line in offences(file.read_text(encoding="utf-8"))
    ]
    assert not found, f"move to nets/keras_private.py, with a test: {', '.join(found)}"


def test_that_file_is_where_it_is_used():
    assert list(offences(ALLOWED.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "import keras.src.ops.node",
        "from keras.src import tree",
        "from tensorflow.python.framework import ops",
        "keras.src.backend.clear()",
        "layer._inbound_nodes",
        "getattr(tensor, '_keras_history')",
        "class Own(keras.Model):\n    def call(self, x):\n        return self._run_through_graph(x)",
    ],
)
def test_the_search_finds_it(line):
    assert list(offences(line))


@pytest.mark.parametrize(
    "line",
    ["os._exit(1)", "import keras.layers", "class A:\n    def b(self):\n        self._c = 1\n        return self._c"],
)
def test_the_search_leaves_the_rest(line):
    assert not list(offences(line))
