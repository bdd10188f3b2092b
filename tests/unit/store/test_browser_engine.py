"""Only the pinned package of the browser engine is used."""

import dataclasses
import io
import tarfile

import pytest

from keensight.core.files import sha256
from keensight.errors import StoreError
from keensight.store import browser_engine
from keensight.store.browser_engine import pinned, read_package


def package(contents):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def test_the_pin_names_a_version_a_license_and_digests():
    pin = pinned()
    assert pin.license == "Apache-2.0" and pin.url.startswith("https://registry.npmjs.org/@litertjs/core/")
    assert pin.version in pin.url and pin.version in pin.command and pin.version in pin.file_name
    assert len(pin.sha256) == 64 and int(pin.sha256, 16)
    assert [name.rpartition(".")[2] for name in pin.files] == ["js", "js", "wasm"]


def test_the_files_come_in_the_order_of_the_pin(tmp_path, monkeypatch):
    contents = {name: name.encode() for name in reversed(pinned().files)}
    data = package({**contents, "package/package.json": b"{}"})
    made = dataclasses.replace(pinned(), sha256=sha256(data))
    monkeypatch.setattr(browser_engine, "pinned", lambda: made)
    (tmp_path / "engine.tgz").write_bytes(data)
    assert read_package(tmp_path / "engine.tgz") == tuple(name.encode() for name in made.files)


def test_another_package_is_refused(tmp_path):
    path = tmp_path / "engine.tgz"
    path.write_bytes(package(dict.fromkeys(pinned().files, b"other")))
    with pytest.raises(StoreError, match=r"its checksum differs") as refused:
        read_package(path)
    assert f"npm pack @litertjs/core@{pinned().version}" in refused.value.hint


def test_a_missing_package_is_said_to_be_missing(tmp_path):
    with pytest.raises(StoreError, match=r"engine.tgz cannot be read"):
        read_package(tmp_path / "engine.tgz")
