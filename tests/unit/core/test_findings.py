"""What an audit's finding refers to."""

import dataclasses

from keensight.core.audit import Finding
from keensight.core.records import Dataset, LabelSet, Sample

DATA = Dataset("set", "folder", LabelSet(("a",)), tuple(Sample(f"{i}.png", "a", f"{i:064x}") for i in range(4)))


def test_its_images_are_found_by_their_place_or_else_by_their_path() -> None:
    found = Finding.on(DATA, [(0, 2), (3,)], "duplicate", "warning", "Two.")
    assert found.groups(DATA) == ((0, 2), (3,))
    older = dataclasses.replace(found, rows=())
    assert older.groups(DATA) == ((0, 2), (3,))
    turned = dataclasses.replace(DATA, samples=DATA.samples[::-1])
    assert found.groups(turned) == ((3, 1), (0,))
