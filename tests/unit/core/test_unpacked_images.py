"""What the headers of an encoded image say, and what is kept of it; each file is put together here, byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from keensight.core.image_files import Container, unpack
from keensight.core.tiff import MAX_FRAMES
from keensight.errors import ImageError


def exif(orientation: int) -> bytes:
    """A TIFF block of one entry (EXIF 2.3, 4.6.4): the orientation, a SHORT."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def encoded(format: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, format)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP", "TIFF", "PPM", "JPEG", "TGA", "JPEG2000", "AVIF"])
def test_a_plain_image_is_upright_single_and_needs_nothing_besides_its_pixels(format: str) -> None:
    found = unpack(encoded(format))
    assert found == Container(format, found.body)
    assert found == Container(format, found.body, 1, 1, None, 0, b"", deep_color=False)


# JPEG (ITU-T T.81, annex B)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body


def frame(marker: int, height: int, width: int, *factors: int) -> bytes:
    """A frame header; each component has a sampling factor across (upper 4 bits) and down."""
    components = b"".join(bytes((number, factor, 0)) for number, factor in enumerate(factors, 1))
    return segment(marker, struct.pack(">BHHB", 8, height, width, len(factors)) + components)


def scan(*components: int) -> bytes:
    """The header and some data of a scan of these components."""
    chosen = b"".join(bytes((component, 0)) for component in components)
    return segment(0xDA, bytes((len(components),)) + chosen + b"\0\x3f\0") + b"\x12\x34\xff\0\x56\xff\xd0\x78"


def jpeg(*parts: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


COLOR = (0x22, 0x11, 0x11)


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xE8, 0xED, 0xEF, 0xFE])
def test_segments_of_a_jpeg_that_make_no_pixels_are_left_out(marker: int) -> None:
    body = unpack(jpeg(segment(marker, b"of no use to pixels"), frame(0xC0, 8, 8, *COLOR), scan(1, 2, 3))).body
    assert body == unpack(jpeg(frame(0xC0, 8, 8, *COLOR), scan(1, 2, 3))).body


@pytest.mark.parametrize("marker", [0xC4, 0xDB, 0xDD, 0xE0, 0xEE])
def test_tables_and_the_meaning_of_the_colors_are_kept(marker: int) -> None:
    """JFIF (APP0) and Adobe (APP14) say whether three components are RGB or YCbCr."""
    needed = segment(marker, b"for the decoder")
    data = jpeg(needed, frame(0xC2, 8, 8, *COLOR), scan(1, 2, 3))
    assert unpack(data).body == data


@pytest.mark.parametrize("marker", [0xC0, 0xC1])
@pytest.mark.parametrize("components", [1, 3])
def test_of_one_scan_nothing_behind_the_end_is_kept(marker: int, components: int) -> None:
    """Else libjpeg would fill missing rows with gray instead of asking for them."""
    data = jpeg(frame(marker, 8, 8, *[0x11] * components), scan(*range(1, components + 1)))
    found = unpack(data + b"behind the end")
    assert found.body.rstrip(b"\0") == data[:-2]
    assert found.buffered == 0


@pytest.mark.parametrize(("marker", "scans"), [(0xC0, [(1,), (2,), (3,)]), (0xC2, [(1, 2, 3), (1,)]), (0xC2, [(1,)])])
def test_of_several_scans_everything_is_kept(marker: int, scans: list[tuple[int, ...]]) -> None:
    data = jpeg(frame(marker, 8, 8, *COLOR), *(scan(*chosen) for chosen in scans))
    assert unpack(data).body == data


@pytest.mark.parametrize(
    ("marker", "factors", "chosen", "buffered"),
    [
        (0xC2, (0x11,), (1,), 2 * 16 * 24),
        (0xC2, (0x11, 0x11, 0x11), (1, 2, 3), 2 * 16 * 24 * 3),
        (0xC2, (0x22, 0x11, 0x11), (1, 2, 3), 2 * 16 * 24 * 6 // 4),  # 4:2:0, two of half the height and width
        (0xC2, (0x41, 0x12, 0x11), (1, 2, 3), 2 * 16 * 24 * 7 // 4),
        (0xC0, (0x22, 0x11, 0x11), (1,), 2 * 16 * 24 * 6 // 4),
        (0xC1, (0x22, 0x11, 0x11), (1,), 2 * 16 * 24 * 6 // 4),
        (0xC0, (0x22, 0x11, 0x11), (1, 2, 3), 0),
        (0xC2, (), (), 0),
        (0xC3, (0x11,), (1,), 0),  # lossless: it has no coefficients
    ],
)  # fmt: skip
def test_a_jpeg_of_several_scans_needs_memory_for_its_coefficients(
    marker: int, factors: tuple[int, ...], chosen: tuple[int, ...], buffered: int
) -> None:
    """Two bytes each, as many as a component has values."""
    tables = segment(0xC4, bytes(20))
    assert unpack(jpeg(tables, frame(marker, 16, 24, *factors), tables, scan(*chosen))).buffered == buffered


def test_a_frame_header_that_ends_early_tells_nothing() -> None:
    for length in range(8):
        assert unpack(jpeg(segment(0xC2, bytes(range(1, length))))).buffered == 0
    assert unpack(jpeg()).buffered == 0


def test_the_first_orientation_of_a_jpeg_that_is_not_upright_counts() -> None:
    def block(orientation: int) -> bytes:
        return segment(0xE1, b"Exif\0\0" + exif(orientation))

    assert unpack(jpeg(block(2), block(6))).orientation == 2
    assert unpack(jpeg(block(1), block(6))).orientation == 6
    assert unpack(jpeg(segment(0xE1, b"Exif\1\0" + exif(6)))).orientation == 1
    assert unpack(jpeg(segment(0xE3, b"Exif\0\0" + exif(6)))).orientation == 1


def piece(number: int, count: int, body: bytes) -> bytes:
    """A part of a color profile (ICC.1:2010, B.4)."""
    return segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + body)


@pytest.mark.parametrize(
    ("pieces", "profile"),
    [
        ([], b""),
        ([piece(1, 1, b"all of it")], b"all of it"),
        ([piece(2, 2, b"of it"), piece(1, 2, b"all ")], b"all of it"),
        ([piece(1, 2, b"a"), piece(2, 2, b"b")], b"ab"),
        ([segment(0xE2, b"MPF\0 and some further 20 bytes"), piece(1, 1, b"all of it")], b"all of it"),
        ([segment(0xE3, b"ICC_PROFILE\0\2\2 of another kind"), piece(1, 1, b"all of it")], b"all of it"),
        ([piece(1, 2, b"half")], b""),
        ([piece(1, 2, b"all but nothing"), piece(2, 2, b"")], b""),
        ([piece(1, 2, b"all "), piece(2, 3, b"of it")], b""),
    ],
)  # fmt: skip
def test_a_profile_in_a_jpeg_is_joined_from_its_numbered_pieces(pieces: list[bytes], profile: bytes) -> None:
    assert unpack(jpeg(*pieces)).profile == profile


def test_what_stands_behind_the_end_of_a_jpeg_does_not_count() -> None:
    assert unpack(jpeg() + segment(0xE1, b"Exif\0\0" + exif(6))).orientation == 1


# PNG


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


IHDR = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
PIXELS = chunk(b"IDAT", zlib.compress(b"\0\1\2\3")) + chunk(b"IEND", b"")


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + IHDR + b"".join(chunks) + PIXELS


@pytest.mark.parametrize("name", [b"gAMA", b"tEXt", b"tIME", b"eXIf", b"iCCP", b"acTL", b"fdAT", b"pHYs", b"prVt"])
def test_chunks_of_a_png_that_make_no_pixels_are_left_out(name: bytes) -> None:
    assert unpack(png(chunk(name, b"of no use to pixels"))).body == png()


@pytest.mark.parametrize("name", [b"PLTE", b"tRNS"])
def test_palette_and_transparency_of_a_png_are_kept(name: bytes) -> None:
    assert unpack(png(chunk(name, b"\1\2\3"))).body == png(chunk(name, b"\1\2\3"))


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (struct.pack(">II", 3, 0), 3), (struct.pack(">I", 3), 3), (b"\0\0\3", 1), (struct.pack(">II", 0, 0), 1),
        (struct.pack(">II", 1, 0), 1), (struct.pack(">II", 2**32 - 1, 0), MAX_FRAMES),
    ],
)  # fmt: skip
def test_the_frames_of_an_animated_png(body: bytes, frames: int) -> None:
    assert unpack(png(chunk(b"acTL", body))).frames == frames
    assert unpack(png(chunk(b"acTl", body))).frames == 1


def test_the_profile_of_a_png_is_unpacked() -> None:
    packed = zlib.compress(b"a profile")
    assert unpack(png(chunk(b"iCCP", b"its name\0\0" + packed))).profile == b"a profile"
    assert unpack(png(chunk(b"iCCP", b"its name\0\0" + b"damaged"))).profile == b""


@pytest.mark.parametrize(("size", "used"), [(2**22, True), (2**22 + 1, False)])
def test_a_profile_of_a_png_is_ignored_if_it_is_too_large(size: int, used: bool) -> None:
    packed = zlib.compress(bytes(size))
    assert unpack(png(chunk(b"iCCP", b"its name\0\0" + packed))).profile == (bytes(size) if used else b"")


XMP = b'<rdf:Description tiff:Orientation="%d"/>'


def xmp(orientation: int, packed: int | None = None, before: bytes = b"", words: bytes = b"de\0Lage") -> bytes:
    """A text, packed at a level or not at all, behind a language and a translated keyword (PNG, 11.3.3.4)."""
    text = before + XMP % orientation
    flag, body = (b"\0", text) if packed is None else (b"\1", zlib.compress(text, packed))
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + flag + b"\0" + words + b"\0" + body)


def raw_profile(orientation: int, name: bytes = b"exif") -> bytes:
    digits = (b"Exif\0\0" + exif(orientation)).hex().encode()
    return chunk(b"tEXt", b"Raw profile type " + name + b"\0\nexif\n      32\n" + digits)


def turned(orientation: int) -> bytes:
    return chunk(b"eXIf", exif(orientation))


@pytest.mark.parametrize(
    ("chunks", "orientation"),
    [
        ([turned(2)], 2), ([turned(3), turned(6)], 3), ([xmp(6), turned(3)], 3), ([xmp(6), turned(1)], 6),
        ([xmp(6), raw_profile(8)], 8), ([xmp(6), raw_profile(1)], 6), ([xmp(6), xmp(3)], 6), ([xmp(2)], 2),
        ([raw_profile(8), raw_profile(3, b"APP1")], 8), ([raw_profile(2)], 2),
        ([xmp(6, packed=9)], 6), ([xmp(6, words=b"\0")], 6), ([xmp(6, packed=9, words=b"\0")], 6),
        ([xmp(6, packed=0)], 6), ([xmp(6, packed=0, words=b"\0")], 6),  # level 0 of zlib has zero bytes in its head
        ([xmp(5, packed=1, before=b" " * (2**20 - len(XMP)))], 5), ([xmp(5, packed=1, before=b" " * 2**20)], 1),
    ],
)  # fmt: skip
def test_which_of_several_orientations_of_a_png_counts(chunks: list[bytes], orientation: int) -> None:
    """EXIF, then EXIF as a text, then XMP; of two alike the first; only the first MiB of a packed text is searched."""
    assert unpack(png(*chunks)).orientation == orientation


# GIF


def gif(*parts: bytes, width: int = 10, height: int = 20, flags: int = 0) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + b"".join(parts)


def drawn(left: int, top: int, width: int, height: int, flags: int = 0) -> bytes:
    return b"\x2c" + struct.pack("<4HB", left, top, width, height, flags) + b"\x02\x02\x4c\x01\0"


@pytest.mark.parametrize(
    ("frames", "extent"),
    [
        ([drawn(0, 0, 10, 20)], (10, 20)), ([drawn(5, 6, 5, 14)], (10, 20)), ([drawn(5, 6, 30, 3)], (35, 20)),
        ([drawn(5, 6, 3, 40)], (10, 46)), ([drawn(0, 0, 1, 1), drawn(0, 0, 90, 90)], (10, 20)), ([], (10, 20)),
    ],
)  # fmt: skip
def test_the_first_frame_of_a_gif_may_exceed_its_screen(frames: list[bytes], extent: tuple[int, int]) -> None:
    found = unpack(gif(*frames, b";"))
    assert (found.extent, found.frames, found.orientation) == (extent, max(1, len(frames)), 1)
    assert unpack(gif(*frames)).frames == max(1, len(frames)), "without its last byte"


def test_a_gif_that_ends_in_a_frame_has_as_many_as_begin() -> None:
    whole = gif(drawn(0, 0, 30, 30), drawn(0, 0, 30, 30))
    assert [unpack(whole[:length]).frames for length in range(13, len(whole) + 1)] == [1] * (10 + 15) + [2] * 6
    extents = [unpack(whole[:length]).extent for length in (13 + 9, 13 + 10)]  # an image descriptor has 10 bytes
    assert extents == [(10, 20), (30, 30)]


@pytest.mark.parametrize("flags", [0x00, 0x07, 0x01, 0x40, 0x70])
def test_a_gif_has_no_color_table_unless_it_says_so(flags: int) -> None:
    """Bit 7 says so; the others are the table's size, its order, the depth or interlacing (GIF89a, 18 and 20)."""
    assert unpack(gif(drawn(0, 0, 30, 30), drawn(0, 0, 1, 1), b";", flags=flags)).frames == 2
    assert unpack(gif(drawn(0, 0, 1, 1, flags), drawn(0, 0, 1, 1), b";")).frames == 2


# WebP


def webp(*chunks: tuple[bytes, bytes], behind: bytes = b"") -> bytes:
    body = b"".join(
        struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body + behind


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4])
def test_chunks_of_a_webp_are_found_behind_others_of_any_length(length: int) -> None:
    other = (b"VP8 ", bytes(length))
    data = webp(other, (b"ICCP", b"a profile"), other, (b"EXIF", exif(6)), (b"ANMF", b"\1\2"), (b"ANMF", b"\3"))
    assert unpack(data) == Container("WEBP", data, 6, 2, profile=b"a profile")
    assert unpack(webp((b"EXIF", b"Exif\0\0" + exif(8)), other, behind=b"\0\0\0")).orientation == 8
    assert unpack(webp(other)).frames == 1


@pytest.mark.parametrize(("length", "kept"), [(2**22, True), (2**22 + 1, False)])
def test_a_profile_of_more_than_4_mib_is_ignored(length: int, kept: bool) -> None:
    assert unpack(webp((b"ICCP", bytes(length)))).profile == (bytes(length) if kept else b"")


# ICO


def bitmap(width: int, height: int) -> bytes:
    """The header of a bitmap in an icon, which says twice its height."""
    return struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 24, *[0] * 6) + b"some pixels"


def icon(*images: tuple[int, int, int, bytes]) -> bytes:
    """An icon of images, each of a width, a height (of which 256 is written as 0), bits per pixel and a body."""
    entries, bodies = b"", b""
    for width, height, bits, body in images:
        place = 6 + 16 * len(images) + len(bodies)
        entries += struct.pack("<BBBBHHII", width % 256, height % 256, 0, 0, 1, bits, len(body), place)
        bodies += body
    return struct.pack("<HHH", 0, 1, len(images)) + entries + bodies


def drawing(width: int, height: int, bits: int = 24) -> tuple[int, int, int, bytes]:
    return width, height, bits, bitmap(width, height)


@pytest.mark.parametrize(
    ("images", "largest"),
    [
        ([drawing(8, 5), drawing(24, 16), drawing(9, 9)], 1),
        ([drawing(8, 32), drawing(20, 10)], 0), ([drawing(32, 8), drawing(10, 20)], 0),  # by their area
        ([drawing(8, 32), drawing(30, 20)], 1),
        ([drawing(16, 16, 8), drawing(16, 16, 32), drawing(16, 16, 24)], 1),  # by their bits
        ([drawing(255, 255), drawing(256, 256)], 1), ([drawing(16, 15), drawing(256, 1), drawing(1, 255)], 1),
        ([drawing(256, 1), drawing(16, 16, 32), drawing(1, 256)], 1),
    ],
)  # fmt: skip
def test_the_largest_drawing_of_an_icon_is_an_icon_of_its_own(
    images: list[tuple[int, int, int, bytes]], largest: int
) -> None:
    alone = icon(images[largest])
    assert unpack(icon(*images)) == Container("ICO", alone, frames=len(images))


def test_a_png_in_an_icon_is_taken_out_of_it() -> None:
    found = unpack(icon(drawing(1, 1), (256, 256, 32, png(turned(6)))))
    assert found == Container("ICO", png(), 6, 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (icon(drawing(8, 5))[:21], "truncated ICO: its directory ends early"),
        (icon(drawing(8, 5))[:22], "damaged ICO: its directory and its image differ in size"),
        (icon((8, 5, 24, bitmap(8, 6))), "damaged ICO: its directory and its image differ in size"),
        (icon((8, 5, 24, bitmap(9, 5))), "damaged ICO: its directory and its image differ in size"),
    ],
)
def test_an_icon_that_is_damaged_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        unpack(data)
    assert (caught.value.message, caught.value.hint) == (words, "copy or download it again")


# HEIF and AVIF


def boxed(major: bytes, *others: bytes, behind: bytes = b"") -> bytes:
    """A file type box (ISO/IEC 14496-12, 4.3) of a major brand, a version and compatible brands."""
    return struct.pack(">I4s4sI", 16 + 4 * len(others), b"ftyp", major, 0) + b"".join(others) + behind


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (boxed(b"avif"), "AVIF"), (boxed(b"avis"), "AVIF"), (boxed(b"heic"), "HEIC"), (boxed(b"mif1"), "HEIC"),
        (boxed(b"mif1", b"avif"), "AVIF"), (boxed(b"mif1", b"miaf", b"avif"), "AVIF"),
        (boxed(b"msf1", b"hevc"), "HEIC"),
        (boxed(b"mif1", b"avif", behind=b"\0\0\0\x08free"), "AVIF"),
        (boxed(b"avif", b"mif1", b"miaf"), "AVIF"), (boxed(b"mif1", b"heic", behind=b"avifavif"), "HEIC"),
    ],
)  # fmt: skip
def test_the_brands_in_its_first_box_say_what_a_file_holds(data: bytes, format: str) -> None:
    assert unpack(data) == Container(format, data)


def test_boxes_of_no_known_brand_are_a_video() -> None:
    with pytest.raises(ImageError, match="it is a video") as caught:
        unpack(boxed(b"hei?", b"avi?", behind=b"avif"))
    assert caught.value.hint == "export single frames as JPEG or PNG"


# What it is instead


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a Git LFS pointer instead of the image"),
        (b"qoif" + bytes(20), "it is a QOI image, which is not supported"),
        (bytes(20), "it is not an image: it begins with nothing but zero bytes"),
        (b"one\ttwo\r\nthree\x0c", "it is a text file, not an image"),
        (b"x" * 1500 + b"\0", "it is a text file, not an image"),
        (b"x" * 1023 + "ü".encode(), "it is a text file, not an image"),
        (("ü" * 600).encode(), "it is a text file, not an image"),  # whole characters up to the end of the sample
        (("x" + "ü" * 600).encode(), "it is a text file, not an image"),
        (("Привет, мир. " * 100).encode("utf-8-sig"), "it is a text file, not an image"),
        (b"x" * 1022 + "漢".encode(), "it is a text file, not an image"),
        (b"x" * 1000 + b"\xff", "it is not an image of a supported format"),
        (b"a bell rings\x07", "it is not an image of a supported format"),
        ("übrigens".encode("latin-1"), "it is not an image of a supported format"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_described_with_what_to_do(data: bytes, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        unpack(data)
    assert caught.value.message.startswith(words)
    assert caught.value.hint == "convert it to JPEG or PNG, or remove it"


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        (b"\x1f\x8b\x08 and damage", "it is a gzip archive, which is not supported", "unpack it"),
        (b"", "the file is empty (0 bytes)", "copy or download it again"),
    ],
)
def test_an_archive_is_to_be_unpacked_and_an_empty_file_copied_again(data: bytes, words: str, hint: str) -> None:
    with pytest.raises(ImageError) as caught:
        unpack(data)
    assert (caught.value.message, caught.value.hint) == (words, hint)
