"""
The outcome of a probe, and the file that keeps it beside cdk.json.

The file is Markdown for people and ends with the same as JSON, which `doctor` reads.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.probe.exchange import Exchange
from infra.probe.reading import Answer
from infra.probe.stage_file import replace_file

PAGE = """\
# Probe of Aurora, stage {stage}

{aurora}, {at}: {calls} calls. Throw-away people in Aurora since then: {left_behind}.
{halted}
| statement | verdict | found |
| --- | --- | --- |
{answers}

## What follows for cdk.json

{diff}

## The calls

| call | status | body | headers |
| --- | --- | --- | --- |
{exchanges}

## For `token-vendor doctor`

```json
{json}
```
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    What a probe found; `at` is seconds since the epoch, `changes` are options of cdk.json.

    `left_behind` counts the throw-away people; their addresses are not kept.
    """

    stage: str
    aurora: str
    at: float
    calls: int
    halted: str
    left_behind: int
    answers: tuple[Answer, ...]
    facts: Mapping[str, Any]
    changes: Mapping[str, Any]
    diff: str
    exchanges: tuple[Exchange, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything but headers' values and bodies, which stay in memory."""
        kept = {name: value for name, value in vars(self).items() if name != "exchanges"}
        return kept | {"at": _time(self.at), "answers": [asdict(each) for each in self.answers]}

    def to_markdown(self) -> str:
        """Return the report."""
        data = self.to_json()
        halted = f"\nThe probe ended early: {_cell(self.halted)}.\n" if self.halted else ""
        parts = {
            "halted": halted,
            "answers": _rows([(a.statement, a.verdict, a.found) for a in self.answers]),
            "diff": f"```diff\n{self.diff.rstrip()}\n```" if self.diff else "Nothing.",
            "exchanges": _rows(
                [
                    (e.call, str(e.status or "none"), e.told, ", ".join(e.header_names))
                    for e in self.exchanges
                ]
            ),
            "json": json.dumps(data, indent=2, ensure_ascii=False),
        }
        return PAGE.format(**data | parts)

    def keep(self, folder: Path) -> Path:
        """Write the report into the folder, beside those of the same day, and return its path."""
        name = f"probe-{self.stage}-{_time(self.at)[:10]}"
        path, number = folder / f"{name}.md", 2
        while path.exists():
            path, number = folder / f"{name}-{number}.md", number + 1
        replace_file(path, self.to_markdown())
        return path


def _rows(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
