"""What a check of a bundle found."""

from __future__ import annotations

from dataclasses import dataclass

SELF_TEST = "self-test"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    message: str = ""
    """What is wrong, or what was measured, in one sentence."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a bundle is whole and predicts as when it was trained; checks after one that failed are not made."""

    bundle: str
    """Its folder."""
    checks: tuple[Check, ...]
    worst: float | None = None
    """Largest difference of a probability in the self-test (of an anomaly score, as a fraction of it); None: it was not
    reached, or failed."""

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def damaged(self) -> bool:
        """Whether a file is not what it should be, so that nothing was loaded."""
        return any(not check.ok and check.name != SELF_TEST for check in self.checks)

    def sentence(self) -> str:
        """The verdict."""
        if self.ok:
            return f"{self.bundle} is whole, and predicts as when it was trained"
        what = "is damaged or was changed" if self.damaged else "does not predict as when it was trained"
        return f"{self.bundle} {what}"

    def __repr__(self) -> str:
        return f"<Verification {self.sentence()}>"
