"""A small model and a client without a network, to test the server's parts without TensorFlow."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keensight.core.predictions import Predictions
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.core.task import Task

SPEC = ImageSpec(8, 8)
LABELS = LabelSet(("dark", "bright"))


class ByBrightness:
    """A classifier by mean brightness. It can be made to wait, to fill the queue."""

    spec = SPEC

    def __init__(self):
        self.go_on = threading.Event()
        self.go_on.set()
        self.sizes = []

    def predict_read(self, images):
        assert self.go_on.wait(30)
        self.sizes.append(len(images))
        names = tuple(f"image {i}" for i in range(len(images)))
        errors = {name: read.error for name, read in zip(names, images, strict=True) if read.image is None}
        bright = [np.nan if read.image is None else read.image.mean() / 255 for read in images]
        probabilities = np.array([[1 - one, one] for one in bright], np.float32).reshape(-1, 2)
        return Predictions(names, LABELS, probabilities, errors)


def manifest():
    return BundleManifest(
        6, "squares", Task.MULTICLASS, LABELS, SPEC, "cnn", "none", 1.0, {"rule": "most probable class"}, {},
        {"model.keras": "0" * 64},
    )  # fmt: skip


def picture(level, side=16, kind="PNG"):
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (level, level, level)).save(stream, kind)
    return stream.getvalue()


def form(*files, boundary="xyz", end=True):
    """A form with (name, bytes) pairs, as an HTTP client writes it."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + (f"--{boundary}--\r\n".encode() if end else b"")


FORM = {"content-type": "multipart/form-data; boundary=xyz"}


@dataclass
class Reply:
    status: int | None
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


async def request(app, method, path, chunks=(), headers=None, gone=False):
    """One request to an ASGI application; ``gone``: the client leaves after the chunks."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    reply = Reply(None, {}, b"")

    async def receive():
        await asyncio.sleep(0)
        if not waiting:
            await asyncio.sleep(3600)
        item = waiting.pop(0)
        if isinstance(item.get("body"), float):
            await asyncio.sleep(item.pop("body"))
            item["body"] = b""
        return item

    async def send(message):
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            reply.body += message.get("body", b"")

    await app(scope, receive, send)
    return reply
