"""Read the function's log: the audit events of one caller, or of one token."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from token_vendor.models import normalised_email

from infra.operator.deployed import Deployed
from infra.operator.exits import UsageError

SWITCH_EVENT = "switch"
"""
The message of what an operator switched. It is no request: it has neither status nor duration.
"""


def address(email: str) -> str:
    """Return an e-mail in the form in which it is stored, or raise `UsageError`."""
    try:
        return normalised_email(email)
    except ValueError as error:
        raise UsageError(f"{email} is not an e-mail address") from error


def messages(
    deployed: Deployed, *, since: float, containing: str = ""
) -> Iterator[tuple[int, str]]:
    """Yield what was logged since a moment, oldest first, each with its milliseconds."""
    logs, group = deployed.client("logs"), deployed.outputs["LogGroupName"]
    start, pattern = int(since * 1000), f'"{containing}"' if containing else ""
    events: Iterable[dict[str, Any]]
    if deployed.local:
        events = log_events(logs, group, since=start, pattern=pattern)
    else:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=start, filterPattern=pattern
        )
        events = (event for page in pages for event in page["events"])
    for event in events:
        yield event["timestamp"], event["message"]


def log_events(logs: Any, group: str, *, since: int = 0, pattern: str = "") -> Iterator[Any]:
    """
    Yield a log group's events in MiniStack from a moment (milliseconds) on, oldest first.

    Its answer ends at 10,000 events and has no token to go on with.
    """
    known = 0
    while True:
        answer = logs.filter_log_events(logGroupName=group, startTime=since, filterPattern=pattern)
        events = answer["events"]
        yield from events[known:]
        if len(events) <= known:
            return
        # The answer goes on from its last moment, of which these are known.
        since = events[-1]["timestamp"]
        known = sum(event["timestamp"] == since for event in events)


def lines(deployed: Deployed, *, since: float, containing: str = "") -> Iterator[dict[str, Any]]:
    """Yield the log's JSON lines since a moment, oldest first, with `@timestamp` in seconds."""
    for timestamp, message in messages(deployed, since=since, containing=containing):
        try:
            line = json.loads(message)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line | {"@timestamp": timestamp / 1000}


def events(deployed: Deployed, *, since: float, containing: str) -> list[dict[str, Any]]:
    """Return the audit events that hold a text, oldest first; those of switches are among them."""
    return [
        {"at": line["@timestamp"], **line["audit"]}
        for line in lines(deployed, since=since, containing=containing)
        if line.get("message") in {"audit", SWITCH_EVENT} and containing in line["audit"].values()
    ]


def await_event(
    deployed: Deployed, *, since: float, containing: str, patience: float
) -> dict[str, Any] | None:
    """Return the newest such event, waiting for CloudWatch to have it, or None."""
    give_up_at = time.monotonic() + patience
    while True:
        if found := events(deployed, since=since, containing=containing):
            return found[-1]
        if time.monotonic() > give_up_at:
            return None
        time.sleep(1)
