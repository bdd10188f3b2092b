"""DICOM images, written by pydicom in the tests."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from dicom_builders import written
from keensight.core.image_files import unpack
from keensight.core.intensity import Scale, scale_of_set
from keensight.core.openers import open_container
from keensight.core.pixels import decode, levels, probe
from keensight.core.records import ImageInfo, ImageSpec
from keensight.errors import ImageError

pydicom = pytest.importorskip("pydicom", reason="the extra medical is not installed")
codecs = pytest.importorskip("imagecodecs", reason="the extra medical is not installed")
uid = pytest.importorskip("pydicom.uid")

RAMP = np.linspace(0, 4095, 12 * 16).reshape(12, 16).astype(np.uint16)
SPEC = ImageSpec(12, 16)


def shown(raw: bytes, spec: ImageSpec = SPEC) -> np.ndarray:
    return decode(raw, spec)[..., 0]


def reason(raw: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        decode(raw, SPEC)
    return raised.value.message


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_12_bits_without_a_window(syntax: str) -> None:
    raw = written(RAMP, syntax, BitsStored=12)
    assert probe(raw) == ImageInfo("DICOM", "F", 16, 12)
    assert np.array_equal(shown(raw), np.floor(RAMP * (255 / 4095) + 0.5))


def test_bytes_that_are_stored_as_words_of_the_other_order() -> None:
    small = (RAMP // 16).astype(np.uint8)
    raw = written(small, uid.ExplicitVRBigEndian)
    head, element = raw[: -small.size - 12], raw[-small.size - 12 : -small.size]
    swapped = np.frombuffer(small.tobytes(), "<u2").astype(">u2").tobytes()
    assert np.array_equal(shown(raw), small)
    assert np.array_equal(shown(head + element.replace(b"OB", b"OW") + swapped), small)


def test_rescale_and_window_of_a_ct() -> None:
    raw = written(
        RAMP, BitsStored=12, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400
    )
    units = RAMP.astype(float) - 1024
    want = np.clip((units - 39.5) / 399 + 0.5, 0, 1) * 255  # PS3.3, C.11.2.1.2.1
    assert np.abs(shown(raw) - want).max() <= 0.51
    lungs = ImageSpec(12, 16, intensity=400.0, black=-1000.0)
    assert np.abs(shown(raw, lungs) - np.clip((units + 1000) / 1400, 0, 1) * 255).max() <= 0.51
    found = levels(raw)
    assert found is not None
    assert (found.low, found.high, found.absolute) == (-1024, 3071, True)
    assert found.window == Scale(-160, 239)


@pytest.mark.parametrize(
    ("function", "want"),
    [
        ("LINEAR_EXACT", lambda v: np.clip((v - 2000) / 1000 + 0.5, 0, 1)),
        ("SIGMOID", lambda v: 1 / (1 + np.exp(-4 * (v - 2000) / 1000))),
    ],
)
def test_other_functions_of_a_window(function: str, want: Any) -> None:
    raw = written(RAMP, BitsStored=12, WindowCenter=[2000, 5], WindowWidth=[1000, 7], VOILUTFunction=function)
    assert np.abs(shown(raw) - 255 * want(RAMP.astype(float))).max() <= 0.51


def test_a_table_of_values_in_place_of_a_window() -> None:
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.LUTData = list(range(255, -1, -1))
    table["LUTData"].VR = "US"
    values = (RAMP // 16).astype(np.uint16)
    assert np.array_equal(shown(written(values, BitsStored=12, VOILUTSequence=[table])), 255 - values)


def test_monochrome1_is_inverted_with_and_without_a_scale_of_the_set() -> None:
    raw = written(RAMP, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(shown(raw), 255 - np.floor(RAMP * (255 / 4095) + 0.5))
    assert np.array_equal(shown(raw, ImageSpec(12, 16, intensity=4095.0)), shown(raw))
    small = (RAMP // 16).astype(np.uint8)
    assert np.array_equal(shown(written(small, PhotometricInterpretation="MONOCHROME1")), 255 - small)


def test_signed_values_and_overlays_in_the_high_bits() -> None:
    signed = (RAMP.astype(np.int16) - 2048) & 0x0FFF | 0x4000  # two's complement of 12 bits, and a bit of an overlay
    raw = written(signed.astype(np.int16), BitsStored=12)
    found = levels(raw)
    assert found is not None
    assert (found.low, found.high) == (-2048, 2047)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("colors", ["RGB", "YBR_FULL"])
def test_colors(planar: int, colors: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    stored = pydicom.pixels.convert_color_space(rgb, "RGB", "YBR_FULL") if colors == "YBR_FULL" else rgb
    data = np.ascontiguousarray(np.moveaxis(stored, -1, 0)).reshape(12, 16, 3) if planar else stored
    raw = bytes(64) + b"II*\0" + written(data, PhotometricInterpretation=colors, PlanarConfiguration=planar)[68:]
    assert np.abs(decode(raw, SPEC).astype(int) - rgb).max() <= (0 if colors == "RGB" else 2)


def test_a_palette() -> None:
    fields: dict[str, Any] = {}
    for place, name in enumerate(("Red", "Green", "Blue")):
        fields[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        fields[f"{name}PaletteColorLookupTableData"] = (
            ((np.arange(256) * (place + 1) % 256) * 257).astype("<u2").tobytes()
        )
    values = (RAMP // 16).astype(np.uint8)
    raw = written(values, PhotometricInterpretation="PALETTE COLOR", **fields)
    assert np.array_equal(decode(raw, SPEC)[..., 2], values.astype(int) * 3 % 256)


def runs(values: np.ndarray) -> bytes:
    """RLE of PS3.5, annex G, as literal runs of one byte and repeated ones."""
    planes = values.astype(">u2").view(np.uint8).reshape(*values.shape, 2)
    segments = []
    for byte in range(2):
        plane, packed = planes[..., byte].ravel(), b""
        for start in range(0, len(plane), 4):
            four = plane[start : start + 4].tobytes()
            packed += (b"\xfd" + four[:1]) if len(set(four)) == 1 else b"\x03" + four
        segments.append(packed + bytes(len(packed) % 2))
    starts = [64, 64 + len(segments[0])]
    return struct.pack("<16I", 2, *starts, *[0] * 13) + b"".join(segments)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.RLELossless, runs),
        (uid.JPEGLosslessSV1, lambda a: codecs.jpeg8_encode(a, lossless=True, bitspersample=12)),
        (uid.JPEGLSLossless, codecs.jpegls_encode),
        (uid.JPEG2000Lossless, lambda a: codecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0)),
    ],
    ids=["RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000"],
)
def test_compressed_pixels(syntax: str, encode: Any) -> None:
    raw = written(RAMP, syntax, encode(RAMP), BitsStored=12)
    assert np.array_equal(shown(raw), np.floor(RAMP * (255 / 4095) + 0.5))
    wrong = written(RAMP[:, :8].copy(), syntax, encode(RAMP), BitsStored=12)
    if syntax != uid.RLELossless:
        assert "is not that of its header" in reason(wrong)
    assert reason(raw[:-200])


def test_a_jpeg_in_color() -> None:
    rgb = np.dstack([RAMP // 16, RAMP // 20, 200 - RAMP // 40]).astype(np.uint8)
    body = codecs.jpeg8_encode(rgb, level=95, subsampling="444")
    raw = written(rgb, uid.JPEGBaseline8Bit, body, PhotometricInterpretation="YBR_FULL_422")
    assert np.abs(decode(raw, SPEC).astype(int) - rgb).mean() < 3


def test_several_frames_are_counted_and_the_first_is_used() -> None:
    raw = bytearray(written(np.vstack([RAMP, RAMP[::-1]]), BitsStored=12, NumberOfFrames="2"))
    place = raw.index(struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 24))
    raw[place + 8 : place + 10] = struct.pack("<H", 12)
    assert probe(bytes(raw)).frames == 2
    assert np.array_equal(shown(bytes(raw)), np.floor(RAMP * (255 / 4095) + 0.5))


def test_one_window_for_a_set_of_ct_and_none_for_windows_that_differ() -> None:
    def ct(center: int, modality: str) -> Any:
        return levels(written(RAMP, BitsStored=12, Modality=modality, RescaleSlope=1, RescaleIntercept=-1024,
                              WindowCenter=center, WindowWidth=400))  # fmt: skip

    assert scale_of_set([ct(40, "CT"), ct(40, "CT"), ct(-600, "CT")]) == Scale(-160, 239)
    assert scale_of_set([ct(40, "MR"), ct(60, "MR")]) is None
    assert scale_of_set([ct(40, "MR"), ct(40, "MR")]) == Scale(-160, 239)
    assert scale_of_set([ct(40, "CT")], "bits") == Scale(-1024, 3071)


def test_what_is_no_picture_says_so() -> None:
    raw = written(RAMP, BitsStored=12)
    assert reason(raw[: raw.rindex(b"\xe0\x7f\x10\0OW")]).startswith("it is a DICOM file without pixels")
    assert reason(raw[:-20]) == "truncated DICOM: its image data ends early"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    deflated = struct.pack("<HH2sH", 2, 0x10, b"UI", 22) + b"1.2.840.10008.1.2.1.99"
    assert meta in raw
    assert "deflated" in reason(raw.replace(meta, deflated))


def test_a_header_of_60000_by_60000_is_refused() -> None:
    raw = written(RAMP)
    for tag in (0x10, 0x11):
        place = raw.index(struct.pack("<HH2sH", 0x28, tag, b"US", 2))
        raw = raw[: place + 8] + struct.pack("<H", 60_000) + raw[place + 10 :]
    assert "megapixels" in reason(raw)


def test_every_damaged_byte_gives_an_image_or_an_image_error(recwarn: pytest.WarningsRecorder) -> None:
    raw = written(RAMP, BitsStored=12, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-1024)
    for place in range(132, len(raw) - 2 * RAMP.size, 7):
        damaged = raw[:place] + b"\xff" + raw[place + 1 :]
        try:
            assert decode(damaged, SPEC).shape == (12, 16, 3)
        except ImageError as error:
            assert error.message


def test_one_bit_for_each_pixel_is_black_or_white() -> None:
    dots = np.random.default_rng(0).integers(0, 2, (12, 16), np.uint8)
    packed = np.packbits(dots, axis=1, bitorder="little")
    raw = written(packed, Rows=12, Columns=16, BitsAllocated=1, BitsStored=1)
    assert np.array_equal(shown(raw), 255 * dots)


@pytest.mark.parametrize("bits", [1, 4, 6, 7])
def test_fewer_than_8_bits_stored_reach_from_black_to_white(bits: int) -> None:
    """Whatever is in the unused bits, gray and in color."""
    values = np.random.default_rng(0).integers(0, 2**bits, (12, 16, 3), np.uint8)
    values[0, :2] = [[0], [2**bits - 1]]
    expected = np.rint(values * 255.0 / (2**bits - 1))
    dirty = values | np.uint8(1 << bits)
    assert np.array_equal(shown(written(dirty[..., 0].copy(), BitsStored=bits)), expected[..., 0])
    assert np.array_equal(decode(written(dirty, BitsStored=bits), SPEC), expected)


def test_signed_values_of_8_bits_keep_their_order() -> None:
    signed = np.arange(-96, 96, dtype=np.int8).reshape(12, 16)
    assert (np.diff(shown(written(signed)).astype(int).ravel()) >= 0).all()
    assert np.asarray(open_container(unpack(written(signed)))[1]).min() == -96


def test_32_bits_for_each_pixel_are_scaled_like_16() -> None:
    assert np.array_equal(shown(written(RAMP.astype(np.uint32), BitsStored=12)), shown(written(RAMP, BitsStored=12)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"SamplesPerPixel": 2}, "2 samples per pixel of 16 bits"),
        ({"BitsAllocated": 64}, "1 samples per pixel of 64 bits"),
        ({"PhotometricInterpretation": "CMYK"}, "its pixels are CMYK"),
    ],
)
def test_pixels_of_other_kinds_are_refused_by_name(fields: dict[str, Any], words: str) -> None:
    assert reason(written(RAMP, **fields)) == f"unsupported DICOM: {words}"


def test_loading_gives_access_to_the_gray_values() -> None:
    _, image = open_container(unpack(written(RAMP, BitsStored=12)))
    pixels = image.load()
    assert pixels is not None
    assert pixels[3, 2] == RAMP[2, 3]


def test_tables_before_the_frame_of_a_jpeg_are_not_taken_for_it() -> None:
    small = (RAMP // 16).astype(np.uint8)
    body = codecs.jpeg8_encode(small, level=95)
    table = body.index(b"\xff\xc4")
    end = table + 2 + int.from_bytes(body[table + 2 : table + 4], "big")
    conditions = b"\xff\xcc\0\4\0\x10"  # of arithmetic coding
    raw = written(small, uid.JPEGBaseline8Bit, body[:2] + conditions + body[table:end] + body[2:])
    assert np.array_equal(shown(raw), shown(written(small, uid.JPEGBaseline8Bit, body)))
