"""MLflow, against a real server on this machine; ``make trackers`` installs one and runs this."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")

from keensight.workflow.trackers import opened
from tracker_builders import check_mlflow, follow

SERVER = os.environ.get("KEENSIGHT_MLFLOW", "")
"""The ``mlflow`` program of an environment that has the whole package, not the client alone."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which(SERVER) is None, reason="KEENSIGHT_MLFLOW names no mlflow program with a server"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server that keeps everything in a temporary folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "server").mkdir()
    command = [SERVER, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]  # fmt: skip
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path / "server", stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 180
        while process.poll() is None and time.monotonic() < until and not answers(address):
            time.sleep(0.3)
        assert answers(address), (tmp_path / "server.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(60)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def test_a_study_is_kept_by_a_server_with_its_trials_and_files(server: str, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    follow(opened(f"mlflow={server}"), tmp_path / "study")
    check_mlflow(server)
    kept = [path.name for path in (tmp_path / "server" / "artifacts").rglob("*") if path.is_file()]
    assert sorted(kept) == ["config.toml", "manifest.json"]
