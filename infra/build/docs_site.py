"""A hook of MkDocs, which builds the documentation site from `docs/`: `make docs`."""

import re
from pathlib import Path
from textwrap import indent
from typing import Any

README = Path(__file__).resolve().parents[2] / "README.md"
# `[text](file)`, seen from the README, and `[text](../file)`, which the site does not have.
RELATIVE = re.compile(r"\]\((?!\w+:|#)")
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")
# Code in a step of a list: MkDocs wants four blanks, and an empty line below.
IN_STEP = re.compile(r"^   ```.*?^   ```$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links to files outside of `docs/` into their texts. The first page is the README."""
    if page.file.src_uri == "index.md":
        markdown = RELATIVE.sub("](../", README.read_text()).replace("../docs/", "")
        markdown = markdown.replace('src="docs/', 'src="')
    markdown = IN_STEP.sub(lambda found: indent(found[0], " ") + "\n", markdown)
    return OUTSIDE.sub(r"\1", markdown)
