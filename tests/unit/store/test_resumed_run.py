"""What a resumed run does with the records of the process before."""

import dataclasses
from pathlib import Path

import pytest

from keensight.core.progress import Silent
from keensight.core.records import Epoch, History
from keensight.store.run import Run, open_run
from keensight.workflow.resume import resume
from store_builders import make_run


class Said(Silent):
    """Keeps what is said."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def say(self, message: str) -> None:
        self.lines.append(message)


EPOCH = Epoch(1, "train", 5, 0.5, 0.1, 0.7, 0.6, 0.5, 0.4)


def epochs(*numbers: int) -> tuple[Epoch, ...]:
    return tuple(dataclasses.replace(EPOCH, epoch=number, loss=number / 10) for number in numbers)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


def numbers(run: Run) -> list[int]:
    return [epoch.epoch for epoch in open_run(run.path).history.epochs]


def test_an_epoch_that_comes_again_takes_the_place_of_the_earlier_ones(run: Run) -> None:
    for epoch in epochs(1, 2, 3):
        run.append_epoch(epoch)
    run.append_epoch(dataclasses.replace(EPOCH, epoch=2, loss=0.9))
    assert numbers(run) == [1, 2]
    assert run.history.epochs[1].loss == 0.9
    with (run.path / "history.jsonl").open("a") as stream:
        stream.write('{"epoch": 3, "ph')  # a kill in the middle of a line
    run.append_epoch(epochs(3)[0])
    assert numbers(run) == [1, 2, 3]


def test_the_history_is_whole_in_the_end_whatever_was_appended(run: Run) -> None:
    run.append_epoch(epochs(1)[0])
    run.save_history(History(epochs(1, 2, 3), 2, "early"))
    assert run.history == History(epochs(1, 2, 3), 2, "early")
    run.save_history(History((), 0))
    assert (run.path / "history.jsonl").read_text() == ""


def test_results_and_what_is_half_written_go_and_the_rest_stays(run: Run) -> None:
    kept = ["split.csv", "notes.txt", "log.txt", "history.jsonl", ".hidden", "checkpoints/train-1.checkpoint"]
    gone = ["bundle/manifest.json", "evaluation/evaluation.json", "report.html", "labels.json", ".bundle.0a1b/model",
            ".run.json.77", ".report.html.0a"]  # fmt: skip
    for name in (*kept, *gone):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("x")
    run.clear_results()
    left = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert left == {*kept, "run.json", "config.toml"}


def test_a_history_whose_end_is_no_text_is_continued(run: Run) -> None:
    for epoch in epochs(1, 2):
        run.append_epoch(epoch)
    with (run.path / "history.jsonl").open("ab") as stream:
        stream.write(b'{"epoch": 3, \xff\xfe\x80')  # a power cut
    assert numbers(run) == [1, 2]
    run.append_epoch(epochs(3)[0])
    assert numbers(run) == [1, 2, 3]


def test_a_finished_run_without_a_test_is_finished(run: Run) -> None:
    said: list[str] = []
    finished = run.update(state="finished", results={"validation": {"accuracy": 0.5}})
    assert resume(finished.path, progress=Said(said)).record == finished.record
    assert said == [f"the run {run.path} is finished already"]
