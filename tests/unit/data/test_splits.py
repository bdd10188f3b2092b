"""Dealing images out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from keensight.core.records import PARTS, Dataset, LabelSet, Part, Sample, Split
from keensight.data.splits import SMALL_CLASS, VAL_FROM_TRAIN, make_split
from keensight.errors import DataError, UsageError
from multilabel_builders import labelled


def _sample(
    label: str, digest: str, group: str | None = None, split: Part | None = None, error: str | None = None
) -> Sample:
    return Sample(f"{label}/{digest}-{split}-{group}.png", label, digest, group=group, split=split, error=error)


def _dataset(samples: Sequence[Sample]) -> Dataset:
    return Dataset("set", "folder", LabelSet(tuple(sorted({sample.label for sample in samples}))), tuple(samples))


def _plain(**counts: int) -> Dataset:
    return _dataset([_sample(label, f"{label}{i}") for label, n in counts.items() for i in range(n)])


def _where(data: Dataset, split: Split) -> dict[str, Part]:
    return {data.samples[i].path: part for part in PARTS for i in split.part(part)}


def _count(data: Dataset, split: Split, part: Part) -> Counter[str]:
    return Counter(data.samples[i].label for i in split.part(part))


def test_each_image_is_in_one_part_and_the_shares_are_met() -> None:
    data = _plain(cat=3000, dog=1000)
    split = make_split(data)
    assert sorted(split.train + split.val + split.test) == list(range(4000))
    for part, share in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
        for label, n in (("cat", 3000), ("dog", 1000)):
            spread = 4 * np.sqrt(n * share * (1 - share))  # of a binomial count: four standard deviations
            assert abs(_count(data, split, part)[label] - n * share) < spread  # type: ignore[arg-type]
    assert list(split.train) == sorted(split.train)


def test_neither_order_nor_names_matter_but_the_seed_does() -> None:
    data = _plain(cat=200, dog=20)
    first = {data.samples[i].digest: part for part in PARTS for i in make_split(data).part(part)}
    shuffled = [replace(data.samples[i], path=f"renamed/{i}.png") for i in np.random.default_rng(0).permutation(220)]
    other = _dataset(shuffled)
    assert {other.samples[i].digest: part for part in PARTS for i in make_split(other).part(part)} == first
    assert {data.samples[i].digest: part for part in PARTS for i in make_split(data, seed=1).part(part)} != first


def test_new_images_move_no_old_one_in_classes_of_some_size() -> None:
    few, more = _plain(cat=100, dog=60), _plain(cat=400, dog=90, emu=50)
    before, after = _where(few, make_split(few)), _where(more, make_split(more))
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize(("n", "expected"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (10, (6, 2, 2)), (20, (14, 3, 3))])
def test_small_classes_get_exact_shares(n: int, expected: tuple[int, int, int]) -> None:
    data = _plain(big=500, small=n)
    split = make_split(data)
    assert tuple(_count(data, split, part)["small"] for part in PARTS) == expected
    assert f"fewer than {SMALL_CLASS} independent images or groups (1)" in split.method


def test_groups_of_unequal_size_fill_the_shares_by_images() -> None:
    sizes = [400, 300, 200, 60, 50, 40, 30, 20, 20, 10, 10]
    data = _dataset([_sample("ab"[i % 2], f"{g}-{i}", group=f"g{g}") for g, n in enumerate(sizes) for i in range(n)])
    for seed in range(8):
        split = make_split(data, seed=seed)
        assert 0.08 < len(split.val) / len(data) <= 0.225
        assert 0.08 < len(split.test) / len(data) <= 0.225


def test_classes_too_small_are_listed_together() -> None:
    data = _dataset([*_plain(ant=50, bee=2, cow=1).samples, _sample("bee", "bee0"), _sample("bee", "bee1")])
    with pytest.raises(DataError, match=r"2 of the 3 classes .* too few .*: bee \(2\), cow \(1\)") as caught:
        make_split(data)
    assert "merge" in (caught.value.hint or "")


def test_unreadable_and_excluded_images_are_in_no_part() -> None:
    data = _plain(cat=50, dog=50)
    data = replace(data, samples=(*data.samples, _sample("cat", "", error="the file is empty (0 bytes)")))
    split = make_split(data, exclude={0, 7})
    assert set(range(101)) - {*split.train, *split.val, *split.test} == {0, 7, 100}


def test_a_class_of_unreadable_images_is_too_small() -> None:
    data = _plain(cat=50, dog=50)
    with pytest.raises(DataError, match=r"dog \(0\)"):
        make_split(data, exclude=range(50, 100))


def test_copies_and_groups_are_never_torn_apart() -> None:
    rng = np.random.default_rng(5)
    samples = [
        _sample(
            f"c{rng.integers(4)}",
            f"d{rng.integers(900)}",
            group=None if rng.random() < 0.5 else f"g{rng.integers(250)}",
        )
        for _ in range(2000)
    ]
    data = _dataset(samples)
    split = make_split(data)
    for key in ("digest", "group"):
        parts: dict[str, set[Part]] = {}
        for part in PARTS:
            for i in split.part(part):
                if (value := getattr(data.samples[i], key)) is not None:
                    parts.setdefault(value, set()).add(part)
        assert all(len(found) == 1 for found in parts.values())
    assert sorted(split.train + split.val + split.test) == list(range(2000))


def test_given_parts_are_kept_leaks_included() -> None:
    given: list[Part] = ["train", "train", "val", "test", "test"]
    data = _dataset([_sample("ab"[i % 2], "same" if i in (0, 3) else f"d{i}", split=p) for i, p in enumerate(given)])
    split = make_split(data)
    assert (split.train, split.val, split.test) == ((0, 1), (2,), (3, 4))
    assert split.method == "Train, val and test as predefined in the source."


def test_val_is_made_of_train_where_only_test_is_given() -> None:
    train = [_sample("ab"[i % 2], f"d{i}", split="train") for i in range(2000)]
    data = _dataset([*train, *(_sample("ab"[i % 2], f"t{i}", split="test") for i in range(100))])
    split = make_split(data, val_share=0.3)
    assert split.test == tuple(range(2000, 2100))
    assert abs(len(split.val) / 2000 - VAL_FROM_TRAIN) < 0.03
    assert "Test as predefined in the source. 10% val of the training images" in split.method


def test_test_is_made_of_train_where_only_val_is_given() -> None:
    train = [_sample("ab"[i % 2], f"d{i}", split="train") for i in range(1000)]
    data = _dataset([*train, *(_sample("ab"[i % 2], f"v{i}", split="val") for i in range(100))])
    split = make_split(data, test_share=0.2)
    assert split.val == tuple(range(1000, 1100))
    assert abs(len(split.test) / 1000 - 0.2) < 0.05
    assert "Val as predefined in the source. 20% test of the training images" in split.method


def test_images_without_a_part_train_where_others_have_one() -> None:
    data = _dataset([_sample("ab"[i % 2], f"d{i}", split="test" if i < 100 else None) for i in range(400)])
    split = make_split(data)
    assert split.test == tuple(range(100))
    assert len(split.train) + len(split.val) == 300 and len(split.val) > 10
    assert "300 images without a predefined split" in split.method


def test_a_train_part_alone_is_split_like_any_set() -> None:
    data = _dataset([_sample("ab"[i % 2], f"d{i}", split="train") for i in range(400)])
    plain = _dataset([replace(sample, split=None) for sample in data.samples])
    assert make_split(data) == make_split(plain)


def test_what_is_tied_to_a_given_part_is_not_moved_into_another() -> None:
    # Copies of test images stand in train: in a val made of train they would flatter that as well.
    train = [_sample("ab"[i % 2], f"d{i}", split="train") for i in range(400)]
    test = [_sample("ab"[i % 2], f"d{i}", split="test") for i in range(100)]
    split = make_split(_dataset([*train, *test]))
    assert set(range(100)) <= set(split.train)
    assert len(split.val) > 10


def test_a_class_in_the_given_test_part_only_does_not_stop_the_split() -> None:
    samples = [_sample("ab"[i % 2], f"d{i}", split="train") for i in range(100)]
    data = _dataset([*samples, _sample("c", "x", split="test")])
    assert make_split(data).test == (100,)


def test_nothing_to_train_on() -> None:
    data = _dataset([_sample("ab"[i % 2], f"d{i}", split="test") for i in range(10)])
    with pytest.raises(DataError, match="no readable images to train on"):
        make_split(data)


def test_groups_that_tie_all_classes_together() -> None:
    whole = [_sample(label, f"{label}{g}", group=f"g{g}") for g in range(9) for label in "abc"]
    split = make_split(_dataset(whole))
    assert all(len(_count(_dataset(whole), split, part)) == 3 for part in PARTS)
    # Two units hold all of a, b and c between them, each with two others: no three of them can be set apart.
    knot = [("a", "1"), ("b", "1"), ("a", "2"), ("c", "2"), ("b", "3"), ("c", "3"), ("a", "4"), ("b", "5"), ("c", "6")]
    tied = make_split(_dataset([_sample(label, f"{label}{g}", group=g) for label, g in knot]))
    assert len(tied.train) + len(tied.val) + len(tied.test) == 9


@pytest.mark.parametrize(("val", "test"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5), (-0.1, 0.2), (0.7, 0.4)])
def test_shares_that_do_not_fit(val: float, test: float) -> None:
    with pytest.raises(UsageError):
        make_split(_plain(a=10, b=10), val_share=val, test_share=test)


@pytest.mark.parametrize(("n", "small"), [(SMALL_CLASS - 1, True), (SMALL_CLASS, False)])
def test_thirty_images_are_no_small_class(n: int, small: bool) -> None:
    few, more = _plain(big=60, small=n), _plain(big=60, small=n + 1)
    split = make_split(few)
    assert ("fewer than 30 independent images" in split.method) is small
    after = _where(more, make_split(more))
    assert small or all(after[path] == part for path, part in _where(few, split).items())


def _in_groups(*groups: str) -> Dataset:
    """A dataset of groups, each given by the classes of its images."""
    return _dataset([_sample(label, f"{label}{i}", group=f"g{i}") for i, names in enumerate(groups) for label in names])


def test_a_group_that_moved_for_one_class_counts_for_its_others_where_it_is_now() -> None:
    data = _in_groups("c", "bc", "a", "ab", "bc", "a")
    split = make_split(data)
    assert split.method.endswith("Moved so that each class is in every split: 2.")
    assert all(set(_count(data, split, part)) == {"a", "b", "c"} for part in PARTS)


@pytest.mark.parametrize("groups", [("ab", "bc", "ac", "a", "bc"), ("ac", "ab", "ac", "bc", "b")])
def test_no_class_is_taken_out_of_the_training_set_to_fill_the_others(groups: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"groups tie the classes together so that \w cannot be in training") as caught:
        make_split(_in_groups(*groups))
    assert caught.value.hint == "add images of other groups, or set the splits yourself in a split column"


def _method(data: Dataset, **options: Any) -> str:
    return make_split(data, **options).method


def test_how_the_split_was_made_is_told() -> None:
    plain = _plain(cat=60, dog=60)
    shares, by = "15% test, 15% val, 70% train of all images, class by class, by a hash of each image's", "with seed 0;"
    assert _method(plain) == f"{shares} content {by} exact copies stay together."
    ties = [(0, 1)]
    assert _method(plain, ties=ties) == f"{shares} content {by} exact copies and near-duplicates stay together."
    grouped = _dataset([*plain.samples, _sample("cat", "x", group="g")])
    by = f"group (or content, without a group) {by}"
    assert _method(grouped) == f"{shares} {by} exact copies and groups stay together."
    assert _method(grouped, ties=ties) == f"{shares} {by} exact copies, near-duplicates and groups stay together."
    other = _method(plain, val_share=0.1, test_share=0.25, seed=3)
    assert other.startswith("25% test, 10% val, 65% train of all images") and "with seed 3;" in other
    several = labelled(np.arange(80).reshape(40, 2) % 3 > 0, ("a", "b"))
    by = "label by label, by a hash of each image's content with seed 0; exact copies stay together."
    assert _method(several) == f"15% test, 15% val, 70% train of all images, {by}"
    small = _method(_plain(ant=60, bee=29, cow=10))
    assert small.endswith(". Classes with fewer than 30 independent images or groups (2) are split by quota.")


def test_how_a_given_split_was_completed_is_told() -> None:
    data = _dataset([_sample("ab"[i % 2], f"d{i}", split=None if i < 140 else "test") for i in range(200)])
    by = "class by class, by a hash of each image's content with seed 0; exact copies stay together."
    assert _method(data, exclude=range(10)) == (
        "Test as predefined in the source. 130 images without a predefined split were assigned to or split with the "
        f"training set. 10% val of the training images, {by}"
    )


@pytest.mark.parametrize(("n", "more"), [(20, ""), (21, ", ...")])
def test_of_the_classes_that_are_too_small_twenty_are_listed(n: int, more: str) -> None:
    names = [f"c{i:02}" for i in range(n)]
    with pytest.raises(DataError) as caught:
        make_split(_dataset([_sample(name, name) for name in names]))
    listed = ", ".join(f"{name} (1)" for name in names[:20])
    assert caught.value.message == (
        f"{n} of the {n} classes have fewer than 3 independent images, too few for training, validation and test: "
        f"{listed}{more}"
    )


@pytest.mark.parametrize(("given", "made"), [("test", "val"), ("val", "test")])
def test_next_to_a_given_part_two_images_of_a_class_are_enough(given: Part, made: Part) -> None:
    others = [_sample("ab"[i % 2], f"d{i}", split="train") for i in range(80)]
    fixed = [_sample("ab"[i % 2], f"t{i}", split=given) for i in range(10)]
    rare = [_sample("c", f"c{i}", split="train") for i in range(2)]
    data = _dataset([*others, *fixed, *rare])
    split = make_split(data)
    assert _count(data, split, made)["c"] == _count(data, split, "train")["c"] == 1
    with pytest.raises(DataError, match=r"1 of the 3 classes have fewer than 2 independent images.*: c \(1\)$"):
        make_split(data, exclude=[90])


def test_shares_are_positive_and_leave_some_for_training() -> None:
    with pytest.raises(UsageError, match=r"val_share 0\.6 and test_share 0\.4 are not compatible") as caught:
        make_split(_plain(a=10, b=10), val_share=0.6, test_share=0.4)
    assert caught.value.hint == "both must be greater than 0, and their sum less than 1"
    assert len(make_split(_plain(a=100, b=100), val_share=0.5, test_share=0.4).train) > 0


def test_a_set_without_images_to_train_on_names_the_command_that_lists_why() -> None:
    with pytest.raises(DataError, match="set has no readable images to train on") as caught:
        make_split(_plain(a=3, b=3), exclude=range(6))
    assert caught.value.hint == "`keensight inspect` lists the problems"
