"""The page of an audit."""

import re
from pathlib import Path

import numpy as np

from keensight.core.audit import AuditReport, Column, Finding, Histogram, Probe
from keensight.core.interval import Interval
from keensight.core.records import Dataset, Skipped
from keensight.data.sources.arrays import from_arrays
from keensight.show.audit_page import write_audit

PROBES = (
    Probe("corners", Interval(0.9, 0.8, 0.95), 0.5, 0.9, 40, "alarm", "The corners tell."),
    Probe("centre", Interval(0.6, 0.5, 0.7), 0.5, 0.6, 40, "reference", "The center tells."),
    Probe("picture", Interval(0.95, 0.9, 0.98), 0.5, 0.95, 40, "reference", "The picture tells."),
)
COLUMNS = (
    Column("site", "category", 1, 2, common={"a": {"<north>": 3, "south": 1}, "b": {"<north>": 0, "south": 4}}),
    Column("age", "number", 0, 40, quantiles={"a": (1, 2, 3, 4, 5)}),
    Column("id", "identifier", 0, 40),
)


def dataset() -> Dataset:
    return from_arrays(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8), ["a", "b"] * 20)


def report(data: Dataset) -> AuditReport:
    paths = [sample.path for sample in data.samples]
    findings = (
        Finding("dark", "warning", "2 are <nearly> black: look.", 2, ((paths[0],), (paths[1],)), (3.0, 4.0), 32.0,
                "level", Histogram((0.0, 50.0, 100.0), (2, 38))),
        Finding("duplicate", "severe", "Copies: delete them.", 1, ((paths[2], paths[3]),)),
        Finding("imbalance", "info", "One class is larger: look.", 2),
        Finding("odd-colour", "info", "2 are gray: look.", 2),
    )  # fmt: skip
    return AuditReport(
        "set", 40, {"a": 20, "b": 20}, {}, {"array": 40}, {"RGB": 40}, {"8x8": 40}, (8, 8, 8), (8, 8, 8), 0.0,
        findings, (Skipped("bad.png", "the file is empty"),), probes=PROBES, columns=COLUMNS,
    )  # fmt: skip


def page(folder: Path) -> str:
    data = dataset()
    return write_audit(folder / "audit.html", report(data), data).read_text(encoding="utf-8")


def test_it_loads_nothing_and_escapes_everything(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "<script" not in text
    assert "&lt;nearly&gt;" in text and "&lt;north&gt;" in text


def test_the_gravest_comes_first_and_pictures_stand_together(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert text.index("Severe: duplicate") < text.index("Warning: dark") < text.index("Info: imbalance")
    found = text[: text.index('id="shortcuts"')]
    assert found.count("<img ") == 4
    assert found.count('class="together"') == 1
    assert "score 3" in found


def test_the_histogram_marks_what_lies_beyond_the_threshold(tmp_path: Path) -> None:
    figure = page(tmp_path).split('<figure class="histogram">')[1].split("</figure>")[0]
    assert len(re.findall("<rect", figure)) == 2
    assert 'x1="32.00"' in figure


def test_kinds_and_probes_are_shown_in_words(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "Info: unusual colors." in text and "small square in the center" in text
    assert "colour" not in text and "centre" not in text


def test_the_table_of_probes_scrolls_in_a_narrow_window(tmp_path: Path) -> None:
    assert re.search(r'<div class="wide">\s*<table class="full probes">', page(tmp_path))


def test_probes_and_metadata_are_shown(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "corners only: suspicious" in text
    assert "2 values; 1 missing" in text
    assert "bad.<wbr>" not in text and "the file is empty" in text
