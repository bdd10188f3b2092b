"""What must not stand in a tracked file, and what the lock file must agree with."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE_PATH = re.compile(r"(?<![\w.*~<>-])/(?:work|root|home/\w+|Users/\w+|opt|tmp/w)/")
PACKAGE_HOSTS = {"https://pypi.org", "https://files.pythonhosted.org"}


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_tracked_file_names_a_place_on_somebodys_machine():
    offenders = []
    for file in tracked_files():
        if file == Path(__file__) or file.suffix in {".png", ".keras", ".npz", ".parquet"}:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if MACHINE_PATH.search(line):
                offenders.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not offenders, "\n".join(offenders)


@pytest.mark.parametrize("text", ["see /" + "work/main", "'/home/ann/photos'", "(/" + "root/.cache)"])
def test_the_search_for_machine_paths_finds_them(text):
    assert MACHINE_PATH.search(text)


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
TOOLING = re.compile(r"\b(language model|AI assistant|co-authored-by)\b", re.IGNORECASE)


def test_every_document_that_a_file_speaks_of_is_here():
    files = tracked_files()
    here = {file.name for file in files} | WRITTEN_BY_KEENSIGHT
    for file in files:
        if file.suffix in {".py", ".md", ".toml", ".yml"} and file != Path(__file__):
            assert set(DOCUMENT.findall(file.read_text(encoding="utf-8"))) <= here, file


def test_no_tracked_file_speaks_of_how_it_was_written():
    for file in tracked_files():
        if file.suffix in {".py", ".md", ".toml", ".yml", ".yaml", ".html"} and file != Path(__file__):
            assert not TOOLING.search(file.read_text(encoding="utf-8")), file


def test_the_conda_environment_asks_for_what_the_project_offers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    extra = re.search(r"^      - \.\[(\w+)\]", text, re.MULTILINE)[1]
    assert extra in project["optional-dependencies"]
    asked = re.search(r"^  - python=3\.(\d+)$", text, re.MULTILINE)[1]
    assert int(asked) >= int(project["requires-python"].removeprefix(">=3."))


def test_the_version_is_the_same_everywhere():
    import keensight

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None and {project, cited[1], keensight.__version__} == {keensight.__version__}
