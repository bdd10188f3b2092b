"""``keensight train``, run in this process."""

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_strict_training_is_refused_before_it_begins(answer, photos):
    printed = answer("train", "photos", "--strict", "--run", "run", code=3)
    assert "severe problem" in printed.err
    record = json.loads(Path("run/run.json").read_text(encoding="utf-8"))
    assert record["state"] == "failed"
    assert "severe problem" in record["message"]
    assert not Path("run/bundle").exists()


def test_a_wrong_limit_of_the_cache_is_refused_before_a_run_begins(answer, photos, monkeypatch):
    monkeypatch.setenv("KEENSIGHT_CACHE_LIMIT", "abc")
    assert "KEENSIGHT_CACHE_LIMIT is 'abc'" in answer("train", "photos", "--run", "run", code=2).err
    assert not Path("run").exists()


def test_a_setting_beside_resume_is_refused_by_the_option_it_was_given_with(answer, place):
    Path("a.toml").write_text("[train]\nepochs = 3\n", encoding="utf-8")
    for option, value in (("--set", "train.epochs=3"), ("--config", "a.toml")):
        told = answer("train", "--resume", "run", option, value, code=2).err
        assert told.startswith(f"error: {option} has no effect together with --resume")
