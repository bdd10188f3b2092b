"""Versions of what figures depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version

_PACKAGES = ("keensight", "keras", "tensorflow", "numpy", "pillow", "scikit-learn")


def versions() -> dict[str, str]:
    """Package name to version, with Python and the operating system; imports none of them."""
    return {"python": platform.python_version(), "platform": platform.platform()} | {
        name: version(name) for name in _PACKAGES
    }
