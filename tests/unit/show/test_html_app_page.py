"""The text of the page: everything escaped, nothing from a network, only its own scripts."""

import base64
import gzip
import hashlib
import html
import json
import re

import numpy as np
import pytest

from keensight.core import ood
from keensight.core.records import LabelSet
from keensight.core.task import Task
from keensight.show.html_app import AppContents, BrowserEngine, html_app, server_page
from store_builders import LABELS, manifest

HOSTILE = '</script><script>alert("x")</script>'
API = 'import { createWasmLib } from "@litertjs/wasm-utils";\nconst LiteRt = 1;\nexport {\n  LiteRt\n};\n'
ENGINE = BrowserEngine("LiteRT.js", "1.2.3", API, "var ModuleFactory;", b"\0asm" + bytes(1000))
METRICS = {
    "accuracy": 0.9, "accuracy_ci": [0.85, 0.94], "n": 1372, "part": "test",
    "caveats": [{"kind": "leak", "message": "Of the test images 12 are copies.", "advice": "Split again."}],
}  # fmt: skip
SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def made(**changes):
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    values = {
        "manifest": manifest(provenance={"metrics": METRICS}), "card": "# Card\n\nA [link](http://example.org).",
        "subspace": ood.fit(vectors, vectors), "samples": [("a/b/photo.jpg", b"\xff\xd8 bytes", [0.5, 0.25, 0.25])],
    }  # fmt: skip
    return AppContents(**(values | changes))


def page(**changes):
    return html_app(made(**changes), b"network", ENGINE).decode()


def scripts(text):
    """Attributes and text of the scripts that run."""
    return [(a, body) for a, body in SCRIPT.findall(text) if "json" not in a and "plain" not in a]


def data(text):
    return json.loads(next(body for attributes, body in SCRIPT.findall(text) if "json" in attributes))


def test_network_and_engine_are_inside_and_compressed():
    stored = {re.search(r'id="(\w+)"', a)[1]: body for a, body in SCRIPT.findall(page()) if "plain" in a}
    assert gzip.decompress(base64.b64decode(stored["network"])) == b"network"
    assert gzip.decompress(base64.b64decode(stored["engine"])) == ENGINE.wasm


@pytest.mark.parametrize("text", [page(), server_page(made())])
def test_only_its_own_scripts_may_run(text):
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    hashes = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for _, body in scripts(text)]
    allowed = re.search(r"script-src ([^;]*)", policy)[1]
    assert re.findall(r"'sha256-([^']*)'", allowed) == hashes
    assert "unsafe-inline" not in allowed and "http" not in policy and "default-src 'none'" in policy


def test_a_file_may_ask_nothing_of_a_network_and_a_server_page_only_its_server():
    assert "connect-src 'none'" in html.unescape(page())
    assert "connect-src 'self'" in html.unescape(server_page(made()))


@pytest.mark.parametrize("text", [page(), server_page(made())])
def test_nothing_is_loaded(text):
    assert not re.search(r"<(?:link|iframe|object|embed|base)\b", text)
    assert not re.search(r"""(?:src|action|formaction)=["']?(?!data:)[^"'\s>]""", re.sub(SCRIPT, "", text))
    assert not re.search(r"@import|url\(", text[: text.index("</style>")])
    assert "http" not in "".join(body for _, body in scripts(server_page(made())))


def test_names_cannot_become_markup():
    labels = LabelSet((HOSTILE, "<img src=x onerror=alert(1)>", "c"))
    contents = {"manifest": manifest(labels, name=HOSTILE), "samples": [(HOSTILE, b"x", [1.0, 0.0, 0.0])]}
    for text in (page(**contents), server_page(made(**contents))):
        assert HOSTILE not in text and "<img src=x" not in text
        assert data(text)["labels"] == list(labels.names)
        assert all("alert" not in body for _, body in scripts(text))


def test_the_result_is_shown_with_interval_n_and_caveats():
    text = page()
    assert "90.0%" in text and "accuracy on the test set (95% CI 85.0% to 94.0%, n = 1,372)" in text
    assert "Of the test images 12 are copies." in text and "Split again." in text
    assert "do not rely on any prediction" in page(manifest=manifest())
    assert "except for images that look nothing like the training images" in text


def test_several_labels_bring_their_thresholds():
    several = manifest(
        task=Task.MULTILABEL, decision={"rule": "labels at or above their thresholds", "thresholds": [0.5, 0.25, 0.75]},
        provenance={"metrics": METRICS | {"map": 0.8125, "map_ci": [0.75, 0.875]}},
    )  # fmt: skip
    text = page(manifest=several)
    assert data(text)["thresholds"] == [0.5, 0.25, 0.75]
    assert "0.812" in text and "mean average precision" in text and "each label whose probability reaches" in text


def test_the_subspace_survives_the_trip():
    contents = made()
    found = data(html_app(contents, b"network", ENGINE).decode())["subspace"]
    for name in found["arrays"]:
        values = np.frombuffer(base64.b64decode(found[name]), "<f4")
        np.testing.assert_array_equal(values, getattr(contents.subspace, name).reshape(-1))


def test_a_server_page_holds_neither_network_nor_rule():
    text = server_page(made())
    assert data(text)["remote"] and data(text)["subspace"] is None
    assert 'id="network"' not in text and 'id="engine"' not in text
    assert data(text)["labels"] == list(LABELS.names)


def test_deep_images_are_announced():
    from keensight.core.records import ImageSpec

    deep = manifest(image=ImageSpec(28, 32, intensity=4095.0))
    assert "this page reads 8-bit images only" in page(manifest=deep)


def test_another_form_of_the_engine_is_noticed():
    other = BrowserEngine("LiteRT.js", "9", "export default 1;", "", b"")
    with pytest.raises(ValueError, match="another form"):
        html_app(made(), b"network", other)
