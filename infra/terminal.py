"""How this project's commands answer: a value each, printed as text, JSON or CSV in one place."""

import csv
import io
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Cell = str | tuple[str, str]
"""A text, or one with its style."""
WIDEST = 10_000


@dataclass(frozen=True, kw_only=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """
    What a command found: `data` for scripts, `said` for people, and its exit code.

    A tuple in `said` is a line of cells. `beside` goes to stderr where stdout is for a program.
    """

    data: Any = None
    said: Sequence[str | Table | tuple[Cell, ...]] = ()
    beside: str = ""
    code: int = 0


def show(answer: Answer, *, as_json: bool = False, as_csv: bool = False) -> None:
    if as_json:
        print(json.dumps(answer.data, indent=2, ensure_ascii=False, default=_plain))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        for table in answer.said:
            if isinstance(table, Table):
                writer.writerows([table.columns, *map(_as_text, table.rows)])
    else:
        for block in answer.said:
            if isinstance(block, Table):
                _table(block)
            else:
                _line(block if isinstance(block, tuple) else (block,))
    if answer.beside:
        _line((answer.beside,), stderr=as_json or as_csv)


def done(text: str) -> Answer:
    return Answer(data={"done": text}, said=[(("✓", "green"), text)])


def failure(text: str) -> None:
    """Say on stderr why there is no result."""
    _line((("✗", "red"), text), stderr=True)


def noted(text: str) -> None:
    """Say on stderr what was done beside the result."""
    _line((("✓", "green"), text), stderr=True)


def replace_what_it_cannot_show() -> None:
    """Print "?" for a sign that the terminal's encoding lacks, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _console(*, stderr: bool = False, width: int | None = None) -> "Console":
    # `--help` needs none of it.
    from rich.console import Console  # noqa: PLC0415

    # Made at each use, because tests replace stdout. What is printed comes from tables, logs and
    # AWS, where `[/b]` and `:key:` mean themselves: colour is given by cells alone.
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def _line(cells: tuple[Cell, ...], *, stderr: bool = False) -> None:
    from rich.text import Text  # noqa: PLC0415

    console = _console(stderr=stderr)
    *marks, last = cells
    shown = Text()
    for mark in marks:
        shown.append_text(_text(mark)).append(" ")
    text, style = last if isinstance(last, tuple) else (last, "")
    indent = len(shown.plain)
    if console.is_terminal:
        # Between words alone: an address that is cut into pieces cannot be copied.
        wrap = textwrap.TextWrapper(
            width=max(20, console.width - indent - 1),
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
        lines = [part for line in text.split("\n") for part in wrap.wrap(line) or [""]]
        text = f"\n{' ' * indent}".join(lines)
    console.print(shown.append(text, style), soft_wrap=True)


def _table(table: Table) -> None:
    from rich.table import Table as Drawn  # noqa: PLC0415

    drawn = Drawn(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(_text, row))
    console = _console()
    needed = console.measure(drawn, options=console.options.update(width=WIDEST)).maximum
    if needed <= console.width or not console.is_terminal:
        # Into a pipe or a file whole lines go, however long.
        _console(width=needed).print(drawn)
        return
    # A name or an id that is cut into pieces cannot be copied: a block for each row instead.
    for row in table.rows:
        for column, cell in zip(table.columns, row, strict=False):
            if cell:
                console.print(*([f"{column}:"] if column else []), _text(cell), soft_wrap=True)
        console.print()


def _text(cell: Cell) -> Any:
    from rich.text import Text  # noqa: PLC0415

    return Text(*cell) if isinstance(cell, tuple) else Text(cell)


def _as_text(row: Sequence[Cell]) -> list[str]:
    """Return a row that no spreadsheet takes for a formula."""
    texts = [cell[0] if isinstance(cell, tuple) else cell for cell in row]
    return [f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in texts]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
