"""``learned.npz``: kept as written, and refused where damaged or forged."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.fingerprints import LearnedFrom
from keensight.errors import StoreError
from keensight.store.bundle import open_bundle, write_bundle
from keensight.store.npz import read_learned, write_learned
from store_builders import exam, make_bundle, manifest, write_model

RNG = np.random.default_rng(0)
LEARNED = LearnedFrom(
    RNG.integers(0, 256, (5, 16), np.uint8), RNG.integers(0, 256, (4, 16), np.uint8),
    RNG.integers(0, 256, (3, 32), np.uint8), RNG.normal(size=255).astype(np.float32), 20,
)  # fmt: skip


def arrays(**changes: Any) -> dict[str, Any]:
    names = ("files", "pixels", "prints", "medians")
    return {name: getattr(LEARNED, name) for name in names} | {"radius": np.int64(20)} | changes


def write(path: Path, **changes: Any) -> Path:
    sink = io.BytesIO()
    np.savez(sink, **{name: array for name, array in arrays(**changes).items() if array is not None})
    path.write_bytes(sink.getvalue())
    return path


def test_rows_come_back_sorted_and_once(tmp_path: Path) -> None:
    twice = LearnedFrom(np.repeat(LEARNED.files, 2, axis=0), LEARNED.pixels, LEARNED.prints, LEARNED.medians, 20)
    write_learned(tmp_path / "learned.npz", twice)
    found = read_learned(tmp_path / "learned.npz")
    assert len(found.files) == 5
    assert [row.tobytes() for row in found.files] == sorted(row.tobytes() for row in LEARNED.files)
    np.testing.assert_array_equal(found.medians, LEARNED.medians)
    assert found.radius == 20


def test_a_bundle_carries_it_and_another_does_not(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", manifest=manifest(), save_model=write_model, exam=exam(), learned=LEARNED)
    learned = open_bundle(bundle.path).learned()
    assert learned is not None
    assert len(learned.files) == 5
    assert make_bundle(tmp_path / "c").learned() is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"files": None}, "not the arrays of a set of fingerprints"),
        ({"more": np.zeros(3)}, "not the arrays of a set of fingerprints"),
        ({"files": np.array([{}], dtype=object)}, "cannot be read"),
        ({"files": np.zeros((5, 16), np.int64)}, "has dtype"),
        ({"medians": np.zeros(255, np.float64)}, "has dtype"),
        ({"radius": np.float64(3)}, "has dtype"),
        ({"files": np.zeros((5, 15), np.uint8)}, "has shape"),
        ({"pixels": np.zeros(16, np.uint8)}, "has shape"),
        ({"prints": np.zeros((2, 32, 1), np.uint8)}, "has shape"),
        ({"medians": np.zeros(254, np.float32)}, "has shape"),
        ({"radius": np.array([3])}, "has shape"),
        ({"medians": np.full(255, np.nan, np.float32)}, "not finite"),
        ({"radius": np.int64(33)}, "radius is 33"),
        ({"radius": np.int64(-2)}, "radius is -2"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        read_learned(write(tmp_path / "learned.npz", **changes))
    assert caught.value.hint


@pytest.mark.parametrize("keep", [0, 100, 900])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "learned.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"learned\.npz"):
        read_learned(path)


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "learned.npz"
    np.savez_compressed(path, **arrays(files=np.zeros((200_000, 16), np.uint8)))
    with pytest.raises(StoreError, match="zip bomb"):
        read_learned(path)
