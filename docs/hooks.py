"""Hooks of MkDocs: the version comes from the package, and names in docstrings are shown as code."""

import re
from typing import Any

import keensight


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with the package's version in place of ``{{ version }}``."""
    return markdown.replace("{{ version }}", keensight.__version__)


def on_page_content(html: str, **_: Any) -> str:
    """The page without the Sphinx roles (``:func:`train```) that Markdown leaves before names."""
    return re.sub(r":(?:func|meth|class|mod):<code>~?", "<code>", html)
