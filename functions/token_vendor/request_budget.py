"""
Aurora's requests per minute, shared by all execution environments.

A generic cell rate algorithm (GCRA) with a queue: one number in one item, the theoretical
arrival time, says when the next request may be sent.  Reserving moves it forward under a
condition, so that two environments never get the same slot.  design.md, "The budget, precisely".
"""

from collections.abc import Callable
from contextlib import suppress
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

    def allowance(self, deadline: Deadline, *, prepaid: int = 0) -> "Allowance":
        """Return the purse of one request, holding the `prepaid` calls of a kept turn."""
        return Allowance(self, deadline, prepaid)

    def take_slot(self, calls: int) -> float:
        """
        Reserve `calls` and return the moment at which all of them may be sent.

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
                before = self._advance(calls, now, queued=queued)
                if before is not None:
                    self._seen = max(before, now) + calls * self._gcra.interval
                    slot = self._gcra.slot(before, calls, now)
                    recorder.count(Metric.BUDGET_LEFT, self._gcra.left(self._seen, now))
                    recorder.count(Metric.BUDGET_WAIT, (slot - now) / 1000)
                    # Whole milliseconds, rounded up: what `retry_at` can say and the item keeps.
                    return ceil(slot / 1000) / 1000
            arrival = self._arrival()
            if arrival > now + self._horizon * MICROSECONDS:
                recorder.count(Metric.BUDGET_LEFT, 0)
                raise AuroraBusyError(
                    "The queue for Aurora is full. Try again at the time given.",
                    cause="the budget's queue is full",
                    retry_at=arrival / MICROSECONDS - self._horizon,
                )

    def hold_until(self, moment: float) -> None:
        """Let nobody call before `moment`: Aurora said so with a 429."""
        until = round(moment * MICROSECONDS) + self._gcra.tolerance
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._update(
                "SET tat = :until",
                "attribute_not_exists(tat) OR tat < :until",
                {":until": until},
            )

    def _advance(self, calls: int, now: int, *, queued: bool) -> int | None:
        """Return the arrival time before the reservation, or None where the guess was wrong."""
        values = {":now": now}
        step = calls * self._gcra.interval
        if queued:
            expression, condition = "SET tat = tat + :step", "tat BETWEEN :now AND :horizon"
            values |= {":step": step, ":horizon": now + round(self._horizon * MICROSECONDS)}
        else:
            expression, condition = "SET tat = :next", "attribute_not_exists(tat) OR tat < :now"
            values |= {":next": now + step}
        try:
            old = self._update(expression, condition, values)
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        return int(old["tat"]["N"]) if "tat" in old else now

    def _update(self, expression: str, condition: str, values: dict[str, int]) -> dict[str, Any]:
        try:
            return self._dynamodb.update_item(
                TableName=self._table_name,
                Key=self._key,
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues={name: number(value) for name, value in values.items()},
                ReturnValues="UPDATED_OLD",
            ).get("Attributes", {})
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            raise
        except (ClientError, BotoCoreError) as error:
            raise unavailable("reserve a call to Aurora", error) from error

    def _arrival(self) -> int:
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table_name, Key=self._key, ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise unavailable("read the request budget", error) from error
        return int(answer["Item"]["tat"]["N"]) if "Item" in answer else 0


class Allowance:
    """
    The calls that one request may send: reserved by it or by its kept turn, and not yet spent.

    `AuroraClient` spends one before every attempt, so that no call leaves unreserved.
    """

    def __init__(self, budget: RequestBudget, deadline: Deadline, prepaid: int) -> None:
        self._budget = budget
        self.deadline = deadline
        self._left = prepaid

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
            wait = slot - self._budget.clock()
            if wait > min(self._budget.patience, self.deadline.remaining() - CALL_TIME):
                busy = AuroraBusyError(cause="given a turn", retry_at=slot)
                busy.turn_calls = calls
                raise busy
            if wait > 0:
                self._budget.sleep(wait)
        self._left = calls

    def spend(self) -> None:
        """Take one call out, reserving it first where none is left."""
        self.reserve(1)
        self._left -= 1
        recorder.event["aurora_calls"] += 1

    def hold_until(self, moment: float) -> None:
        """Pass Aurora's 429 on to everybody."""
        self._budget.hold_until(moment)
