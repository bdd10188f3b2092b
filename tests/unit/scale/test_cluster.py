import builtins
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from keensight.errors import DataError, UsageError
from keensight.scale.cluster import cause, check_cpus, connected, installed

NEEDS_RAY = "the extra cluster is not installed"


def test_without_ray_one_sentence_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match="several workers need the package ray") as caught:
        installed()
    assert caught.value.hint == "pip install 'keensight[cluster]'"


@pytest.mark.parametrize(
    ("there", "where", "message", "hint"),
    [
        (1, "this machine", "this machine has 1 CPU, and 3 workers need one each",
         "use --workers 1, or a cluster (--address)"),
        (2, "the cluster at auto", "the cluster at auto has 2 CPUs, and 3 workers need one each", "use --workers 2"),
        (0, "the cluster", "the cluster has 0 CPUs, and 3 workers need one each", "use --workers 1"),
    ],
)  # fmt: skip
def test_more_workers_than_cpus_are_refused(there, where, message, hint):
    with pytest.raises(UsageError) as caught:
        check_cpus(there, 3, where)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    check_cpus(3, 3, where)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_without_a_cluster_is_one_sentence_at_once(scheme):
    pytest.importorskip("ray", reason=NEEDS_RAY)
    address = f"{scheme}127.0.0.1:{free_port()}"
    with pytest.raises(DataError, match=f"no Ray cluster at {address}: ") as caught, connected(address, 1):
        pytest.fail("connected to nothing")
    assert "port" in caught.value.hint


@pytest.mark.parametrize("address", ["", "somewhere", "ray://somewhere", "host:port", "ray://:10001"])
def test_what_is_no_address_is_refused_with_the_forms_that_are(address):
    pytest.importorskip("ray", reason=NEEDS_RAY)
    with pytest.raises(UsageError, match="is not an address of a cluster") as caught, connected(address, 1):
        pytest.fail("connected to nothing")
    assert "host:port" in caught.value.hint


SCRIPT = """
import os, sys
os.environ["RAY_ADDRESS"] = "127.0.0.1:1"
from keensight.scale.cluster import connected
with connected(None, 1):
    import ray
    started = int(ray.cluster_resources()["CPU"])
    for address in (None, "auto", ray.get_runtime_context().gcs_address):
        with connected(address, 1):  # as in a notebook that is connected already
            pass
    print(started, ray.is_initialized())
print(ray.is_initialized(), os.environ["RAY_ADDRESS"])
"""


@pytest.mark.slow
def test_a_local_cluster_has_the_cpus_that_are_asked_for_and_ends_with_the_block_without_a_word():
    pytest.importorskip("ray", reason=NEEDS_RAY)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True, text=True, encoding="utf-8", check=False, env=environment, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 True\nFalse 127.0.0.1:1\n", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ray::Map()\n  File x\nValueError: no such\n\nTo change retry attempts, see", "ValueError: no such"),
        ("ray.exceptions.ActorDiedError: it died\n\tclass_name: Worker", "ray.exceptions.ActorDiedError: it died"),
        ("something else", "something else"),
        ("", "without a word"),
    ],
)
def test_of_the_many_lines_of_an_error_the_one_that_names_it_is_shown(text, told):
    assert cause(text) == told
