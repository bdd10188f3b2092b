"""The files of a bundle: each is read from its place, checked up to its limit, and named where it is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.anomaly import GAUSSIAN
from keensight.core.drift import NUMBERS, Measured
from keensight.core.files import sha256_file
from keensight.core.fingerprints import LearnedFrom
from keensight.core.ood import Subspace
from keensight.core.prototypes import Prototypes
from keensight.core.records import LabelSet
from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.store.bundle import CHECKS, Bundle, add_evaluation, add_light, bundle_folder, open_bundle, write_bundle
from store_builders import dataset, evaluation, exam, make_bundle, make_run, manifest, split, write_model

DIGESTS = np.zeros((1, 16), np.uint8)
MEANS = Prototypes(np.zeros(4, np.float32), np.ones((3, 4), np.float32), np.ones(3, np.int64), 0.5, 0.95, 0.1)
SUBSPACE = Subspace(np.ones(4, np.float32), np.zeros(4, np.float32), np.eye(2, 4, dtype=np.float32),
                    np.array([0.5], np.float32), 0.5, 0.25)  # fmt: skip
LEARNED = LearnedFrom(DIGESTS, DIGESTS, np.zeros((1, 32), np.uint8), np.zeros(255, np.float32), 20)
MEASURED = Measured(np.ones((2, len(NUMBERS)), np.float32), np.array([0, 2]))
OPTIONAL = ["learned.npz", "model.tflite", "prototypes.npz", "reference.npz", "subspace.npz"]
PLAIN = ["MODEL_CARD.md", "exam.npz", "model.keras"]


def whole(path: Path, **changes: Any) -> Bundle:
    """A bundle with every file that there may be, but for measurements."""
    given = manifest(**changes)
    return write_bundle(
        path, manifest=given, save_model=write_model, exam=exam(), prototypes=MEANS, subspace=SUBSPACE,
        learned=LEARNED, light=b"light",
    )  # fmt: skip


def listed(bundle: Bundle, *names: str, **changes: Any) -> None:
    """Rewrite the manifest so that it lists these files as they are now."""
    plain = json.loads((bundle.path / "manifest.json").read_text(encoding="utf-8"))
    plain["files"] |= {name: sha256_file(bundle.path / name) for name in names}
    (bundle.path / "manifest.json").write_text(json.dumps(plain | changes), encoding="utf-8")


def refused(path: Path, says: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        open_bundle(path)
    assert says in caught.value.message
    assert caught.value.hint
    return caught.value


def test_everything_that_was_given_is_in_the_bundle(tmp_path: Path) -> None:
    bundle = add_evaluation(whole(tmp_path / "b"), evaluation(dataset(), split()), MEASURED)
    assert sorted(bundle.manifest.files) == sorted(PLAIN + OPTIONAL)
    prototypes, subspace, learned, measured = (
        bundle.prototypes(), bundle.subspace(), bundle.learned(), bundle.reference(),
    )  # fmt: skip
    assert prototypes is not None and subspace is not None and learned is not None and measured is not None
    np.testing.assert_array_equal(prototypes.means, MEANS.means)
    np.testing.assert_array_equal(subspace.axes, SUBSPACE.axes)
    assert learned.radius == 20
    np.testing.assert_array_equal(measured.values, MEASURED.values)
    assert (bundle.has_light, bundle.light()) == (True, b"light")
    assert bundle.model_path == tmp_path / "b" / "model.keras"
    assert bundle.card_path == tmp_path / "b" / "MODEL_CARD.md"
    (bundle.path / "model.tflite").unlink()
    with pytest.raises(StoreError, match=r"model\.tflite cannot be read: No such file"):
        bundle.light()


def test_a_plain_bundle_has_none_of_the_optional_files(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    assert sorted(bundle.manifest.files) == PLAIN
    assert not bundle.has_light
    found = (bundle.light(), bundle.prototypes(), bundle.subspace(), bundle.learned(), bundle.reference())
    assert found == (None,) * 5


def test_the_card_tells_whether_the_bundle_abstains(tmp_path: Path) -> None:
    for bundle, abstains in ((whole(tmp_path / "a"), True), (make_bundle(tmp_path / "b"), False)):
        assert ("abstains" in bundle.card_path.read_text(encoding="utf-8")) is abstains
        add_evaluation(bundle, evaluation(dataset(), split()))
        assert ("abstains" in bundle.card_path.read_text(encoding="utf-8")) is abstains


def test_a_light_form_is_added_or_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    before = {name: bundle.manifest.files[name] for name in ("model.keras", "MODEL_CARD.md")}
    for light in (b"first", b"second"):
        bundle = add_light(bundle, light)
        assert bundle.light() == open_bundle(tmp_path / "b").light() == light
    assert before.items() <= bundle.manifest.files.items()
    assert bundle.exam().images == exam().images


def test_a_light_form_brings_an_older_bundle_to_this_schema(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    without_contract(bundle, 3)
    older = open_bundle(bundle.path)
    assert (older.manifest.schema, older.exam().labels) == (3, ())
    newer = open_bundle(add_light(older, b"light").path)
    assert (newer.manifest.schema, newer.exam().labels) == (6, newer.manifest.labels.names)


def without_contract(bundle: Bundle, schema: int) -> None:
    with np.load(bundle.path / "exam.npz") as stored:
        arrays = {name: stored[name] for name in stored.files if name != "contract"}
    np.savez(bundle.path / "exam.npz", **arrays)
    listed(bundle, "exam.npz", schema=schema, contract="")


def test_a_contract_is_required_since_schema_5(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    without_contract(bundle, 4)
    assert open_bundle(bundle.path).manifest.contract == ""
    without_contract(bundle, 5)
    refused(bundle.path, "differ from those of the self-test: the self-test has none")


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"temperature": 3.5}, "of the self-test: temperature"), ({"contract": "0" * 64}, "their digest differs")],
)
def test_a_manifest_that_differs_from_its_contract_is_refused(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    bundle = make_bundle(tmp_path / "b")
    listed(bundle, **changes)
    assert refused(bundle.path, says).message.endswith(says)


def test_a_command_in_a_bundle_names_no_folders(tmp_path: Path) -> None:
    commands = ("keensight train /srv/mine/insects --run out", 7)
    kept = [
        whole(tmp_path / f"b{i}", provenance={"command": command, "seed": 1}).manifest.provenance
        for i, command in enumerate(commands)
    ]
    assert kept == [{"command": "keensight train insects --run out", "seed": 1}, {"command": 7, "seed": 1}]


def test_the_checks_are_reported_in_order_as_they_pass(tmp_path: Path) -> None:
    bundle = whole(tmp_path / "b")
    told: list[str] = []
    open_bundle(bundle.path, told.append)
    assert tuple(told) == CHECKS
    (bundle.path / "subspace.npz").write_bytes(b"no zip")
    listed(bundle, "subspace.npz")
    told.clear()
    with pytest.raises(StoreError, match=r"subspace\.npz is not a readable zip file"):
        open_bundle(bundle.path, told.append)
    assert told == ["manifest", "files and SHA-256", "model file", "labels, preprocessing and decision rule",
                    "class means"]  # fmt: skip


@pytest.mark.parametrize("name", ["prototypes.npz", "learned.npz", "exam.npz"])
def test_a_damaged_array_file_is_found_by_its_own_check(tmp_path: Path, name: str) -> None:
    bundle = whole(tmp_path / "b")
    (bundle.path / name).write_bytes(b"no zip")
    refused(bundle.path, f"{name} was changed or is damaged: checksum mismatch (SHA-256)")
    listed(bundle, name)
    refused(bundle.path, f"{name} is not a readable zip file")


def test_a_damaged_set_of_measurements_is_found(tmp_path: Path) -> None:
    bundle = add_evaluation(make_bundle(tmp_path / "b"), evaluation(dataset(), split()), MEASURED)
    (bundle.path / "reference.npz").write_bytes(b"no zip")
    listed(bundle, "reference.npz")
    refused(bundle.path, "reference.npz is not a readable zip file")


def test_a_model_that_would_run_code_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    write_model(bundle.model_path, config={"class_name": "Lambda", "module": "keras.layers", "config": {}})
    listed(bundle, "model.keras")
    refused(bundle.path, "would run code")


MIB = 2**20


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("exam.npz", 64 * MIB),
        ("MODEL_CARD.md", 8 * MIB),
        ("prototypes.npz", 256 * MIB),
        ("subspace.npz", 256 * MIB),
        ("learned.npz", 1024 * MIB),
        ("model.tflite", 1024 * MIB),
        ("reference.npz", 64 * MIB),
        ("model.keras", 4096 * MIB),
    ],
)
def test_a_file_larger_than_its_limit_is_not_even_digested(tmp_path: Path, name: str, limit: int) -> None:
    bundle = make_bundle(tmp_path / "b")
    if name not in bundle.manifest.files:
        (bundle.path / name).touch()
        listed(bundle, name)
    with (bundle.path / name).open("wb") as stream:
        stream.truncate(limit + 1)  # sparse: no disk is used
    refused(bundle.path, f"{name} has {limit + 1:,} bytes, more than {limit:,}")


def test_a_file_as_large_as_its_limit_is_digested(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    with bundle.card_path.open("r+b") as stream:
        stream.truncate(8 * MIB)
    refused(bundle.path, "MODEL_CARD.md was changed or is damaged: checksum mismatch")


def test_a_missing_file_and_one_that_is_not_listed_are_named(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    for number in range(7):
        (bundle.path / f"{number}.txt").touch()
    message = refused(bundle.path, "contains files that its manifest does not list: ").message
    assert message.endswith("list: '0.txt', '1.txt', '2.txt', '3.txt', '4.txt'")
    bundle.card_path.unlink()
    bundle.model_path.unlink()
    assert refused(bundle.path, "lacks ").message.endswith("b lacks MODEL_CARD.md, model.keras")


@pytest.mark.parametrize(
    ("name", "says"),
    [("extra.PKL", "a pickle, which can run any code"), ("other.keras", "a model without its labels")],
)
def test_a_listed_file_that_could_do_harm_is_refused(tmp_path: Path, name: str, says: str) -> None:
    bundle = make_bundle(tmp_path / "b")
    (bundle.path / name).touch()
    listed(bundle, name)
    refused(bundle.path, f"{name} is {says}")


@pytest.mark.skipif(os.name != "posix", reason="making links needs rights on Windows")
def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    bundle.card_path.rename(tmp_path / "card.md")
    bundle.card_path.symlink_to(tmp_path / "card.md")
    refused(bundle.path, "MODEL_CARD.md is a link, but a bundle must contain its files")
    bundle.card_path.unlink()
    os.mkfifo(bundle.card_path)  # would be read forever
    refused(bundle.path, "MODEL_CARD.md is not a regular file")


@pytest.mark.parametrize("names", [("ok", "defect"), ("ok", "scratch", "dent")])
def test_a_detector_has_one_score_an_image_and_no_probabilities(tmp_path: Path, names: tuple[str, ...]) -> None:
    limits = {"threshold": 1.0, "patch": 1.0, "rate": 0.05, "images": 40}
    detector = manifest(labels=LabelSet(names), task=Task.ANOMALY, decision={"rule": GAUSSIAN, "limits": limits})
    bundle = write_bundle(tmp_path / "b", manifest=detector, save_model=write_model, exam=exam(1))
    assert open_bundle(bundle.path).exam().probabilities.shape == (2, 1)
    with pytest.raises(StoreError, match=r"the shape \(2, 2\), but the manifest names 1 classes"):
        write_bundle(tmp_path / "c", manifest=detector, save_model=write_model, exam=exam(2))


def test_a_bundle_is_written_to_no_place_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file already exists") as caught:
        make_bundle(tmp_path / "file")
    assert caught.value.hint == "choose another folder; nothing is ever overwritten"


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("model.H5", "an old Keras HDF5 file", "train it with Keensight, or export it from a run"),
        ("photo.jpg", "a file, not the folder of a run or bundle", "train it with Keensight, or export it from a run"),
    ],
)
def test_a_file_is_not_a_bundle_and_its_kind_is_named(tmp_path: Path, name: str, says: str, hint: str) -> None:
    (tmp_path / name).touch()
    assert refused(tmp_path / name, f"{name} is {says}").hint == hint


def test_what_is_not_a_bundle_says_what_it_is(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", f"there is no run or bundle {tmp_path / 'nowhere'}")
    refused(tmp_path, "is neither a run nor a bundle")
    (tmp_path / "saved_model.pb").touch()
    refused(tmp_path, "is a TensorFlow SavedModel, which has no labels")
    bundle = make_bundle(tmp_path / "b")
    assert refused(bundle.model_path, "a model without its labels and preprocessing").hint == "give its folder"


def test_the_folder_of_a_bundle_is_its_own_or_that_of_its_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r")
    assert "wait until it is finished" in (refused(run.path, "has no bundle: its state is created").hint or "")
    run = run.update(state="finished")
    assert refused(run.path, "has no bundle: its state is finished").hint == "train again"
    bundle = make_bundle(run.bundle_path)
    assert bundle_folder(run.path) == bundle_folder(str(bundle.path)) == run.bundle_path


@pytest.mark.skipif(os.name != "posix", reason="making links needs rights on Windows")
@pytest.mark.parametrize("change", [lambda bundle: add_light(bundle, b"light"),
                                    lambda bundle: add_evaluation(bundle, evaluation(dataset(), split()))])  # fmt: skip
def test_a_bundle_behind_a_link_is_changed_in_its_place(tmp_path: Path, change: Callable[[Bundle], Bundle]) -> None:
    bundle = make_bundle(tmp_path / "b")
    (tmp_path / "latest").symlink_to(bundle.path)
    changed = change(open_bundle(tmp_path / "latest"))
    assert changed.path == tmp_path / "latest"
    assert (tmp_path / "latest").is_symlink()
    assert open_bundle(tmp_path / "b").manifest == changed.manifest != bundle.manifest


def test_metrics_are_added_with_the_part_that_they_are_of(tmp_path: Path) -> None:
    measured = dataclasses.replace(evaluation(dataset(), split()), part="val")
    bundle = add_evaluation(make_bundle(tmp_path / "b"), measured)
    assert bundle.manifest.provenance["metrics"]["part"] == "val"
