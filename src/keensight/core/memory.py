"""A stated amount of memory that all threads of the process share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """So many bytes, no more of which are held at once; whoever finds too few left waits."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until ``amount`` bytes (at most ``total``) are free, and hold them."""
        # One thread at a time waits: small amounts would else slip past a large one for ever.
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._held + amount <= self.total)
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()
