"""The page that a real server sends, in headless Chromium: its predictions, errors and token."""

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

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from chromium import COMMAND, Chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMMAND is None, reason="chromium is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the driver of Chromium needs POSIX pipes"),
]
SIDE, TOKEN = 16, "a secret of this test"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of an untrained network: what it predicts does not matter here, only that the page shows it."""
    rng = np.random.default_rng(0)
    data = ks.from_arrays(rng.integers(0, 256, (60, SIDE, SIDE, 3), dtype=np.uint8), np.repeat(("a", "b", "<i>"), 20))
    rows = tuple(range(60))
    classifier = ks.Classifier(
        ks.build(data, ks.ImageSpec(SIDE, SIDE), "cnn", width=4), data.labels, ks.ImageSpec(SIDE, SIDE)
    )
    split = ks.Split(rows[::2], rows[1::4], rows[3::4], "by number")
    folder = tmp_path_factory.mktemp("served")
    ks.bundle(classifier, data, split, folder / "bundle", name="cnn")
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(folder / "photo.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return folder


@pytest.fixture(params=[None, TOKEN], ids=["open", "with a token"])
def address(request, bundle):
    command = [sys.executable, "-m", "keensight", "serve", str(bundle / "bundle"), "--port", "0", "--json"]
    given = os.environ | ({} if request.param is None else {"KEENSIGHT_TOKEN": request.param})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=given) as server:
        told = ""
        while not told.endswith("}\n") or told.count("{") != told.count("}"):
            line = server.stdout.readline()
            assert line, "the server ended"
            told += line
        yield json.loads(told)["url"]
        server.terminate()


def test_images_are_predicted_by_the_server(bundle, address):
    expected = ks.predict(bundle / "bundle", bundle / "photo.png").rows()[0]
    with Chromium() as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=f"window.prompt = () => {TOKEN!r};")
        browser.open(address)
        browser.run("keensight.ready")
        browser.choose("#files", bundle / "photo.png", bundle / "broken.png")
        for _ in range(1200):
            if browser.run("document.querySelectorAll('.result').length") == 2:
                break
            time.sleep(0.05)
        heads = browser.run("[...document.querySelectorAll('.result h3')].map((head) => head.textContent)")
        first = browser.run("document.querySelector('.result .bars .label').textContent")
        assert heads[1] == "Not read" and "PNG" in browser.run("document.querySelector('.refused .detail').textContent")
        assert first == expected["top"][0][0]
        assert heads[0].startswith(expected["label"] if expected["decision"] == "accept" else "I don't know")
        assert {url.split("/")[2] for url in browser.requests() if url.startswith("http")} == {address.split("/")[2]}
        assert browser.run("document.querySelectorAll('i').length") == 0
        # Chromium logs every status of 400 and above.
        assert not [line for line in browser.complaints() if "responded with a status of" not in line]
