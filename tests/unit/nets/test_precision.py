import json

import pytest

from keensight.nets.precision import choose_precision


def test_what_is_asked_for_is_taken_and_short_trainings_are_not_worth_measuring():
    assert choose_precision("bfloat16", 1.0).name == "bfloat16"
    assert choose_precision("float32", 1e12).reason == "as asked"
    assert choose_precision("auto", 1e6).name == "float32"


@pytest.mark.slow
def test_a_measured_step_decides_and_is_remembered(tmp_path):
    memory = tmp_path / "cache" / "precision.json"
    first = choose_precision("auto", 1e12, memory)
    (machine, seconds), *_ = json.loads(memory.read_text()).items()
    assert 0 < min(seconds.values()) < 60
    assert first.name == ("bfloat16" if seconds["float32"] > 1.15 * seconds["bfloat16"] else "float32")
    memory.write_text(json.dumps({machine: {"float32": 2.0, "bfloat16": 1.0}}))
    assert choose_precision("auto", 1e12, memory).name == "bfloat16"
    memory.write_text(json.dumps({machine: {"float32": 1.0, "bfloat16": 1.0}}))
    assert choose_precision("auto", 1e12, memory).name == "float32"


@pytest.mark.slow
def test_a_damaged_memory_is_measured_anew(tmp_path):
    memory = tmp_path / "precision.json"
    memory.write_text("no json")
    assert choose_precision("auto", 1e12, memory).name in ("float32", "bfloat16")
    assert json.loads(memory.read_text())
