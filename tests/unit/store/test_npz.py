"""The array files of a bundle: each value is accepted at its limits and refused beyond them, by name."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.drift import NUMBERS, Measured
from keensight.errors import StoreError
from keensight.store.npz import (
    SelfTest,
    read_learned,
    read_prototypes,
    read_reference,
    read_self_test,
    read_subspace,
    write_reference,
    write_self_test,
)


def self_test_arrays(**changes: Any) -> dict[str, Any]:
    arrays = {
        "names": np.array(["a.png", "b.png"]),
        "lengths": np.array([3, 0], np.int64),
        "images": np.frombuffer(b"png", np.uint8),
        "probabilities": np.full((2, 3), 1 / 3, np.float32),
        "contract": np.frombuffer(b'{"labels": {"names": ["ant", "bee"]}}', np.uint8),
    }
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def prototype_arrays(**changes: Any) -> dict[str, Any]:
    return {
        "centre": np.zeros(4, np.float32),
        "means": np.ones((3, 4), np.float32),
        "counts": np.ones(3, np.int64),
        "threshold": np.float64(0.5),
        "kept": np.float64(0.95),
        "temperature": np.float64(0.1),
    } | changes


def subspace_arrays(**changes: Any) -> dict[str, Any]:
    return {
        "scale": np.full(4, 0.001, np.float32),
        "mean": np.zeros(4, np.float32),
        "axes": np.eye(2, 4, dtype=np.float32),
        "known": np.array([0.2, 0.5], np.float32),
        "threshold": np.float64(0.5),
        "refused": np.float64(0.25),
    } | changes


def reference_arrays(**changes: Any) -> dict[str, Any]:
    return {
        "properties": np.array(NUMBERS),
        "values": np.zeros((2, len(NUMBERS)), np.float32),
        "classes": np.array([-1, 3], np.int64),
    } | changes


def learned_arrays(radius: int) -> dict[str, Any]:
    digests, medians = np.zeros((1, 16), np.uint8), np.zeros(255, np.float32)
    prints = np.zeros((1, 32), np.uint8)
    return {"files": digests, "pixels": digests, "prints": prints, "medians": medians, "radius": np.int64(radius)}


def saved(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def refused(error: pytest.ExceptionInfo[StoreError], says: str) -> None:
    assert says in error.value.message
    assert "\n" not in error.value.message
    assert error.value.hint


def test_a_self_test_with_a_contract_names_its_labels(tmp_path: Path) -> None:
    found = read_self_test(saved(tmp_path / "exam.npz", self_test_arrays()), 3)
    assert (found.names, found.images, found.labels) == (("a.png", "b.png"), (b"png", b""), ("ant", "bee"))
    assert len(found) == 2


def test_a_self_test_without_a_contract_has_no_labels(tmp_path: Path) -> None:
    found = read_self_test(saved(tmp_path / "exam.npz", self_test_arrays(contract=None)), 3)
    assert (found.contract, found.labels) == ("", ())


def test_a_self_test_is_read_as_it_was_written(tmp_path: Path) -> None:
    given = SelfTest(("é", "b"), (b"12", b"345"), np.full((2, 2), 0.5, np.float32), "text \ud800")
    write_self_test(tmp_path / "exam.npz", given)
    found = read_self_test(tmp_path / "exam.npz", 2)
    assert (found.names, found.images, found.contract) == (given.names, given.images, "text \\ud800")
    np.testing.assert_array_equal(found.probabilities, given.probabilities)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lengths": np.array([2, 0], np.int64)}, "exam.npz does not contain one image per name"),
        ({"lengths": np.array([4, -1], np.int64)}, "exam.npz does not contain one image per name"),
        ({"names": np.array([1.0, 2.0])}, "names has dtype float64, which a self-test does not allow"),
        ({"names": None}, "exam.npz contains contract.npy, images.npy, lengths.npy, probabilities.npy, not the arrays"),
        ({"lengths": np.array([3], np.int64)}, "lengths has shape (1,) instead of (2)"),
        ({"probabilities": np.zeros((3, 3), np.float32)}, "probabilities has shape (3, 3) instead of (2, 3)"),
        ({"probabilities": np.zeros((2, 0), np.float32)}, "probabilities has the shape (2, 0): rows without numbers"),
        ({"probabilities": np.full((2, 3), np.inf, np.float32)}, "probabilities contains a number that is not finite"),
        ({"contract": np.array([0xFF, 0xFE], np.uint8)}, "exam.npz: its contract is not text"),
        ({"contract": np.zeros((1, 1), np.uint8)}, "contract has shape (1, 1) instead of (text)"),
    ],
)
def test_a_self_test_that_does_not_fit_itself_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreError) as caught:
        read_self_test(saved(tmp_path / "exam.npz", self_test_arrays(**changes)), 3)
    refused(caught, says)


def test_a_self_test_without_images_is_refused(tmp_path: Path) -> None:
    empty = {"names": np.array([], np.str_), "lengths": np.array([], np.int64), "images": np.array([], np.uint8)}
    with pytest.raises(StoreError) as caught:
        read_self_test(
            saved(tmp_path / "exam.npz", self_test_arrays(**empty, probabilities=np.zeros((0, 3), np.float32))), 3
        )
    refused(caught, "does not contain one image per name")


@pytest.mark.parametrize("classes", [2, 4])
def test_a_self_test_of_another_number_of_classes_is_of_another_model(tmp_path: Path, classes: int) -> None:
    with pytest.raises(StoreError) as caught:
        read_self_test(saved(tmp_path / "exam.npz", self_test_arrays()), classes)
    refused(caught, f"have the shape (2, 3), but the manifest names {classes} classes and the self-test 2 images")
    assert caught.value.hint == "the manifest was changed, or belongs to another model"


def test_a_member_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    """NumPy gives the bytes of a member that does not begin as an array does."""
    with zipfile.ZipFile(saved(tmp_path / "exam.npz", self_test_arrays(names=None)), "a") as archive:
        archive.writestr("names.npy", b"no array")
    with pytest.raises(StoreError) as caught:
        read_self_test(tmp_path / "exam.npz", 3)
    refused(caught, "exam.npz cannot be read: names is not an array")


def test_an_archive_of_nothing_is_refused(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "subspace.npz", "w").close()
    with pytest.raises(StoreError) as caught:
        read_subspace(tmp_path / "subspace.npz")
    refused(caught, "subspace.npz contains nothing, not the arrays of a subspace")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"threshold": np.float64(1.001)},  # a cosine, as far as rounding may take it
        {"threshold": np.float64(-1.001)},
        {"kept": np.float64(0)},
        {"kept": np.float64(1)},
        {"temperature": np.float64(1e-9)},
    ],
)
def test_class_means_within_the_limits_are_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    given = prototype_arrays(**changes)
    found = read_prototypes(saved(tmp_path / "prototypes.npz", given), 3)
    for name, value in given.items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"threshold": np.float64(1.002)}, "threshold 1.002, fraction kept 0.95 or temperature 0.1 is out of range"),
        ({"threshold": np.float64(-1.002)}, "threshold -1.002"),
        ({"kept": np.float64(-0.01)}, "fraction kept -0.01"),
        ({"kept": np.float64(1.01)}, "fraction kept 1.01"),
        ({"temperature": np.float64(0)}, "temperature 0.0 is out of range"),
        ({"counts": np.array([1, 0, 1], np.int64)}, "prototypes.npz: a class mean has no images"),
        ({"means": np.ones((4, 4), np.float32)}, "means has shape (4, 4) instead of (3, 4)"),
        ({"centre": np.zeros(5, np.float32)}, "centre has shape (5,) instead of (4)"),
        ({"threshold": np.zeros(1)}, "threshold has shape (1,) instead of ()"),
    ],
)
def test_class_means_beyond_the_limits_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreError) as caught:
        read_prototypes(saved(tmp_path / "prototypes.npz", prototype_arrays(**changes)), 3)
    refused(caught, says)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"axes": np.eye(4, dtype=np.float32)},
        {"axes": np.eye(2, 4, dtype=np.float32) * np.float32(1.0004)},  # squares of lengths up to 1.001
        {"threshold": np.float64(0)},
        {"threshold": np.float64(2)},
        {"refused": np.float64(0)},
        {"refused": np.float64(1)},
    ],
)
def test_a_subspace_within_the_limits_is_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    given = subspace_arrays(**changes)
    found = read_subspace(saved(tmp_path / "subspace.npz", given))
    for name, value in given.items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"axes": np.eye(5, 4, dtype=np.float32)}, "subspace.npz: its axes have the shape (5, 4)"),
        ({"axes": np.eye(2, 4, dtype=np.float32) * np.float32(1.0006)}, "subspace.npz: its axes are not orthonormal"),
        ({"scale": np.array([1, 1, 0, 1], np.float32)}, "subspace.npz: a feature's scale is not positive"),
        ({"known": np.array([-0.1, 0.5], np.float32)}, "its scores are not ascending from 0 to 2"),
        ({"known": np.array([0.1, 2.1], np.float32)}, "its scores are not ascending from 0 to 2"),
        ({"known": np.array([0.5, 0.1, 0.6], np.float32)}, "its scores are not ascending from 0 to 2"),
        ({"threshold": np.float64(-0.01)}, "threshold -0.01 or rejected fraction 0.25 is out of range"),
        ({"threshold": np.float64(2.01)}, "threshold 2.01"),
        ({"refused": np.float64(-0.01)}, "rejected fraction -0.01"),
        ({"refused": np.float64(1.01)}, "rejected fraction 1.01"),
    ],
)
def test_a_subspace_beyond_the_limits_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreError) as caught:
        read_subspace(saved(tmp_path / "subspace.npz", subspace_arrays(**changes)))
    refused(caught, says)


def test_the_radius_of_fingerprints_is_from_none_to_32_bits(tmp_path: Path) -> None:
    for radius in (-1, 0, 32):
        assert read_learned(saved(tmp_path / "learned.npz", learned_arrays(radius))).radius == radius
    for radius in (-2, 33):
        with pytest.raises(StoreError) as caught:
            read_learned(saved(tmp_path / "learned.npz", learned_arrays(radius)))
        refused(caught, f"learned.npz: its radius is {radius} bits")


def test_an_unknown_measurement_is_stored_as_a_number_below_all_others(tmp_path: Path) -> None:
    """-1, also in the files of earlier versions."""
    values = np.zeros((1, len(NUMBERS)), np.float32)
    values[0, 2] = np.nan
    write_reference(tmp_path / "reference.npz", Measured(values, np.array([0])))
    with np.load(tmp_path / "reference.npz") as stored:
        assert stored["values"][0].tolist() == [0, 0, -1, 0, 0, 0, 0, 0]
        assert tuple(stored["properties"]) == NUMBERS
    np.testing.assert_array_equal(read_reference(tmp_path / "reference.npz", 1).values, values)


def test_measurements_of_no_images_are_read(tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.npz", Measured.joined([]))
    assert len(read_reference(tmp_path / "reference.npz", 4)) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": np.array([-2, 3], np.int64)}, "it has predictions of classes that the model does not have"),
        ({"classes": np.array([-1, 4], np.int64)}, "it has predictions of classes that the model does not have"),
        ({"values": np.full((2, len(NUMBERS)), -0.5, np.float32)}, "reference.npz: it has a negative measurement"),
        ({"values": np.zeros((3, len(NUMBERS)), np.float32)}, "classes has shape (2,) instead of (3)"),
    ],
)
def test_measurements_beyond_the_limits_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    read_reference(saved(tmp_path / "reference.npz", reference_arrays()), 4)
    with pytest.raises(StoreError) as caught:
        read_reference(saved(tmp_path / "reference.npz", reference_arrays(**changes)), 4)
    refused(caught, says)
