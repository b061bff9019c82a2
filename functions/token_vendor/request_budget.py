"""
Aurora's requests per minute, shared by all execution environments: a ring of places.

A reservation draws a ticket from the counter in the RING item. Ticket t has the place t mod
`burst`, and a place is used once in a turnaround (`places.py`; docs/protocol.md, "The ring").

The items hold whole microseconds of virtual time. That clock stands still while Aurora wants a
pause: every slot and every kept turn moves with it, in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from random import uniform
from typing import Any, Self

from token_vendor.control import Control
from token_vendor.models import Deadline, Turn
from token_vendor.observability import Metric, recorder
from token_vendor.places import MICROSECONDS, Pace, Places, Slot
from token_vendor.problems import AuroraBusyError
from token_vendor.settings import MINUTE, Settings
from token_vendor.table import Table

RING = "RING"
QUEUE = "generate_token"
"""The operation that the queue is for: if Aurora wants a pause of it, the whole queue pauses."""
CALL_TIME = 3.0
"""Seconds that must remain after a slot for the call itself to be worth starting."""
ASK_AGAIN = (0.05, 0.15)
"""When callers whom a full queue turned away may come back, as fractions of its length. The moments
are spread, because one place becomes free at a time and thousands may want it."""
STAYS_FULL = MICROSECONDS
"""How long an environment that found the queue full draws no ticket."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """The RING item, in microseconds."""

    tickets: int = 0
    delay: int = 0  # The sum of all pauses: real less virtual time.
    held_until: int = 0  # Real time.
    paused: Mapping[str, int] = field(default_factory=dict)  # Real time, by operation.

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """Return the item as a value; what is no number counts as absent."""
        numbers = {name: value for name, value in item.items() if isinstance(value, int)}
        return cls(
            tickets=numbers.get("tickets", 0),
            delay=numbers.get("delay", 0),
            held_until=numbers.pop("held_until", 0),
            paused={
                name.removesuffix("_until"): until
                for name, until in numbers.items()
                if name.endswith("_until")
            },
        )

    def begins(self, at: int) -> float:
        """Return when a moment of virtual time begins, in seconds since the epoch."""
        return max(at + self.delay, self.held_until) / MICROSECONDS


class RequestBudget:
    """The calls to Aurora with the API key of one tenant."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table = table
        self._grace = round(settings.turn_grace * MICROSECONDS)
        self._horizon = round(settings.queue_horizon * MICROSECONDS)
        self._full_until = 0
        self.pace = Pace(settings.request_rate, settings.request_burst)
        self.patience = settings.patience
        self.known = Ring()
        """The ring as it was when this environment last saw it."""

    def allowance(
        self, deadline: Deadline, control: Control, *, queueing: bool = True
    ) -> "Allowance":
        """Return what one request may call; without `queueing`, only what nobody waits for."""
        return Allowance(self, deadline, control, queueing=queueing)

    def places(self, pace: Pace, count: Callable[[int], None]) -> Places:
        """Return the places for a request that keeps to a pace."""
        return Places(
            table=self._table,
            pace=pace,
            regular=pace.turnaround == self.pace.turnaround,
            grace=self._grace,
            horizon=self._horizon,
            count=count,
            full=self.full,
        )

    def now(self) -> int:
        """Return the real time in microseconds."""
        return round(self._table.now() * MICROSECONDS)

    def virtual_now(self) -> int:
        """Return the virtual time in microseconds; while Aurora wants a pause, that of its end."""
        return max(self.now(), self.known.held_until) - self.known.delay

    def until(self, slot: Slot) -> float:
        """Return the seconds until a slot begins."""
        return self.known.begins(slot.at) - self.now() / MICROSECONDS

    def look(self) -> Ring:
        """Read the ring anew."""
        self.known = Ring.of(self._table.get(RING))
        return self.known

    def draw(self, calls: int, *, queueing: bool) -> int:
        """Draw `calls` tickets; return the first of them."""
        if queueing and self.now() < self._full_until:
            raise self.full()  # It was so a moment ago.
        before = self._table.update(RING, add={"tickets": calls})
        self.known = Ring.of(before or {})
        if not queueing and self.known.held_until > self.now():
            # A place taken now would be missing at the end of the pause, when people come back.
            until = self.known.held_until / MICROSECONDS
            raise AuroraBusyError(cause="Aurora wants a pause", retry_at=until)
        return self.known.tickets

    def pause(self, seconds: float, operation: str) -> None:
        """
        Let nobody call for `seconds`, because Aurora said so.

        Aurora's page on rate limits says that an endpoint may have its own limit: a pause of the
        list alone, or of the invitation alone, concerns nothing else.
        """
        while True:
            now, ring = self.now(), self.look()
            until = now + round(seconds * MICROSECONDS)
            others = [name for name, end in ring.paused.items() if end > now and name != operation]
            if operation != QUEUE and not others:
                self._table.update(RING, assign={f"{operation}_until": until})
                self.look()
                return
            step = until - max(now, ring.held_until)
            if step <= 0:
                return  # Somebody else has heard the same.
            if self._table.update(
                RING,
                assign={"held_until": until},
                add={"delay": step},
                condition="attribute_not_exists(held_until) OR held_until = :seen",
                values={"seen": ring.held_until},
            ):
                self.look()
                return

    def full(self) -> AuroraBusyError:
        """Build the error of a full queue."""
        now = self.now()
        if now >= self._full_until:
            self._full_until = now + STAYS_FULL
        recorder.count(Metric.BUDGET_LEFT, 0)
        wait = self._horizon * uniform(*ASK_AGAIN)  # noqa: S311 - no secret.
        return AuroraBusyError(
            "The queue for Aurora is full. Try again at the time given.",
            cause="the budget's queue is full",
            retry_at=(now + wait) / MICROSECONDS,
        )


class Allowance:
    """The slots of one request, reserved and not yet spent: each call to Aurora takes one."""

    def __init__(
        self, budget: RequestBudget, deadline: Deadline, control: Control, *, queueing: bool
    ) -> None:
        self.deadline = deadline
        self.control = control
        self._budget = budget
        self._queueing = queueing
        self._pace = budget.pace.under(control)
        self._places = budget.places(self._pace, self._count)
        self._slots: list[Slot] = []
        self._spent = Slot(0, 0)

    @property
    def turn(self) -> Turn | None:
        """Return what is reserved and not spent as a turn to keep, or None."""
        if not self._slots:
            return None
        at = min(min(slot.at, slot.look) for slot in self._slots)
        return Turn(
            # In whole milliseconds, which is what items and answers can say.
            at=ceil(self._budget.known.begins(at) * 1000) / 1000,
            slots=tuple((slot.place, slot.at) for slot in self._slots),
        )

    def apart(self, *, queueing: bool | None = None) -> "Allowance":
        """Return another allowance of the same request, without the slots of this one."""
        queueing = self._queueing if queueing is None else queueing
        return Allowance(self._budget, self.deadline, self.control, queueing=queueing)

    def redeem(self, turn: Turn) -> None:
        """Take the slots of a kept turn, which Aurora may have moved since."""
        self._slots = [Slot(*slot) for slot in turn.slots]
        self._budget.look()

    @recorder.phase("budget")
    def reserve(self, calls: int) -> None:
        """
        Reserve `calls`, and wait for the first of them where it is near.

        If it is too far away, what is reserved is kept as the turn of the `AuroraBusyError`. It has
        no turn if the queue is full or, without `queueing`, others wait or Aurora wants a pause.
        """
        budget, near = self._budget, round(self._budget.patience * MICROSECONDS)
        kept = (self._places.valid(slot, budget.virtual_now(), near=near) for slot in self._slots)
        self._slots = [slot for slot in kept if slot]
        if (missing := calls - len(self._slots)) > 0:
            first = budget.draw(missing, queueing=self._queueing)
            for ticket in range(first, first + missing):
                place, now = ticket % self._pace.burst, budget.virtual_now()
                self._slots.append(self._places.take(place, now, queueing=self._queueing))
        self._slots.sort(key=lambda slot: (not slot.used, slot.at))
        while True:
            self._wait()
            self._slots[0] = self._places.use(self._slots[0], budget.virtual_now())
            if self._slots[0].used:
                return

    def take(self, operation: str) -> None:
        """Spend one slot, reserving it first where none is left; fails as `reserve`."""
        if self._budget.known.paused:
            # Looked at first: a slot that is reserved in a pause could not be used.
            self._budget.look()
            self._refuse_paused(operation)
        self.reserve(1)
        self._refuse_paused(operation)
        self._spent = self._slots.pop(0)
        recorder.event["aurora_calls"] += 1

    def paused(self, seconds: float, operation: str) -> Turn | None:
        """Pass Aurora's 429 on to everybody; return the turn that the refused call keeps."""
        self._budget.pause(seconds, operation)
        self._refuse_paused(operation)
        self._slots.insert(0, self._spent)
        return self.turn

    def _wait(self) -> None:
        """Sleep until the first slot begins, which Aurora may move meanwhile."""
        while (wait := self._budget.until(self._slots[0])) > 0:
            if wait > min(self._budget.patience, self.deadline.remaining() - CALL_TIME):
                raise AuroraBusyError(cause="given a turn", turn=self.turn)
            self.deadline.sleep(wait)
            self._budget.look()

    def _count(self, wait: int) -> None:
        """Count how long a reservation waits, and what is left of the coming minute after it."""
        wait = max(wait, 0) + max(self._budget.known.held_until - self._budget.now(), 0)
        left = self._pace.rate * max(0, 1 - wait / (MINUTE * MICROSECONDS))
        recorder.count(Metric.BUDGET_LEFT, int(left))
        recorder.count(Metric.BUDGET_WAIT, wait / 1000)

    def _refuse_paused(self, operation: str) -> None:
        until = self._budget.known.paused.get(operation, 0)
        if until > self._budget.now():
            raise AuroraBusyError(
                cause=f"Aurora wants a pause of {operation}", retry_at=until / MICROSECONDS
            )
