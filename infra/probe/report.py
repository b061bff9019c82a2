"""The outcome of a probe, and the file that keeps it beside cdk.json, which `doctor` reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.probe.exchange import Exchange
from infra.probe.reading import Answer
from infra.probe.stage_file import replace_file


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    What a probe found; `at` is seconds since the epoch, `changes` are options of cdk.json.

    `left_behind` tells of the throw-away person, whose address is not kept.
    """

    stage: str
    aurora: str
    at: float
    halted: str
    left_behind: bool
    answers: tuple[Answer, ...]
    facts: Mapping[str, Any]
    changes: Mapping[str, Any]
    diff: str
    exchanges: tuple[Exchange, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything but headers' values and bodies, which stay in memory."""
        calls = [
            {"call": e.call, "status": e.status, "told": e.told, "headers": e.header_names}
            for e in self.exchanges
        ]
        kept = {name: value for name, value in vars(self).items() if name != "exchanges"}
        answers = [asdict(each) for each in self.answers]
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")
        return kept | {"at": at, "answers": answers, "calls": calls}

    def keep(self, folder: Path) -> Path:
        """Write the report into the folder, beside those of the same day, and return its path."""
        data = self.to_json()
        name = f"probe-{self.stage}-{data['at'][:10]}"
        path, number = folder / f"{name}.json", 2
        while path.exists():
            path, number = folder / f"{name}-{number}.json", number + 1
        replace_file(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        return path
