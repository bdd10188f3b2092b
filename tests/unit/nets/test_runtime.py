import subprocess
import sys

import pytest

from keensight.errors import UsageError

pytestmark = pytest.mark.slow


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_framework_starts_in_silence_while_our_own_messages_go_on():
    code = """
import sys, time
from keensight.nets import runtime
runtime.start_in_background()
while "keras" not in sys.modules: time.sleep(0.01)
print("in between", file=sys.stderr, flush=True)
keras, tensorflow = runtime.framework()
assert runtime.devices()
print("after", file=sys.stderr)
print(keras.__version__)
"""
    done = python(code)
    assert done.stderr == "in between\nafter\n"
    assert done.stdout.startswith("3.")


def test_threads_can_be_limited_before_anything_is_computed():
    code = """
from keensight.nets import runtime
runtime.use_threads(1)
tensorflow = runtime.framework()[1]
tensorflow.zeros(1) + 1
runtime.use_threads(1)
print(tensorflow.config.threading.get_intra_op_parallelism_threads())
"""
    assert python(code).stdout.strip() == "1"


def test_threads_cannot_change_afterwards_and_the_error_says_what_to_do():
    from keensight.nets import runtime

    _, tensorflow = runtime.framework()
    assert float(tensorflow.ones(1)[0]) == 1
    with pytest.raises(UsageError, match="before TensorFlow") as caught:
        runtime.use_threads(173)
    assert "restart" in caught.value.hint


def test_float32_is_computed_as_such_for_a_while_only():
    code = """
from keensight.nets import runtime
enabled = runtime.framework()[1].config.experimental.tensor_float_32_execution_enabled
before = enabled()
with runtime.full_float32():
    during = enabled()
print(before, during, enabled())
"""
    assert python(code).stdout.split() == ["True", "False", "True"]


def test_blocks_of_silence_of_two_threads_may_overlap():
    code = """
import os, sys, threading
from keensight.nets.runtime import silenced
outer, inner = threading.Event(), threading.Event()
def other():
    with silenced():
        outer.set()
        inner.wait()
thread = threading.Thread(target=other)
thread.start()
outer.wait()
with silenced():
    inner.set()
    thread.join()
    os.write(2, b"chatter of a library")
    print("ours", file=sys.stderr, flush=True)
os.write(2, b"crash")
"""
    assert python(code).stderr == "ours\ncrash"
