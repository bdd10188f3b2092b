"""docs/extend.md lists exactly the files that its examples are found in."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = [
    section
    for section in (ROOT / "docs" / "extend.md").read_text(encoding="utf-8").split("\n## ")[1:]
    if "search for `" in section
]


def files_with(pattern, folder):
    texts = (path for path in folder.rglob("*") if path.suffix in {".py", ".html", ".txt", ".js"})
    return {path.relative_to(ROOT).as_posix() for path in texts if re.search(pattern, path.read_text(encoding="utf-8"))}


def test_every_kind_of_extension_has_an_example():
    titles = [section.splitlines()[0] for section in SECTIONS]
    assert titles == [f"Add a {kind}" for kind in ("source", "check", "backbone", "metric", "plot", "command")]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_the_listed_files_are_those_of_the_example(section):
    pattern = re.search(r"search for `([^`]+)`", " ".join(section.split()))[1]
    listed = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    inside = {name for name in listed if name.startswith("src/")}
    assert inside == files_with(pattern, ROOT / "src")
    for name in set(listed) - inside:
        if not name.endswith((".md", "test_idx.py")):
            assert re.search(pattern, (ROOT / name).read_text(encoding="utf-8")), name
        assert (ROOT / name).is_file(), name
