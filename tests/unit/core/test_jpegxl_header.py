"""Width and height in the header of a JPEG XL codestream (ISO/IEC 18181-1, SizeHeader), from bits put together here."""

import pytest

pytest.importorskip("imagecodecs")
from keensight.core.jpegxl import codestream, oriented_size
from keensight.errors import ImageError

RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
DEFAULT, ORIENTED = [(1, 1)], [(0, 1), (1, 1)]


def stream(*numbers: tuple[int, int]) -> bytes:
    """A codestream of numbers, each with its length in bits, the lowest bit first."""
    bits = [value >> place & 1 for value, length in numbers for place in range(length)]
    bits += [0] * (-len(bits) % 8)
    data = bytes(sum(bit << place for place, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8))
    return b"\xff\x0a" + data


def side(pixels: int, length: int) -> list[tuple[int, int]]:
    return [((9, 13, 18, 30).index(length), 2), (pixels - 1, length)]


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_ratio_gives_the_width(ratio: int) -> None:
    across, down = RATIOS[ratio]
    assert oriented_size(stream((0, 1), *side(360, 9), (ratio, 3), *DEFAULT)) == (360 * across // down, 360)
    assert oriented_size(stream((1, 1), (360 // 8 % 32 - 1, 5), (ratio, 3), *DEFAULT)) == (
        8 * (360 // 8 % 32) * across // down, 8 * (360 // 8 % 32)
    )  # fmt: skip


@pytest.mark.parametrize(("pixels", "length"), [(512, 9), (8192, 13), (262_144, 18), (1 << 30, 30), (1, 30)])
def test_a_side_has_a_length_of_its_own(pixels: int, length: int) -> None:
    found = oriented_size(stream((0, 1), *side(7, 9), (0, 3), *side(pixels, length), *DEFAULT))
    assert found == (pixels, 7)


def test_small_sides_are_multiples_of_eight() -> None:
    assert oriented_size(stream((1, 1), (0, 5), (0, 3), (31, 5), *DEFAULT)) == (256, 8)


@pytest.mark.parametrize("orientation", range(8))
def test_the_upper_four_orientations_swap_the_sides(orientation: int) -> None:
    found = oriented_size(stream((1, 1), (0, 5), (0, 3), (31, 5), *ORIENTED, (orientation, 3)))
    assert found == ((8, 256) if orientation >= 4 else (256, 8))


@pytest.mark.parametrize(("orientation", "size"), [(0, (256, 8)), (3, (256, 8)), (4, (8, 256))])
def test_what_follows_the_orientation_does_not_turn_the_image(orientation: int, size: tuple[int, int]) -> None:
    found = oriented_size(stream((1, 1), (0, 5), (0, 3), (31, 5), *ORIENTED, (orientation, 3), (7, 3)))
    assert found == size


def test_a_header_without_the_fields_of_the_orientation() -> None:
    assert oriented_size(stream((1, 1), (0, 5), (0, 3), (31, 5), (0, 1), (0, 1))) == (256, 8)


@pytest.mark.parametrize("keep", [2, 3])
def test_a_header_that_ends_early_is_refused(keep: int) -> None:
    with pytest.raises(ImageError, match="its header ends early"):
        oriented_size(stream((0, 1), *side(360, 30), (0, 3), *side(360, 30), *DEFAULT)[:keep])


def box(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return (8 + len(body) if size is None else size).to_bytes(4, "big") + name + body


def test_the_codestream_is_found_behind_boxes() -> None:
    plain = stream((1, 1), (0, 5), (1, 3), *DEFAULT)
    assert codestream(plain) == plain
    head = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    assert codestream(head + box(b"jxlc", plain)) == plain
    assert codestream(head + box(b"jxlp", b"\0\0\0\0" + plain)) == plain
    long = (16 + len(plain)).to_bytes(8, "big")
    assert codestream(head + box(b"jxlc", long + plain, size=1)) == plain
    skipped = box(b"Exif", (16 + 4).to_bytes(8, "big") + b"\xff\xff\xff\xff", size=1)
    assert codestream(head + skipped + box(b"jxlc", plain)) == plain
    for other in (box(b"free", b""), box(b"free", (16).to_bytes(8, "big"), size=1)):  # with nothing in it
        assert codestream(head + other + box(b"jxlc", plain)) == plain
    for data in (head, head + box(b"free", b"", size=4), b""):
        with pytest.raises(ImageError, match="no image data"):
            codestream(data)
