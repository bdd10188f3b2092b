"""Folders of DICOM images: files without an extension, and groups by patient."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from keensight.data.audit.audit import audit
from keensight.data.cache import prepare
from keensight.data.sources.readers import open_source
from keensight.errors import DataError
from keensight.workflow import image_spec, open

pytest.importorskip("pydicom", reason="the extra medical is not installed")
pytest.importorskip("imagecodecs", reason="the extra medical is not installed")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    from dicom_builders import written

    for label in ("ill", "well"):
        (tmp_path / "scans" / label).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 4095, (12, 16)).astype(np.uint16)
            name = f"1.2.826.{i}" if label == "ill" else f"IM{i}"
            raw = written(pixels, BitsStored=12, Modality="CT", WindowCenter=40, WindowWidth=400,
                          PatientID=f"{label} {i // 2}", RescaleSlope=1, RescaleIntercept=-1024)  # fmt: skip
            (tmp_path / "scans" / label / name).write_bytes(raw)
    (tmp_path / "scans" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "scans" / "ill" / "notes").write_text("no image")
    return tmp_path / "scans"


def test_files_without_an_extension_are_found_by_their_content(scans: Path) -> None:
    data = open_source(scans)
    assert data.counts().tolist() == [6, 6]
    assert {item.path for item in data.skipped} == {"DICOMDIR", "ill/notes"}
    spec = image_spec(data)
    assert (spec.black, spec.intensity) == (-160, 239)
    assert not prepare(data, spec).errors


def test_the_patient_is_suggested_as_the_group(scans: Path) -> None:
    data = open_source(scans)
    (finding,) = [one for one in audit(data).findings if one.suggestion == "--group dicom:PatientID"]
    assert finding.message.startswith("12 images are of a patient with several (6 patients)")
    grouped = open(scans, group="dicom:PatientID")
    groups = [sample.group for sample in grouped.samples]
    assert len(set(groups)) == 6
    assert groups[0] == groups[1] != groups[2]
    assert "ill" not in str(groups)
    assert not [one for one in audit(grouped).findings if one.suggestion == "--group dicom:PatientID"]


def test_headers_remembered_from_before_an_extra_was_removed_do_no_harm(
    scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_source(scans)
    monkeypatch.delitem(sys.modules, "keensight.core.dicom", raising=False)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert not [finding for finding in audit(data).findings if finding.suggestion]
    errors = prepare(data, image_spec(data)).errors
    assert len(errors) == 12
    assert "pip install 'keensight[medical]'" in errors[0]
    monkeypatch.undo()
    assert not prepare(data, image_spec(data)).errors  # the cache has not kept them


def test_without_dicom_there_is_no_patient() -> None:
    arrays = (np.random.default_rng(0).integers(0, 255, (8, 6, 6), np.uint8), ["a", "b"] * 4)
    with pytest.raises(DataError, match="no DICOM header of arrays names a patient"):
        open(arrays, group="dicom:PatientID")
