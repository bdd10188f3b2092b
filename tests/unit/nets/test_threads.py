import json

import pytest

from keensight.core.parallel import processors
from keensight.nets.runtime import choose_threads


def test_what_is_asked_for_is_taken():
    assert choose_threads(3) == (3, "as set")


@pytest.mark.slow
@pytest.mark.skipif(processors() < 2, reason="one processor leaves no choice")
def test_a_measurement_decides_and_is_remembered(tmp_path):
    memory = tmp_path / "cache" / "threads.json"
    most, half = processors(), processors() // 2
    chosen, reason = choose_threads(None, memory)
    (machine, rates), *_ = json.loads(memory.read_text()).items()
    assert chosen == (half if rates[str(half)] > 1.05 * rates[str(most)] else most)
    assert str(most) in reason
    memory.write_text(json.dumps({machine: {str(most): 100.0, str(half): 110.0}}))
    assert choose_threads(None, memory)[0] == half
    memory.write_text(json.dumps({machine: {str(most): 100.0, str(half): 104.0}}))
    assert choose_threads(None, memory)[0] == most
    memory.write_text("no json")
    assert choose_threads(None, memory)[0] in (most, half)
