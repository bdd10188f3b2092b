"""``subspace.npz``: what is written is read, and what is damaged or forged is refused with one sentence."""

import io
import zipfile

import numpy as np
import pytest

from keensight.core import ood
from keensight.errors import StoreError
from keensight.store.npz import read_subspace, write_subspace


@pytest.fixture
def subspace():
    rng = np.random.default_rng(0)
    return ood.fit(rng.normal(1, 1, (40, 24)).astype(np.float32), rng.normal(1, 1, (70, 24)).astype(np.float32))


def refused(path, says):
    with pytest.raises(StoreError, match=says) as caught:
        read_subspace(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_a_subspace_is_read_as_it_was_written(subspace, tmp_path):
    write_subspace(tmp_path / "subspace.npz", subspace)
    found = read_subspace(tmp_path / "subspace.npz")
    for name in ("scale", "mean", "axes", "known"):
        np.testing.assert_array_equal(getattr(found, name), getattr(subspace, name))
    assert (found.threshold, found.refused) == (subspace.threshold, subspace.refused)
    rows = np.random.default_rng(1).normal(size=(9, 24)).astype(np.float32)
    np.testing.assert_array_equal(ood.score(rows, found), ood.score(rows, subspace))


@pytest.mark.parametrize(("n", "m"), [(1, 0), (3, 1), (40, 0)])
def test_one_without_axes_or_validation_images_is_read_too(n, m, tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 24)).astype(np.float32)
    write_subspace(tmp_path / "subspace.npz", ood.fit(rows[:n], rows[n : n + m]))
    assert len(read_subspace(tmp_path / "subspace.npz").known) == m


def test_the_largest_is_small_on_the_disk(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 2048)).astype(np.float32)
    write_subspace(tmp_path / "subspace.npz", ood.fit(rows, rows[:100]))
    assert (tmp_path / "subspace.npz").stat().st_size < 600_000


def arrays(**changes):
    plain = {
        "scale": np.ones(4, np.float32),
        "mean": np.zeros(4, np.float32),
        "axes": np.eye(2, 4, dtype=np.float32),
        "known": np.array([0.2, 0.5, 0.5], np.float32),
        "threshold": np.float64(0.5),
        "refused": np.float64(0.25),
    }
    return {name: value for name, value in (plain | changes).items() if value is not None}


def test_arrays_that_fit_are_read(tmp_path):
    np.savez(tmp_path / "subspace.npz", **arrays())
    assert read_subspace(tmp_path / "subspace.npz").threshold == 0.5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"axes": np.array([{"a": print}], dtype=object)}, "cannot be read: Object arrays"),
        ({"axes": None}, "not the arrays of a subspace"),
        ({"extra": np.zeros(1)}, "not the arrays of a subspace"),
        ({"axes": np.ones(4, np.float32)}, r"shape \(4,\)"),
        ({"axes": np.zeros((0, 0), np.float32)}, r"shape \(0, 0\)"),
        ({"axes": np.zeros((5, 4), np.float32)}, r"shape \(5, 4\)"),
        ({"axes": np.eye(2, 4)}, "axes has dtype float64"),
        ({"axes": np.ones((2, 4), np.float32)}, "not orthonormal"),
        ({"axes": np.full((2, 4), 3e38, np.float32)}, "not orthonormal"),
        ({"axes": np.full((2, 4), np.nan, np.float32)}, "not finite"),
        ({"scale": np.ones(5, np.float32)}, r"scale has shape \(5,\)"),
        ({"scale": np.zeros(4, np.float32)}, "not positive"),
        ({"scale": np.full(4, np.inf, np.float32)}, "not finite"),
        ({"mean": np.zeros((1, 4), np.float32)}, r"mean has shape \(1, 4\)"),
        ({"mean": np.zeros(4, np.int64)}, "mean has dtype int64"),
        ({"known": np.zeros((1, 3), np.float32)}, r"known has shape \(1, 3\)"),
        ({"known": np.array([0.5, 0.2], np.float32)}, "not ascending"),
        ({"known": np.array([-0.1, 0.2], np.float32)}, "not ascending"),
        ({"known": np.array([0.1, 2.2], np.float32)}, "not ascending"),
        ({"threshold": np.float64("nan")}, "not finite"),
        ({"threshold": np.float64(3)}, "threshold 3.0"),
        ({"threshold": np.zeros(3)}, r"threshold has shape \(3,\)"),
        ({"refused": np.float64(1.5)}, "rejected fraction 1.5"),
        ({"refused": np.float32(0.5)}, "refused has dtype float32"),
    ],
)
def test_a_forged_subspace_is_refused(changes, says, tmp_path):
    np.savez(tmp_path / "subspace.npz", **arrays(**changes))
    refused(tmp_path / "subspace.npz", says)


def test_scores_may_reach_both_ends_of_their_range(tmp_path):
    np.savez(tmp_path / "subspace.npz", **arrays(known=np.array([0.0, 0.2, 2.0], np.float32), refused=np.float64(1)))
    assert read_subspace(tmp_path / "subspace.npz").known[-1] == 2


@pytest.mark.parametrize("keep", [0, 10, 300, -40])
def test_a_truncated_one_is_refused(keep, subspace, tmp_path):
    path = tmp_path / "subspace.npz"
    write_subspace(path, subspace)
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, "not a readable zip")


def test_a_changed_byte_is_refused(subspace, tmp_path):
    path = tmp_path / "subspace.npz"
    write_subspace(path, subspace)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(path, "cannot be read")


def test_a_missing_one_and_a_pickle_in_its_place_are_refused(tmp_path):
    refused(tmp_path / "subspace.npz", "not a readable zip")
    (tmp_path / "subspace.npz").write_bytes(b"\x80\x04.")
    refused(tmp_path / "subspace.npz", "not a readable zip")


def test_one_that_claims_a_huge_array_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30, 1 << 30)})
    with zipfile.ZipFile(tmp_path / "subspace.npz", "w") as archive:
        for name, array in arrays(axes=None).items():
            sink = io.BytesIO()
            np.save(sink, array)
            archive.writestr(f"{name}.npy", sink.getvalue())
        archive.writestr("axes.npy", header.getvalue())
    refused(tmp_path / "subspace.npz", "cannot be read")


def test_a_zip_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "subspace.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", bytes(4 << 20))
    refused(tmp_path / "subspace.npz", "zip bomb")
