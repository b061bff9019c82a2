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
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from token_vendor.models import Deadline
from token_vendor.observability import Metric, recorder
from token_vendor.problems import AuroraBusyError
from token_vendor.token_store import number, unavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """
    When reserved calls may be sent, in seconds since the epoch.

    `delay` is how far Aurora's pauses had moved the queue by then, in seconds.
    """

    at: float
    delay: float


class RequestBudget:
    """Reserve calls to Aurora in the BUDGET item of one API key's tenant."""

    def __init__(  # noqa: PLR0913 - what it is wired from.
        self,
        dynamodb: "DynamoDBClient",
        *,
        table_name: str,
        partition: str,
        gcra: Gcra,
        patience: float,
        queue_horizon: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name
        self._key = {"pk": {"S": partition}, "sk": {"S": "BUDGET"}}
        self._gcra = gcra
        self.patience = patience
        self._horizon = queue_horizon
        self.clock = clock
        self.sleep = sleep
        self._seen = 0  # The arrival time that this environment left behind: a guess at the next.

    def allowance(self, deadline: Deadline) -> "Allowance":
        """Return the purse of one request, with nothing in it."""
        return Allowance(self, deadline)

    def take_slot(self, calls: int) -> Slot:
        """
        Reserve `calls` and return the slot in which all of them may be sent.

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
                    return _slot(slot, old.get("delay", 0))
            if self._read().get("tat", 0) > now + self._horizon * MICROSECONDS:
                recorder.count(Metric.BUDGET_LEFT, 0)
                wait = self._horizon * random.uniform(*ASK_AGAIN)  # noqa: S311 - no secret.
                raise AuroraBusyError(
                    "The queue for Aurora is full. Try again at the time given.",
                    cause="the budget's queue is full",
                    retry_at=now / MICROSECONDS + wait,
                )

    def as_moved(self, slot: Slot) -> Slot:
        """Return a slot that was given before as Aurora's pauses have moved it since."""
        item = self._read()
        now = round(self.clock() * MICROSECONDS)
        recorder.count(Metric.BUDGET_LEFT, self._gcra.left(item.get("tat", 0), now))
        delay = item.get("delay", 0)
        return _slot(round((slot.at - slot.delay) * MICROSECONDS) + delay, delay)

    def hold_until(self, moment: float) -> None:
        """Let nobody call before `moment`, because Aurora said so: the whole queue moves."""
        until = round(moment * MICROSECONDS)
        while True:
            now = round(self.clock() * MICROSECONDS)
            item = self._read()
            # In whole milliseconds, which is what turns are kept in: by less they would creep.
            step = ceil((until - max(now, item.get("held_until", 0))) / 1000) * 1000
            if step <= 0:
                return  # Somebody else has heard the same.
            tat = max(item.get("tat", 0) + step, until + self._gcra.tolerance)
            values = {":tat": tat, ":step": step, ":until": until}
            condition = "attribute_not_exists(tat)"
            if "tat" in item:
                # It changes with every reservation.
                condition, values[":seen"] = "tat = :seen", item["tat"]
            written = self._update(
                "SET tat = :tat, held_until = :until ADD delay :step", condition, values
            )
            if written is not None:
                return

    def _advance(self, calls: int, now: int, *, queued: bool) -> dict[str, int] | None:
        """Return the item before the reservation, or None where the guess was wrong."""
        values = {":now": now}
        step = calls * self._gcra.interval
        if queued:
            expression, condition = "SET tat = tat + :step", "tat BETWEEN :now AND :horizon"
            values |= {":step": step, ":horizon": now + round(self._horizon * MICROSECONDS)}
        else:
            expression, condition = "SET tat = :next", "attribute_not_exists(tat) OR tat < :now"
            values |= {":next": now + step}
        return self._update(expression, condition, values)

    def _update(
        self, expression: str, condition: str, values: dict[str, int]
    ) -> dict[str, int] | None:
        """Return the item before the write, or None where the condition does not hold."""
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table_name,
                Key=self._key,
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues={name: number(value) for name, value in values.items()},
                ReturnValues="ALL_OLD",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        except (ClientError, BotoCoreError) as error:
            raise unavailable("reserve a call to Aurora", error) from error
        return _numbers(answer.get("Attributes", {}))

    def _read(self) -> dict[str, int]:
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table_name, Key=self._key, ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise unavailable("read the request budget", error) from error
        return _numbers(answer.get("Item", {}))


class Allowance:
    """
    The calls that one request may send: reserved by it or by its kept turn, and not yet spent.

    `AuroraClient` spends one before every attempt, so that no call leaves unreserved.
    """

    def __init__(self, budget: RequestBudget, deadline: Deadline) -> None:
        self._budget = budget
        self.deadline = deadline
        self._left = 0
        self._slot: Slot | None = None

    def redeem(self, turn: Slot, calls: int, *, grace: float) -> None:
        """
        Take the calls of a kept turn, up to `grace` seconds after it; later, it is worth nothing.

        Raises:
            AuroraBusyError: Aurora has asked for a pause since, and the turn has moved with it.

        """
        turn = self._budget.as_moved(turn)
        now = self._budget.clock()
        if turn.at > now:
            raise _turn("its turn has moved", turn, calls)
        if now <= turn.at + grace:
            self._left, self._slot = calls, turn

    def reserve(self, calls: int) -> None:
        """
        Make sure that `calls` can be sent now, waiting for the slot where it is near.

        Raises:
            AuroraBusyError: The slot is too far away to wait; it stays reserved, and
                `turn_calls` says how many calls it is good for.

        """
        if self._left >= calls:
            return
        with recorder.phase("budget"):
            # All of them anew, even where some are left: a slot kept for later than its grace would
            # put one call too many into some minute.
            slot = self._budget.take_slot(calls)
            while (wait := slot.at - self._budget.clock()) > 0:
                if wait > min(self._budget.patience, self.deadline.remaining() - CALL_TIME):
                    raise _turn("given a turn", slot, calls)
                self._budget.sleep(wait)
                # Meanwhile Aurora may have asked somebody else for a pause.
                slot = self._budget.as_moved(slot)
        self._left, self._slot = calls, slot

    def spend(self) -> None:
        """Take one call out, reserving it first where none is left."""
        self.reserve(1)
        self._left -= 1
        recorder.event["aurora_calls"] += 1

    def refused(self, cause: str, moment: float) -> AuroraBusyError:
        """Pass Aurora's 429 on to everybody; whom it met keeps their place, at its end."""
        self._budget.hold_until(moment)
        slot = self._budget.as_moved(self._slot) if self._slot else Slot(at=moment, delay=0)
        slot = Slot(at=max(slot.at, moment), delay=slot.delay)
        return _turn(cause, slot, self._left + 1)


def _slot(at: int, delay: int) -> Slot:
    """Return microseconds in whole milliseconds, rounded up: what `retry_at` and items can say."""
    return Slot(at=ceil(at / 1000) / 1000, delay=round(delay / MICROSECONDS, 3))


def _turn(cause: str, slot: Slot, calls: int) -> AuroraBusyError:
    busy = AuroraBusyError(cause=cause, retry_at=slot.at)
    busy.turn_calls, busy.turn_delay = calls, slot.delay
    return busy


def _numbers(item: dict[str, Any]) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in item.items() if "N" in value}
