"""The Dockerfile, where no container engine runs: its instructions are read, and its steps are run in a fresh
environment, in which the server then has to predict what it predicts here.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_serve import bundle, photo, serving  # noqa: F401 - a fixture

import keensight as ks
from serve_builders import FORM, form

ROOT = Path(__file__).parents[2]
HOME = "/opt/keensight"
"""Where the image has its environment."""


def instructions():
    """Instruction and arguments of each step, by stage."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    stages = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, arguments = line.split(None, 1)
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, arguments))
    return stages


def steps(stage, name):
    return [arguments for kind, arguments in instructions()[stage] if kind == name]


def test_the_image_runs_without_privileges_says_whether_it_is_healthy_and_stops_gently():
    assert len(instructions()) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim( AS build)?", steps(stage, "FROM")[0]) for stage in (0, 1))
    assert steps(1, "RUN") == [] and steps(1, "COPY") == [f"--from=build {HOME} {HOME}"]
    user, _ = steps(1, "USER")[0].split(":")
    assert int(user) >= 1000
    assert steps(1, "EXPOSE") == ["8000"] and steps(1, "STOPSIGNAL") == ["SIGTERM"]
    assert "/readyz" in steps(1, "HEALTHCHECK")[0]
    assert json.loads(steps(1, "ENTRYPOINT")[0])[:3] == ["keensight", "serve", "/model"]


def test_what_is_copied_has_no_history_runs_or_environments():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "runs", "tests"} <= set(ignored)
    assert not {"src", "packaging"} & set(ignored)


def has_network(place):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), "click"]
    return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the image is a Linux system")
def test_its_steps_make_an_environment_without_tensorflow_that_serves(bundle, tmp_path):  # noqa: F811
    if not has_network(tmp_path / "probe"):
        pytest.skip("the package index cannot be reached")
    home, source = tmp_path / "keensight", tmp_path / "src"
    source.mkdir()
    for name in ("src", "packaging"):
        shutil.copytree(ROOT / name, source / name)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for step in steps(0, "RUN"):
        command = step.replace(HOME, str(home)).replace("/src", str(source))
        first = [sys.executable, *shlex.split(command)[1:]] if command.startswith("python ") else shlex.split(command)
        done = subprocess.run(first, env=environment, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    packages = {path.name.split("-")[0].lower() for path in next(home.glob("lib/python3*/site-packages")).iterdir()}
    assert "keensight" in packages and not {"tensorflow", "keras", "pandas", "scipy", "sklearn"} & packages
    entry = json.loads(steps(1, "ENTRYPOINT")[0])
    options = entry[entry.index("--name") :]
    images = [photo(seed) for seed in range(5)]
    with serving(bundle.path, *options, command=[str(home / "bin" / "keensight")], env={"PYTHONPATH": ""}) as server:
        assert server.document["model"]["name"] == "model"
        status, found = server.predict(form(*((f"{i}.jpg", image) for i, image in enumerate(images))), FORM)
        assert status == 200
        expected = ks.predict(bundle.path, images).rows()
        assert [row["label"] for row in found["predictions"]] == [row["label"] for row in expected]
        assert server.ask("GET", "/")[0] == 200
        check = json.loads(steps(1, "HEALTHCHECK")[0].split("CMD ", 1)[1])
        healthy = [str(home / "bin" / check[0]), check[1], check[2].replace("8000", str(server.port))]
        assert subprocess.run(healthy, timeout=30, check=False).returncode == 0
        assert server.stop() == 0
        assert subprocess.run(healthy, timeout=30, check=False, stderr=subprocess.DEVNULL).returncode != 0
