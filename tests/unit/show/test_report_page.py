from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from keensight.core.audit import Probe
from keensight.core.evaluation import Caveat
from keensight.core.interval import Interval
from keensight.core.labels import AccuracyRange, ClassNoise, LabelSuspects, Suspect
from keensight.core.pixels import encode_png
from keensight.core.predictions import Abstention, Decision
from keensight.core.records import Epoch, History, LabelSet, Sample
from keensight.errors import ImageError, StoreError
from keensight.show.misclassified import find_mistakes
from keensight.show.report import ReportData, write_report

pytestmark = pytest.mark.slow  # seconds in all

SECTIONS = [
    "How accurate is it?", "What does it get wrong?", "Can its confidence be trusted?",
    "How good is it for each class?",
    "What is wrong with the data?", "How was it made?",
]  # fmt: skip
VOID = {"meta", "img", "wbr", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart; complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def render(data: ReportData, tmp_path) -> tuple[str, Page]:
    html = write_report(tmp_path / "report.html", data).read_text(encoding="utf-8")
    return html, Page(html)


@pytest.fixture(scope="module")
def page(world, tmp_path_factory) -> tuple[str, Page]:
    return render(world.report, tmp_path_factory.mktemp("page"))


def test_sections_come_in_the_order_in_which_they_matter(page):
    html, _ = page
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert headings == SECTIONS
    levels = [int(level) for level in re.findall(r"<h([1-6])", html)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_number_stands_with_interval_n_and_baseline(page):
    words = page[1].words
    assert "80.0%" in words
    assert "Of 15 images in the test set, which took no part in training, 12 were classified correctly" in words
    assert "between 70.0% and 80.0% (95% confidence interval, CI)" in words
    assert "would be right for 33.3%" in words


def test_a_cleaned_score_has_a_sentence_of_its_own(world, tmp_path):
    def written(evaluation):
        path = write_report(tmp_path / "report.html", dataclasses.replace(world.report, evaluation=evaluation))
        return path.read_text()

    assert "near-duplicate" not in written(world.evaluation)
    cleaned = dataclasses.replace(world.evaluation, cleaned=Interval(0.5, 0.4, 0.6), seen=3)
    assert "3 of these images have duplicates or near-duplicates in another split" in written(cleaned)
    assert "Every one of these images" in written(dataclasses.replace(world.evaluation, seen=world.evaluation.n))


@pytest.mark.slow
def test_the_report_claims_independence_only_where_nothing_speaks_against_it(world, tmp_path):
    def words(adopted=False, **changes):
        record = dataclasses.replace(world.report.record, results={"adopted": adopted})
        evaluation = dataclasses.replace(world.evaluation, **changes)
        data = dataclasses.replace(world.report, record=record, evaluation=evaluation)
        return render(data, tmp_path)[1].words

    claim = "which took no part in training"
    assert f"{claim}, 12 were classified" in words()
    assert claim not in words(seen=3, cleaned=Interval(0.5, 0.4, 0.6))
    assert claim not in words(part="val")
    assert claim not in words(adopted=True)
    grouped = words(caveats=(Caveat("likely-groups", "3 test images may share a patient.", ""),))
    assert f"{claim}, though other images of their groups may have, 12 were classified" in grouped


def test_caveats_stand_in_the_first_card_and_only_there_where_there_are_any(world, tmp_path, page):
    assert "This result may be wrong" not in page[0]
    caveat = Caveat("likely-groups", "145 of 264 test images may show <a> patient.", "Train with --group-regex 'x'.")
    doubtful = dataclasses.replace(world.evaluation, caveats=(caveat,))
    path = write_report(tmp_path / "r.html", dataclasses.replace(world.report, evaluation=doubtful))
    first = path.read_text(encoding="utf-8").split("</section>")[0]
    assert "This result may be wrong" in first
    assert "145 of 264 test images may show &lt;a&gt; patient." in first
    assert "--group-regex" in first


def test_nothing_is_loaded_from_elsewhere(page):
    html, parsed = page
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value)
    assert [attributes for tag, attributes in parsed.tags if tag == "script"] == [{}], "one script, in the page itself"
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.tags}
    assert "@import" not in html
    assert "fetch(" not in html and "XMLHttpRequest" not in html
    assert len(parsed.all("style")) == 1, "a chart's style sheet would reach the whole page"
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_pictures_and_charts_have_words(page):
    parsed = page[1]
    images = parsed.all("img")
    assert len(images) == 3 + 36
    assert all(image["alt"] for image in images)
    assert " predicted as " in images[0]["alt"]
    charts = parsed.all("svg")
    assert len(charts) == 3, "the scale and two curves"
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 20 for chart in charts)


def test_tables_say_what_their_headers_head(page):
    parsed = page[1]
    assert parsed.all("html")[0]["lang"] == "en"
    headers = parsed.all("th")
    assert headers and all(th.get("scope") in ("row", "col") for th in headers)
    ids = [attributes["id"] for _, attributes in parsed.tags if attributes.get("id")]
    assert len(ids) == len(set(ids)), "two charts share an id"
    targets = [attributes["href"][1:] for attributes in parsed.all("a")]
    assert targets and set(targets) <= set(ids)


def test_the_report_tells_how_the_run_was_made(page):
    words = page[1].words
    expected = (
        "keensight train <photos> --seed 7", "abc123", "keras 3.15.1", 'name = "cnn"', "x / 255",
        "30 training, 15 validation, 15 test images. Stratified by class.",
        "a/ broken<1>.jpg the file is empty", "Thumbs.db no image", "1 image stands under two classes.",
    )  # fmt: skip
    assert [text for text in expected if text not in words] == []
    assert words.index("Severe:") < words.index("Info:")


def test_dark_print_and_phone_are_provided_for(page):
    html = page[0]
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 34rem", 'name="viewport"'):
        assert rule in html
    charts = "".join(re.findall(r'<svg class="figure".*?</svg>', html, re.DOTALL))
    assert "var(--ink)" in charts
    assert "#24292f" not in charts, "ink that does not follow the colour scheme"


def test_names_from_users_are_escaped(make_world, tmp_path):
    evil = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "{{ 7 * 7 }} & 'so'")
    world = make_world(names=evil)
    html, parsed = render(world.report, tmp_path)
    assert "<script>alert" not in html
    assert "onerror=alert(2)>" not in html
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert evil[0] in parsed.words and "{{ 7 * 7 }} & 'so'" in parsed.words


def test_stray_bytes_and_long_names_do_no_harm(make_world, tmp_path):
    world = make_world(names=("stray \udcff", "x" * 300, "猫"))
    _, parsed = render(world.report, tmp_path)
    assert "stray ?" in parsed.words and "猫" in parsed.words


def test_what_is_absent_is_left_out_in_words(world, tmp_path):
    bare = world.evaluation.figures
    html, parsed = render(ReportData(world.report.record, bare), tmp_path)
    assert "were not available" in parsed.words
    assert "<h3>Training</h3>" not in html
    assert not parsed.all("img")


def test_an_audit_without_the_check_for_shortcuts_says_so(world, tmp_path):
    told = "did not check for shortcuts"
    assert told in render(world.report, tmp_path)[1].words
    probe = Probe("corners", Interval(0.5, 0.4, 0.6), 0.5, 0.5, 40, "quiet", "The corners.")
    checked = dataclasses.replace(world.report, audit=dataclasses.replace(world.audit, probes=(probe,)))
    assert told not in render(checked, tmp_path)[1].words


@pytest.mark.parametrize(
    ("phase", "told"),
    [("head", "a classifier head was trained"), ("train", "One epoch in 3.0 s. Validation accuracy: 90.0%.")],
)
def test_a_single_epoch_is_told_in_words_as_it_makes_no_curve(world, tmp_path, phase, told):
    history = History((Epoch(1, phase, 1, 3.0, 0.1, 0.4, 0.95, 0.5, 0.9),), 1)
    html, parsed = render(dataclasses.replace(world.report, history=history), tmp_path)
    assert told in parsed.words
    assert "best on the validation set" not in parsed.words
    assert html.count('<svg class="figure"') == render(world.report, tmp_path)[0].count('<svg class="figure"') - 2


def test_images_that_vanished_leave_a_frame(world, tmp_path):
    gone = dataclasses.replace(world.dataset, reader=None)
    data = dataclasses.replace(world.report, dataset=gone)
    _, parsed = render(data, tmp_path)
    assert parsed.words.count("image not available") == 3


def test_a_perfect_model_and_an_unfinished_run(make_world, tmp_path):
    data = make_world(wrong=0).report
    record = dataclasses.replace(data.record, state="interrupted", message="stopped by hand")
    _, parsed = render(dataclasses.replace(data, record=record), tmp_path)
    assert "all 15 images" in parsed.words
    assert "Most frequent confusions" not in parsed.words
    assert (
        "This run was interrupted : stopped by hand" in parsed.words or "interrupted: stopped by hand" in parsed.words
    )


@pytest.mark.slow
def test_a_hundred_classes_and_ten_thousand_images_stay_under_5_mb(make_world, tmp_path):
    names = tuple(f"class number {i} with a name of some length" for i in range(100))
    world = make_world(names=names, each=400, side=150, wrong=900)
    assert world.evaluation.n == 10_000
    html, parsed = render(world.report, tmp_path)
    assert len(html.encode()) < 5_000_000
    assert "86 other classes" in parsed.words
    tiles = [tile for tile in parsed.all("li") if "data-confidence" in tile]
    assert f"{len(tiles)} of 900 misclassified images" in parsed.words
    assert sum("hidden" not in tile for tile in tiles) == 24 < len(tiles) <= 200


def test_one_row_per_class_in_matrix_and_report(world, tmp_path):
    html, _ = render(world.report, tmp_path)
    matrix = re.search(r'<table class="matrix large">.*?</table>', html, re.DOTALL).group()
    counts = [[int(c) for c in re.findall(r"<td[^>]*>(\d+)<", row)] for row in matrix.split("<tr>")[2:]]
    assert counts == [list(row) for row in world.evaluation.confusion]
    assert world.evaluation.labels == LabelSet(("cat", "dog", "owl"))


def test_a_folder_that_cannot_be_written(world, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        write_report(tmp_path / "file" / "report.html", world.report)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_text_have_contrast(page, scheme):
    blocks = re.findall(r"color-scheme: (?:dark|light dark|light).*?\}|:root \{[^}]*\}", page[0])
    roots = [b for b in blocks if "--page" in b]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", roots[0 if scheme == "light" else 1]))
    for ink in ("ink", "quiet", "red", "link"):
        for ground in ("page", "card"):
            if (ink, ground) != ("red", "page"):  # red stands on cards only
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.slow
def test_the_worst_suspects_are_shown_with_what_they_mean(world, tmp_path):
    sample = world.dataset.samples[3]
    suspects = [Suspect(sample.path, sample.digest, "train", "cat", "<dog>", 0.01, 0.87)] * 20
    classes = (ClassNoise("cat", 20, 20, 0.11, "dog"), ClassNoise("owl", 20, 0, 0.0, ""))
    found = LabelSuspects(
        60, "by hand", 0.9, 0.02, tuple(suspects), classes, AccuracyRange(15, 2, 0.8, 0.7, 0.86, 0.75)
    )
    _, page = render(dataclasses.replace(world.report, labels=found), tmp_path)
    assert page.words.count("looks like <dog> , 87%") == 12
    assert "between 70.0% and 86.0%" in page.words
    assert "11.0%" in page.words
    none = dataclasses.replace(found, suspects=(), classes=())
    assert (
        "None of the 60 labels is suspicious"
        in render(dataclasses.replace(world.report, labels=none), tmp_path)[1].words
    )
    sure = dataclasses.replace(found, precision=0.83)
    words = render(dataclasses.replace(world.report, labels=sure), tmp_path)[1].words
    assert "estimated 83% of them are wrong" in words
    alike = dataclasses.replace(none, doubtful=tuple(suspects), detectable=0.1)
    words = render(dataclasses.replace(world.report, labels=alike), tmp_path)[1].words
    assert "classes are too similar for this check" in words
    assert words.count("looks like <dog> , 87%") == 12
    assert "suspicious" not in render(world.report, tmp_path)[1].words


@dataclass(frozen=True)
class Heatmaps:
    """Heat at the left edge of every image but those in ``without``."""

    without: tuple[str, ...] = ()

    def load(self, sample: Sample) -> bytes:
        if sample.path in self.without:
            raise ImageError("not explained")
        heat = np.zeros((8, 8), np.uint8)
        heat[:, :2] = 255
        return encode_png(heat)


def test_heatmaps_lie_over_the_mistakes_that_have_one(world, tmp_path):
    wrong = [mistake.path for mistake in find_mistakes(world.evaluation)]
    data = dataclasses.replace(world.report, heatmaps=Heatmaps(without=(wrong[1],)))
    _, parsed = render(data, tmp_path)
    heats = [image for image in parsed.all("img") if image.get("class") == "heat"]
    assert len(heats) == 2 and all(image["alt"] == "" for image in heats), "the picture below has the words"
    assert any(box.get("id") == "heat" for box in parsed.all("input"))
    assert "Yellow regions contributed most to the prediction" in parsed.words
    layer = pixels_of(heats[0]["src"])
    assert layer[0, 0, 3] > 180 and layer[0, -1, 3] == 0, "opaque where the heat is, clear elsewhere"
    assert 'id="heat"' not in render(world.report, tmp_path)[0]


def pixels_of(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_confidence_is_compared_with_accuracy_where_there_are_images(world, tmp_path):
    html = render(world.report, tmp_path)[0]
    table = html[html.index("Confidence vs. accuracy") :].split("</table>")[0]
    rows = re.findall(r"<th scope=\"row\">(.*?)</th><td>(\d+)</td><td>(.*?)</td><td>(.*?)</td>", table)
    given = world.evaluation.predictions.probabilities.max(axis=1).astype(np.float64)
    assert [row[0] for row in rows] == ["90 to 100%", "80 to 90%", "70 to 80%", "50 to 70%"], "none without images"
    assert int(rows[0][1]) == (given >= 0.9).sum() and sum(int(row[1]) for row in rows) == len(given)
    assert rows[0][2] == f"{100 * given[given >= 0.9].mean():.1f}%"
    assert [row[3] for row in rows] == ["0.0%", "80.0%", "100.0%", "100.0%"], "its three most confident are wrong"


def test_the_model_card_is_in_the_page_and_cannot_break_it(world, tmp_path):
    table = "| a | b |\n|---|--:|\n| 1 | 2 |\n"
    card = f"# title\n\nOne of 2 classes.\n\n## Metrics\n\n- **bold** <img src=x onerror=alert(1)>\n\n{table}"
    html, parsed = render(dataclasses.replace(world.report, card=card), tmp_path)
    folded = html[html.index("<details>\n<summary>What to know before using the model") :].split("</details>")[0]
    assert "<h3>Metrics</h3>" in folded and "<strong>bold</strong>" in folded and "<table>" in folded
    assert "<h1>title</h1>" not in html and "onerror=alert(1)>" not in html
    assert any(link["href"] == "#card" for link in parsed.all("a"))
    assert "Model card" not in render(world.report, tmp_path)[1].words


def test_the_confusion_matrix_of_many_classes_has_those_with_errors_and_the_others_together(make_world, tmp_path):
    world = make_world(names=tuple(f"class {i:02}" for i in range(30)), wrong=40)
    html, _ = render(world.report, tmp_path)
    matrix = re.search(r'<table class="matrix">.*?</table>', html, re.DOTALL).group()
    counts = np.array([[int(c) for c in re.findall(r"<td[^>]*>(\d+)<", row)] for row in matrix.split("<tr>")[2:]])
    assert counts.shape == (15, 15) and "16 other classes" in matrix
    assert counts.sum() == world.evaluation.n, "no image is lost"
    kept = [int(name) for name in re.findall(r'<span class="name">class (\d+)', matrix)]
    confusion = np.array(world.evaluation.confusion)
    assert (counts[:14, :14] == confusion[np.ix_(kept, kept)]).all()
    errors = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    assert errors[kept].min() >= np.delete(errors, kept).max()


def test_what_says_nothing_is_not_shown(world, tmp_path):
    from keensight.show.calibration import coverage_of_rule, sets_words

    half = Interval(0.9, 0.8, 0.95)
    rule = Abstention(Decision(set_level=0.9), Interval(1.0, 0.9, 1.0), half, None, 0.1, ((1.0, 0.9),), half, 1.0, 1.0)
    assert sets_words(rule) == "" and coverage_of_rule(rule) == ""
    several = dataclasses.replace(rule, set_size=1.4, set_singles=0.6, answered=Interval(0.8, 0.7, 0.9))
    assert "60.0% of the sets have a single class" in sets_words(several)
    assert coverage_of_rule(several).startswith(
        "On these images it predicted 80.0% and abstained on the rest; 90.0% of"
    )
    assert "What this means. Marked" not in render(world.report, tmp_path)[1].words


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.slow
def test_the_gallery_is_filtered_and_sorted_in_a_browser(make_world, tmp_path):
    html, _ = render(make_world(each=80, wrong=40).report, tmp_path)
    act = """<script>
    const pick = (id, value) => { const box = document.getElementById(id); box.value = value;
      box.dispatchEvent(new Event("change")); };
    const seen = () => [...document.querySelectorAll("#mistakes > li")].filter((tile) => !tile.hidden);
    const told = [seen().length];
    document.getElementById("more").click(); told.push(seen().length);
    pick("order", "unsure"); told.push(seen().length, seen()[0].dataset.confidence <= seen()[1].dataset.confidence);
    pick("truth", "1"); told.push(seen().every((tile) => tile.dataset.truth === "1"), seen().length > 0);
    pick("predicted", "1"); told.push(seen().length, document.getElementById("count").textContent);
    document.body.dataset.told = JSON.stringify(told);
    </script></body>"""
    page = tmp_path / "acted.html"
    page.write_text(html.replace("</body>", act), encoding="utf-8")
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    dom = subprocess.run(browser, capture_output=True, text=True, timeout=120, check=True).stdout
    told = json.loads(re.search(r"data-told='?\"?(\[.*?\])", dom.replace("&quot;", '"')).group(1))
    assert told == [24, 40, 24, True, True, True, 0, "0 of 0 shown"]
