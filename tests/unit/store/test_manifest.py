"""A manifest by itself: each value is accepted at its limits and refused beyond them, before a file is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keensight.core.codec import to_plain
from keensight.core.records import BundleManifest, ImageSpec
from keensight.errors import StoreError
from keensight.store.manifest import limits_of, model_digest, read_manifest
from store_builders import manifest

FILES = dict.fromkeys(("model.keras", "exam.npz", "MODEL_CARD.md"), "0" * 64)
ENROLLED = {**FILES, "prototypes.npz": "0" * 64}
MULTICLASS, MULTILABEL = {"rule": "most probable class"}, {"rule": "labels at or above their thresholds"}
NEAREST, PATCHES = {"rule": "nearest class mean"}, {"rule": "memory of patches"}
LIMITS = {"threshold": 1.0, "patch": 1.0, "rate": 0.05, "images": 40}
NAMES = ["ant", "bee", "wasp"]


def read(folder: Path, **changes: Any) -> BundleManifest:
    """The manifest of three classes with these changes, read from a file."""
    plain = to_plain(manifest(files=FILES)) | {"labels": {"names": NAMES}}
    (folder / "manifest.json").write_text(json.dumps(plain | changes), encoding="utf-8")
    return read_manifest(folder / "manifest.json")


def image(**changes: Any) -> dict[str, Any]:
    return {"image": to_plain(ImageSpec(28, 32)) | changes}


def multilabel(thresholds: Any) -> dict[str, Any]:
    return {"task": "multilabel", "decision": MULTILABEL | {"thresholds": thresholds}}


def anomaly(**changes: Any) -> dict[str, Any]:
    return {"task": "anomaly", "decision": PATCHES | {"limits": LIMITS | changes}}


def enrolled(trained: Any, names: list[str], files: dict[str, str] = ENROLLED) -> dict[str, Any]:
    return {"decision": NEAREST | {"trained": trained, "enrolled": names}, "files": files}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": {"names": NAMES[:2]}},
        image(width=1, height=1),
        image(width=4096, height=4096),
        image(decoder=1),
        image(decoder=ImageSpec(1, 1).decoder),
        image(black=-1000.0, intensity=400.0),
        {"temperature": 0.01},
        {"temperature": 100.0},
        {"decision": MULTICLASS | {"mirror": True}},
        {"decision": MULTICLASS | {"answers": {"threshold": 1.0}}},
        multilabel([0.0, 0.5, 1.0]),
        anomaly(),
        anomaly(rate=0.0, images=0),
        anomaly(rate=1.0),
        enrolled(1, NAMES[1:]),
        enrolled(2, NAMES[2:]),
    ],
)
def test_what_is_within_the_limits_is_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read(tmp_path, **changes).temperature > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {"names": NAMES[:1]}}, "it names 1 classes, fewer than 2"),
        ({"labels": {"names": ["ant", " "]}}, "a class has no name"),
        ({"labels": {"names": ["ant", "\x1bbee"]}}, "control characters"),
        (image(width=0), "its images are 0 by 28 px"),
        (image(height=0), "its images are 32 by 0 px"),
        (image(width=4097), "its images are 4097 by 28 px"),
        (image(height=4097), "its images are 32 by 4097 px"),
        (image(decoder=0), "its decoder is version 0"),
        (image(decoder=ImageSpec(1, 1).decoder + 1), "its decoder is version"),
        (image(black=400.0, intensity=400.0), "its intensity scale runs from 400.0 to 400.0"),
        ({"temperature": 0.0099}, "its temperature is 0.0099, not from 0.01 to 100"),
        ({"temperature": 100.1}, "its temperature is 100.1, not from 0.01 to 100"),
        ({"files": FILES | {"a b": "0" * 64}}, "something other than names and SHA-256"),
        ({"files": FILES | {"a": "0" * 63}}, "something other than names and SHA-256"),
        ({"files": {"model.keras": "0" * 64}}, "it does not list model.keras, exam.npz, MODEL_CARD.md"),
        ({"decision": MULTILABEL}, "which this version does not support"),
        ({"decision": MULTICLASS | {"mirror": None}}, "mirror is None, neither true nor false"),
        ({"decision": MULTICLASS | {"answers": {"threshold": 1.1}}}, "its decision rule is not valid"),
        ({"decision": MULTICLASS | {"answers": {"threshold": "0.5"}}}, "its decision rule is not valid"),
        (multilabel([0.5, 0.5]), "it does not give each label a threshold from 0 to 1"),
        (multilabel([0.5, 0.5, 1.01]), "it does not give each label a threshold from 0 to 1"),
        (multilabel([0.5, 0.5, -0.01]), "it does not give each label a threshold from 0 to 1"),
        (multilabel(0.5), "it does not give each label a threshold from 0 to 1"),
        (anomaly(threshold=0.0), "it has no threshold for anomalies"),
        (anomaly(patch=0.0), "it has no threshold for anomalies"),
        (anomaly(rate=-0.01), "it has no threshold for anomalies"),
        (anomaly(rate=1.01), "it has no threshold for anomalies"),
        (anomaly(images=-1), "it has no threshold for anomalies"),
        ({"task": "anomaly", "decision": PATCHES}, "it has no threshold for anomalies"),
        (enrolled(1, NAMES[1:], FILES), "but it lists no prototypes.npz"),
        (enrolled(0, NAMES), "its enrolled classes are not the last of its labels"),
        (enrolled(3, []), "its enrolled classes are not the last of its labels"),
        (enrolled(True, NAMES[1:]), "its enrolled classes are not the last of its labels"),
        (enrolled(2, NAMES[1:2]), "its enrolled classes are not the last of its labels"),
    ],
)
def test_what_is_beyond_the_limits_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreError) as caught:
        read(tmp_path, **changes)
    assert "is not a valid manifest: " in caught.value.message
    assert says in caught.value.message


def test_the_thresholds_of_a_detector_are_those_of_its_manifest(tmp_path: Path) -> None:
    assert to_plain(limits_of(read(tmp_path, **anomaly()))) == LIMITS
    with pytest.raises(StoreError, match=r"decision\.limits"):
        limits_of(read(tmp_path))


def test_a_manifest_of_more_than_8_mib_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as stream:
        stream.truncate(8 * 2**20 + 1)  # sparse: no disk is used
    with pytest.raises(StoreError, match="larger than 8,388,608 bytes"):
        read_manifest(tmp_path / "manifest.json")


def test_schemas_are_read_up_to_6(tmp_path: Path) -> None:
    """The number of each layout is part of the format; 6 came with ``model.tflite`` and ``reference.npz``."""
    assert [read(tmp_path, schema=number).schema for number in (1, 6)] == [1, 6]
    with pytest.raises(StoreError, match=r"its schema is 7, this version .* reads up to 6"):
        read(tmp_path, schema=7)


def test_the_digest_of_a_model_is_that_of_what_predictions_depend_on(tmp_path: Path) -> None:
    def digest(**changes: Any) -> str:
        return model_digest(read(tmp_path, **changes))

    plain = digest()
    assert len(plain) == 64
    for alike in (
        {"name": "other"},
        {"provenance": {}},
        {"files": FILES | {"MODEL_CARD.md": "1" * 64, "exam.npz": "1" * 64, "learned.npz": "1" * 64}},
    ):
        assert digest(**alike) == plain
    different = [
        digest(files=FILES | {"model.keras": "1" * 64}),
        digest(files=FILES | {"prototypes.npz": "1" * 64}),
        digest(files=FILES | {"subspace.npz": "1" * 64}),
        digest(labels={"names": NAMES[::-1]}),
        digest(temperature=2.0),
        digest(decision=MULTICLASS | {"mirror": True}),
        digest(**image(width=29)),
    ]
    assert len({plain, *different}) == 8
