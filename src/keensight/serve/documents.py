"""The shapes of responses, for the OpenAPI document and its page; the responses themselves are written by hand."""

from __future__ import annotations

from html import escape
from typing import Any

from pydantic import BaseModel, Field

from keensight.serve.rejection import STATUS, Reason


class ModelName(BaseModel):
    """Which model predicted."""

    name: str
    digest: str = Field(description="SHA-256 of the network, its labels, preprocessing and decision rule")


class Row(BaseModel):
    """The prediction for one image: the keys of a row of `keensight predict --json`."""

    path: str = Field(description="the file name that was sent, else `image 0` and so on")
    label: str | None = Field(description="predicted class, or labels with | between; null if it is unreadable")
    probability: float | None = Field(description="of the most probable class, 0 to 1; null for anomaly detectors")
    top: list[tuple[str, float]] = Field(description="the most probable classes with their probabilities")
    decision: str = Field(description="accept, or abstain: then do not use the label")
    error: str | None = Field(description="why the image could not be read")
    reason: str | None = Field(default=None, description="why the model abstains")
    set: list[str] | None = Field(default=None, description="the prediction set, if the model makes them")
    ood_score: float | None = Field(default=None, description="out-of-distribution score")
    labels: list[str] | None = Field(default=None, description="multi-label models: the predicted labels")
    score: float | None = Field(default=None, description="anomaly detectors: the score; 1 is the threshold")
    note: str | None = Field(default=None, description="what is strange about the image")


class Predicted(BaseModel):
    """The predictions for all images of a request, in their order."""

    model: ModelName
    predictions: list[Row]


class Error(BaseModel):
    """What was wrong and how to fix it."""

    code: str
    message: str
    hint: str | None


class Failed(BaseModel):
    """A refused request; `predictions` has the rows of its images if they were examined."""

    error: Error
    predictions: list[Row] | None = None


def _responses(*reasons: Reason) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {}
    for reason in reasons:
        known = found.get(STATUS[reason], {}).get("description", "")
        found[STATUS[reason]] = {"model": Failed, "description": f"{known}, {reason}" if known else reason.value}
    return found


REFUSALS = _responses(*(reason for reason in Reason if reason != Reason.GONE))
"""What ``POST /predict`` may respond besides predictions."""
UNAUTHORIZED = _responses(Reason.NO_TOKEN)
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
"""A response that is no JSON."""
BODY = {
    "requestBody": {
        "required": True,
        "description": "One image as it is, or a form with one or more files; the name of the field does not matter.",
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
        },
    }
}


def page(openapi: dict[str, Any], name: str) -> str:
    """A page about the addresses of the server, without anything from elsewhere."""
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td><td>{escape(one.get('summary', ''))}</td></tr>"
        for path, methods in openapi["paths"].items()
        for method, one in methods.items()
    )
    return _PAGE.format(title=escape(name), rows=rows)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - Keensight</title>
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}
td{{padding:.25rem 1rem .25rem 0;vertical-align:top}}pre{{overflow-x:auto}}</style></head>
<body><h1>{title}</h1>
<p>An image classifier behind HTTP. <a href="openapi.json">OpenAPI document</a></p>
<pre>curl -F file=@photo.jpg http://HOST:PORT/predict</pre>
<table>{rows}</table></body></html>
"""
