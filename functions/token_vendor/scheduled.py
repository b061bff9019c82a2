"""
Read Aurora's user list before the working day, where a stage has `directory_schedule`.

It is the same asset with another entry point. It takes only calls that nobody waits for: if a place
of the ring is taken, it tries again a moment later instead of queueing.
"""

import os
from typing import Any

from token_vendor.models import Deadline
from token_vendor.observability import recorder
from token_vendor.problems import AuroraBusyError
from token_vendor.settings import RESERVE, Settings
from token_vendor.wiring import Parts, wire

STRETCH = 20.0
"""Seconds for which it holds the directory: if it is killed, nobody waits for longer."""
PAUSE = 2.0
"""Seconds until it tries again when people wait for calls, or somebody else reads."""


def read(parts: Parts, *, until: float) -> bool:
    """Read the list, going on with an unfinished reading; False when `until` came first."""
    begun = parts.now()
    while (left := until - parts.clock()) > STRETCH:
        control = parts.switches.now()
        deadline = Deadline(parts.clock() + min(left, STRETCH), parts.clock, parts.sleep)
        try:
            allowance = parts.budget.allowance(deadline, control, queueing=False)
            parts.directory.refresh(begun, allowance)
        except AuroraBusyError:
            recorder.emit()
            parts.sleep(PAUSE)
        else:
            return True
    return False


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Serve EventBridge Scheduler; Lambda tries again after an exception."""
    recorder.start(str(event.get("id", "")))
    recorder.event["route"] = "scheduled reading"
    left = context.get_remaining_time_in_millis() / 1000 - RESERVE
    parts = wire(Settings.from_environment(os.environ))
    try:
        done = read(parts, until=parts.clock() + left)
        recorder.event["outcome"] = "directory read" if done else "directory not read to its end"
        return {"read": done}
    finally:
        recorder.flush(timed=False)
