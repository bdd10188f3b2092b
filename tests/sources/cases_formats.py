"""Formats of images, in a folder per class."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sources import Case

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABoAABAAAAAAAAAG0AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAA"
    "AADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAA"
    "AChjbGFwAAAAGAAAAAEAAAAQAAAAAf///9gAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAdW"
    "1kYXQAAABpKAGvCchr4B497I7wrgk/9BmiZuYbfc0gyvYVChDPODI5BSdMEf07B/UIzYJp0JiISt8QreWtp/T9w3EiS53mXPPlIyYXsFMVNAAe"
    "6c5Qs5Ji2YAqKpkyujT+HyK/hpoUescUzGavKH+A"
)
"""A photo of 24x16 pixels as HEVC, written by libheif and x265."""
ALL = "folder per class, 2 classes, 8 images"


def folder(suffix: str, encode: Callable[[np.ndarray], bytes], *, others: str = "") -> Callable[[Path], Path]:
    """A folder per class of four images each; ``others``: the last of each class have this extension, and are PNG."""

    def build(root: Path) -> Path:
        for label in ("cat", "dog"):
            (root / label).mkdir()
            for i in range(4):
                pixels = np.random.default_rng(zlib.crc32(f"{label}{i}".encode())).integers(
                    0, 256, (16, 24, 3), np.uint8
                )
                last = others and i == 3
                raw = pillow("PNG")(pixels) if last else encode(pixels)
                (root / label / f"{i}{others if last else suffix}").write_bytes(raw)
        return root

    return build


def pillow(format: str, mode: str = "RGB", **options: Any) -> Callable[[np.ndarray], bytes]:
    """Encode with Pillow."""

    def encode(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        image = Image.fromarray(pixels)
        if mode == "I;16":
            image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
        elif mode == "F":
            image = Image.fromarray(pixels[..., 0] / np.float32(255))
        else:
            image = image.convert(mode)
        image.save(stream, format, **options)
        return stream.getvalue()

    return encode


def animation(pixels: np.ndarray) -> bytes:
    """A GIF of two frames."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "GIF", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    return stream.getvalue()


def numbered_heic(pixels: np.ndarray) -> bytes:
    """The photo, followed by a box that makes each file another."""
    return HEIC + struct.pack(">I4s", 12, b"free") + pixels[0, 0].tobytes() + b"\0"


def jpeg_xl(pixels: np.ndarray) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=1))


def dicom(**fields: Any) -> Callable[[np.ndarray], bytes]:
    """A DICOM file of 12 bits."""

    def encode(pixels: np.ndarray) -> bytes:
        from dicom_builders import written

        return written(pixels[..., 0].astype(np.uint16) * 16, BitsStored=12, **fields)

    return encode


def nifti(pixels: np.ndarray) -> bytes:
    return struct.pack("<i", 348) + bytes(340) + b"n+1\0" + pixels.tobytes()


def bands(n: int) -> Callable[[np.ndarray], bytes]:
    """A TIFF of ``n`` bands of 8 bits."""

    def encode(pixels: np.ndarray) -> bytes:
        values = np.resize(pixels, (16, 24, n)).tobytes()
        fields = [
            (256, 24),
            (257, 16),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 200),
            (277, n),
            (278, 16),
            (279, len(values)),
        ]
        entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in fields)
        return (b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)).ljust(200, b"\0") + values

    return encode


def case(name: str, suffix: str, encode: Callable[[np.ndarray], bytes], sentence: str = ALL, **more: Any) -> Case:
    others = more.pop("others", "")
    layout = f"cat/0{suffix}, dog/0{suffix}" + (f", dog/3{others}" if others else "")
    return Case(
        "Formats", name, layout, folder(suffix, encode, others=others), more.pop("outcome", "read"), sentence, **more
    )


CASES = [
    case("JPEG", ".jpg", pillow("JPEG")),
    case("JPEG in CMYK", ".jpg", pillow("JPEG", "CMYK")),
    case("MPO, of 3D and phone cameras", ".mpo", pillow("MPO")),
    case("PNG with transparency", ".png", pillow("PNG", "RGBA")),
    case("PNG with a palette", ".png", pillow("PNG", "P")),
    case("PNG of 16 bits", ".png", pillow("PNG", "I;16")),
    case("TIFF of floating point", ".tif", pillow("TIFF", "F")),
    case("TIFF, compressed", ".tiff", pillow("TIFF", compression="tiff_lzw")),
    case("BMP", ".bmp", pillow("BMP")),
    case("WebP", ".webp", pillow("WEBP")),
    case("portable pixmaps", ".ppm", pillow("PPM")),
    case("animated GIF", ".gif", animation, "of 8 with several frames the first is used"),
    case("AVIF", ".avif", pillow("AVIF"), "formats: 8 AVIF"),
    case("JPEG 2000", ".jp2", pillow("JPEG2000"), "formats: 8 JPEG2000"),
    case("icons", ".ico", pillow("ICO", sizes=[(24, 16)]), "formats: 8 ICO"),
    case("Targa", ".tga", pillow("TGA"), "formats: 8 TGA"),
    case("photos of phones (HEIC)", ".heic", numbered_heic, "formats: 8 HEIC", needs="pi_heif"),
    case("some photos of phones", ".HEIC", numbered_heic, "formats: 6 HEIC, 2 PNG", needs="pi_heif", others=".png"),
    case("JPEG XL", ".jxl", jpeg_xl, "formats: 8 JXL", needs="imagecodecs"),
    case("DICOM", ".dcm", dicom(), "formats: 8 DICOM", needs="pydicom"),
    case("DICOM without an extension", "", dicom(), "formats: 8 DICOM", needs="pydicom"),
    case(
        "DICOM, grouped by patient", ".dcm", dicom(PatientID="a"), "formats: 8 DICOM", needs="pydicom",
        options={"group": "dicom:PatientID"},
    ),
    case("NIfTI volumes", ".nii", nifti, "it is a NIfTI volume: save its slices as images", outcome="refused"),
    case(
        "NIfTI volumes, compressed", ".nii.gz", lambda pixels: gzip.compress(nifti(pixels)),
        "it is a NIfTI volume: save its slices as images", outcome="refused",
    ),
    case(
        "NIfTI volumes among images", ".nii", nifti, "6 images cannot be read: it is a NIfTI volume", outcome="told",
        others=".png",
    ),
    case("TIFF of four bands", ".tif", bands(4), "it is a TIFF of 4 bands of 8 bits", outcome="refused"),
    case("TIFF of twelve bands", ".tif", bands(12), "it is a TIFF of 12 bands of 8 bits", outcome="refused"),
    case("damaged JPEG among images", ".jpg", lambda pixels: b"\xff\xd8\xff\xe0", "6 images cannot be read: ",
         outcome="told", others=".png"),
    case("videos under an image's name", ".jpg", lambda pixels: b"\0\0\0\x18ftypmp42" + bytes(99) + pixels.tobytes(),
         "a video, which is not supported", outcome="refused"),
    case("web pages under an image's name", ".jpg", lambda pixels: b"<!DOCTYPE html>" + pixels.tobytes(),
         "6 images cannot be read: it is a web page", outcome="told", others=".png"),
    case("camera raw", ".cr2", lambda pixels: b"II*\0\x10\0\0\0CR" + pixels.tobytes(), ".cr2", outcome="told",
         others=".png", images=2),
]  # fmt: skip
