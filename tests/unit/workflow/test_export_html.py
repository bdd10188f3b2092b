"""The browser engine is downloaded once, checked, kept; or taken from a file."""

import dataclasses
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from keensight.core.files import sha256
from keensight.core.progress import Silent
from keensight.errors import StoreError
from keensight.store import browser_engine as pins
from keensight.workflow.export_html import PACKAGE, browser_engine


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def package():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name in pins.pinned().files:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return sink.getvalue()


@pytest.fixture
def served(package, tmp_path, monkeypatch):
    """A registry on this computer that has the pinned package."""
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "core.tgz").write_bytes(package)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "registry"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/core.tgz"
    pin = dataclasses.replace(pins.pinned(), url=url, sha256=sha256(package), size=len(package))
    monkeypatch.setattr(pins, "pinned", lambda: pin)
    monkeypatch.delenv(PACKAGE, raising=False)
    yield server
    server.shutdown()
    server.server_close()


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def test_it_is_downloaded_once_with_a_message_and_kept(served):
    said = Said()
    engine = browser_engine(said)
    assert engine.api == pins.pinned().files[0] and engine.wasm == pins.pinned().files[2].encode()
    assert said.lines == [
        f"downloading LiteRT.js {pins.pinned().version}, which runs the model in browsers (0.0 MB, only once)"
    ]
    served.shutdown()
    said.lines.clear()
    assert browser_engine(said) == engine and said.lines == []


def test_without_a_network_the_error_shows_another_way(served):
    served.shutdown()
    served.server_close()
    with pytest.raises(StoreError, match=r"cannot be downloaded from http") as refused:
        browser_engine(Silent())
    assert "npm pack @litertjs/core@" in refused.value.hint and PACKAGE in refused.value.hint


def test_another_file_at_the_address_is_refused_and_not_kept(served, tmp_path, cache_folder):
    (tmp_path / "registry" / "core.tgz").write_bytes(b"something else")
    with pytest.raises(StoreError, match=r"its checksum differs"):
        browser_engine(Silent())
    assert not list(cache_folder.rglob("*.tgz"))


def test_a_file_that_is_given_needs_no_network(served, package, tmp_path, monkeypatch):
    served.shutdown()
    (tmp_path / "mine.tgz").write_bytes(package)
    monkeypatch.setenv(PACKAGE, str(tmp_path / "mine.tgz"))
    assert browser_engine(Silent()).wasm
