"""Who trains, who validates, who tests: stratified, by content, and never two copies apart.

What is dealt out is a *unit*: all images of one group, and all exact copies of one image, are one unit (groups
that share a copy are joined), and so are images that the caller ties, such as near copies. A unit's place on [0, 1)
is a hash of its group's name, else of the least of its images' digests, and of the seed. So the split depends neither
on order nor on file names, and an image added later moves none of the others, except:

- in a class with fewer than 30 units each part gets about its share of the images (:mod:`.quotas`), for which a unit
  or two may move where an image is added or taken away, or all beyond the quotas where a class passes 30;
- where a class would be missing from a part, the unit nearest to that part's range moves there;
- where the new image joins two units, or, as a near copy, brings the least digest into a unit without groups: that
  unit takes its new place whole. It goes back where the image is taken away again.

Multi-label sets are dealt out by iterative stratification (``data.stratify``), which shifts a few units near the
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
"""With fewer units than this a class is dealt out by quota; by hash alone its parts would vary too much."""

VAL_FROM_TRAIN = 0.10
"""Share of the training images that becomes the validation part where the source gives a test part only."""

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
    """Deal the images out to train, val and test.

    Parts that the source gives are kept as they are, leaks between them included (the audit reports those).
    Images without a part, in a source that gives parts to others, count as training images. Missing parts
    are made from the training images: val as 10 % of them where test is given, test by ``test_share``
    where val is given. A training image with a copy, a tie or a group in a given part stays in train.

    Args:
        dataset: The images; those with an error are in no part.
        exclude: Indices of further images that shall be in no part.
        val_share: Share of val, where neither val nor test is given.
        test_share: Share of test, where it is not given.
        seed: Another seed gives another split.
        ties: Indices of images that stay together, such as near copies.

    Raises:
        UsageError: the shares leave nothing to train on.
        DataError: a class has too few separate images to be in every part, or there is nothing to train on.
    """
    if not (val_share > 0 and test_share > 0 and val_share + test_share < 1):
        raise UsageError(
            f"val_share {val_share} and test_share {test_share} do not fit together",
            "both must be above 0, and their sum below 1",
        )
    samples, barred = dataset.samples, set(exclude)
    usable = [i for i, sample in enumerate(samples) if i not in barred and sample.error is None]
    parts: dict[Part, list[int]] = {"train": [], "val": [], "test": []}
    for i in usable:
        parts[samples[i].split or "train"].append(i)
    if not parts["train"]:
        raise DataError(
            f"{dataset.name} has no readable images to train on", "`keensight inspect` lists what is wrong with them"
        )
    shares = _shares(bool(parts["val"]), bool(parts["test"]), val_share, test_share)
    method = _given_in_words(parts, sum(samples[i].split is None for i in usable))
    if shares:
        made, how = _deal(dataset, parts, shares, seed, ties)
        parts.update(made)
        method = f"{method} {how}".strip()
    return Split(tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]), method)


def _shares(has_val: bool, has_test: bool, val_share: float, test_share: float) -> Shares:
    """The parts to make, in the order of their ranges on [0, 1); what is left over is train."""
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
    given = {token for part in ("val", "test") for i in parts[part] for token in held[i]}
    free: list[Unit] = []
    fixed: list[Unit] = []
    for unit in units:
        tied = given and any(token in given for i in unit.members for token in held[i])
        (fixed if tied else free).append(unit)
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
    kept = [name for name, together in (("near copies", ties), ("groups", grouped)) if together]
    how = f"{dataset.task.noun} by {dataset.task.noun}"
    method = _made_in_words(shares, seed, kept, small, moved, how)
    return {part: sorted(indices) for part, indices in made.items()}, method


def _refuse_small(
    dataset: Dataset, units: Sequence[Unit], free: Sequence[Unit], shares: Shares, *, all_classes: bool
) -> None:
    """A class needs a movable unit for each part that is made, and one that trains.

    Where parts are given, a class without any training image is the source's own doing, for the audit to tell.
    """
    total, movable = units_per_class(units), units_per_class(free)
    classes = dataset.labels.names if all_classes else [name for name in dataset.labels.names if total[name]]
    separate = {name: min(total[name], movable[name] + 1) for name in classes}
    few = [name for name in classes if separate[name] <= len(shares)]
    if few:
        listed = ", ".join(f"{name} ({separate[name]})" for name in few[:20]) + (", ..." if len(few) > 20 else "")
        raise DataError(
            f"{len(few)} of the {len(dataset.labels)} classes have fewer than {len(shares) + 1} separate images, "
            f"too few for train, val and test: {listed}",
            "add images, merge the class with another or remove it; copies of one image, or one group, count once",
        )


def _assign(units: Sequence[Unit], shares: Shares, assigned: dict[str, Part]) -> int:
    """Give each unit its part; returns how many classes are small.

    A unit of several classes is dealt out with the rarest of them.
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
    """Bring each class into each part that is made; returns how many units were moved for it."""
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
                    f"the groups tie the classes together so that {name} cannot be in train, val and test alike",
                    "add images of other groups, or give the parts yourself in a split column",
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
    text = f"{'Train, val and test' if len(given) == 2 else given[0].capitalize()} as given by the source."
    if unassigned:
        text += f" {unassigned} images without a given part are in train or were dealt out with it."
    return text


def _made_in_words(shares: Shares, seed: int, kept: Sequence[str], small: int, moved: int, how: str) -> str:
    """``kept``: what stays together beside exact copies."""
    made = [f"{share:.0%} {part}" for part, share in shares.items()]
    if len(shares) == 2:
        made.append(f"{1 - sum(shares.values()):.0%} train")
    whole = "all images" if len(shares) == 2 else "the training images"
    by = "group (where there is none, content)" if "groups" in kept else "content"
    together = ", ".join(["exact copies", *kept[:-1]]) + (f" and {kept[-1]}" if kept else "")
    text = f"{', '.join(made)} of {whole}, {how}, by a hash of each image's {by} with seed {seed}; "
    text += f"{together} stay together."
    if small:
        text += f" Classes with fewer than {SMALL_CLASS} separate images or groups ({small}) are dealt out by quota."
    if moved:
        text += f" Moved so that each class is in each part: {moved}."
    return text
