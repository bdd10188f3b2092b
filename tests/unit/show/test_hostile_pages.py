"""Names that are markup, scripts, links or changes of direction, on every page that shows names."""

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import keensight
from keensight.core.anomaly import AnomalyScores, Limits
from keensight.core.anomaly_evaluation import AnomalyEvaluation, KindScore
from keensight.core.audit import Column, Finding, Probe
from keensight.core.comparison import Change, Comparison
from keensight.core.interval import Interval
from keensight.core.labels import ClassNoise, LabelSuspects, Suspect
from keensight.core.records import BundleManifest, Reading, RunRecord, Skipped
from keensight.show import comparison
from keensight.show.anomaly import write_anomaly_report
from keensight.show.audit_page import write_audit
from keensight.show.html_app import AppContents, server_page
from keensight.show.notebook import cards
from keensight.show.page import environment
from keensight.show.report import ReportData, write_report
from keensight.store.model_card import model_card

pytestmark = pytest.mark.slow  # seconds in all

NAMES = (
    "<img src=x onerror=ksx()>",
    '"><script>ksx()</script>',
    "' onmouseover='ksx()' x='",
    "</title></textarea><svg onload=ksx()>",
    "{{ ksx }}{% raw %}",
    "[click](javascript:ksx())",
    "![x](javascript:ksx())|`ksx`|<b onclick=ksx()>",
    "<!--ksx--><style>ksx",
    "javascript:ksx()",
    "=ksx()&lt;",
)
"""For classes; the names of files and sets may change the direction too."""
TURNED = "<i onload=ksx()>\u202egnp.exe\u2066\x1b[31m\x07\u2028"
HALF = Interval(0.5, 0.25, 0.75)
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
DATA = ("application/json", "text/plain")
TEMPLATES = Path(keensight.__file__).parent / "show" / "templates"
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")


class Page(HTMLParser):
    """Complains about what no template contains: elements, attributes and scripts that came from a name."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._script: str | None = None
        assert not STEERS.search(html), STEERS.findall(html)
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        assert not [name for name in given if name.startswith("on")], (tag, given)
        assert given.get("src") != "x", (tag, given)
        for name in ("href", "src", "action", "xlink:href"):
            assert not (given.get(name) or "").strip().lower().startswith("javascript"), (tag, given)
        self._script = (given.get("type") or "") if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_comment(self, data: str) -> None:
        assert "ksx" not in data

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text.append(data)
        elif self._script in DATA:
            assert "<" not in data or self._script == "text/plain"
        else:
            assert "ksx" not in data


def check(html: str, *, shows: str = "<img src=x onerror=ksx()>") -> None:
    page = Page(html)
    assert shows in " ".join(page.text) or shows in html.replace("\\u003c", "<")


@pytest.fixture(scope="module")
def hostile(make_world):
    """A world whose every name is hostile."""
    world = make_world(names=NAMES, each=8)
    samples = tuple(
        dataclasses.replace(s, path=f"{TURNED}/{NAMES[i % 10]}{i}.png", metadata={TURNED: NAMES[i % 10]})
        for i, s in enumerate(world.dataset.samples)
    )
    dataset = dataclasses.replace(
        world.dataset,
        name=TURNED,
        samples=samples,
        reading=Reading(TURNED, TURNED, notes=(TURNED,), warnings=(TURNED,)),
    )
    paths = [sample.path for sample in samples]
    findings = (
        Finding("duplicate", "severe", f"{NAMES[0]} and {TURNED} are alike: {NAMES[3]}", 1, ((paths[0], paths[1]),)),
        Finding("dark", "warning", TURNED, 1, ((paths[2],),), suggestion=NAMES[1]),
    )
    counts = dict(zip(NAMES, [8] * 10, strict=True))
    audit = dataclasses.replace(
        world.audit,
        dataset=TURNED,
        counts=counts,
        findings=findings,
        formats={TURNED: 1},
        modes={NAMES[2]: 1},
        quarantined=(Skipped(paths[3], NAMES[1]),),
        skipped=(Skipped(TURNED, TURNED),),
        columns=(Column(TURNED, "category", 1, 2, common={name: {TURNED: 1, NAMES[0]: 2} for name in NAMES}),),
        probes=(Probe("corners", HALF, 0.5, 0.9, 40, "alarm", TURNED),),
    )
    shown = tuple(paths[i] for i in world.split.test)
    predictions = dataclasses.replace(world.evaluation.predictions, paths=shown)
    evaluation = dataclasses.replace(world.evaluation, predictions=predictions, dataset=dataset)
    record = dataclasses.replace(
        world.report.record,
        name=TURNED,
        source=TURNED,
        model=NAMES[1],
        command=f"keensight '{NAMES[0]}'",
        message=TURNED,
        versions={TURNED: NAMES[0]},
    )
    manifest = dataclasses.replace(
        world.report.manifest,
        name=TURNED,
        model=NAMES[0],
        normalisation=NAMES[1],
        provenance={"command": NAMES[1], "run": TURNED, "data": {"name": TURNED}},
    )
    suspects = LabelSuspects(
        80,
        NAMES[0],
        0.5,
        0.1,
        (Suspect(paths[0], "0" * 64, "test", NAMES[0], NAMES[1], 0.1, 0.9),),
        (ClassNoise(NAMES[0], 8, 1, 0.1, NAMES[1]),),
        precision=0.5,
    )
    report = ReportData(
        record,
        evaluation,
        world.history,
        audit,
        world.split,
        manifest,
        dataset,
        f"[data]\npath = {json.dumps(NAMES[0])}\n",
        card=model_card(manifest),
        labels=suspects,
    )
    return dataclasses.replace(world, dataset=dataset, evaluation=evaluation, audit=audit, report=report)


def test_the_report(hostile, tmp_path: Path) -> None:
    check(write_report(tmp_path / "report.html", hostile.report).read_text(encoding="utf-8"))


def test_the_page_of_an_audit(hostile, tmp_path: Path) -> None:
    check(write_audit(tmp_path / "audit.html", hostile.audit, hostile.dataset).read_text(encoding="utf-8"))


def test_the_page_of_a_comparison(hostile, tmp_path: Path) -> None:
    paths = [sample.path for sample in hostile.dataset.samples]
    changes = (Change(paths[0], NAMES[0], NAMES[1], NAMES[0]), Change(paths[1], NAMES[1], NAMES[1], NAMES[2]))
    found = Comparison(TURNED, NAMES[0], 10, 0, None, (HALF, HALF), HALF, 0.5, NAMES[1], HALF, HALF, changes, (TURNED,))
    page = comparison.write_comparison(tmp_path / "compare.html", found, hostile.dataset, hostile.dataset)
    check(page.read_text(encoding="utf-8"))


def test_the_report_of_an_anomaly_detector(hostile, tmp_path: Path) -> None:
    n = len(hostile.dataset)
    scores = AnomalyScores(
        tuple(sample.path for sample in hostile.dataset.samples),
        np.linspace(0, 2, n, dtype=np.float32),
        indices=np.arange(n),
        truth=tuple(sample.label for sample in hostile.dataset.samples),
    )
    kinds = tuple(KindScore(name, 8, HALF) for name in NAMES)
    evaluation = AnomalyEvaluation(
        "test",
        40,
        40,
        HALF,
        HALF,
        HALF,
        Limits(1.0, 1.0, 0.05, 20),
        kinds,
        anomaly_scores=scores,
        dataset=hostile.dataset,
    )
    page = write_anomaly_report(
        tmp_path / "anomaly.html",
        hostile.report.record,
        evaluation,
        hostile.report.config,
        hostile.split,
        hostile.report.card,
        hostile.report.audit,
    )
    text = page.read_text(encoding="utf-8")
    check(text)
    assert "The threshold was chosen on 20 unseen normal images" in text
    assert "Findings of the audit" in text


def contents(manifest: BundleManifest) -> AppContents:
    return AppContents(
        manifest=manifest, card=model_card(manifest), subspace=None, samples=[(TURNED, b"x", [0.1] * 10)]
    )


def test_the_page_of_a_server_and_of_an_exported_model(hostile) -> None:
    """Both are one template; that of the export has the network inside."""
    rule = {"rule": "most probable class"}
    check(server_page(contents(dataclasses.replace(hostile.report.manifest, decision=rule))))


@pytest.mark.parametrize(
    "make",
    [
        lambda world: cards.dataset(world.dataset),
        lambda world: cards.audit(world.audit),
        lambda world: cards.split(dataclasses.replace(world.split, method=NAMES[0])),
        lambda world: cards.evaluation(world.evaluation),
        lambda world: cards.predictions(world.evaluation.predictions),
    ],
)
def test_a_card_of_a_notebook(make: Callable, hostile) -> None:
    check(cards.render(make(hostile)))


def test_the_page_of_a_review_has_no_name_in_it() -> None:
    """Names come as JSON and are set as text."""
    Page(environment().get_template("review.html").render(nonce="n"))


def test_no_script_of_a_page_makes_markup_of_text() -> None:
    scripts = sorted(TEMPLATES.rglob("*.js"))
    assert {"report.js", "review.js", "app.js", "dropzone.js"} <= {path.name for path in scripts}
    for path in scripts:
        assert not MARKUP.search(path.read_text(encoding="utf-8")), path.name


def test_a_run_that_failed(hostile) -> None:
    record = RunRecord(2, TURNED, "failed", "", "", TURNED, NAMES[0], TURNED, 0, {}, message=NAMES[0])
    html = environment().from_string("{{ record.name }} {{ record.message }} {{ record.model }}").render(record=record)
    check(html)
