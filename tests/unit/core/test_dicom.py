"""DICOM images, written by pydicom in the tests."""

from __future__ import annotations

import hashlib
import io
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
dicom = pytest.importorskip("keensight.core.dicom", reason="the extra medical is not installed")

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


def test_a_jpeg_ls_of_8_bits() -> None:
    small = (RAMP // 16).astype(np.uint8)
    assert np.array_equal(shown(written(small, uid.JPEGLSLossless, codecs.jpegls_encode(small))), small)


def test_tables_before_the_frame_of_a_jpeg_are_not_taken_for_it() -> None:
    small = (RAMP // 16).astype(np.uint8)
    body = codecs.jpeg8_encode(small, level=95)
    table = body.index(b"\xff\xc4")
    end = table + 2 + int.from_bytes(body[table + 2 : table + 4], "big")
    conditions = b"\xff\xcc\0\4\0\x10"  # of arithmetic coding
    raw = written(small, uid.JPEGBaseline8Bit, body[:2] + conditions + body[table:end] + body[2:])
    assert np.array_equal(shown(raw), shown(written(small, uid.JPEGBaseline8Bit, body)))


def changed(raw: bytes, *removed: str, frames: list[bytes] | None = None) -> bytes:
    """The file without these attributes, or with these compressed frames."""
    data = pydicom.dcmread(io.BytesIO(raw))
    for name in removed:
        delattr(data, name)
    if frames:
        data.NumberOfFrames, data.PixelData = len(frames), pydicom.encaps.encapsulate(frames)
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


def hint(raw: bytes) -> str | None:
    with pytest.raises(ImageError) as raised:
        decode(raw, SPEC)
    return raised.value.hint


def test_attributes_that_are_missing_have_their_usual_values_or_are_told() -> None:
    raw = written(RAMP)
    usual = ("SamplesPerPixel", "BitsStored", "PhotometricInterpretation", "PixelRepresentation")
    assert np.array_equal(shown(changed(raw, *usual)), shown(raw))
    assert reason(changed(raw, "BitsAllocated")) == "unsupported DICOM: 1 samples per pixel of 0 bits"
    assert hint(changed(raw, "BitsAllocated")) == "export it as PNG with a DICOM viewer"
    assert reason(changed(raw, "Columns")).startswith("damaged DICOM")
    assert reason(changed(raw, "Rows")) == "it is a DICOM file without pixels (no image)"


@pytest.mark.parametrize(("stored", "mode"), [(8, "L"), (9, "F")])
def test_more_than_8_bits_stored_are_gray_values_to_scale(stored: int, mode: str) -> None:
    assert probe(written(RAMP, BitsStored=stored)).mode == mode


def test_more_bits_stored_than_there_are_count_as_all_of_them() -> None:
    small = (RAMP // 16).astype(np.uint8)
    assert np.array_equal(shown(written(small, BitsStored=12)), small)


def test_colors_of_12_bits_keep_their_upper_8() -> None:
    rgb = np.dstack([RAMP, RAMP[::-1], RAMP // 2])
    assert np.array_equal(decode(written(rgb, BitsStored=12), SPEC), rgb >> 4)


@pytest.mark.parametrize(
    ("center", "width", "want"),
    [
        (40, 3, Scale(38.5, 40.5)),
        (40, 2, Scale(39, 40)),
        (40, 1, Scale(39.5, 40.5)),
        (40, 0.5, Scale(39.75, 40.25)),
        (40, 0, None),
        (40, -3, None),
        ("", 400, None),
        (40, "", None),
        ([40, 7], [2, 9], Scale(39, 40)),
    ],
)
def test_the_window_of_a_file(center: Any, width: Any, want: Scale | None) -> None:
    """PS3.3, C.11.2.1.2.1: from center - 0.5 - (width - 1) / 2 on; a width is at least 1."""
    found = levels(written(RAMP, BitsStored=12, WindowCenter=center, WindowWidth=width))
    assert found is not None
    assert found.window == want


def test_hounsfield_units_have_a_meaning_of_their_own_whatever_made_them() -> None:
    for fields, absolute in (
        ({"RescaleType": "HU"}, True),
        ({"RescaleType": "US"}, False),
        ({"Modality": "MR"}, False),
    ):
        found = levels(written(RAMP, BitsStored=12, **fields))
        assert found is not None
        assert found.absolute is absolute


def test_a_table_of_12_bits_is_scaled_by_its_own_white() -> None:
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table.LUTData = list(range(4095, 4095 - 16 * 256, -16))
    table["LUTData"].VR = "US"
    values = (RAMP // 16).astype(np.uint16)
    want = np.floor((4095 - 16.0 * values) * (255 / 4095) + 0.5)
    assert np.array_equal(shown(written(values, BitsStored=12, VOILUTSequence=[table])), want)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_upper_8_bits_of_a_palette_are_used(bits: int) -> None:
    fields: dict[str, Any] = {}
    for place, name in enumerate(("Red", "Green", "Blue")):
        tone = (np.arange(256) * (place + 1)) % 256
        table = tone.astype(np.uint8) if bits == 8 else (tone << 8 | 0x35).astype("<u2")
        fields[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        fields[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    values = (RAMP // 16).astype(np.uint8)
    got = decode(written(values, PhotometricInterpretation="PALETTE COLOR", **fields), SPEC).astype(int)
    assert np.array_equal(got, values[..., None] * np.array([1, 2, 3]) % 256)


def test_an_odd_number_of_bytes_that_are_stored_as_words_of_the_other_order() -> None:
    small = np.arange(15, dtype=np.uint8).reshape(3, 5) * 10
    raw = written(small, uid.ExplicitVRBigEndian)  # 15 bytes and one that fills the last word
    head, element, body = raw[:-28], raw[-28:-16], raw[-16:]
    swapped = np.frombuffer(body, "<u2").astype(">u2").tobytes()
    got = decode(head + element.replace(b"OB", b"OW") + swapped, ImageSpec(3, 5))[..., 0]
    assert np.array_equal(got, small)
    for end in (0, 5):  # whole words and half of one
        cut = head + element.replace(b"OB", b"OW") + swapped[:end]
        assert reason(cut) == "truncated DICOM: its image data ends early"


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_the_smallest_image_is_read_whatever_the_size_of_its_elements_header(syntax: str) -> None:
    raw = written(np.array([[77]], np.uint8), syntax)
    assert decode(raw, ImageSpec(1, 1)).tolist() == [[[77, 77, 77]]]


def test_two_pixels_in_a_row_that_share_their_color() -> None:
    """YBR_FULL_422 that is not compressed (PS3.3, C.7.6.3.1.2): two of luminance, then Cb and Cr of both."""
    rng = np.random.default_rng(0)
    luminance = rng.integers(60, 200, (12, 16), np.uint8)
    chroma = rng.integers(110, 146, (12, 8, 2), np.uint8)
    packed = np.concatenate([luminance.reshape(12, 8, 2), chroma], axis=-1).reshape(12, 32)
    raw = written(packed, Columns=16, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422",
                  PlanarConfiguration=0)  # fmt: skip
    full = np.dstack([luminance, chroma.repeat(2, axis=1)])
    assert np.array_equal(decode(raw, SPEC), pydicom.pixels.convert_color_space(full, "YBR_FULL", "RGB"))
    assert reason(raw[:-1]) == "truncated DICOM: its image data ends early"


def packed_runs(segments: list[bytes]) -> bytes:
    """A frame of RLE (PS3.5, annex G) of these segments."""
    starts = [64 + sum(map(len, segments[:i])) for i in range(len(segments))]
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def literal(values: np.ndarray) -> bytes:
    plain = values.astype(np.uint8).tobytes()
    return b"".join(bytes((len(part) - 1,)) + part for part in (plain[i : i + 100] for i in range(0, len(plain), 100)))


def test_runs_of_every_length_are_unpacked() -> None:
    """PS3.5, G.3.2: n below 128: n + 1 bytes as they are; above: the next one 257 - n times; 128: nothing."""
    ramp = bytes(range(128))
    packed = b"\x7f" + ramp + b"\x80\x81\x21\xff\xc8" + bytes((257 - 60, 90)) + b"\x80\x00\x07"
    want = np.frombuffer(ramp + b"\x21" * 128 + b"\xc8" * 2 + bytes([90]) * 60 + b"\x07\x63", np.uint8).reshape(16, 20)

    def raw(segment: bytes) -> bytes:
        return written(want, uid.RLELossless, packed_runs([segment]))

    # One byte is still needed; what comes after it does not count.
    for last in (b"\x00\x63", b"\x81\x63", b"\x00\x63" + b"\x7f" * 9):
        assert np.array_equal(shown(raw(packed + last), ImageSpec(16, 20)), want)
    for short in (b"", b"\x80", b"\x80\x80", b"\x81"):
        assert reason(raw(packed + short)) == "truncated DICOM: its image data ends early"


@pytest.mark.parametrize("colors", ["RGB", "YBR_FULL"])
def test_runs_in_color_have_a_segment_for_each_channel(colors: str) -> None:
    stored = np.dstack([RAMP // 16, 255 - RAMP // 16, RAMP // 32]).astype(np.uint8)
    want = stored if colors == "RGB" else pydicom.pixels.convert_color_space(stored, "YBR_FULL", "RGB")
    body = packed_runs([literal(stored[..., i]) for i in range(3)])
    assert np.array_equal(decode(written(stored, uid.RLELossless, body, PhotometricInterpretation=colors), SPEC), want)


@pytest.mark.parametrize("segments", [0, 1, 3])
def test_another_number_of_runs_than_bytes_of_a_pixel_is_damage(segments: int) -> None:
    body = packed_runs([literal(RAMP // 16)] * segments)
    told = "damaged DICOM: its RLE has another number of segments than its header says"
    assert reason(written(RAMP, uid.RLELossless, body)) == told


def test_a_frame_of_runs_that_ends_in_its_header_is_damage() -> None:
    assert "another number of segments" in reason(written(RAMP, uid.RLELossless, b"\1\0\0\0" + bytes(20)))


def test_the_first_of_several_compressed_frames_is_used() -> None:
    frames = [runs(RAMP), runs(RAMP[::-1].copy())]
    raw = changed(written(RAMP, uid.RLELossless, frames[0], BitsStored=12), frames=frames)
    assert probe(raw).frames == 2
    assert np.array_equal(shown(raw), shown(written(RAMP, BitsStored=12)))


def test_a_jpeg_in_color_in_a_file_that_says_it_is_gray_is_damage() -> None:
    small = (RAMP // 16).astype(np.uint8)
    body = codecs.jpeg8_encode(np.dstack([small] * 3), level=95)
    told = "damaged DICOM: its header and its pixels differ in size"
    assert reason(written(small, uid.JPEGBaseline8Bit, body)) == told


def test_a_jpeg_whose_channels_are_rgb_is_not_converted() -> None:
    rgb = np.dstack([RAMP // 16, RAMP // 20, 200 - RAMP // 40]).astype(np.uint8)
    body = codecs.jpeg8_encode(rgb, level=100, subsampling="444", colorspace="RGB", outcolorspace="RGB")
    assert np.abs(decode(written(rgb, uid.JPEGBaseline8Bit, body), SPEC).astype(int) - rgb).max() <= 2


def test_the_header_says_what_the_channels_of_a_jpeg_are_that_does_not() -> None:
    """Without a segment of Adobe, and numbered from 1 as those of JFIF are, libjpeg would take them for YCbCr."""
    rgb = np.dstack([RAMP // 16, RAMP // 20, 200 - RAMP // 40]).astype(np.uint8)
    body = bytearray(codecs.jpeg8_encode(rgb, level=100, subsampling="444", colorspace="RGB", outcolorspace="RGB"))
    adobe = body.index(b"\xff\xee")
    del body[adobe : adobe + 2 + int.from_bytes(body[adobe + 2 : adobe + 4], "big")]
    for place, step in ((body.index(b"\xff\xc0") + 10, 3), (body.index(b"\xff\xda") + 5, 2)):
        body[place : place + 3 * step : step] = b"\1\2\3"
    assert np.abs(decode(written(rgb, uid.JPEGBaseline8Bit, bytes(body)), SPEC).astype(int) - rgb).max() <= 2
    other = written(rgb, uid.JPEGBaseline8Bit, bytes(body), PhotometricInterpretation="YBR_FULL_422")
    assert np.abs(decode(other, SPEC).astype(int) - rgb).mean() > 20


@pytest.mark.parametrize("kind", ["j2k", "jp2"])
def test_a_jpeg_2000_may_be_in_boxes_and_may_begin_elsewhere_than_at_zero(kind: str) -> None:
    body = bytearray(codecs.jpeg2k_encode(RAMP, codecformat=kind, reversible=True, level=0))
    want = np.floor(RAMP * (255 / 4095) + 0.5)
    assert np.array_equal(shown(written(RAMP, uid.JPEG2000Lossless, bytes(body), BitsStored=12)), want)
    if kind == "j2k":  # T.800, A.5.1: right, bottom, left and top of the picture, then of its tiles
        place = body.index(b"\xff\x51") + 6
        body[place : place + 32] = struct.pack(">8I", 20, 15, 4, 3, 20, 15, 0, 0)
        assert np.array_equal(shown(written(RAMP, uid.JPEG2000Lossless, bytes(body), BitsStored=12)), want)


def test_a_compressed_frame_that_declares_no_size_is_damage() -> None:
    small = (RAMP // 16).astype(np.uint8)
    for body in (b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xc0\0\5\x08\0\x0c", b"\xff\x4f\xff\x51", b"text"):
        assert "frame is not that of its header" in reason(written(small, uid.JPEGBaseline8Bit, body))
        assert hint(written(small, uid.JPEGBaseline8Bit, body)) == "copy or download it again"


def test_an_arithmetic_coded_frame_is_measured_before_it_is_decoded() -> None:
    small = (RAMP // 16).astype(np.uint8)
    for marker in (0xC1, 0xC2, 0xC9, 0xCF):
        size = struct.pack(">BHHBBBB", 8, 12, 17, 1, 1, 0x11, 0)
        body = b"\xff\xd8" + bytes((0xFF, marker)) + struct.pack(">H", 2 + len(size)) + size + b"\xff\xd9"
        assert "frame is not that of its header" in reason(written(small, uid.JPEGBaseline8Bit, body))


def test_a_file_that_ends_before_its_pixels_is_told_apart_from_one_that_has_none() -> None:
    raw = written(RAMP, BitsStored=12)
    place = raw.rindex(b"\xe0\x7f\x10\0OW")
    assert reason(raw[: place + 12]) == "truncated DICOM: its image data ends early"
    assert reason(raw[:place]) == "it is a DICOM file without pixels (no image)"
    assert hint(raw[:place]) == "remove it"
    report = written(RAMP, BitsStored=12, Modality="SR")
    assert reason(report[: report.rindex(b"\xe0\x7f\x10\0OW")]) == "it is a DICOM file without pixels (SR)"
    floats = raw[:place] + b"\xe0\x7f\x08\0OF" + raw[place + 6 :]
    assert reason(floats) == "unsupported DICOM: its pixels are floating point, or none"


def test_a_file_that_does_not_say_how_its_pixels_are_stored_is_damaged() -> None:
    raw = written(RAMP)
    syntax = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    other = struct.pack("<HH2sH", 2, 0x13, b"SH", 20) + b"a program of someone"
    assert reason(raw.replace(syntax, other)) == "damaged DICOM: it does not say how its pixels are stored"


@pytest.mark.parametrize(("length", "read"), [(2**22 - 1500, True), (2**22, False)])
def test_four_megabytes_of_a_header_are_looked_at(length: int, read: bool) -> None:
    raw = written(RAMP, BitsStored=12, PatientID="7")
    long = struct.pack("<HH2sHI", 9, 0x1010, b"OB", 0, length) + bytes(length)
    place = raw.index(struct.pack("<HH2s", 0x10, 0x20, b"LO"))
    raw = raw[:place] + long + raw[place:]
    assert (dicom.patient(raw) is not None) is read
    if read:
        assert shown(raw).shape == (12, 16)
    else:
        assert reason(raw) == "it is a DICOM file without pixels (no image)"


def test_a_patient_has_a_name_that_does_not_tell_who_that_is() -> None:
    digest = hashlib.sha256(b"Miller 7").hexdigest()[:12]
    assert dicom.patient(written(RAMP, PatientID="Miller 7")) == f"patient {digest}"
    assert dicom.patient(written(RAMP, PatientID=" Miller 7 ")) == f"patient {digest}"
    assert dicom.patient(written(RAMP, PatientID=" ")) is None
    assert dicom.patient(written(RAMP)) is None


def test_a_patient_is_not_looked_for_in_a_file_that_is_deflated() -> None:
    raw = written(RAMP, PatientID="Miller 7")
    plain = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    deflated = struct.pack("<HH2sH", 2, 0x10, b"UI", 22) + b"1.2.840.10008.1.2.1.99"
    assert dicom.patient(raw.replace(plain, deflated)) is None
