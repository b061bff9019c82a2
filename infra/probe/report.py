"""
The outcome of a probe, and the file that keeps it beside cdk.json.

The file is Markdown for people and ends with the same as JSON, which `doctor` reads.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.probe.exchange import Exchange
from infra.probe.questions import Answer
from infra.probe.stage_file import replace_file

FENCE = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class ReportError(Exception):
    """
    A report cannot be read; says which.
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
        """
        Return everything but headers' values and bodies, which stay in memory.
        """
        return {
            "stage": self.stage,
            "aurora": self.aurora,
            "at": _time(self.at),
            "calls": self.calls,
            "halted": self.halted,
            "left_behind": self.left_behind,
            "facts": dict(self.facts),
            "changes": dict(self.changes),
            "answers": [
                {
                    "question": each.name,
                    "statement": each.statement,
                    "verdict": each.verdict,
                    "found": each.found,
                    "evidence": list(each.evidence),
                }
                for each in self.answers
            ],
        }

    def to_markdown(self) -> str:
        """
        Return the report.
        """
        people = f"Throw-away people in Aurora since then: {self.left_behind}."
        halted = f"\nThe probe ended early: {_cell(self.halted)}.\n" if self.halted else ""
        return "\n".join(
            [
                f"# Probe of Aurora, stage {self.stage}",
                "",
                f"{self.aurora}, {_time(self.at)}: {self.calls} calls. {people}",
                halted,
                "| statement | verdict | found |",
                "| --- | --- | --- |",
                *(
                    f"| {_cell(each.statement)} | {each.verdict} | {_cell(each.found)} |"
                    for each in self.answers
                ),
                "",
                "## What follows for cdk.json",
                "",
                f"```diff\n{self.diff.rstrip()}\n```" if self.diff else "Nothing.",
                "",
                "## The calls",
                "",
                "| call | status | body | headers |",
                "| --- | --- | --- | --- |",
                *(_call(each) for each in self.exchanges),
                "",
                "## For `token-vendor doctor`",
                "",
                "```json",
                json.dumps(self.to_json(), indent=2, ensure_ascii=False),
                "```",
                "",
            ]
        )

    def keep(self, folder: Path) -> Path:
        """
        Write the report into the folder, beside those of the same day, and return its path.
        """
        name = f"probe-{self.stage}-{_time(self.at)[:10]}"
        path, number = folder / f"{name}.md", 2
        while path.exists():
            path, number = folder / f"{name}-{number}.md", number + 1
        replace_file(path, self.to_markdown())
        return path


def newest(folder: Path, stage: str) -> tuple[Path, Mapping[str, Any]] | None:
    """
    Return the newest report of a stage and its facts, or None where there is none.

    Raises:
        ReportError: A report of the stage is damaged.

    """
    found = []
    for path in folder.glob(f"probe-{stage}-*.md"):
        try:
            data = json.loads(FENCE.findall(path.read_text(encoding="utf-8"))[-1])
            if data["stage"] == stage:
                found.append((str(data["at"]), path, dict(data["facts"])))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ReportError(f"{path.name} is no report that can be read") from error
    if not found:
        return None
    _, path, facts = max(found, key=lambda each: each[:1])
    return path, facts


def _call(each: Exchange) -> str:
    _, _, told = each.told.partition(" → ")
    body = told.partition(" ")[2] if each.status else told
    names = ", ".join(each.header_names)
    return f"| {_cell(each.call)} | {each.status or 'none'} | {_cell(body)} | {names} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
