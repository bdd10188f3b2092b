"""The search itself: Optuna asked one trial at a time, with a journal that survives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

from keensight.core.decisions import Decisions
from keensight.core.study import SCHEMA, Dimension, StudyRecord, Trial
from keensight.errors import StoreError
from keensight.store.study import Study, create_study
from keensight.workflow.sampler import Sampler

SPACE = (Dimension("train.learning_rate", low=1e-4, high=1e-1), Dimension("train.optimizer", choices=("sgd", "adamw")))


def study(folder: Path, space: tuple[Dimension, ...] = SPACE, **changes: Any) -> Study:
    known = Decisions(1, {"train.seed": 3}, "ab", {})
    record = StudyRecord(
        SCHEMA,
        folder.name,
        "running",
        "2026-01-01T00:00:00Z",
        "photos",
        "",
        "accuracy",
        12,
        None,
        1,
        known,
        space=space,
    )
    return create_study(folder, dataclasses.replace(record, **changes))


def value_of(settings: dict[str, Any]) -> float:
    return 1.0 - abs(settings["train.learning_rate"] - 0.01) - (settings["train.optimizer"] == "sgd") * 0.1


def advance(sampler: Sampler, count: int) -> list[dict[str, Any]]:
    tried = []
    for _ in range(count):
        number = sampler.ask()
        assert number is not None
        tried.append(sampler.settings(number))
        sampler.tell(Trial(number, "", tried[-1], "complete", value_of(tried[-1])))
    return tried


def test_the_first_trial_has_the_defaults_and_a_new_process_draws_what_the_old_one_would_have(tmp_path: Path) -> None:
    defaults = {"train.learning_rate": 0.05, "train.optimizer": "auto"}  # auto is not in the space
    alone = advance(Sampler(study(tmp_path / "alone"), defaults), 8)
    assert alone[0]["train.learning_rate"] == 0.05
    assert len({tuple(one.items()) for one in alone}) == 8
    again = study(tmp_path / "again")
    first = advance(Sampler(again, defaults), 3)
    asked = Sampler(again, defaults).ask()  # the process is killed in this trial
    resumed = Sampler(again, defaults)
    assert resumed.unfinished() == [asked] == [3]
    settings = resumed.settings(3)
    resumed.tell(Trial(3, "", settings, "complete", value_of(settings)))
    assert [*first, settings, *advance(resumed, 4)] == alone


def test_what_a_kill_leaves_of_the_journal_is_repaired(tmp_path: Path) -> None:
    place = study(tmp_path / "first")
    advance(Sampler(place, {}), 2)
    place.journal_path.with_name("journal.log.lock").touch()
    with place.journal_path.open("ab") as file:
        file.write(b'{"op_code":4,"work')
    assert len(advance(Sampler(place, {}), 1)) == 1
    place.journal_path.write_bytes(b"not JSON\n")
    with pytest.raises(StoreError, match=r"journal\.log cannot be read"):
        Sampler(place, {})


def test_trials_that_fall_behind_are_stopped_once_three_are_complete(tmp_path: Path) -> None:
    place = study(tmp_path / "first")
    sampler = Sampler(place, {})
    stopped = []
    for complete, reached in enumerate([0.9, 0.5, 0.5, 0.5, 0.95]):
        number = sampler.ask()
        assert number is not None
        stopped.append(sampler.should_stop(number, reached, 0.2, complete))
        state = "stopped" if stopped[-1] else "complete"
        sampler.tell(Trial(number, "", {}, state, None if stopped[-1] else reached))
    assert stopped == [False, False, False, True, False]


def test_a_lower_accuracy_is_worse_also_where_a_loss_is_searched(tmp_path: Path) -> None:
    sampler = Sampler(study(tmp_path / "first", metric="loss"), {})
    for complete, (reached, loss) in enumerate([(0.9, 0.1), (0.8, 0.2), (0.7, 0.3)]):
        number = sampler.ask()
        assert number is not None and not sampler.should_stop(number, reached, 0.2, complete)
        sampler.tell(Trial(number, "", {}, "complete", loss))
    worse, better = sampler.ask(), sampler.ask()
    assert worse is not None and better is not None
    assert sampler.should_stop(worse, 0.5, 0.2, 3) and not sampler.should_stop(better, 0.95, 0.2, 3)
    assert not sampler.should_stop(worse, 0.1, 1.0, 3), "it is at its end anyway"


def test_a_space_that_was_tried_completely_ends_the_search(tmp_path: Path) -> None:
    sampler = Sampler(study(tmp_path / "first", (Dimension("train.optimizer", choices=("sgd", "adamw")),)), {})
    tried = []
    while (number := sampler.ask()) is not None:
        tried.append(sampler.settings(number)["train.optimizer"])
        sampler.tell(Trial(number, "", {}, "complete", 0.5))
    assert sorted(tried) == ["adamw", "sgd"]


def test_every_combination_of_values_is_tried_before_the_search_ends(tmp_path: Path) -> None:
    space = (
        Dimension("train.epochs", choices=tuple(range(1, 9))),
        Dimension("train.optimizer", choices=("sgd", "adamw")),
    )
    sampler = Sampler(study(tmp_path / "first", space), {})
    tried = set()
    while (number := sampler.ask()) is not None:
        settings = sampler.settings(number)
        tried.add((settings["train.epochs"], settings["train.optimizer"]))
        # One combination is far better, so that the sampler proposes it over and over.
        good = settings == {"train.epochs": 3, "train.optimizer": "sgd"}
        sampler.tell(Trial(number, "", settings, "complete", 0.9 if good else 0.1))
    assert len(tried) == 16


def test_importance_finds_the_setting_that_decides(tmp_path: Path) -> None:
    space = (Dimension("model.dropout", low=0.0, high=0.5), Dimension("augment.shift", low=0.0, high=0.5))
    sampler = Sampler(study(tmp_path / "first", space), {})
    assert sampler.importance() == {}
    for _ in range(12):
        number = sampler.ask()
        assert number is not None
        sampler.tell(Trial(number, "", {}, "complete", sampler.settings(number)["model.dropout"]))
    found = sampler.importance()
    assert list(found) == ["model.dropout", "augment.shift"] and found["model.dropout"] > 0.8
