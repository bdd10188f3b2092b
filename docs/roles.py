"""A hook of MkDocs: docstrings refer to names as Sphinx has it (``:func:`train```); pages show the name as code."""

import re
from typing import Any


def on_page_content(html: str, **_: Any) -> str:
    """The page without the roles that Markdown leaves before such names."""
    return re.sub(r":(?:func|meth|class|mod):<code>~?", "<code>", html)
