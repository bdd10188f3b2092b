"""What the headers of a set's images say that users should know before any work begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from keensight.core.openers import missing_extras
from keensight.core.records import Sample

_COMMON = frozenset({"JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "array"})


def image_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Formats, if one is unusual, and images of which only the first frame is used."""
    infos = [sample.info for sample in samples if sample.info is not None]
    formats = Counter(info.format for info in infos)
    several = sum(info.frames > 1 for info in infos)
    notes = []
    if formats.keys() - _COMMON:
        notes.append("formats: " + ", ".join(f"{n:,} {format}" for format, n in formats.most_common()))
    deep = sum(info.mode in ("RGB;16", "RGBA;16") for info in infos)
    if deep:
        notes.append(f"of {deep:,} with 16-bit colors the upper 8 bits of each are read")
    if several:
        notes.append(f"of {several:,} with several frames the first is used")
    return tuple(notes)


def image_warnings(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Images that cannot be read, with numbers and reasons; those that only lack an extra, with what to install."""
    errors = [sample.error for sample in samples if sample.error is not None]
    missing = [sentence.rstrip(".") for sentence in missing_extras(errors)]
    others = [_brief(error) for error in errors if not missing_extras([error])]
    if not others:
        return tuple(missing)
    verb = "image cannot be read" if len(others) == 1 else "images cannot be read"
    said = others[0] if len(set(others)) == 1 else reasons_in_words(others)
    return (*missing, f"{len(others):,} {verb}: {said}")


def reasons_in_words(reasons: Iterable[str]) -> str:
    """Why images cannot be read, with numbers: all reasons if there are one or two, else the most frequent one."""
    counts = Counter(map(_brief, reasons)).most_common()
    if len(counts) <= 2:
        return "; ".join(f"{n:,}: {reason}" for reason, n in counts)
    reason, n = counts[0]
    return f"for example: {reason}" if n == 1 else f"most often, {n:,} times: {reason}"


def _brief(reason: str) -> str:
    """Without details such as a position in the file."""
    return reason.partition(" (")[0]
