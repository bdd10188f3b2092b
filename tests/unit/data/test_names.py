"""File, folder and class names."""

import unicodedata

import pytest

from keensight.data.sources.names import (
    clean_label,
    is_encodable,
    is_image_name,
    junk_reason,
    natural_key,
    part_of,
    printable,
)


def test_numbers_sort_by_value_and_folders_before_their_longer_neighbours() -> None:
    paths = ["b/10.png", "b/2.png", "a/1.png", "b/02.png", "a-1/1.png", "10", "2"]
    assert sorted(paths, key=natural_key) == ["2", "10", "a/1.png", "a-1/1.png", "b/02.png", "b/2.png", "b/10.png"]


def test_a_number_of_many_thousand_digits_can_be_sorted() -> None:
    long = "9" * 6000  # int() refuses more than 4300
    assert sorted([long + "0", long], key=natural_key) == [long, long + "0"]


@pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "a.jfif", "x.y.png", "a.TIF", "a.pgm", "a.webp"])
def test_image_names(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", ".png", "a.png.bak", "a.svg"])
def test_other_names(name: str) -> None:
    assert not is_image_name(name)


def test_junk_is_told_from_classes() -> None:
    assert junk_reason(".ipynb_checkpoints") == "hidden"
    assert junk_reason("Thumbs.db") is not None
    assert junk_reason("__MACOSX") is not None
    assert junk_reason("cats") is None


def test_parts_by_their_usual_names() -> None:
    assert [part_of(name) for name in ("Train", "valid", "VALIDATION", "val", " testing ", "cat")] == [
        "train", "val", "val", "val", "test", None,
    ]  # fmt: skip


def test_a_label_is_one_whatever_its_unicode_form() -> None:
    assert clean_label(unicodedata.normalize("NFD", " café ")) == unicodedata.normalize("NFC", "café")


def test_undecodable_names_are_made_printable() -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert not is_encodable(name)
    assert printable(name) == "caf?.png"
