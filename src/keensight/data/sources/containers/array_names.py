"""Which of several named arrays are images and which are their labels: in ``.npz``, ``.npy`` and HDF5 files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from keensight.core.records import PARTS, Part
from keensight.core.registry import did_you_mean
from keensight.data.sources.names import natural_key, part_of
from keensight.errors import DataError

Role = Literal["images", "labels"]

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("x", "images", "image", "imgs", "img", "data", "pixels", "pictures", "inputs"), "images"),
    **dict.fromkeys(("y", "labels", "label", "lbl", "target", "targets", "classes", "class"), "labels"),
}  # fmt: skip
_NAMES = frozenset({"class names", "label names", "target names", "names", "classes", "categories", "labels names"})
_SPLITS: dict[str, Part] = {"tr": "train", "te": "test", "tst": "test", "trn": "train"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_JOINED = re.compile(r"(x|y)(train|tr|test|te|val|valid|validation)|(train|test|val|valid|validation)(x|y)")


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """What is known of an array before it is read."""

    shape: tuple[int, ...]
    kind: str
    """NumPy's letter for its type: ``u``, ``i``, ``f``, ``b``, or ``U``, ``S``, ``O`` for text."""
    itemsize: int = 1
    """Bytes of a value."""

    @property
    def size(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.itemsize


@dataclass(frozen=True, slots=True)
class Pairing:
    """The arrays of images and labels of each split; None: there are no splits."""

    pairs: Mapping[Part | None, tuple[str, str]]
    class_names: str | None
    cue: str
    unused: tuple[str, ...]
    """Arrays that are none of these."""


def pair_arrays(arrays: Mapping[str, ArrayShape], source: str, label: str | None = None) -> Pairing:
    """Find images and labels by the names of the arrays, else by their shapes.

    Args:
        arrays: Shape and type of each, by name: ``x_train, y_train, x_test, y_test``, ``train_images, ...``,
            ``images, labels``, ``data, target``, ``X, y``, ``arr_0, arr_1`` and the like.
        source: What they are in, for messages.
        label: The labels' array, where there are several: its name, with or without the split (``fine_labels``).

    Raises:
        DataError: there are no images and labels, or several arrays could be meant.
    """
    if label is not None:
        _require_label(arrays, source, label)
    texts = [name for name, array in arrays.items() if array.kind in "USO" and len(array.shape) == 1]
    class_names = next((name for name in texts if " ".join(_words(name)) in _NAMES and _is_short(name, arrays)), None)
    roles: dict[tuple[Part | None, Role], list[str]] = {}
    for name in arrays:
        role = _role(name, label)
        if name != class_names and role is not None and len(arrays[name].shape) >= (2 if role == "images" else 1):
            roles.setdefault((_split(name), role), []).append(name)
    pairs = {
        part: (_only(images, source, part, "images"), _only(roles[part, "labels"], source, part, "labels"))
        for part in (None, *PARTS)
        if (images := roles.get((part, "images"))) and (part, "labels") in roles
    }
    cue = "by the names of the arrays"
    if not pairs:
        pairs, cue = _by_shape(arrays, source, class_names)
    if len(pairs) > 1:
        pairs.pop(None, None)
    if len(pairs) == 1:
        pairs = {None: next(iter(pairs.values()))}
    used = {name for pair in pairs.values() for name in pair} | {class_names}
    return Pairing(pairs, class_names, cue, tuple(sorted(arrays.keys() - used, key=natural_key)))


def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in _WORDS.findall(name):
        joined = _JOINED.fullmatch(word.lower())
        words += [piece for piece in joined.groups() if piece] if joined else [word.lower()]
    return words


def _split(name: str) -> Part | None:
    return next((part for word in _words(name) if (part := part_of(word) or _SPLITS.get(word))), None)


def _role(name: str, label: str | None) -> Role | None:
    words = [word for word in _words(name) if not (part_of(word) or word in _SPLITS)]
    if label is not None:
        own = name == label or words == _words(label)
        return "labels" if own else "images" if _role(name, None) == "images" else None
    roles = [_ROLES[word] for word in words if word in _ROLES]
    return roles[-1] if roles else None  # image_labels are labels


def _is_short(name: str, arrays: Mapping[str, ArrayShape]) -> bool:
    """Whether a list of texts is shorter than any array of images: names of classes, not labels."""
    lengths = [array.shape[0] for array in arrays.values() if len(array.shape) > 2]
    return all(arrays[name].shape[0] < length for length in lengths) or "names" in name


def _only(found: Sequence[str], source: str, part: Part | None, role: str) -> str:
    if len(found) > 1:
        where = f" of the {part} split" if part else ""
        raise DataError(
            f"{source} has {len(found)} arrays that could be the {role}{where}: {', '.join(found)}",
            "choose the labels with label= (--label), or open the arrays as a pair: ks.open((images, labels))",
        )
    return found[0]


def _require_label(arrays: Mapping[str, ArrayShape], source: str, label: str) -> None:
    if not any(_role(name, label) == "labels" for name in arrays):
        raise DataError(f"{source} has no array {label!r} (label)", did_you_mean(label, list(arrays)))


def _by_shape(
    arrays: Mapping[str, ArrayShape], source: str, class_names: str | None
) -> tuple[dict[Part | None, tuple[str, str]], str]:
    """The one array that can be images and the one of as many labels."""
    images = [name for name, array in arrays.items() if len(array.shape) in (3, 4) and array.kind in "uifb"]
    labels = [
        name
        for name, array in arrays.items()
        if len(array.shape) in (1, 2) and name != class_names and array.shape[0] in {arrays[x].shape[0] for x in images}
    ]
    if len(images) == 1 and len(labels) == 1:
        return {None: (images[0], labels[0])}, f"by shape: only {images[0]} can be images, only {labels[0]} labels"
    listed = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in list(arrays.items())[:12])
    several = len(images) > 1 and len(labels) > 1
    raise DataError(
        f"{source} has {'several arrays that could be images and labels' if several else _NOTHING}; "
        f"it contains: {listed or 'nothing'}",
        "call the arrays x_train, y_train, x_test, y_test, or images and labels",
    )


_NOTHING = "no images and labels under a known name"
