"""
Aurora's requests per minute, shared by all execution environments.

A generic cell rate algorithm (GCRA) with a queue: one number in one item, the theoretical
arrival time, says when the next request may be sent.  Reserving moves it forward under a
condition, so that two environments never get the same slot.  design.md, "The budget, precisely".

A 429 of Aurora moves the whole queue by as long as Aurora asks for: the arrival time, and by
`delay`, the sum of all such moves, every slot and turn that was given before.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from token_vendor.models import Deadline, Turn
from token_vendor.observability import Metric, recorder
from token_vendor.problems import AuroraBusyError
from token_vendor.table import Item, Table

BUDGET = "BUDGET"
MICROSECONDS = 1_000_000
"""The item counts in whole microseconds: exact in DynamoDB and in Python alike."""
MINUTE = 60
CALL_TIME = 3.0
"""Seconds that must remain after a slot for the call itself to be worth starting."""
ASK_AGAIN = (0.05, 0.15)
"""When those whom a full queue turned away come back, as parts of its length: spread, because one
place comes free at a time and thousands may want it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gcra:
    """
    The rate: `rate` requests a minute, `burst` of them at once.

    `interval` (T) and `tolerance` (τ) are in microseconds.  The command line's simulation
    uses the same two methods.
    """

    rate: float
    burst: int

    @property
    def interval(self) -> int:
        """Return T = 60 s ÷ rate."""
        return round(MINUTE * MICROSECONDS / self.rate)

    @property
    def tolerance(self) -> int:
        """Return τ = (burst - 1) · T."""
        return (self.burst - 1) * self.interval

    def slot(self, arrival: int, calls: int, now: int) -> int:
        """Return when all `calls` may be sent, given the arrival time before they were reserved."""
        return max(now, max(arrival, now) + (calls - 1) * self.interval - self.tolerance)

    def left(self, arrival: int, now: int) -> int:
        """Return how many more calls fit into the coming minute."""
        backlog = max(0, arrival - now)
        return max(0, (MINUTE * MICROSECONDS - backlog) // self.interval)


class RequestBudget:
    """Reserve calls to Aurora in the BUDGET item of one API key's tenant."""

    def __init__(  # noqa: PLR0913 - what it is wired from.
        self,
        table: Table,
        *,
        gcra: Gcra,
        patience: float,
        queue_horizon: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._table = table
        self._gcra = gcra
        self.patience = patience
        self._horizon = queue_horizon
        self.clock = clock
        self.sleep = sleep
        self._seen = 0  # The arrival time that this environment left behind: a guess at the next.

    def allowance(self, deadline: Deadline) -> "Allowance":
        """Return the purse of one request, with nothing in it."""
        return Allowance(self, deadline)

    def reserve(self, calls: int) -> Turn:
        """
        Reserve `calls` and return the turn at which all of them may be sent.

        One conditional write where the guess about the queue is right, two where not: either the
        arrival time is in the past (SET to now + k·T) or in the future (ADD k·T).

        Raises:
            AuroraBusyError: The slot would lie beyond the queue's horizon; nothing is reserved.
            TokenStoreUnavailableError: DynamoDB did not do its part.

        """
        while True:
            now = round(self.clock() * MICROSECONDS)
            guess = self._seen >= now
            for queued in (guess, not guess):
                old = self._advance(calls, now, queued=queued)
                if old is not None:
                    before = old.get("tat", now)
                    self._seen = max(before, now) + calls * self._gcra.interval
                    slot = self._gcra.slot(before, calls, now)
                    recorder.count(Metric.BUDGET_LEFT, self._gcra.left(self._seen, now))
                    recorder.count(Metric.BUDGET_WAIT, (slot - now) / 1000)
                    return _turn(slot, calls, old.get("delay", 0))
            if self._table.get(BUDGET).get("tat", 0) > now + self._horizon * MICROSECONDS:
                recorder.count(Metric.BUDGET_LEFT, 0)
                wait = self._horizon * random.uniform(*ASK_AGAIN)  # noqa: S311 - no secret.
                raise AuroraBusyError(
                    "The queue for Aurora is full. Try again at the time given.",
                    cause="the budget's queue is full",
                    retry_at=now / MICROSECONDS + wait,
                )

    def as_moved(self, turn: Turn) -> Turn:
        """Return a turn that was given before as Aurora's pauses have moved it since."""
        item = self._table.get(BUDGET)
        now = round(self.clock() * MICROSECONDS)
        recorder.count(Metric.BUDGET_LEFT, self._gcra.left(item.get("tat", 0), now))
        delay = item.get("delay", 0)
        return _turn(round((turn.at - turn.delay) * MICROSECONDS) + delay, turn.calls, delay)

    def hold_until(self, moment: float) -> None:
        """Let nobody call before `moment`, because Aurora said so: the whole queue moves."""
        until = round(moment * MICROSECONDS)
        while True:
            now = round(self.clock() * MICROSECONDS)
            item = self._table.get(BUDGET)
            # In whole milliseconds, which is what turns are kept in: by less they would creep.
            step = ceil((until - max(now, item.get("held_until", 0))) / 1000) * 1000
            if step <= 0:
                return  # Somebody else has heard the same.
            tat = max(item.get("tat", 0) + step, until + self._gcra.tolerance)
            written = self._table.update(
                BUDGET,
                assign={"tat": tat, "held_until": until},
                add={"delay": step},
                # It changes with every reservation.
                condition="tat = :seen" if "tat" in item else "attribute_not_exists(tat)",
                values={"seen": item["tat"]} if "tat" in item else {},
            )
            if written is not None:
                return

    def _advance(self, calls: int, now: int, *, queued: bool) -> Item | None:
        """Return the item before the reservation, or None where the guess was wrong."""
        step = calls * self._gcra.interval
        if queued:
            return self._table.update(
                BUDGET,
                add={"tat": step},
                condition="tat BETWEEN :now AND :horizon",
                values={"now": now, "horizon": now + round(self._horizon * MICROSECONDS)},
            )
        return self._table.update(
            BUDGET,
            assign={"tat": now + step},
            condition="attribute_not_exists(tat) OR tat < :now",
            values={"now": now},
        )


class Allowance:
    """
    The calls that one request may send: reserved by it or by its kept turn, and not yet spent.

    `AuroraClient` spends one before every attempt, so that no call leaves unreserved.
    """

    def __init__(self, budget: RequestBudget, deadline: Deadline) -> None:
        self._budget = budget
        self.deadline = deadline
        self._left = 0
        self._turn: Turn | None = None

    def redeem(self, turn: Turn, *, grace: float) -> None:
        """
        Take the calls of a kept turn, up to `grace` seconds after it; later, it is worth nothing.

        Raises:
            AuroraBusyError: Aurora has asked for a pause since, and the turn has moved with it.

        """
        turn = self._budget.as_moved(turn)
        now = self._budget.clock()
        if turn.at > now:
            raise AuroraBusyError(cause="its turn has moved", turn=turn)
        if now <= turn.at + grace:
            self._left, self._turn = turn.calls, turn

    def reserve(self, calls: int) -> None:
        """
        Make sure that `calls` can be sent now, waiting for the turn where it is near.

        Raises:
            AuroraBusyError: The turn is too far away to wait; it stays reserved, and the error
                carries it.

        """
        if self._left >= calls:
            return
        with recorder.phase("budget"):
            # All of them anew, even where some are left: a call kept for later than its grace would
            # put one too many into some minute.
            turn = self._budget.reserve(calls)
            while (wait := turn.at - self._budget.clock()) > 0:
                if wait > min(self._budget.patience, self.deadline.remaining() - CALL_TIME):
                    raise AuroraBusyError(cause="given a turn", turn=turn)
                self._budget.sleep(wait)
                # Meanwhile Aurora may have asked somebody else for a pause.
                turn = self._budget.as_moved(turn)
        self._left, self._turn = calls, turn

    def take(self) -> None:
        """Take one call out, reserving it first where none is left."""
        self.reserve(1)
        self._left -= 1
        recorder.event["aurora_calls"] += 1

    def paused_until(self, moment: float) -> Turn:
        """Pass Aurora's 429 on to everybody; return the place that the refused call keeps."""
        self._budget.hold_until(moment)
        kept = self._budget.as_moved(self._turn) if self._turn else None
        return Turn(
            at=max(kept.at, moment) if kept else moment,
            calls=self._left + 1,
            delay=kept.delay if kept else 0,
        )


def _turn(at: int, calls: int, delay: int) -> Turn:
    """Return microseconds in whole milliseconds, rounded up: what `retry_at` and items can say."""
    return Turn(at=ceil(at / 1000) / 1000, calls=calls, delay=round(delay / MICROSECONDS, 3))
