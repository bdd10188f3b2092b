"""The tags of a TIFF: what is read, what is kept of the file, and what is refused. Files are built by struct."""

from __future__ import annotations

import io
import itertools
import struct

import pytest
from PIL import Image

from keensight.core import tiff
from keensight.core.pixels import probe
from keensight.core.tiff import CutDown, cut_down, exif_orientation
from keensight.errors import ImageError

# TIFF 6.0, section 2, and the BigTIFF design: bytes of each type of value.
TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
ONE_VALUE = (256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323)
SEVERAL_VALUES = (258, 273, 279, 320, 324, 325, 338, 339, 347, *range(512, 522), 529, 530, 532)
PROFILE, ORIENTATION = 34675, 274
LAYOUTS = [("<", False), (">", False), ("<", True)]

Row = tuple[int, int, int, bytes]
"""Tag, type, number of values, and these or where they are."""


def shorts(*values: int, order: str = "<") -> bytes:
    return struct.pack(f"{order}{len(values)}H", *values)


def directory(rows: list[Row], order: str = "<", big: bool = False, following: int | None = 0) -> bytes:
    """A directory; ``following``: where the next one is; None: the file ends before it says so."""
    count, entry, place = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    head = struct.pack(order + count, len(rows)) + b"".join(struct.pack(order + entry, *row) for row in rows)
    return head if following is None else head + struct.pack(order + place, following)


def file_of(
    rows: list[Row], order: str = "<", big: bool = False, following: int | None = 0, tail: bytes = b""
) -> bytes:
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack(order + "2sHI", b"II", 42, 8)
    return (head if order == "<" else b"MM" + head[2:]) + directory(rows, order, big, following) + tail


def place_of(rows: int, order: str = "<", big: bool = False) -> bytes:
    """The place behind the directory of a file of so many rows, as a row says it."""
    start = 16 + 8 + 20 * rows + 8 if big else 8 + 2 + 12 * rows + 4
    return struct.pack(order + ("Q" if big else "I"), start)


def kept(found: CutDown, order: str = "<", big: bool = False) -> dict[int, tuple[int, int, bytes]]:
    """Type, number and value of each tag that is left in the first directory."""
    start, code = (16, "Q") if big else (8, "H")
    (count,) = struct.unpack_from(order + code, found.body, start)
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    first = start + struct.calcsize(order + code)
    rows = [entry.unpack_from(found.body, first + i * entry.size) for i in range(count)]
    return {tag: (kind, number, value) for tag, kind, number, value in rows}


def error_of(data: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        cut_down(data)
    if "truncated" in raised.value.message or "damaged" in raised.value.message:
        assert raised.value.hint == "copy or download it again"
    return raised.value.message


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_a_profile_is_read_from_its_row_where_it_fits_and_else_from_its_place(order: str, big: bool) -> None:
    for kind, length in itertools.product((1, 7), (1, 4, 5, 8, 9, 30)):
        profile = bytes(range(1, length + 1))
        inside = length <= (8 if big else 4)
        value = profile if inside else place_of(1, order, big)
        data = file_of([(PROFILE, kind, length, value)], order, big, tail=b"" if inside else profile)
        assert cut_down(data).profile == profile


@pytest.mark.parametrize(("kind", "number"), [(2, 30), (3, 15), (6, 30), (8, 15)])
def test_a_profile_of_another_type_is_none(kind: int, number: int) -> None:
    assert cut_down(file_of([(PROFILE, kind, number, place_of(1))], tail=bytes(30))).profile == b""


def test_bytes_of_another_tag_are_no_profile() -> None:
    assert cut_down(file_of([(33723, 7, 3, b"abc"), (PROFILE, 7, 3, b"icc")])).profile == b"icc"


def test_a_profile_that_ends_early_is_none_and_the_file_is_read() -> None:
    rows = [(256, 3, 1, shorts(4)), (PROFILE, 7, 30, place_of(2))]
    assert cut_down(file_of(rows, tail=bytes(30))).profile == bytes(30)
    assert cut_down(file_of(rows, tail=bytes(29))).profile == b""


@pytest.mark.parametrize("kind", TYPES)
def test_values_of_each_type_end_where_its_size_says(kind: int) -> None:
    rows = [(320, kind, 9, place_of(1))]
    data = file_of(rows, tail=bytes(9 * TYPES[kind]))
    assert kept(cut_down(data)) == {320: (kind, 9, rows[0][3])}
    assert error_of(data[:-1]) == "truncated TIFF: a tag points past the end of the file"


@pytest.mark.parametrize("kind", [0, 14, 15, 19])
def test_a_tag_of_a_type_that_there_is_not_is_left_out(kind: int) -> None:
    rows = [(256, 3, 1, shorts(4)), (320, kind, 1, b"abcd"), (338, 3, 1, shorts(2))]
    assert kept(cut_down(file_of(rows))).keys() == {256, 338}


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_of_tags_that_have_one_value_only_the_first_is_kept(order: str, big: bool) -> None:
    rows = [(tag, 3, 2, shorts(tag % 4 + 1, 99, order=order)) for tag in ONE_VALUE if tag != 277]
    found = kept(cut_down(file_of(rows, order, big)), order, big)
    first = {tag: shorts(tag % 4 + 1, order=order).ljust(8 if big else 4, b"\0") for tag in ONE_VALUE if tag != 277}
    assert found == {tag: (3, 1, value) for tag, value in first.items()}


def test_a_number_of_channels_has_one_value_too() -> None:
    rows = [(277, 3, 3, place_of(1))]
    assert kept(cut_down(file_of(rows, tail=shorts(1, 7, 7)))) == {277: (3, 1, shorts(1, 0))}


def test_tags_of_the_pixels_keep_all_their_values_and_other_tags_are_left_out() -> None:
    rows = [(tag, 3, 2, shorts(tag, 5)) for tag in SEVERAL_VALUES if tag not in (258, 339)]
    rows += [(258, 3, 2, shorts(8, 8)), (339, 3, 2, shorts(1, 1))]
    # A description, a program, an undefined one behind those of JPEG, XMP, a copyright, EXIF.
    others: list[Row] = [(tag, 3, 1, shorts(7)) for tag in (254, 270, 305, 522, 531, 700, 33432, 34665)]
    found = cut_down(file_of(sorted([*rows, *others])))
    assert kept(found) == {tag: (kind, number, value) for tag, kind, number, value in rows}


def test_of_a_tag_that_is_there_twice_the_first_counts_and_one_without_values_does_not() -> None:
    rows = [(256, 3, 0, shorts(9)), (256, 3, 1, shorts(4)), (256, 3, 1, shorts(6)), (257, 3, 1, shorts(5))]
    assert kept(cut_down(file_of(rows))) == {256: (3, 1, shorts(4, 0)), 257: (3, 1, shorts(5, 0))}


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_what_lies_behind_the_directory_stays_in_its_place(order: str, big: bool) -> None:
    rows = [(256, 3, 1, shorts(4, order=order)), (270, 2, 4, b"text"), (305, 2, 4, b"prog")]
    data = file_of(rows, order, big, following=len(file_of(rows, order, big)), tail=directory([], order, big) + b"end")
    found = cut_down(data)
    shorter = 2 * (20 if big else 12)
    directory_end = len(file_of(rows, order, big)) - shorter
    assert found.body == file_of(rows[:1], order, big)[:directory_end] + data[directory_end:]
    assert found.frames == 2


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_a_directory_may_be_the_last_of_a_file(order: str, big: bool) -> None:
    data = file_of([(256, 3, 1, shorts(4, order=order)), (270, 2, 4, b"text")], order, big, following=None)
    found = cut_down(data)
    assert (kept(found, order, big).keys(), found.frames) == ({256}, 1)
    assert error_of(data[:-1]) == "truncated TIFF: its directory ends early"


def test_an_offset_past_the_end_is_told_apart_from_a_directory_that_is_missing() -> None:
    assert error_of(struct.pack("<2sHI", b"II", 42, 9)).endswith("an offset points past the end of the file")
    assert error_of(struct.pack("<2sHI", b"II", 42, 8)).endswith("its directory is missing")
    assert error_of(b"II*\0").endswith("its directory is missing")


def test_tags_whose_values_are_longer_together_than_the_file_overlap() -> None:
    length = len(file_of([(256, 3, 1, shorts(4)), (320, 1, 1, b""), (338, 3, 1, shorts(2))]))
    for more, fits in ((0, True), (1, False)):
        rows = [(256, 3, 1, shorts(4)), (320, 1, length - 4 + more, bytes(4)), (338, 3, 1, shorts(2))]
        if fits:
            assert kept(cut_down(file_of(rows))).keys() == {256, 320, 338}
        else:
            assert error_of(file_of(rows)) == "damaged TIFF: its tags overlap"


def chain(count: int, last: int = 0) -> bytes:
    """Directories of one row, each followed by the next, and the last one by ``last``."""
    row, length = (256, 3, 1, shorts(4)), 2 + 12 + 4
    follow = [*(8 + length * i for i in range(1, count)), last]
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(directory([row], following=place) for place in follow)


@pytest.mark.parametrize(("count", "last", "frames"), [(1, 0, 1), (3, 0, 3), (3, 8, 3), (3, 8 + 18, 3), (1, 8, 1)])
def test_frames_are_counted_once_even_where_they_lead_back(count: int, last: int, frames: int) -> None:
    assert cut_down(chain(count, last)).frames == frames


def test_frames_of_a_file_that_is_cut_short_are_those_that_are_there() -> None:
    assert cut_down(chain(3)[:-4]).frames == 3
    assert cut_down(chain(3, last=10**6)).frames == 4


@pytest.mark.parametrize(("count", "frames"), [(2, 2), (3, 3), (4, 3), (9, 3)])
def test_no_more_frames_are_counted_than_the_limit(monkeypatch: pytest.MonkeyPatch, count: int, frames: int) -> None:
    monkeypatch.setattr(tiff, "MAX_FRAMES", 3)
    assert cut_down(chain(count)).frames == frames


def picture(bands: int, bits: int, meaning: int | None, kind: int = 1) -> bytes:
    rows = [(258, 3, 1, shorts(bits)), (277, 3, 1, shorts(bands)), (339, 3, 1, shorts(kind))]
    return file_of(sorted(rows + ([(262, 3, 1, shorts(meaning))] if meaning is not None else [])))


@pytest.mark.parametrize(
    ("bands", "bits", "meaning", "kind"),
    [
        (1, 16, 1, 1), (1, 32, 1, 1), (1, 32, 1, 3), (1, 64, 1, 3), (2, 8, 1, 1), (3, 8, 2, 1), (3, 16, 2, 1),
        (4, 8, 5, 1), (4, 16, 2, 1), (3, 8, 6, 1),
    ],
)  # fmt: skip
def test_channels_of_a_picture_are_not_refused(bands: int, bits: int, meaning: int, kind: int) -> None:
    """Gray with and without transparency, RGB, RGBA, CMYK and YCbCr."""
    assert cut_down(picture(bands, bits, meaning, kind)).deep_color is (bands >= 3 and bits == 16)


@pytest.mark.parametrize(
    ("bands", "bits", "meaning", "kind", "words"),
    [
        (5, 8, 2, 1, "5 bands of 8 bits"),
        (3, 8, 0, 1, "3 bands of 8 bits"),
        (3, 8, None, 1, "3 bands of 8 bits"),
        (4, 8, 1, 1, "4 bands of 8 bits"),
        (3, 16, 2, 3, "3 bands of 16 bits, floating point"),
        (2, 9, 1, 1, "2 bands of 9 bits"),
        (2, 32, 1, 1, "2 bands of 32 bits"),
        (1024, 8, 1, 1, "1024 bands of 8 bits"),
    ],
)
def test_more_bands_than_a_picture_has_are_refused(
    bands: int, bits: int, meaning: int | None, kind: int, words: str
) -> None:
    told = f"it is a TIFF of {words}: export three as an RGB image, or one in gray"
    assert error_of(picture(bands, bits, meaning, kind)) == told


def test_more_bands_than_any_instrument_has_are_damage_and_not_told_as_bands() -> None:
    assert not cut_down(picture(1025, 8, 1)).deep_color


def test_numbers_of_a_file_that_does_not_say_how_many_channels_it_has_are_one_channel() -> None:
    assert cut_down(file_of([(258, 3, 1, shorts(32)), (339, 3, 1, shorts(3))])).frames == 1
    # Counts of another type are not read: the decoder refuses or takes them.
    assert cut_down(file_of([(258, 3, 1, shorts(32)), (277, 4, 1, struct.pack("<I", 3))])).frames == 1


@pytest.mark.parametrize(("kind", "number", "value", "found"), [
    (3, 1, 6, 6), (4, 1, 6, 6), (3, 1, 8, 8), (3, 1, 9, 1), (3, 1, 0, 1), (3, 2, 6, 1), (4, 2, 6, 1), (1, 1, 6, 1),
])  # fmt: skip
def test_an_orientation_is_one_short_or_long_number(kind: int, number: int, value: int, found: int) -> None:
    for order, big in LAYOUTS:
        # A short one is followed by bytes that mean nothing.
        packed = struct.pack(order + "I", value) if kind == 4 else shorts(value, 0x0101, order=order)
        rows: list[Row] = [(256, 3, 1, shorts(3, order=order)), (ORIENTATION, kind, number, packed)]
        assert cut_down(file_of(rows, order, big)).orientation == found
        assert exif_orientation(file_of(rows, order)) == found


def test_a_block_that_is_no_exif_has_no_orientation() -> None:
    for block in (b"", b"II*", b"II+\0" + bytes(40), b"text" * 9, b"MM*\0" + bytes(40), b"II*\0"):
        assert exif_orientation(block) == 1


def test_the_frames_that_an_animation_claims_are_limited_too() -> None:
    stream = io.BytesIO()
    Image.new("L", (2, 2)).save(stream, "PNG")
    png = stream.getvalue()

    def claims(frames: int) -> bytes:
        return png[:33] + struct.pack(">I4sIII", 8, b"acTL", frames, 0, 0) + png[33:]

    assert [probe(claims(n)).frames for n in (0, 1, 100_000, 100_001, 2**32 - 1)] == [1, 1, 100_000, 100_000, 100_000]
