"""DICOM (PS3.3, PS3.5) as one of Pillow's image files: the first frame, with the extra ``medical``.

``pydicom`` reads the header, of which at most four megabytes are looked at; pixels are unpacked here, and compressed
ones decoded by ``imagecodecs``, both after their size was compared with the header's, because files from elsewhere may
claim anything.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, convert_color_space

from keensight.core.files import sha256
from keensight.core.image_files import jpeg_segments
from keensight.core.intensity import Scale
from keensight.errors import ImageError

_HEADER = 2**22
_DEFLATED = b"\2\0\x10\0UI\x16\x001.2.840.10008.1.2.1.99"
_RLE = "1.2.840.10008.1.2.5"
_PIXELS = 0x7FE00010
_JPEG2000 = re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ")
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_AGAIN = "copy or download it again"
_CONVERT = "export it as PNG with a DICOM viewer"


class DicomImageFile(ImageFile.ImageFile):
    """The first frame of a DICOM image; gray values are those that the rescale slope and intercept give."""

    format = "DICOM"
    format_description = "DICOM image"

    def _open(self) -> None:
        assert self.fp is not None
        self._encoded = self.fp.read()
        self.header, self._place = _header(self._encoded)
        head = self.header
        self._size = (int(head.get("Columns", 0)), int(head.get("Rows", 0)))
        self._samples, self._allocated = int(head.get("SamplesPerPixel", 1)), int(head.get("BitsAllocated", 0))
        self._colors = str(head.get("PhotometricInterpretation", "MONOCHROME2"))
        self.n_frames = int(head.get("NumberOfFrames") or 1)
        if self._samples not in (1, 3) or self._allocated not in (1, 8, 16, 32):
            raise ImageError(
                f"unsupported DICOM: {self._samples} samples per pixel of {self._allocated} bits", _CONVERT
            )
        if self._colors not in (*_COLORS, "MONOCHROME1", "MONOCHROME2"):
            raise ImageError(f"unsupported DICOM: its pixels are {self._colors}", _CONVERT)
        self._mode = "RGB" if self._colors in _COLORS else "F" if self._is_deep() else "L"
        self.inverted = self._colors == "MONOCHROME1"
        self.tile = []

    def _is_deep(self) -> bool:
        head = self.header
        given = ("WindowCenter", "VOILUTSequence", "RescaleSlope", "ModalityLUTSequence")
        return self._stored_bits > 8 or self._is_signed or any(name in head for name in given)

    @property
    def _stored_bits(self) -> int:
        given = int(self.header.get("BitsStored") or 0)
        return given if 0 < given <= self._allocated else self._allocated

    @property
    def _is_signed(self) -> bool:
        return bool(self.header.get("PixelRepresentation") == 1)

    @property
    def absolute(self) -> bool:
        """Whether its values have a meaning of their own: those of a CT are Hounsfield units."""
        return bool(self.header.get("Modality") == "CT" or self.header.get("RescaleType") == "HU")

    @property
    def window(self) -> Scale | None:
        """The (first) window that the file says to look at it with."""
        center, width = (_first(self.header.get(name)) for name in ("WindowCenter", "WindowWidth"))
        if center is None or width is None or width <= 0:
            return None
        if self._function == "LINEAR" and width > 1:  # PS3.3, C.11.2.1.2.1
            return Scale(center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)
        return Scale(center - width / 2, center + width / 2)

    @property
    def _function(self) -> str:
        return str(self.header.get("VOILUTFunction") or "LINEAR")

    def load(self) -> Any:
        """Decode the pixels, once."""
        if self._encoded:
            values = self._values()
            self._encoded = b""
            plain = values.astype(np.float32 if self.mode == "F" else np.uint8)
            self.im = Image.fromarray(np.ascontiguousarray(plain)).im
        return super().load()

    def displayed(self) -> Image.Image | None:
        """The image as the file says to look at it, in 8 bits; None: it does not say."""
        values = np.asarray(self)
        if self.header.get("VOILUTSequence"):
            table = apply_voi(np.rint(values).astype(np.int32), self.header)
            bits = int(self.header.VOILUTSequence[0].LUTDescriptor[2])
            return Image.fromarray(Scale(0, 2**bits - 1).apply(table))
        window = self.window
        if window is None:
            return None
        if self._function == "SIGMOID":
            middle, width = (window.black + window.white) / 2, window.white - window.black
            with np.errstate(over="ignore"):
                values = 1 / (1 + np.exp(-4 * (values - middle) / width))
            window = Scale(0, 1)
        return Image.fromarray(window.apply(values))

    def _values(self) -> NDArray[Any]:
        """Gray values (rows, columns) after the rescale slope and intercept, or RGB of 8 bits."""
        values: NDArray[Any] = self._trimmed(self._stored())
        if self._colors == "PALETTE COLOR":
            colors = np.asarray(apply_color_lut(values, self.header))
            return (colors >> 8).astype(np.uint8) if colors.dtype.itemsize > 1 else colors
        if self.mode == "F":
            return np.asarray(apply_modality_lut(values, self.header))
        return self._as_8_bits(values)

    def _as_8_bits(self, values: NDArray[Any]) -> NDArray[Any]:
        """Unsigned values of any number of bits, from 0 to 255."""
        bits = self._stored_bits
        if bits < 8:  # PNG, 13.12: the nearest of the levels that are a whole fraction of 255
            return np.asarray(np.rint(values * (255 / (2**bits - 1))))
        return np.asarray(values >> (bits - 8))

    def _trimmed(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values without what may be in the unused high bits, with their sign."""
        unused = 8 * values.dtype.itemsize - self._stored_bits
        kind = np.dtype(f"{'i' if self._is_signed else 'u'}{values.dtype.itemsize}")
        return (values.view(kind) << unused) >> unused

    def _stored(self) -> NDArray[Any]:
        """The first frame as unsigned numbers (rows, columns) or (rows, columns, 3)."""
        syntax = self.header.file_meta.TransferSyntaxUID
        data, start = self._encoded, self._place
        if not syntax.is_compressed:
            body = data[start : start + self._frame_bytes()]
            if not syntax.is_little_endian and self._allocated == 8 and data[start - 8 : start - 6] == b"OW":
                swapped = data[start : start + len(body) + len(body) % 2]
                words = np.frombuffer(swapped + bytes(len(swapped) % 2), ">u2")
                body = words.astype("<u2").tobytes()[: len(body)]
            return self._native(body, big=not syntax.is_little_endian)
        frame = get_frame(data[start:], 0, number_of_frames=self.n_frames)
        values = self._runs(frame) if syntax == _RLE else self._codec(frame, str(syntax.name))
        shape = (self.height, self.width) if self._samples == 1 else (self.height, self.width, 3)
        if values.shape != shape:
            raise ImageError("damaged DICOM: its header and its pixels differ in size", _AGAIN)
        return np.ascontiguousarray(values)

    def _frame_bytes(self) -> int:
        samples = 2 if self._colors == "YBR_FULL_422" else self._samples
        return (self.width * self.height * samples * self._allocated + 7) // 8

    def _native(self, body: bytes, *, big: bool) -> NDArray[Any]:
        if len(body) < self._frame_bytes():
            raise ImageError("truncated DICOM: its image data ends early", _AGAIN)
        if self._allocated == 1:
            bits = np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little")
            return bits[: self.width * self.height].reshape(self.height, self.width)
        kind = np.dtype(f"{'>' if big else '<'}u{self._allocated // 8}")
        values = np.frombuffer(body, kind).astype(kind.newbyteorder("="))
        if self._samples == 1:
            return values.reshape(self.height, self.width)
        if self._colors == "YBR_FULL_422":  # two of luminance, then two of color for both
            pairs = values.reshape(self.height, self.width // 2, 4)
            chroma = np.repeat(pairs[:, :, 2:], 2, axis=1)
            return self._rgb(np.dstack([pairs[:, :, :2].reshape(self.height, self.width), chroma]))
        if self.header.get("PlanarConfiguration") == 1:
            values = np.moveaxis(values.reshape(3, self.height, self.width), 0, -1)
        return self._rgb(values.reshape(self.height, self.width, 3))

    def _rgb(self, values: NDArray[Any]) -> NDArray[Any]:
        return convert_color_space(values, "YBR_FULL", "RGB") if self._colors.startswith("YBR_FULL") else values

    def _runs(self, frame: bytes) -> NDArray[Any]:
        """Undo RLE (PS3.5, annex G): one segment for each byte of each sample, the most significant first."""
        count, *starts = struct.unpack_from("<16I", frame.ljust(64, b"\0"))
        width = self._allocated // 8
        if count != width * self._samples:
            raise ImageError("damaged DICOM: its RLE has another number of segments than its header says", _AGAIN)
        size = self.width * self.height
        planes = [_unpacked(frame, start, size) for start in starts[:count]]
        kind = np.dtype(f">u{width}")
        stacked = np.stack(planes, axis=-1).reshape(self.height, self.width, self._samples, width)
        values = np.ascontiguousarray(stacked).view(kind)[..., 0].astype(kind.newbyteorder("="))
        return values[..., 0] if self._samples == 1 else self._rgb(values)

    def _codec(self, frame: bytes, syntax: str) -> NDArray[Any]:
        """Decode a frame of the JPEG family, after its own header was compared with the file's."""
        if _frame_size(frame) != self.size:
            raise ImageError(f"damaged DICOM: the size of its {syntax} frame is not that of its header", _AGAIN)
        if _JPEG2000.match(frame):
            found = imagecodecs.jpeg2k_decode(frame, numthreads=1)
        elif any(marker == 0xF7 for marker, _, _ in jpeg_segments(frame)):
            found = imagecodecs.jpegls_decode(frame)
        else:
            colors = "RGB" if self._colors == "RGB" else "YCBCR"
            options: dict[str, Any] = {"colorspace": colors, "outcolorspace": "RGB"} if self._samples == 3 else {}
            found = imagecodecs.jpeg8_decode(frame, **options)
        values: NDArray[Any] = np.asarray(found)
        return values.view(f"u{values.dtype.itemsize}")


def patient(data: bytes) -> str | None:
    """A name for the patient of a file, which does not tell who that is: a digest of the ID; None: it has no ID."""
    if _DEFLATED in data[:4096]:  # it may inflate to any size
        return None
    header = dcmread(io.BytesIO(data[:_HEADER]), stop_before_pixels=True, specific_tags=["PatientID"])
    given = str(header.get("PatientID") or "").strip()
    return f"patient {sha256(given.encode())[:12]}" if given else None


def _header(data: bytes) -> tuple[Dataset, int]:
    """The header, and where the pixels begin.

    Raises:
        ImageError: it has no pixels, or is deflated.
    """
    if _DEFLATED in data[:4096]:
        raise ImageError("unsupported DICOM: it is deflated", _CONVERT)
    stream = io.BytesIO(data[:_HEADER])
    header = dcmread(stream, stop_before_pixels=True)
    place = stream.tell()
    if header.file_meta.get("TransferSyntaxUID") is None:
        raise ImageError("damaged DICOM: it does not say how its pixels are stored", _AGAIN)
    start = place + (8 if header.file_meta.TransferSyntaxUID.is_implicit_VR else 12)
    if "Rows" not in header or start > len(data):
        kind = str(header.get("Modality", "")) or "no image"
        raise ImageError(f"it is a DICOM file without pixels ({kind})", "remove it")
    order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
    group, element = struct.unpack_from(order + "HH", data, place)
    if group << 16 | element != _PIXELS:
        raise ImageError("unsupported DICOM: its pixels are floating point, or none", _CONVERT)
    return header, start


def _first(value: Any) -> float | None:
    """The number, or the first of several."""
    if value is None or value == "":
        return None
    number = float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)
    return number if np.isfinite(number) else None


def _unpacked(frame: bytes, start: int, size: int) -> NDArray[np.uint8]:
    """``size`` bytes of one segment of run lengths; it is not followed any further."""
    found = bytearray()
    while len(found) < size and start < len(frame):
        code = frame[start]
        if code < 128:
            found += frame[start + 1 : start + 2 + code]
            start += 2 + code
        else:
            found += frame[start + 1 : start + 2] * ((257 - code) if code > 128 else 0)
            start += 2 if code > 128 else 1
    if len(found) < size:
        raise ImageError("truncated DICOM: its image data ends early", _AGAIN)
    return np.frombuffer(bytes(found[:size]), np.uint8)


def _frame_size(frame: bytes) -> tuple[int, int]:
    """Width and height that a frame of JPEG, JPEG-LS or JPEG 2000 declares; zeros: it declares none."""
    if _JPEG2000.match(frame):
        start = max(0, frame.find(b"\xff\x4f\xff\x51", 0, 4096))
        right, bottom, left, top = struct.unpack_from(">IIII", frame.ljust(start + 24, b"\0"), start + 8)
        return right - left, bottom - top
    for marker, start, end in jpeg_segments(frame):
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            if end - start < 9:
                break
            height, width = struct.unpack_from(">HH", frame, start + 5)
            return width, height
    return 0, 0
