"""Sections of docs/benchmarks.md on exported models in use, for ``tables.py``."""

from __future__ import annotations

from typing import Any

from tables_training import commands


def html_section(document: dict[str, Any]) -> list[str]:
    """One row a set: size and speed of an exported HTML file, and how often it predicts as the command does."""
    figures = document["figures"]
    lines = [
        "\n## One HTML file\n",
        "`keensight export --to html` of `quick` models, opened from the disk in headless Chromium "
        f"{document['versions']['chromium']} with LiteRT.js {document['versions']['litert.js']} on the CPU, in one "
        f"thread: {document['n']:,} images. *Ready*: from starting to load the page until the self-test has passed, median "
        f"of {figures['opened']}. *Natively*: the same photos and network with LiteRT in one thread of a Python process, "
        "in the same run. *Agreement*: label, decision and reason are those of `ks.predict`. *Variants*: transparent, "
        "rotated by EXIF (12 megapixels), gray and WebP. No console message and no request in any of the pages. Target: "
        f"{document['bar']}.\n",
        "| dataset | size, MB | ready, s | photo, ms | natively, ms | 12 megapixels, ms | agreement | variants "
        "| largest difference of a probability |",
        "|---" * 9 + "|",
    ]
    for row in figures["sets"]:
        photos, variants = row["photos"], row["variants"]
        cells = [
            row["set"],
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['seconds_until_ready']:.1f}",
            f"{1000 * row['seconds_per_image']:.0f}",
            f"{1000 * row['seconds_per_image_natively']:.0f}",
            f"{1000 * row['seconds_per_photo_of_12_megapixels']:.0f}",
            f"{photos['agreeing']} of {photos['n']}",
            f"{variants['agreeing']} of {variants['n']}",
            f"{max(photos['largest_difference'], variants['largest_difference']):.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, *commands([document])]
