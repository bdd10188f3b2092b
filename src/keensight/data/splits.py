"""Train/validation/test split: stratified, by content, with duplicates and groups kept together.

The split assigns *units*: all images of one group and all exact copies of an image are one unit (groups with a common
copy are joined), and so are images that the caller ties together, such as near-duplicates. A unit's position on [0, 1)
is a hash of the seed and its group's name, or else the smallest of its images' digests. So the split depends neither on
order nor on file names, and an image added later moves none of the others, except:

- in a class with fewer than 30 units each split gets about its fraction of the images (:mod:`.small_classes`), so a
unit or two may move when an image is added or removed, or all beyond the quotas when a class passes 30;
- if a class would be missing from a split, the unit nearest to that split's range moves there;
- if the new image joins two units, or, as a near-duplicate, has the smallest digest of a unit without groups, the whole
unit moves to its new position. It moves back when the image is removed.

Multi-label sets are split by iterative stratification (``data.stratify``), which shifts a few units near the
edges of the parts when images are added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from keensight.core.records import Dataset, Part, Split
from keensight.core.task import Task
from keensight.data.small_classes import fill
from keensight.data.sources.names import natural_key
from keensight.data.stratify import stratify
from keensight.data.units import Unit, make_units, tokens, units_per_class
from keensight.errors import DataError, UsageError

SMALL_CLASS = 30
"""A class with fewer units is split by quota; by hash alone its splits would vary too much in size."""

VAL_FROM_TRAIN = 0.10
"""Fraction of the training images that becomes the validation set if the source predefines only a test set."""

Shares = Mapping[Part, float]


def make_split(
    dataset: Dataset,
    *,
    exclude: Collection[int] = (),
    val_share: float = 0.15,
    test_share: float = 0.15,
    seed: int = 0,
    ties: Sequence[Sequence[int]] = (),
) -> Split:
    """Split the images into training, validation and test set.

    Predefined splits are kept, including leaks between them (the audit reports those). Images without a predefined
    split, in a source that has some, count as training images. Missing splits are made from the training images: val as
    10% of them if test is predefined, test by ``test_share`` if val is predefined. A training image with a copy, a tie
    or a group in a predefined split stays in train.

    Args:
        dataset: The images; those with an error are excluded.
        exclude: Indices of other images to exclude.
        val_share: Fraction of val, if neither val nor test is predefined.
        test_share: Fraction of test, if it is not predefined.
        seed: Another seed gives another split.
        ties: Indices of images that stay together, such as near-duplicates.

    Raises:
        UsageError: the fractions leave nothing to train on.
        DataError: a class has too few independent images to be in every split, or there is nothing to train on.
    """
    if not (val_share > 0 and test_share > 0 and val_share + test_share < 1):
        raise UsageError(
            f"val_share {val_share} and test_share {test_share} are not compatible",
            "both must be greater than 0, and their sum less than 1",
        )
    samples, barred = dataset.samples, set(exclude)
    usable = [i for i, sample in enumerate(samples) if i not in barred and sample.error is None]
    parts: dict[Part, list[int]] = {"train": [], "val": [], "test": []}
    for i in usable:
        parts[samples[i].split or "train"].append(i)
    if not parts["train"]:
        raise DataError(f"{dataset.name} has no readable images to train on", "`keensight inspect` lists the problems")
    shares = _shares(bool(parts["val"]), bool(parts["test"]), val_share, test_share)
    method = _given_in_words(parts, sum(samples[i].split is None for i in usable))
    if shares:
        made, how = _deal(dataset, parts, shares, seed, ties)
        parts.update(made)
        method = f"{method} {how}".strip()
    return Split(tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]), method)


def _shares(has_val: bool, has_test: bool, val_share: float, test_share: float) -> Shares:
    """The splits to make, in the order of their ranges on [0, 1); the rest is train."""
    if has_val and has_test:
        return {}
    if has_test:
        return {"val": VAL_FROM_TRAIN}
    return {"test": test_share} if has_val else {"test": test_share, "val": val_share}


def _deal(
    dataset: Dataset, parts: Mapping[Part, Sequence[int]], shares: Shares, seed: int, ties: Sequence[Sequence[int]]
) -> tuple[dict[Part, list[int]], str]:
    samples = dataset.samples
    held = tokens(samples, ties)
    units = make_units(samples, parts["train"], seed, held)
    given = [*parts["val"], *parts["test"]]
    tied = held.shared_with(given).tolist()
    free: list[Unit] = []
    fixed: list[Unit] = []
    for unit in units:
        (fixed if any(tied[i] for i in unit.members) else free).append(unit)
    assigned: dict[str, Part] = {unit.key: "train" for unit in fixed}
    small = moved = 0
    if dataset.task == Task.MULTILABEL:
        assigned |= stratify(samples, free, _ranges(shares))
    else:
        _refuse_small(dataset, units, free, shares, all_classes=not given)
        small = _assign(free, shares, assigned)
        moved = _repair(units, free, shares, assigned)
    made: dict[Part, list[int]] = {"train": [], **{part: [] for part in shares}}
    for unit in units:
        made[assigned[unit.key]].extend(unit.members)
    grouped = any(samples[i].group is not None for i in parts["train"])
    kept = [name for name, together in (("near-duplicates", ties), ("groups", grouped)) if together]
    how = f"{dataset.task.noun} by {dataset.task.noun}"
    method = _made_in_words(shares, seed, kept, small, moved, how)
    return {part: sorted(indices) for part, indices in made.items()}, method


def _refuse_small(
    dataset: Dataset, units: Sequence[Unit], free: Sequence[Unit], shares: Shares, *, all_classes: bool
) -> None:
    """A class needs a movable unit for each new split, and one for training. With predefined splits, a class without
    training images is reported by the audit instead.
    """
    total, movable = units_per_class(units), units_per_class(free)
    classes = dataset.labels.names if all_classes else [name for name in dataset.labels.names if total[name]]
    separate = {name: min(total[name], movable[name] + 1) for name in classes}
    few = [name for name in classes if separate[name] <= len(shares)]
    if few:
        listed = ", ".join(f"{name} ({separate[name]})" for name in few[:20]) + (", ..." if len(few) > 20 else "")
        raise DataError(
            f"{len(few)} of the {len(dataset.labels)} classes have fewer than {len(shares) + 1} independent images, "
            f"too few for training, validation and test: {listed}",
            "add images, merge the class with another, or remove it; duplicates of an image, or a group, count once",
        )


def _assign(units: Sequence[Unit], shares: Shares, assigned: dict[str, Part]) -> int:
    """Assign each unit to a split; return the number of small classes. A unit of several classes is assigned with the
    rarest of them.
    """
    count = units_per_class(units)
    rank = {name: i for i, name in enumerate(_rarest_first(count))}
    ranges = _ranges(shares)
    by_class: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        by_class[min(unit.classes, key=rank.__getitem__)].append(unit)
    for members in by_class.values():
        if len(members) < SMALL_CLASS:
            assigned |= fill(members, ranges)
        else:
            for unit in members:
                assigned[unit.key] = next(part for part, (low, high) in ranges.items() if low <= unit.place < high)
    return sum(n < SMALL_CLASS for n in count.values())


def _rarest_first(count: Mapping[str, int]) -> list[str]:
    return sorted(count, key=lambda name: (count[name], natural_key(name)))


def _ranges(shares: Shares) -> dict[Part, tuple[float, float]]:
    ranges: dict[Part, tuple[float, float]] = {}
    low = 0.0
    for part, share in shares.items():
        ranges[part] = (low, low + share)
        low += share
    ranges["train"] = (low, float("inf"))
    return ranges


def _repair(units: Sequence[Unit], free: Sequence[Unit], shares: Shares, assigned: dict[str, Part]) -> int:
    """Ensure that each class is in each new split; return the number of units moved for that."""
    ranges = _ranges(shares)
    count: Counter[tuple[Part, str]] = Counter((assigned[unit.key], name) for unit in units for name in unit.classes)
    total = units_per_class(units)
    moved = 0
    for name in _rarest_first(total):
        for part, (low, high) in ranges.items():
            if count[part, name]:
                continue
            spare = [
                unit for unit in free
                if name in unit.classes and all(count[assigned[unit.key], other] > 1 for other in unit.classes)
            ]  # fmt: skip
            if not spare:
                raise DataError(
                    f"the groups tie the classes together so that {name} cannot be in training, validation and test "
                    f"set",
                    "add images of other groups, or set the splits yourself in a split column",
                )
            unit = min(spare, key=lambda u: (max(low - u.place, u.place - high, 0.0), u.key))
            count.subtract((assigned[unit.key], other) for other in unit.classes)
            assigned[unit.key] = part
            count.update((part, other) for other in unit.classes)
            moved += 1
    return moved


def _given_in_words(parts: Mapping[Part, Sequence[int]], unassigned: int) -> str:
    given = [part for part in ("val", "test") if parts[part]]
    if not given:
        return ""
    text = f"{'Train, val and test' if len(given) == 2 else given[0].capitalize()} as predefined in the source."
    if unassigned:
        text += f" {unassigned} images without a predefined split were assigned to or split with the training set."
    return text


def _made_in_words(shares: Shares, seed: int, kept: Sequence[str], small: int, moved: int, how: str) -> str:
    """``kept``: what is kept together besides exact copies."""
    made = [f"{share:.0%} {part}" for part, share in shares.items()]
    if len(shares) == 2:
        made.append(f"{1 - sum(shares.values()):.0%} train")
    whole = "all images" if len(shares) == 2 else "the training images"
    by = "group (or content, without a group)" if "groups" in kept else "content"
    together = ", ".join(["exact copies", *kept[:-1]]) + (f" and {kept[-1]}" if kept else "")
    text = f"{', '.join(made)} of {whole}, {how}, by a hash of each image's {by} with seed {seed}; "
    text += f"{together} stay together."
    if small:
        text += f" Classes with fewer than {SMALL_CLASS} independent images or groups ({small}) are split by quota."
    if moved:
        text += f" Moved so that each class is in every split: {moved}."
    return text
