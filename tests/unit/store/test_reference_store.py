"""Measurements of test images in a bundle: written, read, and refused when damaged."""

import numpy as np
import pytest

from keensight.core.drift import NUMBERS, Measured
from keensight.errors import StoreError
from keensight.store.npz import read_reference, write_reference


def made(n=30):
    rng = np.random.default_rng(0)
    values = rng.random((n, len(NUMBERS))).astype(np.float32)
    values[3] = np.nan
    values[:, 5] = np.nan
    return Measured(values, rng.integers(-1, 4, n))


def stored(path):
    with np.load(path) as found:
        return dict(found)


def test_measurements_come_back_with_what_is_unknown(tmp_path):
    write_reference(tmp_path / "reference.npz", made())
    found = read_reference(tmp_path / "reference.npz", 4)
    np.testing.assert_array_equal(found.values, made().values)
    np.testing.assert_array_equal(found.classes, made().classes)


def test_a_newer_property_is_ignored_and_one_that_is_missing_is_unknown(tmp_path):
    write_reference(tmp_path / "reference.npz", made())
    arrays = stored(tmp_path / "reference.npz")
    arrays["properties"][0] = "smell"
    np.savez(tmp_path / "reference.npz", **arrays)
    found = read_reference(tmp_path / "reference.npz", 4)
    assert np.isnan(found.values[:, 0]).all()
    np.testing.assert_array_equal(found.values[:, 1:], made().values[:, 1:])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("classes", lambda classes: classes + 1),
        ("classes", lambda classes: classes[1:]),
        ("values", lambda values: np.where(values > 0.5, -0.5, values).astype(np.float32)),
        ("values", lambda values: np.where(values > 0.5, np.nan, values).astype(np.float32)),
        ("values", lambda values: values.astype(np.float64)),
        ("values", lambda values: values[:, 1:]),
    ],
)
def test_damage_is_refused_by_name(tmp_path, name, change):
    write_reference(tmp_path / "reference.npz", made())
    arrays = stored(tmp_path / "reference.npz")
    arrays[name] = change(arrays[name])
    np.savez(tmp_path / "reference.npz", **arrays)
    with pytest.raises(StoreError, match=r"reference\.npz"):
        read_reference(tmp_path / "reference.npz", 4)
