"""
A hook of MkDocs, which builds the documentation site from `docs/`: `make docs`.
"""

import re
from typing import Any

# `[text](../file)`: a file of the repository, which the site does not have.
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """
    Turn links to files outside of `docs/` into their texts.
    """
    return OUTSIDE.sub(r"\1", markdown)
