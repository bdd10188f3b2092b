"""Pin a version of LiteRT.js, which runs exported HTML files, by the digest of its npm package.

Afterwards run tests/browser with KEENSIGHT_BROWSER_ENGINE set to the package, and benchmarks/html_export.py.

python docs/pin_browser_engine.py VERSION
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from urllib.request import urlopen

PLACE = Path(__file__).resolve().parent.parent / "src" / "keensight" / "store" / "browser_engine.json"
LICENSE = "Apache-2.0"


def main(version: str) -> None:
    """Write the pin of a version, if its license and files are as expected."""
    pin = json.loads(PLACE.read_text(encoding="utf-8"))
    url = f"https://registry.npmjs.org/@litertjs/core/-/core-{version}.tgz"
    with urlopen(url) as response:
        package = response.read()
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        described = json.load(archive.extractfile("package/package.json"))
        missing = set(pin["files"]) - set(archive.getnames())
    if described["license"] != LICENSE or missing:
        sys.exit(f"not pinned: its license is {described['license']}, it lacks {sorted(missing)}")
    pin |= {"version": version, "url": url, "size": len(package), "sha256": hashlib.sha256(package).hexdigest()}
    PLACE.write_text(json.dumps(pin, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
