"""What must hold of every split, whatever the data."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keensight.core.records import PARTS, Dataset, LabelSet, Part, Sample
from keensight.data.splits import make_split
from keensight.errors import DataError

pytestmark = pytest.mark.slow  # seconds in all

CLASSES = ("a", "b", "c")


def _dataset(rows: list[tuple[str, int, int | None]]) -> Dataset:
    samples = [
        Sample(f"{i}.png", label, f"d{digest}", group=None if group is None else f"g{group}")
        for i, (label, digest, group) in enumerate(rows)
    ]
    return Dataset("set", "folder", LabelSet(CLASSES), tuple(samples))


rows = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.integers(0, 60), st.none() | st.integers(0, 25)), min_size=1, max_size=150
)
shares = st.tuples(st.floats(0.01, 0.5), st.floats(0.01, 0.48))


@settings(max_examples=150)
@given(rows, shares, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_split_or_one_clear_error(rows: list, shares: tuple[float, float], seed: int, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    data = _dataset(rows)
    try:
        split = make_split(data, val_share=shares[0], test_share=shares[1], seed=seed)
    except DataError as error:
        assert error.hint
        return
    assert sorted(split.train + split.val + split.test) == list(range(len(data)))
    where: dict[int, Part] = {int(i): part for part in PARTS for i in split.part(part)}
    for part in PARTS:
        assert {data.samples[i].label for i in split.part(part)} == set(CLASSES)
    for key in ("digest", "group"):
        seen: dict[str, Part] = {}
        for i, sample in enumerate(data.samples):
            if (value := getattr(sample, key)) is not None:
                assert seen.setdefault(value, where[i]) == where[i]

    order = list(range(len(rows)))
    random.shuffle(order)
    again = make_split(_dataset([rows[i] for i in order]), val_share=shares[0], test_share=shares[1], seed=seed)
    assert {order[int(i)]: part for part in PARTS for i in again.part(part)} == where


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(0, 200), st.integers(0, 3))
def test_new_images_move_no_old_one(start: int, added: int, seed: int) -> None:
    def build(n: int) -> Dataset:
        return _dataset(
            [(label, start + CLASSES.index(label) * 10**7 + i, None) for i in range(n) for label in CLASSES]
        )

    old, new = build(150), build(150 + added)
    before, after = make_split(old, seed=seed), make_split(new, seed=seed)
    for part in PARTS:
        assert {int(i) for i in before.part(part)} <= {int(i) for i in after.part(part)}
