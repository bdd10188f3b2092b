"""The settings of a server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from keensight.core.parallel import processors
from keensight.errors import UsageError

LOCAL = ("127.0.0.1", "localhost", "::1")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a server listens, and what it accepts.

    Raises:
        UsageError: a value is out of range.
    """

    name: str
    """Name of the model in addresses and responses."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free port."""
    workers: int = field(default_factory=processors)
    """Threads that decode and predict, each with its own interpreter."""
    max_bytes: int = 32 * _MIB
    """Maximum size of a request's body."""
    max_pixels: int = 64_000_000
    """Maximum width times height of an image, checked in its header."""
    max_files: int = 32
    """Maximum number of images in a request."""
    timeout: float = 30.0
    """Seconds for a request's head, for its body, and for its predictions, each."""
    queue: int = 256
    """Maximum number of images that were accepted and are not predicted yet."""
    drain: float = 2.0
    """Seconds from the stop signal, which ``/readyz`` shows at once, until no connection is accepted."""
    token: str | None = field(default=None, repr=False)
    """What requests must send as ``Authorization: Bearer TOKEN``; None: nothing."""
    log_names: bool = False
    """Whether file names are in the log."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot be a model's name in an address", "use letters, digits, '.', '_' and '-'"
            )
        if self.queue < self.max_files:
            raise UsageError(
                f"a queue of {self.queue} images cannot take a request of {self.max_files}",
                f"set --queue to at least {self.max_files}, or lower --max-files",
            )
        if self.token is not None and (not self.token.isascii() or not self.token.isprintable() or len(self.token) < 8):
            raise UsageError("the token is not a token", "use 8 or more printable ASCII characters without spaces")

    @property
    def is_exposed(self) -> bool:
        """Whether other computers can use the server without a token."""
        return self.token is None and self.host not in LOCAL

    @property
    def memory(self) -> int:
        """Maximum number of bytes of all request bodies that are held at once."""
        return max(8 * self.max_bytes, 64 * _MIB)


def as_name(text: str) -> str:
    """Text as a model's name: other characters become ``-``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:100] or "model"
