"""
The table of every option in docs/configuration.md, from the declarations: `make docs` writes it.
"""

from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from infra.stage.config import StageConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
BEGIN, END = "<!-- options: written by make docs -->\n", "<!-- end of options -->\n"


def options_table() -> str:
    """
    Return a Markdown table: each option, its default, and what it accepts; required ones first.
    """
    # The stage's own name is its key in cdk.json.
    options = [each for each in fields(StageConfig) if each.name != "stage"]
    options.sort(key=lambda each: (each.default is not MISSING, each.name))
    rows = [f"| `{each.name}` | {shown_default(each)} | {_accepts(each)} |" for each in options]
    return "\n".join(["| option | default | accepts |", "| --- | --- | --- |", *rows]) + "\n"


def with_table(page: str) -> str:
    """
    Return the page with the table of today.
    """
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + options_table() + "\n" + END + after


def shown_default(option: Field[Any]) -> str:
    """
    Return an option's default as the page writes it.
    """
    if option.default is MISSING:
        return "required"
    if option.default in ("", ()):
        return "none"
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return f"`{option.default}`"


def _accepts(option: Field[Any]) -> str:
    rule = option.metadata["rule"]
    said = rule.meaning.replace("|", "\\|")
    if isinstance(option.default, int | float) and not isinstance(option.default, bool):
        return f"{rule.least:,.10g} to {rule.most:,.10g} {said}"
    return str(said)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
