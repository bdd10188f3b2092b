"""Names and numbers formatted for people."""

from __future__ import annotations

from collections.abc import Sequence

from keensight.core.interval import Interval
from keensight.core.sanitize import visible

_PROBES = {
    "metadata": "file: size, format, JPEG quality, EXIF",
    "name": "pattern of the file name",
    "bytes": "file size",
    "corners": "corners only",
    "border": "border only",
    "surround": "center masked",
    "centre": "small square in the center",
    "middle": "surroundings masked",
    "thumbnail": "8 x 8 px thumbnail",
    "picture": "16 x 16 px image",
}
_FINDINGS = {
    "absent-class": "class missing from a split",
    "alike": "look-alike images",
    "foreign-names": "file names not in UTF-8",
    "group-leak": "group in several splits",
    "intensity": "more than 8 bits",
    "label-co-occurrence": "label co-occurrence",
    "leak": "data leakage",
    "near-duplicate": "near-duplicate",
    "near-empty-label": "label with few images",
    "near-label-conflict": "label conflict of near-duplicates",
    "near-leak": "data leakage (near-duplicates)",
    "odd-aspect": "unusual aspect ratios",
    "odd-colour": "unusual colors",
    "odd-size": "unusual sizes",
    "similar-classes": "similar class names",
    "skipped": "skipped files",
    "unlabelled": "unlabeled",
    "unusual-mode": "unusual color modes",
    "without-label": "images without a label",
}
"""Kinds of findings that need more than a space in place of a hyphen."""


def probe_name(name: str) -> str:
    """What a shortcut check sees, in a few words."""
    return _PROBES.get(name, name)


def finding_name(kind: str) -> str:
    """The kind of a finding as people read it: ``odd-colour`` as ``unusual colors``."""
    return _FINDINGS.get(kind, kind.replace("-", " "))


def short_names(dotted: Sequence[str], beside: Sequence[str] = ()) -> list[str]:
    """Settings without their section (``train.epochs`` as ``epochs``) where no other and none of ``beside`` is so."""
    bare = [name.partition(".")[2] or name for name in dotted]
    return [one if [*bare, *beside].count(one) == 1 else name for one, name in zip(bare, dotted, strict=True)]


def clean(text: str, encoding: str = "utf-8") -> str:
    """``text`` as a terminal of this encoding can show it: control characters escaped, missing characters as ``?``."""
    return visible(text).encode(encoding, "replace").decode(encoding)


def shorten(text: str, width: int, ellipsis: str = "…") -> str:
    """``text`` in at most ``width`` characters; the middle is cut, as names often differ at their ends."""
    text = clean(text)
    if len(text) <= width:
        return text
    tail = max(1, (width - len(ellipsis)) // 3)
    return text[: max(1, width - len(ellipsis) - tail)] + ellipsis + text[-tail:]


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction between 0 and 1 as ``97.3%``."""
    return f"{100 * fraction:.{digits}f}%"


def plural(n: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``1,234 images``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def ends(measured: Interval) -> str:
    """A confidence interval alone: ``94.2% to 98.4%``."""
    return f"{percent(measured.low)} to {percent(measured.high)}"


def accuracy(measured: Interval, n: int) -> str:
    """``97.3% (95% CI 96.1% to 98.2%, n = 1,024)``."""
    return f"{percent(measured.value)} ({100 * measured.level:.4g}% CI {ends(measured)}, n = {n:,})"


def interval(measured: Interval) -> str:
    """``0.973 (95% CI 0.961 to 0.982)``."""
    return f"{measured.value:.3f} ({100 * measured.level:.4g}% CI {measured.low:.3f} to {measured.high:.3f})"
