"""DICOM files, written by pydicom."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def written(pixels: np.ndarray, syntax: str = "1.2.840.10008.1.2.1", body: bytes | None = None, **fields: Any) -> bytes:
    """A DICOM file of these pixels, or of encoded ones; ``fields`` are its further attributes."""
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = uid.SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = uid.generate_uid()
    data.Rows, data.Columns = pixels.shape[-2:] if pixels.ndim == 2 else pixels.shape[-3:-1]
    data.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = fields.pop("BitsStored", data.BitsAllocated)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    for name, value in fields.items():
        setattr(data, name, value)
    plain = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == uid.ExplicitVRBigEndian else "<")).tobytes()
    data.PixelData = plain if body is None else encapsulate([body])
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True, implicit_vr=syntax == uid.ImplicitVRLittleEndian,
                 little_endian=syntax != uid.ExplicitVRBigEndian)  # fmt: skip
    return stream.getvalue()
