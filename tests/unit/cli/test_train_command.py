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
