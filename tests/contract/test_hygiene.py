"""What no tracked file may contain, and what the lock file, the version and the changes must agree with."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = re.compile(r"(?<![\w.*~<>-])/(?:home|Users)/\w+/|[A-Z]:\\\\?Users\\\\?\w+")
PACKAGE_HOSTS = {"https://pypi.org", "https://files.pythonhosted.org"}


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_tracked_file_contains_a_path_in_somebodys_home_directory():
    offenders = []
    for file in tracked_files():
        if file == Path(__file__) or file.suffix in {".png", ".keras", ".npz", ".parquet"}:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if HOME.search(line):
                offenders.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not offenders, "\n".join(offenders)


@pytest.mark.parametrize("text", ["see /home/ann/photos", "'/Users/ann/photos'", "C:\\Users\\ann"])
def test_the_search_for_home_directories_finds_them(text):
    assert HOME.search(text)


def test_no_tracked_file_is_large():
    large = [str(file.relative_to(ROOT)) for file in tracked_files() if file.stat().st_size > 2_000_000]
    assert not large


def test_the_lock_file_names_only_the_public_index():
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    assert {match.group() for match in re.finditer(r"https?://[^/\"]+", text)} == PACKAGE_HOSTS
    assert "file://" not in text


def test_the_lock_file_agrees_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    ours = next(package for package in lock["package"] if package["name"] == "keensight")
    locked = ours["metadata"]
    extras = project["project"]["optional-dependencies"].values()
    wanted = [*project["project"]["dependencies"], *(item for extra in extras for item in extra)]
    groups = [item for group in project["dependency-groups"].values() for item in group]
    assert sorted(map(key, locked["requires-dist"])) == sorted(map(plain, wanted))
    assert sorted(map(key, locked["requires-dev"]["dev"])) == sorted(map(plain, groups))


def key(entry):
    return entry["name"], entry.get("specifier", "")


def plain(requirement):
    name, _, specifier = re.match(r"([\w.-]+)(\[[^]]*\])?(.*)", requirement).groups()
    return name.lower(), specifier.strip()


DOCUMENT = re.compile(r"\b[A-Z_]{4,}\.md\b")
WRITTEN_BY_KEENSIGHT = {"MODEL_CARD.md"}


def test_every_document_that_a_file_speaks_of_is_here():
    files = tracked_files()
    here = {file.name for file in files} | WRITTEN_BY_KEENSIGHT
    for file in files:
        if file.suffix in {".py", ".md", ".toml", ".yml"} and file != Path(__file__):
            assert set(DOCUMENT.findall(file.read_text(encoding="utf-8"))) <= here, file


def test_the_conda_environment_asks_for_what_the_project_offers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    extra = re.search(r"^      - \.\[(\w+)\]", text, re.MULTILINE)[1]
    assert extra in project["optional-dependencies"]
    asked = re.search(r"^  - python=3\.(\d+)$", text, re.MULTILINE)[1]
    assert int(asked) >= int(project["requires-python"].removeprefix(">=3."))


def test_the_version_is_in_one_place_and_the_citation_agrees():
    import keensight

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE) == [keensight.__version__]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited[1] == keensight.__version__


def test_the_changes_have_a_section_for_this_version_first():
    import keensight

    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == keensight.__version__
    assert versions == sorted(versions, key=lambda version: tuple(map(int, version.split("."))), reverse=True)
