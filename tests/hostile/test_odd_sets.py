"""The collection of odd and broken images as a data set: opened, decoded, audited, each refusal with a reason."""

from __future__ import annotations

import csv
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import keensight as ks
from keensight.core.audit import AuditReport
from keensight.core.pixels import decode
from keensight.core.progress import Silent
from keensight.core.records import Dataset, ImageSpec
from keensight.data.sources.names import is_image_name
from keensight.errors import ImageError

pytestmark = pytest.mark.slow

SPEC = ImageSpec(64, 64)
MEMORY = 1 << 30
"""Bytes that the whole collection may add to the peak; a single bomb in it would take several times as much."""


@pytest.fixture(scope="module")
def odd_set(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection in two class folders."""
    root = tmp_path_factory.mktemp("odd")
    folder = real_data("odd_images")
    for number, path in enumerate(sorted([*(folder / "files").iterdir(), *(folder / "exif_orientation").iterdir()])):
        target = root / ("even" if number % 2 else "odd") / path.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    return root


@pytest.fixture(scope="module")
def walked(odd_set: Path) -> tuple[Dataset, AuditReport, float, int]:
    """The set, its audit, the seconds all took and the bytes by which the peak of memory rose."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    data = ks.open(odd_set, progress=Silent())
    pixels = ks.prepare(data, SPEC, progress=Silent())
    report = ks.audit(data, pixels=pixels, progress=Silent())
    seconds = time.perf_counter() - started
    return data, report, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def test_every_file_is_in_the_set_or_passed_over_with_a_reason(
    odd_set: Path, walked: tuple[Dataset, AuditReport, float, int]
) -> None:
    data = walked[0]
    told = {sample.path for sample in data.samples} | {item.path for item in data.skipped}
    assert told == {path.relative_to(odd_set).as_posix() for path in odd_set.glob("*/*")}
    assert {item.path for item in data.skipped} == {path for path in told if not is_image_name(path)}
    assert all(item.reason for item in data.skipped)


def test_each_image_has_pixels_or_a_reason(odd_set: Path, walked: tuple[Dataset, AuditReport, float, int]) -> None:
    data, report, _, _ = walked
    refused = {item.path: item.reason for item in report.quarantined}
    assert 0 < len(refused) < len(data)
    assert all(reason and "\n" not in reason and len(reason) < 200 for reason in refused.values())
    for sample in data.samples:
        try:
            decode((odd_set / sample.path).read_bytes(), SPEC)
        except ImageError:
            assert sample.path in refused
        else:
            assert sample.path not in refused


def test_what_pillow_refuses_is_refused(
    real_data: Callable[[str], Path], walked: tuple[Dataset, AuditReport, float, int]
) -> None:
    with (real_data("odd_images") / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        outcomes = {row["file"]: row["outcome"] for row in csv.DictReader(stream)}
    refused = {Path(item.path).name for item in walked[1].quarantined}
    bombs = {name for name, outcome in outcomes.items() if outcome == "DecompressionBombError" and is_image_name(name)}
    assert bombs and bombs <= refused


def test_it_takes_neither_long_nor_much_memory(walked: tuple[Dataset, AuditReport, float, int]) -> None:
    data, _, seconds, memory = walked
    assert seconds < 2 * len(data)
    assert memory < MEMORY


def test_the_audit_tells_what_is_odd(walked: tuple[Dataset, AuditReport, float, int]) -> None:
    kinds = {finding.kind for finding in walked[1].findings}
    assert {"unreadable", "animated", "unusual-mode", "mixed-sizes", "duplicate", "unsupported-format"} <= kinds
