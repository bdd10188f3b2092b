"""Hooks of MkDocs: the version and the meaning of options come from the package; names in docstrings are code."""

import re
from typing import Any

import keensight
from keensight.core.config import Setting, settings

OPTION = re.compile(
    r"<b><code>(\w+)</code></b>((?:(?!</li>).)*?default:\s*<code>)\.\.\."
    r"(</code>\s*\)\s*–\s*<div class=\"doc-md-description\">)\s*</div>",
    re.DOTALL,
)
"""An option of a public function, which has neither default nor meaning in the code: both are those of a setting."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with the package's version in place of ``{{ version }}``."""
    return markdown.replace("{{ version }}", keensight.__version__)


def on_page_content(html: str, **_: Any) -> str:
    """The page with every option described, without the Sphinx roles (``:func:`train```) that Markdown leaves."""
    known = {setting.option: setting for setting in settings()}
    html = OPTION.sub(lambda found: _described(found, known), html)
    return re.sub(r":(?:func|meth|class|mod):<code>~?", "<code>", html)


def _described(found: re.Match[str], known: dict[str, Setting]) -> str:
    name, before, after = found.groups()
    if name not in known:
        return found[0]
    meaning = known[name].help
    return f"<b><code>{name}</code></b>{before}{known[name].default!r}{after}{meaning[0].upper()}{meaning[1:]}.</div>"
