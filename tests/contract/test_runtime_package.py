"""keensight-runtime: the same package for machines that only predict, with some of the project's requirements."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = tomllib.loads((ROOT / "packaging" / "runtime" / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = RUNTIME["project"]
HEAVY = ("tensorflow", "keras", "pandas", "scipy", "scikit", "matplotlib", "h5py")


def test_it_needs_some_of_what_the_project_needs_and_nothing_heavy():
    assert set(PROJECT["dependencies"]) < set(WHOLE["dependencies"])
    assert not [line for line in PROJECT["dependencies"] if line.startswith(HEAVY)]


def test_its_extras_are_those_of_the_project_with_what_that_needs_anyway():
    known, extras = set(WHOLE["dependencies"]), WHOLE["optional-dependencies"]
    for name, lines in PROJECT["optional-dependencies"].items():
        added = set(lines) - known
        assert added == set(extras.get(name, ())), name
        assert not [line for line in lines if line.startswith(HEAVY)]


def test_it_is_the_same_package_version_and_command():
    assert PROJECT["scripts"] == WHOLE["scripts"] and PROJECT["requires-python"] == WHOLE["requires-python"]
    place = ROOT / "packaging" / "runtime"
    (source,) = RUNTIME["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items()
    assert ((place / source[0]).resolve(), source[1]) == (ROOT / "src" / "keensight", "keensight")
    assert (place / RUNTIME["tool"]["hatch"]["version"]["path"]).resolve() == ROOT / "src" / "keensight" / "__init__.py"
