"""Which images of a set are kept, and which are train, val and test.

Every draw orders by a hash of the set's name and the image's path, so that it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from image_sources import Division, Near, Source
from repository import Repository

PARTS = ("train", "val", "test")
GOOD = "good"
"""Label of the normal images of an anomaly set."""


@dataclass(slots=True)
class Picture:
    """A file of the repository that belongs to the set."""

    path: str
    fields: dict[str, str]
    """What the rule's pattern found in the path."""
    label: str = ""
    group: str = ""
    split: str = ""
    mask: str = ""
    copy: bool = False


Pictures = list[Picture]


def order(seed: str, *parts: str) -> str:
    return hashlib.sha256("\0".join((seed, *parts)).encode()).hexdigest()


def by_class(pictures: Iterable[Picture]) -> dict[str, Pictures]:
    classes: dict[str, Pictures] = defaultdict(list)
    for picture in pictures:
        classes[picture.label].append(picture)
    return classes


def distinct(repository: Repository, pictures: Pictures) -> Pictures:
    """Files with the same bytes once, in test before val before train; with different labels not at all."""
    same: dict[str, Pictures] = defaultdict(list)
    for picture in pictures:
        same[repository.hashes.get(picture.path, picture.path)].append(picture)
    rank = {"test": 0, "val": 1}
    kept = [
        min(copies, key=lambda picture: (rank.get(picture.split, 2), picture.path))
        for copies in same.values()
        if len({picture.label for picture in copies}) == 1
    ]
    return sorted(kept, key=lambda picture: picture.path)


def some_classes(pictures: Pictures, n: int, seed: str) -> Pictures:
    kept = set(sorted(by_class(pictures), key=lambda label: order(seed, "class", label))[:n])
    return [picture for picture in pictures if picture.label in kept]


def some(pictures: Pictures, most: int, floor: int, seed: str) -> Pictures:
    """About ``most`` pictures: each class keeps its proportion, classes of up to ``floor`` are whole."""
    if len(pictures) <= most:
        return pictures
    classes = by_class(pictures)

    def sizes(fraction: float) -> dict[str, int]:
        return {name: max(min(len(all_), floor), round(fraction * len(all_))) for name, all_ in classes.items()}

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(sizes(middle).values()) <= most else (low, middle)
    chosen: Pictures = []
    for name, n in sizes(low).items():
        chosen += sorted(classes[name], key=lambda picture: order(seed, "draw", picture.path))[:n]
    return sorted(chosen, key=lambda picture: picture.path)


def fingerprint(data: bytes) -> int:
    """256 bits: is each cell of a 17 by 16 gray thumbnail brighter than the one left of it."""
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.draft("L", (64, 64))
    cells = image.convert("L").resize((17, 16), Image.Resampling.BILINEAR).tobytes()
    brighter = (cells[17 * y + x + 1] > cells[17 * y + x] for y in range(16) for x in range(16))
    return sum(1 << place for place, bit in enumerate(brighter) if bit)


def alike(repository: Repository, pictures: Pictures, bits: int) -> Iterator[tuple[int, int]]:
    """Positions of pictures whose fingerprints differ in at most ``bits``."""
    prints = [fingerprint(repository.read(picture.path)) for picture in pictures]
    for i, one in enumerate(prints):
        for j in range(i):
            if (one ^ prints[j]).bit_count() <= bits:
                yield i, j


def group_near(repository: Repository, pictures: Pictures, near: Near) -> None:
    root = list(range(len(pictures)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i] = root[root[i]]
        return i

    for i, j in alike(repository, pictures, near.bits):
        root[max(find(i), find(j))] = min(find(i), find(j))
    for i, picture in enumerate(pictures):
        picture.group = f"like{find(i):04d}"


def without_near(repository: Repository, pictures: Pictures, near: Near) -> Pictures:
    """Without the training images that have their like in test."""
    test = {i for i, picture in enumerate(pictures) if picture.split == "test"}
    pairs = alike(repository, pictures, near.bits)
    dropped = {j if i in test else i for i, j in pairs if (i in test) != (j in test)}
    return [picture for i, picture in enumerate(pictures) if i not in dropped]


def group_series(pictures: Pictures, pattern: str, gap: int) -> None:
    """Numbers that follow each other with gaps of at most ``gap`` share a group."""

    def number(picture: Picture) -> int:
        found = re.search(pattern, picture.path)
        assert found, picture.path
        return int(found[1])

    last, name = None, ""
    for picture in sorted(pictures, key=lambda picture: (number(picture), picture.path)):
        if last is None or number(picture) - last > gap:
            name = f"series{number(picture):06d}"
        last, picture.group = number(picture), name


def group_people(pictures: Pictures) -> None:
    person, before = 0, -1
    for picture in sorted(pictures, key=lambda picture: int(picture.fields["number"])):
        person += int(picture.label) <= before
        before = int(picture.label)
        picture.group = f"person{person:03d}"


def divide(pictures: Pictures, fractions: Sequence[float], names: Sequence[str], seed: str) -> None:
    """Set each picture's split: whole groups where there are groups, balanced by class."""
    if any(picture.group for picture in pictures):
        _divide_groups(pictures, dict(zip(names, fractions, strict=True)), seed)
    else:
        for same in by_class(pictures).values():
            _divide_class(same, fractions, names, seed)


def _divide_class(same: Pictures, fractions: Sequence[float], names: Sequence[str], seed: str) -> None:
    rest = sorted(same, key=lambda picture: order(seed, "split", picture.path))
    enough = len(same) >= len(names)
    for name, fraction in zip(names[1:], fractions[1:], strict=True):
        n = max(1, round(len(same) * fraction)) if enough else 0
        for picture in rest[:n]:
            picture.split = name
        rest = rest[n:]
    for picture in rest:
        picture.split = names[0]


def _divide_groups(pictures: Pictures, fractions: dict[str, float], seed: str) -> None:
    """The largest group first, each into the split that lacks most of its classes."""
    total = Counter(picture.label for picture in pictures)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for picture in pictures:
        groups[picture.group][picture.label] += 1
    lacks = {name: {label: fraction * n for label, n in total.items()} for name, fraction in fractions.items()}

    def place(group: str) -> str:
        held = groups[group]
        gain = {name: sum(n * lack[label] / total[label] for label, n in held.items()) for name, lack in lacks.items()}
        return max(gain, key=lambda name: (gain[name], order(seed, group, name)))

    placed = {}
    for group in sorted(groups, key=lambda group: (-groups[group].total(), order(seed, "group", group))):
        placed[group] = place(group)
        for label, n in groups[group].items():
            lacks[placed[group]][label] -= n
    for picture in pictures:
        picture.split = placed[picture.group]


def at_most(pictures: Pictures, limits: dict[str, int], part_of: Callable[[Picture], str], seed: str) -> Pictures:
    """At most so many pictures of each part; a part without a limit is kept whole."""
    parts: dict[str, Pictures] = defaultdict(list)
    for picture in pictures:
        parts[part_of(picture)].append(picture)
    return [one for name, part in parts.items() for one in some(part, limits.get(name, len(part)), 0, seed)]


def anomaly_part(picture: Picture) -> str:
    if picture.label != GOOD:
        return "defect"
    return "train" if picture.split == "train" else GOOD


def _at_random(pictures: Pictures, how: Division, seed: str) -> Pictures:
    divide(pictures, how.fractions, PARTS, seed)
    return pictures


def _as_given(pictures: Pictures, how: Division, seed: str) -> Pictures:
    """The splits that paths or rules name."""
    return pictures


def _by_original(pictures: Pictures, how: Division, seed: str) -> Pictures:
    """Train and val: augmented copies, those of one original together. Test: other originals themselves."""
    originals = [picture for picture in pictures if not picture.copy]
    divide(originals, how.fractions, PARTS, seed)
    where = {picture.group: picture.split for picture in originals}
    copies = [picture for picture in pictures if picture.copy and where.get(picture.group) != "test"]
    for picture in copies:
        picture.split = where.get(picture.group, "train")
    return copies + [picture for picture in originals if picture.split == "test"]


def _normal(pictures: Pictures, how: Division, seed: str) -> Pictures:
    """A fraction of the good images is train; all else is test."""
    good = [picture for picture in pictures if picture.label == GOOD]
    divide(good, how.fractions, ("train", "test"), seed)
    for picture in pictures:
        picture.split = picture.split if picture.label == GOOD else "test"
    return pictures


def _objects(pictures: Pictures, how: Division, seed: str) -> Pictures:
    """A fraction of the groups is train, the other groups are test."""
    ranked = sorted({picture.group for picture in pictures}, key=lambda group: order(seed, "group", group))
    train = set(ranked[: round(how.fractions[0] * len(ranked))])
    for picture in pictures:
        picture.split = "train" if picture.group in train else "test"
    return pictures


DIVISIONS: dict[str, Callable[[Pictures, Division, str], Pictures]] = {
    "random": _at_random,
    "given": _as_given,
    "original": _by_original,
    "normal": _normal,
    "object": _objects,
}


def divided(repository: Repository, source: Source, pictures: Pictures) -> Pictures:
    """The pictures with their splits; an anomaly set trains on good ones only."""
    seed, how = source.name, source.division
    if source.near and source.near.action == "group":
        group_near(repository, pictures, source.near)
    pictures = DIVISIONS[how.by](pictures, how, seed)
    if source.near and source.near.action == "drop_train":
        pictures = without_near(repository, pictures, source.near)
    limits = dict(how.most or {})
    if source.task == "anomaly":
        pictures = [picture for picture in pictures if picture.split == "test" or picture.label == GOOD]
        return at_most(pictures, limits, anomaly_part, seed)
    pictures = at_most(pictures, limits, lambda picture: picture.split, seed) if limits else pictures
    if how.val:
        train = [picture for picture in pictures if picture.split == "train"]
        divide(train, (1 - how.val, how.val), ("train", "val"), seed)
    return pictures


def leaking(source: Source, pictures: Pictures) -> Pictures:
    """The same pictures of a set of augmented copies, those of one original in both train and val."""
    copies = [replace(picture, group="") for picture in pictures if picture.copy]
    divide(copies, (0.75, 0.25), ("train", "val"), f"{source.name}leaky")
    return copies + [picture for picture in pictures if not picture.copy]
