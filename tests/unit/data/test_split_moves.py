"""What moves so that each class is in each set, and what is refused since nothing may move."""

import numpy as np
import pytest

from keensight.core.records import PARTS, Dataset, LabelSet, Part, Sample, Split
from keensight.data.splits import make_split
from keensight.errors import DataError


def _sample(label: str, digest: str, split: Part | None = None) -> Sample:
    return Sample(f"{label}/{digest}-{split}.png", label, digest, split=split)


def _dataset(samples: list[Sample]) -> Dataset:
    return Dataset("set", "folder", LabelSet(tuple(sorted({sample.label for sample in samples}))), tuple(samples))


def _moved(split: Split) -> bool:
    return "Moved" in split.method


def test_the_unit_nearest_to_a_set_that_lacks_the_class_moves_there() -> None:
    data = _dataset([_sample("cat", f"cat{i}") for i in range(60)])
    checked = 0
    for seed in range(30):
        narrow = make_split(data, test_share=0.3, val_share=0.002, seed=seed)
        if not _moved(narrow):
            continue
        assert len(narrow.val) == 1
        # The validation range grows by as much on both sides, until an image is in it of its own accord.
        wider = (
            make_split(data, test_share=0.3 - by, val_share=0.002 + 2 * by, seed=seed)
            for by in np.arange(0.0005, 0.2, 0.0005)
        )
        assert set(narrow.val) <= set(next(split for split in wider if not _moved(split)).val)
        checked += 1
    assert checked > 10


def test_a_class_whose_training_images_are_all_tied_to_the_given_test_set_is_refused() -> None:
    others = [_sample("ab"[i % 2], f"d{i}", "train") for i in range(100)]
    tied = [_sample("c", f"c{i}", part) for i in range(5) for part in ("train", "test")]  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"c \(1\)") as caught:
        make_split(_dataset([*others, *tied]))
    assert "independent" in str(caught.value)
    # One image that may move is enough: the tied ones train.
    data = _dataset([*others, *tied, _sample("c", "free", "train")])
    split = make_split(data)
    where = {part: {data.samples[i].digest for i in split.part(part) if data.samples[i].label == "c"} for part in PARTS}
    assert where["val"] == {"free"}
    assert where["train"] == where["test"] == {f"c{i}" for i in range(5)}


def test_a_group_called_like_a_digest_is_another_unit() -> None:
    rows = [("x", "grouped"), (None, "x"), (None, "y")]
    data = _dataset([Sample(f"{i}.png", "a", digest, group=group) for i, (group, digest) in enumerate(rows)])
    split = make_split(data)
    assert [len(split.part(part)) for part in PARTS] == [1, 1, 1]


def test_images_of_groups_that_a_tie_joins_stay_together() -> None:
    data = _dataset([Sample(f"{i}.png", "a", f"d{i}", group=f"g{i}") for i in range(120)])
    ties = [(2 * i, 2 * i + 1) for i in range(60)]
    split = make_split(data, ties=ties)
    where = {int(i): part for part in PARTS for i in split.part(part)}
    assert all(where[one] == where[other] for one, other in ties)


def test_a_unit_of_two_groups_goes_where_the_first_of_their_names_goes() -> None:
    def where(names: list[tuple[str, str]]) -> dict[str, Part]:
        samples = [Sample(f"{i}-{g}.png", "a", f"d{i}", group=g) for i, both in enumerate(names) for g in both]
        data = _dataset(samples)
        split = make_split(data)
        return {str(data.samples[int(i)].group): part for part in PARTS for i in split.part(part)}

    joined = where([(f"a{i}", f"b{i}") for i in range(60)])
    single = where([(f"a{i}", f"a{i}") for i in range(60)])
    assert {name: joined[name] for name in single} == single
