"""The network and the class means are found again in the page that contains them."""

import numpy as np
import pytest

from keensight.core.prototypes import Prototypes
from keensight.errors import StoreError
from keensight.nets.export.html import _prototypes_in, network_in
from keensight.show.html_app import AppContents, BrowserEngine, html_app
from store_builders import manifest

API = 'import { createWasmLib } from "@litertjs/wasm-utils";\nexport {\n};\n'
ENGINE = BrowserEngine("LiteRT.js", "1.2.3", API, "", b"wasm")


def page(**contents):
    return html_app(AppContents(manifest(), **contents), b"the network" * 50, ENGINE)


def test_the_network_comes_out_as_it_went_in():
    assert network_in(page(), "page") == b"the network" * 50
    assert _prototypes_in(page(), "page") is None


def test_class_means_come_out_as_they_went_in():
    random = np.random.default_rng(0)
    made = Prototypes(
        random.normal(size=6).astype(np.float32), random.normal(size=(3, 6)).astype(np.float32), np.ones(3, np.int64),
        threshold=0.4, kept=0.95, temperature=0.07,
    )  # fmt: skip
    found = _prototypes_in(page(prototypes=made), "page")
    np.testing.assert_array_equal(found.centre, made.centre)
    np.testing.assert_array_equal(found.means, made.means)
    assert (found.threshold, found.temperature) == (made.threshold, made.temperature)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(b'id="network"', b'id="other"'), "page contains no network"),
        (lambda text: text.replace(b'id="network">H4sI', b'id="network">AAAA'), "network in page is damaged"),
        (lambda text: text.replace(b'id="network">', b'id="network">A'), "network in page is damaged"),
    ],
)
def test_a_damaged_page_is_named(change, words):
    with pytest.raises(StoreError, match=words):
        network_in(change(page()), "page")


def test_damaged_class_means_are_named():
    with pytest.raises(StoreError, match="what page contains of the model is damaged"):
        _prototypes_in(page().replace(b'"prototypes": null', b'"prototypes": {}'), "page")
