import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from keensight.assess.abstention import measure
from keensight.assess.metrics import report_text
from keensight.assess.slices import find_slices
from keensight.core.audit import AuditReport, Finding
from keensight.core.codec import to_plain
from keensight.core.files import write_json
from keensight.core.labels import AccuracyRange, ClassNoise, Correction, LabelSuspects, Suspect
from keensight.core.predictions import Decision
from keensight.core.records import Epoch, History, Skipped, split_digest
from keensight.core.task import Task
from keensight.errors import StoreError
from keensight.store.run import SCHEMA, Run, as_argument, is_run, list_runs, open_run, scan_runs
from store_builders import LABELS, dataset, evaluation, make_run, split

EPOCH = Epoch(1, "train", 10, 2.5, 0.05, 1.0, 0.5, 0.9, 0.6)
AUDIT = AuditReport(
    dataset="insects", n=12, counts={"Ñandú": 4, "ant": 5, "bee | wasp": 3}, parts={}, formats={"JPEG": 11},
    modes={"RGB": 11}, sizes={"640x480": 8, "100x100": 3}, width_range=(100, 640, 640), height_range=(100, 480, 480),
    grey_share=0.25, findings=(Finding("duplicate", "warning", "2 copies", 2, (("a.jpg", "b.jpg"),)),),
    quarantined=(Skipped("ant/broken.jpg", "the file is empty"),),
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "r")


def test_a_new_run_says_what_it_is(run: Run) -> None:
    assert sorted(item.name for item in run.path.iterdir()) == ["config.toml", "run.json"]
    record = open_run(run.path).record
    assert record == run.record
    assert (record.state, record.name, record.seed, record.schema) == ("created", "r", 7, SCHEMA)
    assert run.config_path.read_text() == "[train]\nepochs = 3\n"


def test_names_of_their_own_even_within_one_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [make_run(None, name="My Photos/2024: ñ") for _ in range(4)]
    assert len({run.path for run in runs}) == 4
    for run in runs:
        assert run.path.parent == Path("runs")
        assert run.path.name.startswith("My-Photos-2024-ñ-2")
    assert make_run(None, name="///").path.name.startswith("run-")


def test_an_existing_run_or_folder_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="contains a run already") as caught:
        make_run(run.path)
    assert caught.value.exit_code == 1
    assert "--run" in (caught.value.hint or "")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("important")
    with pytest.raises(StoreError, match="not empty"):
        make_run(tmp_path / "mine")
    with pytest.raises(StoreError, match="is a file"):
        make_run(tmp_path / "mine" / "thesis.txt")
    (tmp_path / "empty").mkdir()
    assert make_run(tmp_path / "empty").record.state == "created"


RACER = """
import sys, time
from pathlib import Path
from keensight.errors import StoreError
from keensight.store.create_run import create_run
for number in range(50):
    while time.time() < float(sys.argv[2]) + 0.02 * number:
        pass
    try:
        create_run(Path(sys.argv[1]) / str(number), name="r", source="s", model="m", command=sys.argv[3], seed=0,
                   versions={}, config_toml="")
        print(number)
    except StoreError as error:
        assert "already" in error.message, error.message
"""


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_of_two_processes_that_ask_for_one_folder_one_gets_it(tmp_path: Path, there: bool) -> None:
    for number in range(50):
        if there:
            (tmp_path / str(number)).mkdir()
    start = str(time.time() + 1.5)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), start, who], stdout=subprocess.PIPE, text=True)
        for who in "ab"
    ]
    won = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(map(int, won[0] + won[1])) == list(range(50))
    for who, numbers in zip("ab", won, strict=True):
        for number in numbers:
            assert open_run(tmp_path / number).record.command == who
            assert {path.name for path in (tmp_path / number).iterdir()} == {"run.json", "config.toml"}


def test_updates_build_on_what_is_on_the_disk(run: Run) -> None:
    run.update(state="training", model="resnet")
    # The first handle is stale now, as it is when an interrupt is caught far up.
    stopped = run.update(state="interrupted", message="stopped by the user")
    assert stopped.record.model == "resnet"
    assert open_run(run.path).record == stopped.record
    assert stopped.record.created == run.record.created


def test_results_may_hold_numpy_numbers(run: Run) -> None:
    run.update(state="finished", results={"test": {"accuracy": np.float32(0.5), "n": np.int64(4)}})
    assert open_run(run.path).record.results == {"test": {"accuracy": 0.5, "n": 4}}


def test_a_failing_write_leaves_the_old_record(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="disk is full"):
            run.update(state="finished")
    assert open_run(run.path).record.state == "created"
    assert sorted(item.name for item in run.path.iterdir()) == ["config.toml", "run.json"]


def test_every_record_comes_back_as_it_was(run: Run) -> None:
    data, parts = dataset(), split()
    measured = evaluation(data, parts)
    history = History((EPOCH, dataclasses.replace(EPOCH, epoch=2, val_loss=0.7)), 2, "early")
    run.save_dataset(data)
    run.save_audit(AUDIT)
    run.save_split(parts, data)
    for epoch in history.epochs:
        run.append_epoch(epoch)
    run.save_history(history)
    run.save_evaluation(measured, report_text(measured))
    again = open_run(run.path)
    assert again.dataset == data
    assert again.dataset.digest == data.digest
    assert again.audit == AUDIT
    assert list(again.audit.sizes) == ["640x480", "100x100"]
    assert list(again.audit.counts) == ["Ñandú", "ant", "bee | wasp"]
    assert again.split == parts
    assert again.history == history
    assert again.evaluation == measured.figures
    predictions = again.predictions
    assert predictions == measured.predictions
    np.testing.assert_array_equal(predictions.probabilities, measured.predictions.probabilities)
    assert (run.path / "evaluation" / "report.txt").read_text(encoding="utf-8") == report_text(measured)


def test_learned_digests_are_those_of_train_and_val(run: Run) -> None:
    data, parts = dataset(), split()
    run.save_split(parts, data)
    learned = {data.samples[i].digest for i in (*parts.train, *parts.val)}
    assert run.learned_digests() == learned
    assert data.samples[parts.test[0]].digest not in learned


def test_history_of_a_run_that_broke_off(run: Run) -> None:
    for number, loss in ((1, 0.9), (2, 0.5), (3, 0.6)):
        run.append_epoch(dataclasses.replace(EPOCH, epoch=number, val_loss=loss))
    with (run.path / "history.jsonl").open("a") as stream:
        stream.write('{"epoch": 4, "phase": "tr')  # a kill in the middle of a line
    history = run.history
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3]
    assert (history.best_epoch, history.stopped) == (2, "interrupted")


def test_a_loss_that_is_no_number_is_valid_json(run: Run) -> None:
    run.append_epoch(dataclasses.replace(EPOCH, val_loss=math.nan))
    line = (run.path / "history.jsonl").read_text()
    assert json.loads(line)["val_loss"] is None
    assert math.isnan(run.history.epochs[0].val_loss)


def test_the_log_has_a_time_and_one_line_a_message(run: Run) -> None:
    run.log("two\nlines")
    run.log("odd \udcff name")
    first, second = (run.path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert first.endswith("Z two lines")
    assert second.endswith("odd \\udcff name")


def test_what_is_not_there_yet_is_said_with_the_state(run: Run) -> None:
    run = run.update(state="failed", message="the loss became nan")
    for name in ("dataset", "audit", "split", "history", "evaluation", "predictions"):
        with pytest.raises(StoreError, match="its state is failed: the loss became nan") as caught:
            getattr(run, name)
        assert caught.value.hint == run.next_step


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no schema number"),
        ('{"schema": true}', "no schema number"),
        ('{"schema": 1, "name": "x"}', "'state' is missing"),
        ("[" * 100_000, "not valid JSON"),
        ('{"schema": 99, "future": 1}', "newer Keensight"),
    ],
)
def test_broken_records_are_refused_and_listed_apart(run: Run, text: str, says: str) -> None:
    good = make_run(run.path.parent / "good")
    (run.path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=says) as caught:
        open_run(run.path)
    assert str(run.path) in caught.value.message
    assert caught.value.hint
    runs, broken = scan_runs(run.path.parent)
    assert [found.path for found in runs] == [good.path]
    assert [item.path for item in broken] == [run.path.name]
    assert says in broken[0].reason


@pytest.mark.parametrize("change", [{"state": "dreaming"}, {"results": []}, {"seed": "7"}, {"message": None}])
def test_a_field_of_another_type_is_refused(run: Run, change: dict[str, object]) -> None:
    plain = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(plain | change))
    with pytest.raises(StoreError, match=next(iter(change))):
        open_run(run.path)


def test_keys_of_a_later_version_are_ignored(run: Run) -> None:
    plain = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(plain | {"added_later": 1}))
    assert open_run(run.path).record == run.record


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for name, created in (("a", "2024-01-01T00:00:00Z"), ("b", "2026-01-01T00:00:00Z"), ("c", "2025-01-01T00:00:00Z")):
        run = make_run(tmp_path / name)
        plain = json.loads((run.path / "run.json").read_text())
        (run.path / "run.json").write_text(json.dumps(plain | {"created": created}))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("no run")
    assert [run.path.name for run in list_runs(tmp_path)] == ["b", "c", "a"]
    assert list_runs(tmp_path / "nowhere") == []
    with pytest.raises(StoreError):
        list_runs(tmp_path / "notes.txt")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    assert not is_run(tmp_path)
    with pytest.raises(StoreError, match="is not a run"):
        open_run(tmp_path)
    with pytest.raises(StoreError, match="there is no run"):
        open_run(tmp_path / "nowhere")


def test_a_run_shows_its_headline(run: Run) -> None:
    assert "created: cnn, on insects" in repr(run)
    test = {"accuracy": 0.9512, "accuracy_ci": [0.94, 0.96], "n": 1500}
    finished = run.update(state="finished", results={"test": test})
    assert "test accuracy 0.9512 (95% CI 0.9400 to 0.9600, n = 1,500)" in repr(finished)
    without = {"test": {"accuracy": None, "accuracy_ci": None, "n": None}}
    assert "test accuracy" not in repr(run.update(results=without))
    assert "the disk is full" in repr(run.update(state="failed", message="the disk is full", results={}))


def test_odd_names_do_not_crash(run: Run) -> None:
    data, parts = dataset(), split()
    odd = dataclasses.replace(data.samples[-2], path="odd \udcff\x01\n.jpg", metadata={"file": "\udcfe"})
    data = dataclasses.replace(data, samples=(*data.samples[:-2], odd, data.samples[-1]))
    measured = evaluation(data, parts)
    run.save_dataset(data)
    run.save_split(parts, data)
    run.save_evaluation(measured)
    run.save_audit(dataclasses.replace(AUDIT, quarantined=(Skipped(odd.path, "odd"),)))
    assert run.dataset.samples[-2].path == "odd \\udcff\x01\n.jpg"
    assert run.dataset.samples[-2].metadata == {"file": "\udcfe"}
    assert run.split == parts
    assert run.predictions.paths[-1] == "odd \\udcff\x01\n.jpg"
    assert run.audit.quarantined[0].path == odd.path


def test_a_run_is_opened_without_heavy_imports(run: Run) -> None:
    import subprocess

    code = (
        "import sys, pathlib; from keensight.store.run import list_runs\n"
        f"assert list_runs(pathlib.Path({str(run.path.parent)!r}))\n"
        "print([m for m in ('pandas', 'pyarrow', 'sklearn', 'matplotlib', 'keras', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_suspects_and_corrections_come_back_as_they_were_saved(run: Run) -> None:
    assert run.label_suspects is None
    assert run.applied_corrections == ()
    suspect = Suspect('bild 3, "é".jpg', "ab" * 32, "val", "ant", "Ñandú", 0.0125, 0.75)
    found = LabelSuspects(
        11, "by hand", 0.9, 0.02, (suspect,), (ClassNoise("ant", 5, 1, 0.1, "Ñandú"),), AccuracyRange(4, 0, 1, 1, 1, 1)
    )
    run.save_label_suspects(found)
    assert run.label_suspects == found
    lines = (run.path / "suspects.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,digest,part,given,suggested,score,probability"
    assert lines[1].endswith(",val,ant,Ñandú,0.012500,0.750000")
    decisions = (Correction("a.jpg", "cd" * 32, "ant", "drop", ""),)
    run.save_corrections(decisions)
    assert run.applied_corrections == decisions


def test_a_run_that_was_removed_is_not_begun_again(tmp_path):
    run = make_run(tmp_path / "run")
    shutil.rmtree(run.path)
    for write in (lambda: run.log("on"), lambda: run.save_config(""), lambda: run.update(state="failed")):
        with pytest.raises(StoreError, match="run"):
            write()
    assert not run.path.exists()


def test_the_places_of_a_run_are_in_its_folder(run: Run) -> None:
    places = {
        run.config_path: "config.toml", run.bundle_path: "bundle", run.report_path: "report.html",
        run.heatmaps_path: "evaluation/heatmaps.zip", run.pictures_path: "evaluation/pictures.zip",
    }  # fmt: skip
    assert {path.relative_to(run.path).as_posix() for path in places} == set(places.values())
    assert all(path == run.path / name for path, name in places.items())


def test_a_folder_that_cannot_be_read_hides_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name)

    def guarded(path: Path) -> bool:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return is_run(path)

    monkeypatch.setattr("keensight.store.run.is_run", guarded)
    runs, broken = scan_runs(tmp_path)
    assert [run.path.name for run in runs] == ["b"]
    assert broken == [Skipped("a", f"{tmp_path / 'a'} cannot be read: Permission denied")]


def test_the_record_that_a_shell_completes_is_no_run_but_its_folder_is(run: Run) -> None:
    with pytest.raises(StoreError, match="is not a run, but the record of one") as caught:
        open_run(run.path / "run.json")
    assert caught.value.hint == f"give its folder: {run.path}"


def test_a_record_of_more_than_8_mib_is_not_even_read(run: Run) -> None:
    with (run.path / "run.json").open("r+b") as stream:
        stream.truncate(8 * 2**20 + 1)  # sparse: no disk is used
    with pytest.raises(StoreError, match=r"run\.json is larger than 8,388,608 bytes"):
        open_run(run.path)


def test_a_refused_folder_names_the_command_that_lists_runs(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "nowhere", "there is no run"), (tmp_path, "is not a run: it has no run.json")):
        with pytest.raises(StoreError, match=says) as caught:
            open_run(path)
        assert caught.value.hint == "`keensight runs` lists the runs there are"
    (tmp_path / "run.txt").touch()
    with pytest.raises(StoreError, match="is not a run: it has no"):
        open_run(tmp_path / "run.txt")
    with pytest.raises(StoreError, match=r"run\.txt cannot be read: ") as caught:
        list_runs(tmp_path / "run.txt")
    assert caught.value.hint == "give a folder of runs"


def test_of_a_finished_run_a_missing_file_is_to_be_restored(run: Run) -> None:
    with pytest.raises(StoreError, match=r"has no audit\.json: its state is finished$") as caught:
        _ = run.update(state="finished").audit
    assert caught.value.hint == "restore the file, or train again"


def test_runs_of_one_second_are_listed_by_name_the_last_first(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        record = dataclasses.replace(make_run(tmp_path / name).record, created="2026-01-01T00:00:00Z")
        write_json(tmp_path / name / "run.json", to_plain(record))
    assert [found.path.name for found in list_runs(tmp_path)] == ["c", "b", "a"]


def test_the_time_of_a_record_is_in_utc_and_a_message_has_it_too(run: Run) -> None:
    made = datetime.strptime(run.record.created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(seconds=-2) < datetime.now(UTC) - made < timedelta(minutes=10)
    run.log("on")
    stamp, _, text = (run.path / "log.txt").read_text().partition(" ")
    assert datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) >= made
    assert text == "on\n"


def test_an_update_keeps_what_it_does_not_name(run: Run) -> None:
    first = run.update(state="training", message="on", results={"test": {"n": 3}})
    assert run.update().record == dataclasses.replace(first.record, updated=run.update().record.updated)
    emptied = run.update(message="", results={}).record
    assert (emptied.state, emptied.message, emptied.results, emptied.model) == ("training", "", {}, "cnn")


def test_a_run_that_was_removed_meanwhile_says_so(run: Run) -> None:
    shutil.rmtree(run.path)
    with pytest.raises(StoreError, match=f"the run {run.path} was removed while it was written") as caught:
        run.log("on")
    assert caught.value.hint == "train again"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_the_size_of_a_run_is_that_of_its_files_and_links_not_of_what_they_point_to(run: Run, tmp_path: Path) -> None:
    before = run.bytes
    assert before == sum((run.path / name).stat().st_size for name in ("run.json", "config.toml"))
    (run.path / "deep" / "er").mkdir(parents=True)
    (run.path / "deep" / "er" / "x").write_bytes(b"x" * 100)
    (tmp_path / "large").write_bytes(b"x" * 10_000)
    (run.path / "link").symlink_to("../large")
    assert run.bytes == before + 100 + len("../large")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_of_results_that_are_links_the_links_are_deleted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.keras").write_bytes(b"x")
    (run.path / "bundle").symlink_to(tmp_path / "elsewhere")
    (run.path / "report.html").symlink_to("nowhere")
    (run.path / ".evaluation.0a").symlink_to(tmp_path / "elsewhere")
    run.clear_results()
    assert sorted(item.name for item in run.path.iterdir()) == ["config.toml", "run.json"]
    assert (tmp_path / "elsewhere" / "model.keras").read_bytes() == b"x"


def test_only_what_is_half_written_goes_before_a_training_is_continued(run: Run) -> None:
    for name in (".split.csv.1", ".history.jsonl.2", "report.html", ".split.csv"):
        (run.path / name).touch()
    run.clear_half_written()
    left = sorted(item.name for item in run.path.iterdir())
    assert left == [".split.csv", "config.toml", "report.html", "run.json"]


def test_files_of_a_run_are_readable_text(run: Run) -> None:
    data, parts = dataset(), split()
    run.save_split(parts, data)
    made = json.loads((run.path / "split.json").read_text())
    assert made == {"digest": split_digest(parts, data), "method": parts.method}
    run.save_audit(AUDIT)
    text = (run.path / "audit.json").read_text(encoding="utf-8")
    assert text.startswith('{\n "dataset": "insects",\n "n": 12,\n "counts": {\n  "Ñandú": 4,')
    assert text.endswith("\n}\n")
    with pytest.raises(ValueError, match="JSON"):
        run.save_audit(dataclasses.replace(AUDIT, grey_share=math.nan))
    assert run.audit == AUDIT
    run.save_evaluation(evaluation(data, parts).figures)
    assert sorted(item.name for item in (run.path / "evaluation").iterdir()) == ["confusion.csv", "evaluation.json"]


def test_what_a_run_may_lack_is_none(run: Run) -> None:
    assert (run.slices, run.decisions, run.label_suspects) == (None, None, None)
    assert run.held_out(LABELS, Task.MULTICLASS) is None
    assert run.checkpoints_path == run.path / "checkpoints"


def test_slices_and_held_out_predictions_come_back(run: Run) -> None:
    measured = evaluation(dataset(), split())
    run.save_evaluation(measured)
    found = find_slices(np.arange(60) % 3 > 0, np.zeros(60, int), {"site": ["a"] * 30 + ["b"] * 27 + ["c"] * 3})
    run.save_slices(found)
    assert run.slices == found
    run.save_held_out(measured.predictions)
    again = run.held_out(LABELS, Task.MULTICLASS)
    assert again == measured.predictions
    assert again is not None
    np.testing.assert_array_equal(again.probabilities, measured.predictions.probabilities)


def test_predictions_have_the_rule_that_they_were_measured_with(run: Run) -> None:
    measured = evaluation(dataset(), split())
    rule = Decision(threshold=0.5, target="coverage", asked=0.9, reached=0.9, n=4)
    p, truth = measured.predictions.probabilities, measured.predictions.truth
    assert truth is not None
    run.save_evaluation(dataclasses.replace(measured, abstention=measure(p, truth, rule)))
    assert run.predictions.decision == rule


def test_the_last_epoch_takes_its_own_place_if_it_comes_again(run: Run) -> None:
    for loss in (0.9, 0.8):
        run.append_epoch(dataclasses.replace(EPOCH, loss=loss))
    assert [epoch.loss for epoch in run.history.epochs] == [0.8]


def test_an_interrupted_run_without_an_epoch_has_no_best_one(run: Run) -> None:
    (run.path / "history.jsonl").touch()
    assert run.history == History((), 0, "interrupted")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "this is not valid JSON"),
        (b'{"epoch": NaN}', "this is not valid JSON"),
        (b"\xff", "this is not UTF-8"),
        (b"[1]", ""),
    ],
)
def test_a_damaged_line_of_the_history_is_named(run: Run, line: bytes, says: str) -> None:
    run.append_epoch(EPOCH)
    with (run.path / "history.jsonl").open("ab") as stream:
        stream.write(line + b"\n")
    with pytest.raises(StoreError, match=rf"history\.jsonl, line 2: {says}") as caught:
        _ = run.history
    assert caught.value.hint


def test_an_argument_is_quoted_as_a_shell_needs_it() -> None:
    for name, typed in (("runs/a", "runs/a"), ("my runs/a", "'my runs/a'"), ("-a b", "'./-a b'")):
        assert as_argument(Path(name)) == typed


@pytest.mark.parametrize(
    "results", [{"task": "dreams"}, {"test": {"accuracy": "high"}}, {"test": {"n": 1.5}}, {"data": {"train": "7"}}]
)
def test_results_that_no_list_could_show_are_refused(run: Run, results: dict[str, object]) -> None:
    plain = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(plain | {"results": results}))
    with pytest.raises(StoreError, match="results"):
        open_run(run.path)


def test_rows_of_predictions_that_were_saved_without_them_are_found_by_path(run: Run) -> None:
    data, parts = dataset(), split()
    measured = evaluation(data, parts)
    without = dataclasses.replace(measured.predictions, indices=None)
    run.save_evaluation(dataclasses.replace(measured, predictions=without))
    assert run.predictions.indices is None, "there is no dataset"
    run.save_dataset(data)
    assert run.predictions.indices is not None
    assert run.predictions.indices.tolist() == parts.part("test").tolist()
