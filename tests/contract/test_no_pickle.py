"""No module loads a pickle, evaluates text or turns a safety switch off; one reads PyTorch's files."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "keensight"
MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "pickletools",
    "joblib",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "torch",
    "yaml",
}
CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
METHODS = {"read_pickle", "to_pickle", "read_hdf", "enable_unsafe_deserialization", "unsafe_load"}
SWITCHES = {"allow_pickle": False, "safe_mode": True, "weights_only": True, "shell": False}
"""Keywords and the only value that may be passed."""
READS_PYTORCH = "nets/models/torch_weights.py"
"""Its ``pickle.Unpickler`` knows dictionaries, tensors and storages alone: tests/hostile/test_pickles.py."""


def offences(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module or "")
        elif isinstance(node, ast.Call):
            found += _of_call(node)
    return found


def _of_call(node: ast.Call) -> list[str]:
    called = node.func
    found = [called.id] if isinstance(called, ast.Name) and called.id in CALLS else []
    if isinstance(called, ast.Attribute):
        found += [called.attr] if called.attr in METHODS else []
        numpy = isinstance(called.value, ast.Name) and called.value.id in ("np", "numpy")
        named = {keyword.arg for keyword in node.keywords}
        found += (
            ["np.load without allow_pickle"] if numpy and called.attr == "load" and "allow_pickle" not in named else []
        )
        keras = called.attr == "load_model" and "saving" in ast.unparse(called.value)
        found += ["load_model without safe_mode"] if keras and "safe_mode" not in named else []
    for keyword in node.keywords:
        if keyword.arg in SWITCHES:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ast.unparse(keyword.value)
            found += [f"{keyword.arg}={value}"] if value is not SWITCHES[keyword.arg] else []
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_module_can_run_what_a_file_says(path: Path) -> None:
    found = offences(path.read_text(encoding="utf-8"))
    assert found == (["pickle"] if path.relative_to(SOURCE).as_posix() == READS_PYTORCH else [])


def test_neither_can_the_code_that_is_written_beside_an_export() -> None:
    """It is text, with places to fill in."""
    words = re.compile(r"\b(pickle|joblib|dill|marshal|eval|exec|torch)\b|allow_pickle=True|safe_mode=False")
    templates = sorted((SOURCE / "nets" / "export" / "templates").rglob("*.txt"))
    assert templates
    for path in templates:
        assert not words.search(path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from joblib import load", "import torch.nn", "eval('1')", "exec(text)", "pd.read_pickle(p)",
        "np.load(p)", "np.load(p, allow_pickle=True)", "np.load(p, allow_pickle=flag)", "keras.saving.load_model(p)",
        "keras.saving.load_model(p, safe_mode=False)", "subprocess.run(c, shell=True)", "import yaml",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert offences(text)


def test_the_search_finds_nothing_else() -> None:
    harmless = "np.load(p, allow_pickle=False)\nre.compile('a')\nkeras.saving.load_model(p, safe_mode=True)\nx.exec_"
    assert not offences(harmless)
