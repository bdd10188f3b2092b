"""The engine for frozen layers is that of the run, whatever is installed."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from keensight.errors import UsageError
from keensight.nets import litert


def test_a_wanted_engine_is_chosen_within_the_block_only(monkeypatch):
    monkeypatch.setattr(litert, "version", lambda name: {"openvino": "2025.1", "ai-edge-litert": "2.3"}[name])
    assert litert.identity() == "OpenVINO 2025.1"
    with litert.using("LiteRT 2.2"):
        assert (litert.chosen().name, litert.identity()) == ("LiteRT", "LiteRT 2.3")
        with litert.using(None):
            assert litert.identity() == "OpenVINO 2025.1"
    assert litert.identity() == "OpenVINO 2025.1"


def test_one_that_is_not_installed_is_refused(monkeypatch):
    def installed(name):
        if name == "openvino":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(litert, "version", installed)
    assert litert.identity() == f"LiteRT {version('ai-edge-litert')}"
    with pytest.raises(UsageError, match=r"ran on OpenVINO 2025\.1, which is not installed here") as caught:
        litert.using("OpenVINO 2025.1").__enter__()
    assert "pip install openvino" in caught.value.hint
    assert litert.chosen().name == "LiteRT"
