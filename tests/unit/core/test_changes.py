"""An image set compared with its earlier state."""

import dataclasses

from keensight.core.changes import Change, compare
from keensight.core.records import Dataset, LabelSet, Sample

BASE = (
    Sample("a/1.png", "a", "d1"), Sample("a/2.png", "a", "d2", group="p"), Sample("b/3.png", "b", "d3", split="train"),
    Sample("b/4.png", "b", "d4"), Sample("b/5.png", "b", "", error="empty"),
)  # fmt: skip


def dataset(*samples):
    return Dataset("set", "folder", LabelSet(("a", "b")), tuple(samples))


def changed(number, **values):
    return dataset(*(dataclasses.replace(s, **values) if i == number else s for i, s in enumerate(BASE)))


def test_the_same_set_in_another_order_has_not_changed():
    found = compare(dataset(*BASE), dataset(*reversed(BASE)))
    assert found.same
    assert found.unchanged == len(BASE)


def test_added_and_removed():
    found = compare(dataset(*BASE), dataset(*BASE[1:], Sample("a/9.png", "a", "d9")))
    assert (found.added, found.removed, found.unchanged) == (("a/9.png",), ("a/1.png",), 4)
    assert not found.same


def test_another_content_under_the_same_path():
    assert compare(dataset(*BASE), changed(0, digest="other")).changed == ("a/1.png",)


def test_the_same_content_under_another_path_of_the_same_class():
    found = compare(dataset(*BASE), changed(0, path="a/new.png"))
    assert found.unchanged == len(BASE) - 1
    assert found.moved == (Change("a/new.png", "a/1.png", "a/new.png"),)
    assert not (found.added or found.removed or found.relabelled)


def test_another_class_by_table_and_by_folder():
    assert compare(dataset(*BASE), changed(0, label="b")).relabelled == (Change("a/1.png", "a", "b"),)
    found = compare(dataset(*BASE), changed(0, label="b", path="b/1.png"))
    assert found.relabelled == (Change("b/1.png", "a", "b"),)
    assert len(found.moved) == 1


def test_another_group_and_another_part_are_changes_though_the_digest_stays():
    regrouped = compare(dataset(*BASE), changed(1, group="q"))
    assert regrouped.regrouped == (Change("a/2.png", "p", "q"),)
    assert regrouped.before == regrouped.after
    assert not regrouped.same
    assert compare(dataset(*BASE), changed(2, split=None)).resplit == (Change("b/3.png", "train", ""),)


def test_unreadable_files_are_not_taken_for_one_another():
    found = compare(dataset(*BASE), changed(4, path="b/6.png"))
    assert (found.added, found.removed, found.moved) == (("b/6.png",), ("b/5.png",), ())


def test_a_path_that_is_listed_twice():
    twice = (*BASE, dataclasses.replace(BASE[0], label="b"))
    assert compare(dataset(*twice), dataset(*twice)).same
    assert compare(dataset(*twice), dataset(*BASE)).removed == ("a/1.png",)


def test_two_duplicates_that_both_moved_are_two_moves():
    twins = [Sample(f"a/{name}.png", "a", "same") for name in "pqxy"]
    found = compare(dataset(*twins[:2]), dataset(*twins[2:]))
    assert [(move.before, move.after) for move in found.moved] == [("a/p.png", "a/x.png"), ("a/q.png", "a/y.png")]
    assert not (found.added or found.removed)
    fewer = compare(dataset(*twins[:2]), dataset(twins[2]))
    assert (len(fewer.moved), fewer.removed, fewer.added) == (1, ("a/q.png",), ())
    more = compare(dataset(twins[0]), dataset(*twins[2:]))
    assert (len(more.moved), more.removed, more.added) == (1, (), ("a/y.png",))
