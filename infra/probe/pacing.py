"""
When a probe may call: as one of those who share the key's minute, and the last of them.

Each call is reserved in the function's own items, as slowly as operators have switched it, and
leaves room for the people who use the key.
"""

from collections import deque
from dataclasses import replace
from itertools import batched
from math import ceil

from token_vendor.control import CONTROL, Control
from token_vendor.models import Deadline
from token_vendor.places import MICROSECONDS, PLACE
from token_vendor.problems import ProblemError
from token_vendor.request_budget import RequestBudget
from token_vendor.settings import MINUTE, Settings
from token_vendor.table import Table

from infra.operator.exits import OperatorError

LEFT_TO_OTHERS = 20
"""Calls of a minute that a probe never comes near."""
PATIENCE = 70
"""Seconds to wait for a slot: more than one turn of any ring."""
GET_TOGETHER = 100


class HaltedError(Exception):
    """No further call may be made; says why."""


class Reserved:
    """Reserve each call in the stage's ring of places, as the function does."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table = table
        self._budget = RequestBudget(table, replace(settings, patience=PATIENCE))
        self._history: deque[tuple[float, int]] = deque()

    def admit(self, calls: int) -> None:
        """Let a probe of so many calls begin, or raise `OperatorError`: the key is in use."""
        limit = self._limit(self._control())
        ring, now = self._budget.look(), self._budget.now()
        if ring.held_until > now:
            wait = (ring.held_until - now) / MICROSECONDS
            raise OperatorError(f"the key rests for {wait:.0f} s more; try again then")
        taken = self._taken()
        if taken + calls + LEFT_TO_OTHERS > limit:
            raise OperatorError(
                f"the key is in use: {taken} of the {limit} calls of a minute are reserved. A "
                f"probe of {calls} leaves {LEFT_TO_OTHERS} to others; try again at a quiet time"
            )
        # What is reserved now counts for a minute, as if it had been reserved at this moment.
        self._history = deque([(self._table.now(), ring.tickets - taken)])

    def before(self, operation: str) -> None:
        """Reserve a call and wait for its slot; raise `HaltedError` if others need the key."""
        try:
            control = self._control()
            tickets, now = self._budget.look().tickets, self._table.now()
            while len(self._history) > 1 and self._history[1][0] <= now - MINUTE:
                self._history.popleft()
            if tickets - self._history[0][1] + 1 + LEFT_TO_OTHERS > self._limit(control):
                raise HaltedError("others began to use the key")
            deadline = Deadline(now + 2 * PATIENCE, self._table.clock, self._table.sleep)
            self._budget.allowance(deadline, control).take(operation)
            self._history.append((self._table.now(), tickets + 1))
        except ProblemError as problem:
            raise HaltedError(f"no call was free: {problem.cause}") from problem

    def pause(self, seconds: float, operation: str) -> None:
        self._budget.pause(seconds, operation)

    def _control(self) -> Control:
        return Control.of(self._table.get(CONTROL), now=self._table.now())

    def _limit(self, control: Control) -> int:
        """Return how many calls a minute the function makes, with what is switched."""
        return round(self._budget.pace.under(control).rate)

    def _taken(self) -> int:
        """Return the most calls that may be queued or were reserved in the last minute."""
        turn, burst = self._budget.pace.turnaround, self._budget.pace.burst
        since = self._budget.virtual_now() - max(turn, MINUTE * MICROSECONDS)
        places = [(PLACE.format(number), "") for number in range(burst)]
        used = 0
        for some in batched(places, GET_TOGETHER, strict=False):
            for item in self._table.get_all(some).values():
                used += max(item.get("slot", 0), item.get("used", 0)) > since
        # A place tells its last use only; before that it may have been used once in each turn.
        return used * ceil(MINUTE * MICROSECONDS / turn)
