"""Recognize an image file, find its orientation, and cut it down to what makes its pixels.

Image files contain much besides pixels: EXIF blocks, color profiles, texts, thumbnails. Damage there is common and
makes Pillow warn, raise or use much memory although the picture is intact, and a warning cannot be silenced in a single
thread. So a file is first cut down to the chunks that its pixels need, and its orientation is read in the same pass.
"""

from __future__ import annotations

import codecs
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from keensight.core.tiff import MAX_FRAMES, cut_down, exif_orientation
from keensight.errors import ImageError


@dataclass(frozen=True, slots=True)
class Container:
    """An encoded image, cut down to what its first frame needs."""

    format: str
    body: bytes
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    frames: int = 1
    extent: tuple[int, int] | None = None
    """Width and height if the header understates them (GIF), else None."""
    buffered: int = 0
    """Bytes that its decoder needs besides the pixels: the coefficients of a JPEG with several scans."""
    profile: bytes = b""
    """The embedded color profile (ICC), which Pillow does not see; empty: there is none, or it is damaged."""
    deep_color: bool = False
    """Whether its colors have 16 bits each, of which Pillow reads the upper 8."""


def unpack(data: bytes) -> Container:
    """Recognize ``data`` by its first bytes and cut it down.

    Raises:
        ImageError: not one of the formats of ``_READERS``; the reason says what it is instead.
    """
    return recognize(data)(data)


def recognize(head: bytes) -> Callable[[bytes], Container]:
    """Find the function that unpacks a file with these first bytes.

    Raises:
        ImageError: as for :func:`unpack`.
    """
    if not head:
        raise ImageError("the file is empty (0 bytes)", "copy or download it again")
    for prefix, reader in _READERS:
        if prefix.match(head):
            return reader
    raise ImageError(f"it is {_foreign(head)}", "convert it to JPEG or PNG, or remove it")


_PROFILE_LIMIT = 2**22
"""Bytes of a color profile; larger ones are ignored. Those of printing presses have up to 3 MB."""


# JPEG (ITU-T T.81): segments, each a marker and a length, then entropy-coded scans.

# Patterns that begin with one literal byte: re then searches ten times as fast as for \xff+.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = (*_SEQUENTIAL, 0xC2)
_SOS, _EOI, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
# JFIF and Adobe segments say what the color components mean; the other APPn and comments do not.
_SKIPPED = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))
# libjpeg reads ahead by one 64-bit register; without these it would wait for more at the very end.
_LOOKAHEAD = bytes(8)


def _jpeg(data: bytes) -> Container:
    kept = [b"\xff\xd8"]
    orientation, components, coefficients = 1, 0, 0
    profile: list[bytes] = []
    for marker, start, end in jpeg_segments(data):
        segment = data[start:end]
        if marker == _SOS:
            kept.append(_scans(data, start, end, components))
            if components and segment[4:5] == bytes((components,)):
                coefficients = 0  # one scan holds all, so that they are kept a row of blocks at a time
            break
        if marker == _APP1 and orientation == 1 and segment[4:10] == b"Exif\0\0":
            orientation = exif_orientation(segment[10:])
        if marker == _APP2 and segment[4:16] == b"ICC_PROFILE\0":
            profile.append(segment[16:])
        if marker in _FRAMES and len(segment) > 9:
            components = segment[9] if marker in _SEQUENTIAL else 0
            coefficients = _coefficients(segment)
        if marker not in _SKIPPED:
            kept.append(segment)
    return Container("JPEG", b"".join(kept), orientation, buffered=coefficients, profile=_joined(profile))


def _joined(pieces: list[bytes]) -> bytes:
    """A color profile from its pieces, each of which begins with its number and how many there are."""
    numbered = {piece[0]: piece for piece in pieces if len(piece) > 2}
    whole = [numbered[number] for number in sorted(numbered)]
    if not whole or any(piece[1] != len(whole) for piece in whole):
        return b""
    return _bounded(b"".join(piece[2:] for piece in whole))


def _bounded(profile: bytes) -> bytes:
    return profile if len(profile) <= _PROFILE_LIMIT else b""


def _coefficients(frame: bytes) -> int:
    """Bytes of all coefficients of a frame, 2 each, of components that may be stored at half the size or less."""
    height, width = struct.unpack_from(">HH", frame, 5)
    factors = [(code >> 4) * (code & 15) for code in frame[11 : 11 + 3 * frame[9] : 3]]
    return 2 * height * width * sum(factors) // max(1, *factors) if factors else 0


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each header segment, up to the first scan."""
    position = 2
    while found := _MARKER.search(data, position):
        marker, start = found[1][0], found.end() - 2
        if marker == _EOI:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            position = found.end()
            continue
        position = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        yield marker, start, position


def _scans(data: bytes, start: int, end: int, components: int) -> bytes:
    """The entropy-coded part, from the header of the first scan on.

    libjpeg silently fills what is missing before an end-of-image marker with gray. If one scan contains the whole image
    (sequential JPEG), that marker is therefore cut off: libjpeg then asks for more data exactly if rows are missing,
    which Pillow reports. A file that lacks only the marker is still read.
    """
    one_scan = components > 0 and data[start + 4 : start + 5] == bytes((components,))
    if not one_scan:
        return data[start:]
    stop = _SCAN_END.search(data, end)
    # Without an end marker, zeros at the end are what an interrupted download left of its file.
    scan = data[start : stop.start()] if stop else data[start:].rstrip(b"\0")
    return scan + _LOOKAHEAD


# PNG: length, name, body, checksum; names of chunks that pixels need begin with a capital letter.


def _png(data: bytes) -> Container:
    kept = [data[:8]]
    turns: dict[str, int] = {}
    frames, profile = 1, b""
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if name == b"eXIf":
            turns.setdefault("eXIf", exif_orientation(data[body : body + length]))
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            _png_text(name, data[body : body + length], turns)
        elif name == b"acTL" and length >= 4:
            frames = min(max(1, int.from_bytes(data[body : body + 4], "big")), MAX_FRAMES)
        elif name == b"iCCP":
            inflated = _inflated(data[body : body + length].partition(b"\0")[2][1:], _PROFILE_LIMIT + 1)
            profile = _bounded(inflated)
        elif name == b"tRNS" or not name[0] & 0x20:
            kept.append(data[position : body + length + 4])
        position = body + length + 4
    orientation = next((turns[kind] for kind in ("eXIf", *_PNG_TEXTS.values()) if turns.get(kind, 1) != 1), 1)
    deep_color = data[24:26] in (b"\x10\x02", b"\x10\x06")  # 16 bits of RGB or RGBA
    return Container("PNG", b"".join(kept), orientation, frames, profile=profile, deep_color=deep_color)


_PNG_TEXTS = {b"Raw profile type exif": "profile", b"Raw profile type APP1": "profile", b"XML:com.adobe.xmp": "XMP"}
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])")
_TEXT_LIMIT = 2**20
"""Bytes of an unpacked text that are searched: the orientation is near its beginning."""


def _png_text(chunk: bytes, body: bytes, turns: dict[str, int]) -> None:
    """Read the orientation from a text chunk, as ImageMagick (EXIF in hexadecimal) and Adobe (XMP) write it."""
    keyword, _, rest = body.partition(b"\0")
    kind = _PNG_TEXTS.get(keyword)
    if kind is None or kind in turns:
        return
    text = _unpacked_text(chunk, rest)
    if kind == "XMP":
        found = _XMP_ORIENTATION.search(text)
        turns[kind] = int(found[1]) if found else 1
        return
    # Its first lines are a name and a length; it ends before the first other character.
    digits = re.match(rb"[0-9a-fA-F]*", b"".join(text.split(b"\n")[3:]))
    even = digits[0][: min(2**16, len(digits[0]) // 2 * 2)] if digits else b""
    block = bytes.fromhex(even.decode())
    turns[kind] = exif_orientation(block.removeprefix(b"Exif\0\0"))


def _unpacked_text(chunk: bytes, rest: bytes) -> bytes:
    """The text of a PNG chunk without its keyword; empty if it is damaged."""
    packed = chunk == b"zTXt" or (chunk == b"iTXt" and rest[:1] == b"\1")
    if chunk == b"zTXt":
        rest = rest[1:]
    elif chunk == b"iTXt":
        rest = rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
    return _inflated(rest, _TEXT_LIMIT) if packed else rest


def _inflated(packed: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes; empty if they are damaged."""
    try:
        return zlib.decompressobj().decompress(packed, limit)
    except zlib.error:
        return b""


# GIF: blocks; the first frame may exceed the screen, which enlarges the image.


def _gif(data: bytes) -> Container:
    width, height, flags = struct.unpack_from("<HHB", data.ljust(13, b"\0"), 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    frames, extent = 0, (width, height)
    while position < len(data) and frames < MAX_FRAMES:
        if data[position] == 0x21:
            position = _skip_blocks(data, position + 2)
        elif data[position] == 0x2C and position + 10 <= len(data):
            left, top, w, h, flags = struct.unpack_from("<4HB", data, position + 1)
            if frames == 0:
                extent = (max(width, left + w), max(height, top + h))
            frames += 1
            table = 3 << (flags & 7) + 1 if flags & 0x80 else 0
            position = _skip_blocks(data, position + 11 + table)
        else:
            break
    return Container("GIF", data, 1, max(1, frames), extent)


def _skip_blocks(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return position + 1


# WebP: RIFF chunks.


def _webp(data: bytes) -> Container:
    orientation, frames, position, profile = 1, 0, 12, b""
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        block = slice(position + 8, position + 8 + length)
        if name == b"EXIF":
            orientation = exif_orientation(data[block].removeprefix(b"Exif\0\0"))
        elif name == b"ICCP":
            profile = _bounded(data[block])
        frames += name == b"ANMF"
        position += 8 + length + length % 2
    return Container("WEBP", data, orientation, max(1, frames), profile=profile)


def _tiff(data: bytes) -> Container:
    cut = cut_down(data)
    return Container("TIFF", cut.body, cut.orientation, cut.frames, None, 0, _bounded(cut.profile), cut.deep_color)


# ICO: a directory of images, each a PNG or a BMP without its header; the largest is used.


def _ico(data: bytes) -> Container:
    count = int.from_bytes(data[4:6], "little")
    found = [entry for i in range(count) if len(entry := data[6 + 16 * i : 22 + 16 * i]) == 16]
    if not found:
        raise ImageError("truncated ICO: its directory ends early", "copy or download it again")
    entry = max(found, key=lambda entry: ((entry[0] or 256) * (entry[1] or 256), entry[6]))
    size, start = struct.unpack_from("<II", entry, 8)
    body = data[start : start + size]
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return replace(_png(body), format="ICO", frames=len(found))
    width, height = struct.unpack_from("<ii", body.ljust(12, b"\0"), 4)
    if (width, height) != (entry[0] or 256, 2 * (entry[1] or 256)):
        raise ImageError("damaged ICO: its directory and its image differ in size", "copy or download it again")
    alone = struct.pack("<HHH", 0, 1, 1) + entry[:12] + struct.pack("<I", 22) + body
    return Container("ICO", alone, 1, len(found))


# HEIF and AVIF: boxes, of which the first says by its brands what the others hold.

_BOXED = ((b"avif", b"avis"), (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


def _boxed(data: bytes) -> Container:
    brands = _brands(data)
    av1, hevc = (any(brand in brands for brand in known) for known in _BOXED)
    if not av1 and not hevc:
        raise ImageError("it is a video, which is not supported", "export single frames as JPEG or PNG")
    return Container("AVIF" if av1 else "HEIC", data)


def _brands(data: bytes) -> list[bytes]:
    size = min(int.from_bytes(data[:4], "big"), 1024)
    return [data[8:12], *(data[i : i + 4] for i in range(16, size - 3, 4))]


def _gzip(data: bytes) -> Container:
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        head = unpacked.decompress(data, 352)
    except zlib.error:
        head = b""
    if _NIFTI.match(head):
        raise _volume()
    raise ImageError("it is a gzip archive, which is not supported", "unpack it")


def _volume() -> ImageError:
    return ImageError(
        "it is a NIfTI volume: save its slices as images (nibabel.load(file).dataobj[:, :, k] is one), "
        "and keep those of a patient together with --group-regex"
    )


def _nifti(data: bytes) -> Container:
    raise _volume()


def _plain(format: str) -> Callable[[bytes], Container]:
    return lambda data: Container(format, data)


_NIFTI = re.compile(rb"(?:\x5c\x01\0\0|\0\0\x01\x5c).{340}n[i+]1\0", re.DOTALL)
# TGA has no signature: a color map or none, one of six kinds, then size and depth that make sense.
_TGA = re.compile(
    rb".(?:\0[\x02\x03\x0a\x0b]\0{5}|\x01[\x01\x09].{4}[\x0f\x10\x18\x20]).{4}(?!\0\0)..(?!\0\0)..[\x08\x0f\x10\x18\x20]"
    rb"[\0\x01\x08\x10\x11\x18\x20\x21\x28\x30\x31\x38]",
    re.DOTALL,
)

_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Container]], ...] = (
    (re.compile(rb".{128}DICM", re.DOTALL), _plain("DICOM")),  # before TIFF, whose first bytes may be in its preamble
    (re.compile(rb"\xff\xd8\xff"), _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    (re.compile(rb"GIF8[79]a"), _gif),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _webp),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0"), _tiff),
    (re.compile(rb"BM"), _plain("BMP")),
    (re.compile(rb"P[1-6f]\s"), _plain("PPM")),
    (re.compile(rb"....ftyp(?:avi[fs]|hei|hev|mif1|msf1)", re.DOTALL), _boxed),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), _plain("JPEG2000")),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), _plain("JXL")),
    (re.compile(rb"\0\0\x01\0[^\0]\0"), _ico),
    (_NIFTI, _nifti),
    (re.compile(rb"\x1f\x8b"), _gzip),
    (_TGA, _plain("TGA")),
)

_FOREIGN: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"8BPS", "a Photoshop file (PSD)"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file (EPS)"),
        (rb"%PDF", "a PDF"),
        (rb"....ftypcrx ", "a raw photo of a camera (CR3)"),
        (rb"....ftyp", "a video"),
        (rb"\0\0\x02\0[^\0]\0", "a cursor (CUR)"),
        (rb"icns", "an Apple icon (ICNS)"),
        (rb"DDS ", "a DirectDraw texture (DDS)"),
        (rb"qoif", "a QOI image"),
        (rb"SIMPLE  =", "an astronomical image (FITS)"),
        (rb"MM\0\+", "a big-endian BigTIFF"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg", "an SVG drawing"),
        (rb"(?i)\s*<(!doctype )?html", "a web page (HTML)"),
    )
)


def _foreign(data: bytes) -> str:
    """Describe an unsupported file."""
    head = data[:1024]
    for pattern, name in _FOREIGN:
        if pattern.match(head):
            return f"{name}, which is not supported"
    if not head.strip(b"\0"):
        return "not an image: it begins with nothing but zero bytes"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer instead of the image: run `git lfs pull` in the repository"
    if _is_text(head):
        return "a text file, not an image"
    return "not an image of a supported format (JPEG, PNG, BMP, GIF, WebP, TIFF, PPM, AVIF, JPEG 2000, ICO, TGA)"


def _is_text(head: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        text = decoder.decode(head, final=len(head) < 1024)  # a sample may end in the middle of a character
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)


_DQT = 0xDB
_STANDARD = 3688
"""Sum of the luminance table of ITU-R T.81, annex K, unscaled at quality 50."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces that the writing program left in a file."""

    quality: float | None
    """Quality of a JPEG, 1 to 100, on libjpeg's scale; None for other formats."""
    exif: bool
    """Whether there is an EXIF block."""


def traces(data: bytes) -> Traces:
    """Read these traces from an encoded image; anything damaged counts as absent."""
    if data.startswith(b"\x89PNG"):
        return Traces(None, b"eXIf" in data[:4096])
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Traces(None, data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 8))
    if not data.startswith(b"\xff\xd8\xff"):
        return Traces(None, exif=False)
    quality, exif = None, False
    for marker, start, end in jpeg_segments(data):
        if marker == _DQT and quality is None:
            quality = _quality(data[start + 4 : end])
        exif = exif or (marker == _APP1 and data[start + 4 : start + 10] == b"Exif\0\0")
    return Traces(quality, exif)


def _quality(tables: bytes) -> float | None:
    """Invert libjpeg's ``jpeg_quality_scaling`` for the first table, by its sum."""
    wide = tables[:1] >= b"\x10"
    step = 2 if wide else 1
    values = [int.from_bytes(tables[i : i + step], "big") for i in range(1, 1 + 64 * step, step)]
    scale = 100 * sum(values) / _STANDARD
    if len(tables) < 1 + 64 * step or not scale:
        return None
    return round((200 - scale) / 2 if scale <= 100 else 5000 / scale, 1)
