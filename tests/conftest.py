"""What every test gets: a cache of its own, and a way to real data that skips where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine takes its time: no property test fails by the clock, and failures come again.
settings.register_profile("keensight", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("keensight")

_REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures wider than one test must not write into the user's cache either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEENSIGHT_CACHE", str(tmp_path_factory.mktemp("session-cache")))
        yield


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of this test; it does not exist yet."""
    folder = tmp_path / "keensight-cache"
    monkeypatch.setenv("KEENSIGHT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data("clothing_small")``: that folder of real images, or a skip."""
    root = Path(os.environ.get("KEENSIGHT_DATA") or _REPO.parent / "shared" / "data")

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"real data {name!r} is not here; set KEENSIGHT_DATA to the folder that holds it")
        return folder

    return find
