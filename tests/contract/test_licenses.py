"""What an installation brings: listed with its licenses, and nothing in the core that would bind who uses it."""

import importlib.util
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def script():
    spec = importlib.util.spec_from_file_location("docs_licenses", ROOT / "docs" / "licenses.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LICENSES = script()
GROUPS = LICENSES.groups()


def test_the_page_lists_what_the_lock_file_does():
    text = (ROOT / "docs" / "licenses.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (?:Core|Extra `(\w+)`).*$", text, flags=re.MULTILINE)[1:]
    listed = {
        name or "core": dict(re.findall(r"^\| ([\w.-]+) \| ([\w.+-]+) \|", body, re.MULTILINE))
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }
    for rows in listed.values():
        rows.pop("package", None)
    assert listed == GROUPS, "run `python docs/licenses.py`"
    assert "not stated" not in text


def installed(name):
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


@pytest.mark.parametrize("name", [name for name in GROUPS["core"] if installed(name)])
def test_no_package_of_the_core_is_under_the_gpl(name):
    license = LICENSES.license_of(name)
    assert license not in (None, "not stated", "see its license file")
    assert not LICENSES.is_copyleft(license)


def test_most_of_the_core_is_installed_where_the_tests_run():
    assert sum(map(installed, GROUPS["core"])) > 0.8 * len(GROUPS["core"])


@pytest.mark.parametrize(
    ("license", "binds"),
    [
        ("GPL-3.0-or-later", True), ("AGPL-3.0", True), ("GNU General Public License v2 (GPLv2)", True), ("MIT", False),
        ("GNU Affero General Public License", True), ("LGPL-3.0", False), ("BSD-3-Clause AND MIT", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False), ("MIT OR GPL-2.0", True),
    ],
)  # fmt: skip
def test_licenses_are_told_apart(license, binds):
    assert LICENSES.is_copyleft(license) is binds
