"""Requests and images that are refused: why, with which status, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a request or an image is refused: the ``code`` of an error and the label of the metric."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    UNREADABLE = "unreadable"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FILES = "too_many_files"
    MALFORMED = "malformed"
    ENCODED = "unsupported_encoding"
    INVALID = "invalid_parameter"
    NO_TOKEN = "unauthorized"
    SLOW = "slow_upload"
    GONE = "client_gone"
    BUSY = "busy"
    NO_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    STARTING = "starting"
    FAILED = "failed"


STATUS = {
    Reason.EMPTY: 422,
    Reason.NOT_AN_IMAGE: 415,
    Reason.UNREADABLE: 422,
    Reason.TOO_MANY_BYTES: 413,
    Reason.TOO_MANY_PIXELS: 413,
    Reason.TOO_MANY_FILES: 413,
    Reason.MALFORMED: 400,
    Reason.ENCODED: 415,
    Reason.INVALID: 422,
    Reason.NO_TOKEN: 401,
    Reason.SLOW: 408,
    Reason.GONE: 499,
    Reason.BUSY: 429,
    Reason.NO_MEMORY: 503,
    Reason.TIMEOUT: 503,
    Reason.STARTING: 503,
    Reason.FAILED: 500,
}
"""HTTP status of each reason; 499 is never sent, as nobody would read it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What was wrong with a request or an image."""

    reason: Reason
    message: str
    hint: str | None = None
    retry_after: int | None = None
    """Seconds after which the client may try again; None: trying again is pointless."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.reason]


class Rejected(Exception):
    """A request is refused as a whole."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem
