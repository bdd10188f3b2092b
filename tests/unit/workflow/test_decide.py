"""What a run records of its beginning, and how it is found again from elsewhere."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from keensight.core.config import RunConfig
from keensight.core.decisions import Decisions
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.errors import DataError, StoreError
from keensight.store.run import Run
from keensight.workflow import decide, environment
from keensight.workflow.decide import Decider, begun, identity, settings_of, source_of
from keensight.workflow.environment import differences, in_words
from keensight.workflow.resume import reopen
from store_builders import make_run


def data(*digests: str) -> Dataset:
    samples = tuple(Sample(f"{number}.png", "a", digest) for number, digest in enumerate(digests))
    return Dataset("set", "folder", LabelSet(("a",)), samples)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "runs" / "one")


def test_settings_and_places_come_back_from_another_working_directory(tmp_path, run, monkeypatch):
    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    (work / "val.csv").touch()
    (work / "old").mkdir()
    monkeypatch.chdir(work)
    given = RunConfig().with_values(
        {"data.val": "val.csv", "data.test": "gone.csv", "model.weights": "run:old", "train.epochs": 5}
    )
    known = begun(data("x"), given, "photos", run.path)
    assert (known.source, known.folder) == ("../../work/photos", "../../work")
    assert str(tmp_path) not in str(known.settings)
    assert settings_of(run, known) == given
    monkeypatch.chdir(tmp_path)
    moved = settings_of(run, known)
    assert (moved.data.val, moved.data.test) == (os.path.join("work", "val.csv"), "gone.csv")  # noqa: PTH118
    assert moved.model.weights == f"run:{Path('work', 'old')}"
    assert moved.train == given.train
    assert Path(source_of(run, known)) == Path("work", "photos")
    (work / "photos").rmdir()
    with pytest.raises(StoreError, match="not where they were"):
        source_of(run, known)


@pytest.mark.parametrize("absolute", [False, True])
def test_tables_that_were_moved_with_the_source_are_found(tmp_path, run, monkeypatch, absolute):
    work, new = tmp_path / "work", tmp_path / "elsewhere" / "new"
    (work / "tables").mkdir(parents=True)
    (work / "train.csv").touch()
    (work / "tables" / "val.csv").touch()
    monkeypatch.chdir(work)
    val = work / "tables" / "val.csv" if absolute else Path("tables", "val.csv")
    known = begun(
        data("x"), RunConfig().with_values({"data.val": str(val), "data.test": "gone.csv"}), "train.csv", run.path
    )
    new.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    work.rename(new)
    moved = settings_of(run, known, "elsewhere/new/train.csv").data
    assert (Path(moved.val), moved.test) == (Path("elsewhere/new/tables/val.csv"), "gone.csv")
    assert settings_of(run, known).data.val == str(val)
    new.joinpath("tables", "val.csv").unlink()
    assert settings_of(run, known, new / "train.csv").data.val == str(val)


def test_sample_names_and_images_in_memory_are_no_places(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_of(run, begun(data("x"), RunConfig(), "digits", run.path)) == "digits"
    (run.path / "inner").mkdir()
    inner = begun(data("x"), RunConfig(), run.path / "inner", run.path)
    assert inner.source == "./inner"
    with pytest.raises(StoreError, match="in memory"):
        source_of(run, begun(data("x"), RunConfig(), data("x"), run.path))


def test_a_decision_is_recorded_at_once_and_kept(run):
    decider = Decider(run, begun(data("x"), RunConfig(), "digits", run.path))
    decider.note(precision="bfloat16")
    known = run.decisions
    assert known is not None and known.precision == "bfloat16"
    assert Decider(run, known).with_precision(RunConfig()).train.precision == "bfloat16"
    assert Decider(run, dataclasses.replace(known, precision=None)).with_precision(RunConfig()) == RunConfig()


def test_another_order_group_or_split_is_another_image_set():
    both = data("x", "y")
    other = [
        dataclasses.replace(both, samples=both.samples[::-1]),
        dataclasses.replace(both, samples=tuple(dataclasses.replace(one, group="g") for one in both.samples)),
        dataclasses.replace(both, samples=tuple(dataclasses.replace(one, split="val") for one in both.samples)),
        data("x", "z"),
    ]
    assert len({identity(one) for one in (both, *other)}) == 5
    assert identity(both) == identity(data("x", "y"))


def test_changed_images_are_refused_with_what_changed(run, monkeypatch):
    known = begun(data("x", "y"), RunConfig(), "digits", run.path)
    run.save_dataset(data("x", "y"))
    module = sys.modules[reopen.__module__]  # its name is also that of a function
    monkeypatch.setattr(module, "open_source", lambda source, config, progress: (data("x", "z"), ()))
    with pytest.raises(DataError, match="1 changed"):
        reopen(run, known, RunConfig(), None, None)


def test_a_difference_says_what_it_means(monkeypatch):
    here = environment.environment()
    then = Decisions(1, {}, "", {**here, "numpy": "1.0", "CPU count": "64", "openvino": "1"}, threads=2,
                     engine="LiteRT 2")  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = {one.what: one for one in differences(then, device="CPU:0")}
    assert found.keys() >= {"numpy", "CPU count", "openvino"}
    assert found["numpy"].consequence == "the results may differ in their last digits"
    assert "which is used again" in found["openvino"].consequence
    assert found["$OMP_NUM_THREADS"].here == "3"
    told = in_words(tuple(found.values()))
    assert any(line.startswith("numpy: 1.0 in the run") for line in told)
    assert not any(line.startswith("openvino") for line in told)
    assert decide.SCHEMA == 2


def test_other_start_weights_are_a_difference(run, tmp_path, monkeypatch):
    weights = tmp_path / "first.pth"
    weights.write_bytes(b"one")
    config = RunConfig().with_values({"model.weights": str(weights)})
    known = begun(data("x"), config, "digits", run.path)
    assert differences(known, config) == differences(known) == ()
    weights.write_bytes(b"two")
    (found,) = differences(known, config)
    assert (found.what, found.consequence) == (
        "start weights", "the training starts from other weights, so the results are others"
    )  # fmt: skip
    weights.unlink()
    assert [one.here for one in differences(known, config)] == [""]
    assert differences(known) == ()


def test_jax_changes_only_what_workers_have_trained():
    alone = Decisions(1, {}, "", {**environment.environment(), "jax": "0.1"})
    together = dataclasses.replace(alone, workers=2)
    alike, unlike = ({one.what: one for one in differences(run)}["jax"] for run in (alone, together))
    assert "no workers have trained it" in alike.consequence
    assert in_words((alike,)) == [] and len(in_words((unlike,))) == 1


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege on Windows, which resolves '..' by name")
def test_places_are_found_from_a_run_in_a_linked_folder(tmp_path, monkeypatch):
    (tmp_path / "disk" / "deep" / "runs").mkdir(parents=True)
    (tmp_path / "work" / "photos").mkdir(parents=True)
    (tmp_path / "work" / "val.csv").touch()
    monkeypatch.chdir(tmp_path / "work")
    Path("runs").symlink_to(tmp_path / "disk" / "deep" / "runs")
    run = make_run(Path("runs/one"))
    given = RunConfig().with_values({"data.val": "val.csv"})
    known = begun(data("x"), given, "photos", run.path)
    assert source_of(run, known) == "photos"
    monkeypatch.chdir(tmp_path)
    moved = Run(Path("work/runs/one"), run.record)
    assert source_of(moved, known) == "work/photos"
    assert settings_of(moved, known).data.val == "work/val.csv"
