"""
What follows from the answers of a probe, and no more than that.

Where two behaviours of Aurora would have answered alike, the answer is *undetermined*.
"""

import re
from collections.abc import Mapping
from typing import Any

from infra.probe import of_invitations, of_limits, of_lists, of_tokens, of_users
from infra.probe.questions import QUESTIONS, Answer, Verdict
from infra.probe.record import (
    Found,
    Reader,
    Record,
    seen,
    undetermined,
)

VERSION = re.compile(r"v?\d[\w.-]{0,30}")


def answers(record: Record) -> list[Answer]:
    """
    Answer every question.
    """
    result = []
    for question in QUESTIONS:
        said = READERS[question.name](record)
        # The reason why a call was not made says more than that nothing is known.
        missing = [each.failure for each in said.by if not each.status]
        found = missing[0] if said.verdict == "undetermined" and missing else said.found
        result.append(
            Answer(
                name=question.name,
                verdict=said.verdict,
                found=found,
                evidence=tuple(each.told for each in said.by if each.status),
            )
        )
    return result


def facts(record: Record) -> dict[str, Any]:
    """
    Return the numbers and names that options can be compared with.
    """
    found: dict[str, Any] = {}
    for name, call in (("requests_a_minute", "list"), ("generates_a_minute", "generate")):
        if limit := of_limits.limit_of(record[call]):
            found[name] = limit
    if life := of_tokens.life_of(record):
        found["token_life"] = life
    header, version = record.version_header
    pins = READERS["version"](record).verdict == "seen"
    if pins and VERSION.fullmatch(version):
        found |= {"version_header": header, "version": version}
    return found


def _said(name: str, *, if_not: Verdict = "contradicted") -> Reader:
    def reader(record: Record) -> Found:
        match record.said.get(name):
            case True:
                return seen("the operator saw it")
            case False:
                verdict: Verdict = if_not
                return Found(verdict=verdict, found="the operator saw the contrary")
            case _:
                return undetermined("the operator did not look")

    return reader


READERS: Mapping[str, Reader] = {
    **of_lists.READERS,
    **of_users.READERS,
    **of_limits.READERS,
    **of_invitations.READERS,
    **of_tokens.READERS,
    # A loader that does not load may have another reason.
    "loader-option": _said("loader-option", if_not="undetermined"),
    "session-after-generate": _said("session-after-generate"),
    "second-session": _said("second-session"),
    "session-after-load": _said("session-after-load"),
    "first-token-again": _said("first-token-again"),
}
