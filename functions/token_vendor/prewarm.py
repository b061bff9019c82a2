"""
Generate before people come, where a stage has `prewarm`: nobody waits at eight.

The same asset with another entry point, started every quarter of an hour of the early morning. It
plans anew each time (`forecast.py`): a person who was served holds a token. It uses calls that
nobody waits for, less than all of them, and never generates where a token may be alive.
"""

import os
from datetime import tzinfo
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

from token_vendor.forecast import SHARE, Person, plan
from token_vendor.models import Deadline
from token_vendor.observability import logger, recorder
from token_vendor.problems import AuroraBusyError, ProblemError, UserNotEligibleError
from token_vendor.settings import RESERVE, Settings
from token_vendor.token_item import TokenItem
from token_vendor.wiring import Parts, wire

EXPECTED_BY = ("came", "expires_at")
"""The attributes that say when an owner is expected; the JWT is not read for that."""
BUSY_PAUSE = 15.0
"""Seconds until the next attempt after people used the calls."""
CALL_NEEDS = 25.0
"""Seconds that one generate may take; with less, the next run goes on."""
MOST_FAILURES = 3
"""Failures in a row after which the run ends: Aurora or the table is not well."""
MOST_REFUSALS = 10
"""Refused people in a row after which the run ends: it is the key that Aurora refuses."""


def run(parts: Parts, *, until: float, zone: tzinfo, lane: int = 0, lanes: int = 1) -> int:
    """
    Generate as planned until `until`, on `parts.clock`; return for how many people.

    People live in one `zone`, and this run serves one `lane` of them. A `ProblemError` says that
    Aurora or the table failed several times in a row, or that Aurora refused everybody.
    """
    pace = parts.budget.pace.under(parts.switches.now())
    people = [
        Person.of(email, TokenItem.of(item))
        for email, item in parts.table.scan(TokenItem.sk, EXPECTED_BY)
    ]
    planned = plan(people, now=parts.now(), zone=zone, rate=pace.rate)
    served, failures, refusals, earliest = 0, 0, 0, 0.0
    for each in planned:
        if crc32(each.email.encode()) % lanes != lane:
            continue
        wait = max(each.generate_at, earliest) - parts.now()
        if parts.clock() + wait >= until - CALL_NEEDS:
            # The next run's: nobody pays for a function that sleeps until then.
            break
        parts.sleep(max(0, wait))
        control = parts.switches.now()
        if control.stops_generating():
            break
        try:
            if _vended(parts, each.email, until=until):
                # The rate may have been lowered since the run began.
                spacing = lanes * 60 / (parts.budget.pace.under(control).rate * SHARE)
                served, refusals, earliest = served + 1, 0, parts.now() + spacing
            failures = 0
        except ProblemError as problem:
            if isinstance(problem, UserNotEligibleError):
                refusals += 1
            else:
                logger.warning("not generated ahead", extra={"cause": problem.cause})
                failures += 1
            if failures == MOST_FAILURES or refusals == MOST_REFUSALS:
                raise
        recorder.emit()
    return served


def _vended(parts: Parts, email: str, *, until: float) -> bool:
    """Generate for one person, with pauses while people use the calls themselves."""
    while parts.clock() < until - CALL_NEEDS:
        deadline = Deadline(parts.clock() + CALL_NEEDS, parts.clock, parts.sleep)
        try:
            return parts.vendor.vend_ahead(email, deadline)
        except AuroraBusyError:
            parts.sleep(BUSY_PAUSE)
    return False


def lane_of(event: dict[str, Any]) -> tuple[int, int]:
    """Return which lane of how many an invocation is, as its schedule says."""
    return int(event.get("lane", 0)), int(event.get("lanes", 1))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Serve EventBridge Scheduler; what a run leaves, the next one does."""
    recorder.start(context.aws_request_id)
    recorder.event["route"] = "prewarm"
    left = context.get_remaining_time_in_millis() / 1000 - RESERVE
    parts = wire(Settings.from_environment(os.environ))
    lane, lanes = lane_of(event)
    try:
        until, zone = parts.clock() + left, ZoneInfo(parts.settings.time_zone)
        served = run(parts, until=until, zone=zone, lane=lane, lanes=lanes)
        recorder.event |= {"outcome": "prewarmed", "people": served}
        return {"prewarmed": served}
    finally:
        recorder.flush(timed=False)
