"""An exported HTML file in headless Chromium: size, time until it is ready, time per image, and whether it predicts as
`keensight predict` does: on photos of each set, and on variants of them (transparent PNG, rotated by EXIF, gray, WebP).

python benchmarks/html_export.py RUN=FOLDER [RUN=FOLDER ...]
"""

from __future__ import annotations

import argparse
import base64
import io
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chromium import COMMAND, Chromium
from PIL import Image
from record import save

import keensight as ks
from keensight.core.pixels import decode
from keensight.nets.export.html import open_html

PHOTOS, VARIANTS, OPENED = 70, 60, 5
AGREEMENT, BYTES, READY, EACH = 0.99, 15e6, 3.0, 0.060


def photos(folder: Path) -> list[bytes]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [path.read_bytes() for path in random.Random(0).sample(found, PHOTOS)]


def transparent(image: Image.Image, number: int) -> bytes:
    fading = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    image.putalpha(Image.fromarray(fading))
    return encoded(image, "PNG")


def rotated(image: Image.Image, number: int) -> bytes:
    """As from a phone: large, turned by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 2 + number % 7
    large = image.resize((4032, 3024), Image.Resampling.BICUBIC)
    return encoded(large, "JPEG", quality=90, exif=exif)


def gray(image: Image.Image, number: int) -> bytes:
    return encoded(image.convert("L"), "PNG")


def webp(image: Image.Image, number: int) -> bytes:
    return encoded(image, "WEBP", quality=90)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, format, **options)
    return sink.getvalue()


KINDS: tuple[Callable[[Image.Image, int], bytes], ...] = (transparent, rotated, gray, webp)


def variants(originals: Sequence[bytes]) -> list[tuple[str, bytes]]:
    made = []
    for number, data in enumerate(originals[:VARIANTS]):
        kind = KINDS[number % len(KINDS)]
        made.append((kind.__name__, kind(Image.open(io.BytesIO(data)).convert("RGB"), number // len(KINDS))))
    return made


def in_the_browser(page: Path, images: Sequence[bytes]) -> tuple[list[dict[str, Any]], list[float], list[str]]:
    """Rows, seconds of each image, and whatever was requested or complained about."""
    with Chromium() as browser:
        browser.open(page.as_uri())
        browser.run("keensight.ready")
        rows, seconds = [], []
        for data in images:
            script = f"""(async () => {{
              const file = new File([Uint8Array.fromBase64("{base64.b64encode(data).decode()}")], "image");
              const begin = performance.now();
              const {{ row }} = await keensight.predict(file);
              return [row, performance.now() - begin];
            }})()"""
            row, milliseconds = browser.run(script)
            rows.append(row)
            seconds.append(milliseconds / 1000)
        noise = [url for url in browser.requests() if not url.startswith(("file:", "blob:"))]
        return rows, seconds, browser.complaints() + noise


def seconds_until_ready(page: Path) -> float:
    with Chromium() as browser:
        begin = time.perf_counter()
        browser.open(page.as_uri())
        browser.run("keensight.ready")
        return time.perf_counter() - begin


def seconds_natively(page: Path, spec: ks.ImageSpec, images: Sequence[bytes]) -> float:
    """Median for the same network by LiteRT in one thread of this process, decoding included."""
    run = open_html(page, ("probabilities", "embedding"))
    seconds = []
    for data in images:
        begin = time.perf_counter()
        run(decode(data, spec)[None])
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("label", "decision", "reason"))


def compared(run: Path, page: Path, images: Sequence[bytes]) -> tuple[dict[str, Any], list[float]]:
    expected = ks.predict(run, list(images)).rows()
    rows, seconds, noise = in_the_browser(page, images)
    pairs = list(zip(rows, expected, strict=True))
    return {
        "n": len(images),
        "agreeing": sum(same(one, other) for one, other in pairs),
        "same_label": sum(one["label"] == other["label"] for one, other in pairs),
        "largest_difference": round(max(abs(one["probability"] - other["probability"]) for one, other in pairs), 4),
        "complaints": noise,
    }, seconds


def measured(run: Path, folder: Path, scratch: Path) -> tuple[dict[str, Any], int]:
    exported = ks.export(run, to="html", out=scratch / run.name)
    page = exported.file
    originals = photos(folder)
    figures, seconds = compared(run, page, originals)
    made = variants(originals)
    others, _ = compared(run, page, [data for _, data in made])
    _, phone, _ = in_the_browser(page, [data for name, data in made if name == "rotated"])
    return {
        "set": folder.name,
        "bytes": page.stat().st_size,
        "seconds_until_ready": round(statistics.median(seconds_until_ready(page) for _ in range(OPENED)), 2),
        "seconds_per_image": round(statistics.median(seconds), 4),
        "seconds_per_image_p90": round(float(np.quantile(seconds, 0.9)), 4),
        "seconds_per_image_natively": round(seconds_natively(page, exported.record.image, originals), 4),
        "seconds_per_photo_of_12_megapixels": round(statistics.median(phone), 3),
        "photos": figures,
        "variants": others,
    }, len(originals) + len(made)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+", metavar="RUN=FOLDER")
    pairs = [text.partition("=")[::2] for text in parser.parse_args().runs]
    with tempfile.TemporaryDirectory() as scratch:
        found = [measured(Path(run), Path(folder), Path(scratch)) for run, folder in pairs]
    rows = [row for row, _ in found]
    version = subprocess.run([str(COMMAND), "--version"], capture_output=True, text=True, check=False).stdout.split()
    save(
        "html-export", sum(n for _, n in found), {"sets": rows, "opened": OPENED},
        f"agreement {AGREEMENT} or more, {BYTES / 1e6:.0f} MB, ready in {READY:g} s, {1000 * EACH:.0f} ms an image",
        versions={"chromium": version[1] if len(version) > 1 else "", "litert.js": engine_version()},
    )  # fmt: skip
    for kind in ("photos", "variants"):
        agreeing, n = (sum(row[kind][key] for row in rows) for key in ("agreeing", "n"))
        assert agreeing >= AGREEMENT * n, (kind, agreeing, n)
    for row in rows:
        assert row["bytes"] <= BYTES and not row["photos"]["complaints"] + row["variants"]["complaints"], row
        assert row["seconds_until_ready"] <= READY and row["seconds_per_image"] <= EACH, row


def engine_version() -> str:
    from keensight.store.browser_engine import pinned

    return pinned().version


if __name__ == "__main__":
    main()
