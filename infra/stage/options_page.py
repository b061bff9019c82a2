"""
The tables of docs/configuration.md: what is declared of an option, and what people write about it.

`make docs` writes defaults and accepted values into the rows; what follows a `<br>` is the page's.
"""

import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from infra.stage.config import StageConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
ROW = re.compile(r"^\| `(\w+)` \| .*? \| .*?(?P<note><br>.*)? \|$", re.MULTILINE)
# The stage's own name is its key in cdk.json.
OPTIONS = {each.name: each for each in fields(StageConfig) if each.name != "stage"}
# `option` takes it as "no bound".
UNBOUNDED = 1_000_000


def with_declarations(page: str) -> str:
    """Return the page with the defaults and the accepted values of today."""
    return ROW.sub(_row, page)


def _row(found: re.Match[str]) -> str:
    option = OPTIONS[found[1]]
    return (
        f"| `{option.name}` | {shown_default(option)} | {_accepts(option)}{found['note'] or ''} |"
    )


def shown_default(option: Field[Any]) -> str:
    """Return an option's default as the page writes it."""
    if option.default is MISSING:
        return "required"
    if option.default in ("", ()):
        return "none"
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return f"`{option.default}`"


def _accepts(option: Field[Any]) -> str:
    rule = option.metadata["rule"]
    number = isinstance(option.default, int | float) and not isinstance(option.default, bool)
    if number and rule.most < UNBOUNDED:
        return f"{rule.least:,.10g} to {rule.most:,.10g} {rule.meaning}"
    # The column before says `none`.
    return str(rule.meaning).removesuffix(', or "" for none').replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(with_declarations(PAGE.read_text()))
