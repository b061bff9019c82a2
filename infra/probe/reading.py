"""
What follows from the answers of a probe, and no more than that.

Where two behaviours of Aurora would have answered alike, the answer is *undetermined*.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from infra.probe import of_limits, of_lists, of_looking, of_tokens, of_users
from infra.probe.questions import QUESTIONS, Record, is_seen

Verdict = Literal["seen", "contradicted", "undetermined"]
VERDICTS: dict[bool | None, Verdict] = {True: "seen", False: "contradicted", None: "undetermined"}
ASKED_BY = (of_lists, of_users, of_limits, of_tokens, of_looking)
VERSION = re.compile(r"v?\d[\w.-]{0,30}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """
    What a probe found of one question: never a token, a key or a person's data.

    `found` is for people; the calls are in the report, as statuses and shapes.
    """

    question: str
    statement: str
    verdict: Verdict
    found: str


def answers(record: Record) -> list[Answer]:
    result = []
    for name, (statement, read) in QUESTIONS.items():
        holds, found, *by = read(record)
        if holds is None:
            # The reason why a call was not made says more than that nothing is known.
            found = next((one.failure for one in by if not one.status), found)
        verdict = VERDICTS[holds]
        result.append(Answer(question=name, statement=statement, verdict=verdict, found=found))
    return result


def facts(record: Record) -> dict[str, Any]:
    """Return the numbers and names that options can be compared with."""
    found: dict[str, Any] = {}
    for name, call in (("requests_a_minute", "list"), ("generates_a_minute", "generate")):
        if limit := of_limits.limit_of(record[call]):
            found[name] = limit
    if life := of_tokens.life_of(record):
        found["token_life"] = life
    header, version = record.version_header
    if VERSION.fullmatch(version) and is_seen("version", record):
        found |= {"version_header": header, "version": version}
    return found
