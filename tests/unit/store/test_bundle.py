import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from keensight.core.evaluation import Caveat
from keensight.core.files import sha256_file
from keensight.core.records import LabelSet
from keensight.core.verification import contract_digest
from keensight.errors import StoreError
from keensight.store.bundle import SCHEMA, add_evaluation, open_bundle, write_bundle
from keensight.store.model_card import model_card
from store_builders import LABELS, dataset, evaluation, exam, make_bundle, make_run, manifest, split, write_model


def test_a_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    written = make_bundle(tmp_path / "b")
    opened = open_bundle(tmp_path / "b")
    assert opened.manifest == written.manifest
    assert opened.manifest == manifest(files=written.manifest.files, contract=contract_digest(written.manifest))
    assert opened.manifest.labels.names == LABELS.names
    assert opened.model_path.is_file()
    assert sorted(item.name for item in opened.path.iterdir()) == [
        "MODEL_CARD.md", "exam.npz", "manifest.json", "model.keras",
    ]  # fmt: skip
    for name, digest in opened.manifest.files.items():
        assert sha256_file(opened.path / name) == digest
    assert repr(opened) == f"<Bundle {tmp_path / 'b'}: cnn on insects, 3 classes>"


def test_the_exam_comes_back_as_it_was(tmp_path: Path) -> None:
    taken, given = make_bundle(tmp_path / "b").exam(), exam()
    assert taken.names == given.names
    assert taken.images == given.images
    assert taken.probabilities.dtype == np.float32
    np.testing.assert_array_equal(taken.probabilities, given.probabilities)
    assert len(taken) == 2


def test_a_run_opens_as_its_bundle(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r")
    with pytest.raises(StoreError, match=r"has no bundle: its state is \w+$"):
        open_bundle(run.path)
    run.update(state="failed", message="the disk is full")
    with pytest.raises(StoreError, match=r"its state is failed: the disk is full$"):
        open_bundle(run.path)
    make_bundle(run.bundle_path)
    assert open_bundle(str(run.path)).path == run.bundle_path


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    before = (tmp_path / "b" / "manifest.json").read_bytes()
    with pytest.raises(StoreError, match="already exists"):
        make_bundle(tmp_path / "b", name="other")
    assert (tmp_path / "b" / "manifest.json").read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert make_bundle(tmp_path / "empty").manifest.name == "insects"


@pytest.mark.parametrize("error", [RuntimeError("save failed"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def save(path: Path) -> None:
        path.write_bytes(b"half a mod")
        raise error

    with pytest.raises(type(error)):
        write_bundle(tmp_path / "b", manifest=manifest(), save_model=save, exam=exam())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    def save(path: Path) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(StoreError, match="disk is full"):
        write_bundle(tmp_path / "b", manifest=manifest(), save_model=save, exam=exam())
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_opened_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="manifest names 2 classes"):
        make_bundle(tmp_path / "b", labels=LabelSet(("a", "b")))
    assert list(tmp_path.iterdir()) == []


def test_figures_are_added_to_manifest_and_card(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    assert "Not evaluated yet" in bundle.card_path.read_text(encoding="utf-8")
    model = sha256_file(bundle.model_path)
    measured = evaluation(dataset(), split())
    again = add_evaluation(bundle, measured)
    opened = open_bundle(tmp_path / "b")
    assert opened.manifest == again.manifest
    assert opened.manifest.provenance["metrics"]["accuracy"] == measured.accuracy.value
    assert opened.manifest.provenance["seed"] == 7
    assert sha256_file(opened.model_path) == model
    card = opened.card_path.read_text(encoding="utf-8")
    assert f"n = {measured.n}" in card
    assert "Not evaluated yet" not in card
    assert [item.name for item in tmp_path.iterdir()] == ["b"]


def test_a_bundle_that_cannot_take_figures_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(tmp_path / "b")
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if not str(self).endswith(".old") and Path(target) == tmp_path / "b":
            raise OSError(5, "Input/output error")
        return original(self, target)

    monkeypatch.setattr("keensight.core.whole_folders._exchanged", lambda new, place: False)  # as not on Linux
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StoreError, match="Input/output"):
        add_evaluation(bundle, evaluation(dataset(), split()))
    assert open_bundle(tmp_path / "b").manifest == bundle.manifest
    assert [item.name for item in tmp_path.iterdir()] == ["b"]


def test_files_that_systems_leave_behind_do_not_matter(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (bundle.path / name).write_bytes(b"litter")
    assert open_bundle(bundle.path).manifest == bundle.manifest


def test_a_further_file_of_the_manifest_is_checked_too(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    (bundle.path / "model.onnx").write_bytes(b"a light form")
    plain = json.loads((bundle.path / "manifest.json").read_text(encoding="utf-8"))
    plain["files"]["model.onnx"] = sha256_file(bundle.path / "model.onnx")
    (bundle.path / "manifest.json").write_text(json.dumps(plain), encoding="utf-8")
    assert "model.onnx" in open_bundle(bundle.path).manifest.files
    (bundle.path / "model.onnx").write_bytes(b"another")
    with pytest.raises(StoreError, match=r"model\.onnx"):
        open_bundle(bundle.path)


def test_the_schema_written_is_this_versions(tmp_path: Path) -> None:
    assert make_bundle(tmp_path / "b", schema=0).manifest.schema == SCHEMA


def test_a_bundle_of_schema_1_opens_without_class_means(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "b").path / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(plain | {"schema": 1}), encoding="utf-8")
    opened = open_bundle(tmp_path / "b")
    assert opened.manifest.schema == 1
    assert opened.prototypes() is None


def test_figures_leave_an_older_bundle_an_older_one(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "b").path
    with np.load(path / "exam.npz") as stored:
        arrays = {name: stored[name] for name in stored.files if name != "contract"}
    np.savez(path / "exam.npz", **arrays)
    plain = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    files = plain["files"] | {"exam.npz": sha256_file(path / "exam.npz")}
    text = json.dumps(plain | {"schema": 3, "contract": "", "files": files})
    (path / "manifest.json").write_text(text, encoding="utf-8")
    add_evaluation(open_bundle(path), evaluation(dataset(), split()))
    assert (open_bundle(path).manifest.schema, open_bundle(path).manifest.contract) == (3, "")


def test_the_card_tells_what_a_user_must_know() -> None:
    measured = evaluation(dataset(), split())
    card = model_card(manifest(), measured)
    low, high = measured.accuracy.low, measured.accuracy.high
    for told in (
        f"**accuracy {measured.accuracy.value:.1%}** (95% CI {low:.1%} to {high:.1%}; wilson)",
        "(n = 2)", "took no part in training", "| Ñandú |", "bee \\| wasp", "stratified",
        "70 training, 15 validation, 15 test",
        "28 px RGB (pad)", "keensight predict", 'ks.load("THIS_FOLDER")', "always predicts one of its 3 classes",
        "Fewer than 20 test images", "keras 3.15.1",
    ):  # fmt: skip
        assert told in card, told


def test_the_card_says_what_makes_its_figures_doubtful() -> None:
    measured = evaluation(dataset(), split())
    assert "may be wrong" not in model_card(manifest(), measured)
    doubtful = dataclasses.replace(measured, caveats=(Caveat("leak", "12 of 40 *test* images leak.", "Split again."),))
    figures = model_card(manifest(), doubtful).split("## Quantitative analyses")[1].split("## ")[0]
    assert "This result may be wrong:\n\n- 12 of 40 \\*test\\* images leak. Split again." in figures


def test_the_card_survives_class_names_with_markup_and_bare_manifests() -> None:
    names = LabelSet(("<script>alert(1)</script>", "a|b\nc", "*bold*"))
    bare = dataclasses.replace(manifest(), labels=names, provenance={})
    card = model_card(bare, evaluation(dataset(labels=names), split()))
    assert "<script" not in card
    assert "a\\|b c" in card
    assert "\\*bold\\*" in card
    assert card.count("Not recorded.") == 2


def test_a_model_is_saved_by_whoever_knows_how(tmp_path: Path) -> None:
    asked: list[Path] = []

    def save(path: Path) -> None:
        asked.append(path)
        write_model(path)

    write_bundle(tmp_path / "b", manifest=manifest(), save_model=save, exam=exam(), card="# mine\n")
    assert [path.name for path in asked] == ["model.keras"]
    assert (tmp_path / "b" / "MODEL_CARD.md").read_text() == "# mine\n"
