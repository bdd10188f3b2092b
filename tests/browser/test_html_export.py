"""An exported HTML file, opened from the disk in headless Chromium: the whole flow, without any request."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.data.shards import cache_directory
from keensight.store.browser_engine import pinned

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from chromium import COMMAND, Chromium

GIVEN = os.environ.get("KEENSIGHT_BROWSER_ENGINE")
ENGINE = Path(GIVEN) if GIVEN else cache_directory() / "browser-engine" / pinned().file_name
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMMAND is None, reason="chromium is not installed"),
    pytest.mark.skipif(not ENGINE.is_file(), reason=f"LiteRT.js is not here: {pinned().command}, then "
                       "set KEENSIGHT_BROWSER_ENGINE to the file"),
]  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>"


def keensight(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "keensight", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300,
        env=os.environ | {"KEENSIGHT_BROWSER_ENGINE": str(ENGINE)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photos, a run trained on them and its HTML file."""
    folder = tmp_path_factory.mktemp("html")
    rng = np.random.default_rng(0)
    for number, label in enumerate(("blue", HOSTILE, "red")):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(40):
            image = rng.integers(0, 140, (60, 80, 3))
            image[..., 2 - number] += 70
            Image.fromarray(image.astype(np.uint8)).save(folder / "photos" / label / f"{i}.png")
    code, _, err = keensight(
        "train", "photos", "--model", "cnn", "--epochs", "3", "--image-size", "24", "--run", "run", cwd=folder
    )
    assert code == 0, err
    code, out, err = keensight("export", "run", "--to", "html", "--json", cwd=folder)
    assert code == 0, err
    (folder / "told.json").write_text(out)
    return folder


@pytest.fixture(scope="module")
def page(place):
    return place / "run" / "exports" / "html" / "classifier.html"


def finished(browser, count):
    for _ in range(1200):
        ready = browser.run("document.getElementById('status').textContent") == "Ready."
        if ready and browser.run("document.querySelectorAll('.result').length") >= count:
            return
        time.sleep(0.05)
    raise AssertionError(browser.run("document.body.innerText"))


def test_the_command_shows_what_was_compared(place, page):
    told = json.loads((place / "told.json").read_text())
    assert told["format"] == "html" and told["file"] == "run/exports/html/classifier.html"
    assert told["parity"]["ok"] and told["bytes"] == page.stat().st_size < 15 * 10**6
    assert keensight("verify", page.parent, cwd=place)[0] == 0


def test_a_changed_network_is_found(place, page):
    text = page.read_text()
    begin = text.index('id="network">') + 5000
    page.write_text(text[:begin] + ("A" if text[begin] != "A" else "B") + text[begin + 1 :])
    try:
        code, out, err = keensight("verify", page.parent, cwd=place)
        assert code == 1 and "classifier.html was changed or is damaged" in out + err
    finally:
        page.write_text(text)


def predicted(page, photos):
    """Rows of the page's own function."""
    with Chromium() as browser:
        browser.open(page.as_uri())
        browser.run("keensight.ready")
        browser.run("document.body.insertAdjacentHTML('beforeend', '<input type=file multiple id=t>')")
        browser.choose("#t", *photos)
        return browser.run(
            """(async () => {
              const rows = [];
              for (const file of document.getElementById("t").files) rows.push((await keensight.predict(file)).row);
              return rows;
            })()"""
        )


def test_predictions_equal_those_of_the_command(place, page):
    photos = sorted((place / "photos").rglob("*.png"))[::6]
    expected = ks.predict(place / "run", photos).rows()
    for one, other in zip(predicted(page, photos), expected, strict=True):
        assert (one["label"], one["decision"], one["reason"]) == (other["label"], other["decision"], other["reason"])
        assert one["probability"] == pytest.approx(other["probability"], abs=0.03)
        assert one["ood_score"] == pytest.approx(other["ood_score"], abs=0.02)


@pytest.mark.parametrize("window", [{}, {"width": 390, "height": 844, "mobile": True, "dark": True}])
def test_images_are_chosen_shown_refused_and_cleared_without_a_request(place, page, tmp_path, window):
    good = sorted((place / "photos" / HOSTILE).glob("*.png"))[0]
    other = tmp_path / "other.png"
    Image.fromarray(np.tile(np.arange(0, 250, 5, dtype=np.uint8), (50, 1))).save(other)
    broken = tmp_path / "<b>broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no image")
    with Chromium(**window) as browser:
        browser.open(page.as_uri())
        browser.run("keensight.ready")
        browser.choose("#files", good, broken)
        finished(browser, 2)
        browser.choose("#files", other)
        finished(browser, 3)
        heads = browser.run("[...document.querySelectorAll('.result h3')].map((head) => head.textContent)")
        assert heads[2] == "Not read" and heads[1].startswith(HOSTILE)  # the newest choice is on top
        names = browser.run("[...document.querySelectorAll('.result .file')].map((line) => line.textContent)")
        assert names[0].startswith("other.png · ") and names[2] == "<b>broken.jpg"
        assert "damaged" in browser.run("document.querySelectorAll('.result')[2].innerText")
        assert browser.run("document.getElementById('said').textContent").startswith("other.png: ")
        assert "3 images" in browser.run("document.getElementById('count').textContent")
        assert browser.run("document.querySelectorAll('b, img[src=x]').length") == 0
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        browser.run("document.querySelector('#samples button').click()")
        finished(browser, 4)
        browser.run("document.getElementById('clear').click()")
        assert browser.run("document.querySelectorAll('.result').length") == 0
        assert browser.run("document.activeElement.id") == "choose"
        assert browser.complaints() == []
        assert {url.partition(":")[0] for url in browser.requests()} <= {"file", "blob"}


def test_of_many_images_a_hundred_are_shown_and_all_are_counted(place, page, tmp_path):
    photo = sorted((place / "photos" / "red").glob("*.png"))[0].read_bytes()
    many = [tmp_path / f"{i}.png" for i in range(103)]
    for path in many:
        path.write_bytes(photo)
    with Chromium() as browser:
        browser.open(page.as_uri())
        browser.run("keensight.ready")
        browser.choose("#files", many[0])
        finished(browser, 1)
        browser.choose("#files", *many[1:])
        finished(browser, 100)
        count = browser.run("document.getElementById('count').textContent")
        assert count.startswith("103 images") and count.endswith("100 shown, all in the CSV")
        names = browser.run("[...document.querySelectorAll('.result .file')].map((line) => line.textContent)")
        assert len(names) == 100 and names[0].startswith("1.png") and names[99].startswith("100.png")
        assert browser.complaints() == []


def test_a_request_would_be_blocked(page):
    with Chromium() as browser:
        browser.open(page.as_uri())
        assert browser.run("fetch('https://example.org').then(() => 'sent', () => 'blocked')") == "blocked"
        assert browser.run("fetch('data:,x').then(() => 'sent', () => 'blocked')") == "blocked"
        assert any("Content Security Policy" in line for line in browser.complaints())


def test_a_browser_that_changes_pixels_is_refused(page):
    with Chromium() as browser:
        change = """
          const read = CanvasRenderingContext2D.prototype.getImageData;
          CanvasRenderingContext2D.prototype.getImageData = function (...place) {
            const found = read.apply(this, place);
            found.data.forEach((_, i) => { if (i % 4 < 3) found.data[i] = Math.random() * 256; });
            return found;
          };"""
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=change)
        browser.open(page.as_uri())
        assert browser.run("keensight.ready.then(() => 'ready', (error) => error.message)").startswith(
            "This browser does not reproduce the model's own predictions"
        )
        assert browser.run("document.getElementById('status').className") == "failed"


def test_a_paste_and_a_drop_are_taken(place, page):
    with Chromium() as browser:
        browser.open(page.as_uri())
        browser.run("keensight.ready")
        for event, field in (("paste", "clipboardData"), ("drop", "dataTransfer")):
            browser.run(
                f"""(async () => {{
                  const canvas = Object.assign(document.createElement("canvas"), {{ width: 30, height: 20 }});
                  canvas.getContext("2d").fillRect(0, 0, 30, 20);
                  const given = new DataTransfer();
                  given.items.add(new File([await new Promise((made) => canvas.toBlob(made))], "{event}.png"));
                  const event = new Event("{event}", {{ bubbles: true, cancelable: true }});
                  Object.defineProperty(event, "{field}", {{ value: given }});
                  document.body.dispatchEvent(event);
                }})()"""
            )
        finished(browser, 2)
        names = browser.run("[...document.querySelectorAll('.result .file')].map((line) => line.textContent)")
        assert {name.partition(" ")[0] for name in names} == {"paste.png", "drop.png"}


def test_enrolled_classes_are_predicted_too(place):
    (place / "green").mkdir()
    rng = np.random.default_rng(1)
    for i in range(8):
        image = rng.integers(0, 60, (60, 80, 3))
        image[..., 1] += 150
        image[10:50:4, 20:60] = 255
        Image.fromarray(image.astype(np.uint8)).save(place / "green" / f"{i}.png")
    assert keensight("enrol", "run", "striped", "green", "--out", "more", cwd=place)[0] == 0
    code, _, err = keensight("export", "more", "--to", "html", "--out", "more-html", cwd=place)
    assert code == 0, err
    assert keensight("verify", "more-html", cwd=place)[0] == 0
    photos = [*sorted((place / "green").glob("*.png")), *sorted((place / "photos").rglob("*.png"))[::20]]
    expected = ks.predict(place / "more", photos).rows()
    assert "striped" in {row["label"] for row in expected}
    found = predicted(place / "more-html" / "classifier.html", photos)
    for one, other in zip(found, expected, strict=True):
        assert (one["label"], one["decision"], one["reason"]) == (other["label"], other["decision"], other["reason"])
        assert one["probability"] == pytest.approx(other["probability"], abs=0.03)
