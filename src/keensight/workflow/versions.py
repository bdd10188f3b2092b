"""Versions of what figures depend on."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("keensight", "keras", "tensorflow", "numpy", "pillow", "scikit-learn")
_OPTIONAL = ("openvino",)


def versions() -> dict[str, str]:
    """Package name to version, with Python and the operating system; imports none of them."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    found |= {name: version(name) for name in _PACKAGES}
    for name in _OPTIONAL:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
