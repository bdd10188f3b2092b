"""The classifier as a page: one HTML file that predicts in the browser, or the same page in front of a server."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import FRACTIONS, Limits
from keensight.core.background import GROUNDS
from keensight.core.codec import from_plain
from keensight.core.ood import Subspace
from keensight.core.predictions import Decision
from keensight.core.prototypes import Prototypes
from keensight.core.records import BundleManifest
from keensight.core.sanitize import unsteered
from keensight.core.statements import rule_in_words, set_name
from keensight.core.task import Task
from keensight.show.page import environment

ACCEPTED = "image/jpeg,image/png,image/webp,image/gif,image/bmp,image/avif"
"""What a browser offers to choose for a page that decodes by itself; a phone then converts its HEIC photos to JPEG."""
_SCRIPTS = ("resize.js", "picture.js", "rules.js", "model.js", "app.js")
_NAMED = 12
_IMPORT = 'import { createWasmLib } from "@litertjs/wasm-utils";'


@dataclass(frozen=True, slots=True)
class BrowserEngine:
    """LiteRT.js as published: what runs a network in a browser."""

    name: str
    version: str
    api: str
    """Its JavaScript module."""
    loader: str
    """The script that belongs to the WebAssembly module."""
    wasm: bytes


@dataclass(frozen=True, slots=True)
class AppContents:
    """What the page shows and what its rules need, all from one bundle."""

    manifest: BundleManifest
    card: str = ""
    """The model card, in Markdown."""
    subspace: Subspace | None = None
    """For out-of-distribution detection; None: no image is refused by it."""
    prototypes: Prototypes | None = None
    """The class means of a model with enrolled classes, else None."""
    samples: Sequence[tuple[str, bytes, Sequence[float]]] = field(default=())
    """Names, encoded images and probabilities of the self-test. The first is predicted before the page says that it is
    ready; all can be tried."""


def html_app(contents: AppContents, flatbuffer: bytes, engine: BrowserEngine) -> bytes:
    """The classifier as one HTML file, which works from a disk and without a network.

    Args:
        contents: What it shows.
        flatbuffer: The network for LiteRT, from one uint8 image (1, height, width, 3) to probabilities (1, trained
            classes) and, if there is a subspace or a class mean, the embedding (1, d).
        engine: What runs the network.

    Returns:
        UTF-8, some 12 MB with EfficientNet-Lite0 in 16-bit weights.
    """
    assets = {"engine": _packed(engine.wasm), "network": _packed(flatbuffer)}
    scripts = [(False, engine.loader), (True, _adapted(engine.api)), (True, _page_scripts())]
    license = {"name": engine.name, "version": engine.version, "text": _text("APACHE-2.0.txt")}
    return _rendered(contents, scripts, assets=assets, license=license).encode("utf-8", "replace")


def server_page(contents: AppContents) -> str:
    """The same page without a network: it sends each image to ``predict``, beside its own address.

    Args:
        contents: What it shows; subspace and prototypes are not needed.
    """
    return _rendered(contents, [(True, _page_scripts())], remote=True)


def _rendered(
    contents: AppContents, scripts: Sequence[tuple[bool, str]], *, assets: Mapping[str, str] | None = None,
    license: Mapping[str, str] | None = None, remote: bool = False,
) -> str:  # fmt: skip
    from markupsafe import Markup

    manifest = contents.manifest
    data = json.dumps(_model(contents, remote), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    page: str = (
        environment()
        .get_template("app/app.html")
        .render(
            manifest=manifest,
            described=_described(manifest),
            accept="image/*" if remote else ACCEPTED,
            policy=_policy([text for _, text in scripts], remote),
            promise=_SENT if remote else _KEPT,
            remote=remote,
            measured=_measured(manifest),
            sentences=_sentences(contents),
            card=contents.card,
            license=license,
            data=Markup(data),
            assets=assets or {},
            scripts=[{"module": module, "text": Markup(text)} for module, text in scripts],
        )
    )
    return page


_KEPT = "Images stay on this device: the model is inside this page, and nothing is sent anywhere."
_SENT = "Images are sent to the server that this page came from, and to nobody else."


def _policy(scripts: Sequence[str], remote: bool) -> str:
    """A Content-Security-Policy that allows exactly these scripts, and no request except to this server."""
    hashes = " ".join(f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'" for text in scripts)
    wasm = "" if remote else " 'wasm-unsafe-eval'"
    connect = "'self'" if remote else "'none'"
    return (
        f"default-src 'none'; script-src {hashes}{wasm}; style-src 'unsafe-inline'; img-src data: blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _page_scripts() -> str:
    return "\n" + "\n".join(_text(name) for name in _SCRIPTS)


def _adapted(api: str) -> str:
    """LiteRT.js' module as a script of the page: its loading of files is replaced by ours, from memory."""
    head, exports, _ = api.partition("\nexport {")
    if not exports or _IMPORT not in head:
        raise ValueError("LiteRT.js has another form than the pinned version")
    return head.replace(_IMPORT, "const createWasmLib = null;") + "\n" + _text("engine.js")


def _text(name: str) -> str:
    loader: Any = environment().loader
    source: str = loader.get_source(environment(), f"app/{name}")[0]
    return source


def _packed(data: bytes) -> str:
    return _base64(gzip.compress(data, 9, mtime=0))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _model(contents: AppContents, remote: bool) -> dict[str, Any]:
    """What the page's scripts know of the model."""
    manifest = contents.manifest
    image, several = manifest.image, manifest.task == Task.MULTILABEL
    rule = Decision.from_manifest(manifest.decision)
    return {
        "remote": remote,
        "labels": manifest.labels.names,
        "image": {
            "height": image.height, "width": image.width, "fit": image.fit, "decoder": image.decoder,
            "ground": GROUNDS[image.background],
        },
        "thresholds": list(manifest.decision["thresholds"]) if several else None,
        "decision": {"threshold": rule.threshold, "set_threshold": rule.set_threshold},
        "anomaly": _anomaly(manifest),
        "subspace": None if remote else _subspace(contents.subspace),
        "prototypes": None if remote else _prototypes(contents.prototypes),
        "samples": [
            {"name": _last(name), "data": _base64(data), "probabilities": [float(p) for p in probabilities]}
            for name, data, probabilities in contents.samples
        ],
    }  # fmt: skip


def _last(name: str) -> str:
    return unsteered(name.rpartition("/")[2])


def _anomaly(manifest: BundleManifest) -> dict[str, Any] | None:
    if manifest.task != Task.ANOMALY:
        return None
    limits = from_plain(Limits, manifest.decision.get("limits"), "decision.limits")
    return {"threshold": limits.threshold, "patch": limits.patch, "fractions": FRACTIONS}


def _subspace(found: Subspace | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"threshold": found.threshold} | _arrays(scale=found.scale, mean=found.mean, axes=found.axes)


def _prototypes(found: Prototypes | None) -> dict[str, Any] | None:
    if found is None:
        return None
    plain = {"threshold": found.threshold, "temperature": found.temperature}
    return plain | _arrays(centre=found.centre, means=found.means)


def _arrays(**arrays: NDArray[np.float32]) -> dict[str, Any]:
    texts = {name: _base64(np.ascontiguousarray(array, "<f4").tobytes()) for name, array in arrays.items()}
    return {"arrays": list(arrays), **texts}


def _described(manifest: BundleManifest) -> str:
    if manifest.task == Task.ANOMALY:
        return "Anomaly detector, which learned from normal images only"
    names = manifest.labels.names
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"Image classifier with {len(names)} {manifest.task.nouns}: {listed}"


_MAIN = {
    Task.MULTICLASS: ("accuracy", "accuracy"),
    Task.MULTILABEL: ("map", "mean average precision"),
    Task.ANOMALY: ("auroc", "area under the ROC curve"),
}
"""Of each task the main metric: its key in a manifest, and its name."""


def _measured(manifest: BundleManifest) -> dict[str, Any] | None:
    """The main result with its confidence interval and n; None: it was not evaluated."""
    found = manifest.provenance.get("metrics")
    key, name = _MAIN[manifest.task]
    if not isinstance(found, Mapping) or key not in found:
        return None
    form = "{:.1%}" if manifest.task == Task.MULTICLASS else "{:.3f}"
    ends = found.get(f"{key}_ci")
    interval = f"95% CI {form.format(ends[0])} to {form.format(ends[1])}, " if ends else ""
    words = f"{name} on the {set_name(str(found.get('part', 'test')))} ({interval}n = {found.get('n', 0):,})"
    return {"value": form.format(found[key]), "words": words, "caveats": found.get("caveats", [])}


def _sentences(contents: AppContents) -> list[str]:
    """When it predicts and when it abstains, and what the page cannot do."""
    manifest, refuses = contents.manifest, contents.subspace is not None
    unlike = ", except for images that look nothing like the training images" if refuses else ""
    told = [rule_in_words(Decision.from_manifest(manifest.decision), refuses=refuses)]
    if manifest.task == Task.MULTILABEL:
        told = [f"It predicts each label whose probability reaches the line on its bar, the label's threshold{unlike}."]
    elif manifest.task == Task.ANOMALY:
        told = ["An image with a score of 1 or more is anomalous. The score is not the probability of a defect."]
    elif manifest.decision.get("enrolled"):
        told = ["It predicts the class whose mean is nearest, and abstains if none is near."]
    if _measured(manifest):
        told.append("Results hold for images like those of the evaluation; another camera, place or time can be worse.")
    if manifest.image.intensity is not None:
        told.append("It was trained on images of more than 8 bits per pixel; this page reads 8-bit images only.")
    return told
