"""Whether a process belongs to a distributed training, also while JAX is still being imported."""

import sys
from types import ModuleType

from keensight.nets.runtime import in_group


def test_a_jax_that_is_being_imported_is_no_group(monkeypatch):
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    assert not in_group()
    begun = ModuleType("jax")
    monkeypatch.setitem(sys.modules, "jax", begun)  # nothing is defined yet
    assert not in_group()
    begun.distributed = ModuleType("jax.distributed")
    assert not in_group()
    begun.distributed.is_initialized = lambda: True
    assert in_group()
