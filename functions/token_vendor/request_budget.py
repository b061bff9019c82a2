"""
Aurora's requests per minute, shared by all execution environments: a ring of places.

A reservation draws a ticket from the counter in the RING item. Ticket t has the place t mod
`burst`, an item with the last `slot` that was given and the moment it was last `used`. A place is
used once in a turnaround, w = burst · 60 s ÷ rate. No minute, sliding or fixed, therefore holds
more than burst · ⌈60 s ÷ w⌉ calls (docs/protocol.md, "The ring").

The items hold whole microseconds of virtual time. That clock stands still while Aurora wants a
pause: every slot and every kept turn moves with it, in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from random import uniform
from typing import Any, NamedTuple

from token_vendor.control import Control
from token_vendor.models import Deadline, Turn
from token_vendor.observability import Metric, recorder
from token_vendor.problems import AuroraBusyError
from token_vendor.table import Table

RING, PLACE = "RING", "PLACE#{}"
BEFORE_THE_RING = "BUDGET"
"""The item of the queue that was in use before 0.2; it only tells whether calls were made then."""
TAKEOVER = 90
"""Seconds after which no call of the version before counts any more: Aurora's minute, and the
longest invocation that an HTTP API waits for."""
QUEUE = "generate_token"
"""The operation that the queue is for: if Aurora wants a pause of it, the whole queue pauses."""
MICROSECONDS = 1_000_000
MINUTE = 60
CALL_TIME = 3.0
"""Seconds that must remain after a slot for the call itself to be worth starting."""
NEVER = 10**18
LATE = 50_000
"""Microseconds between a reservation and its call that need not be written down."""
ASK_AGAIN = (0.05, 0.15)
"""When callers whom a full queue turned away may come back, as fractions of its length. The moments
are spread, because one place becomes free at a time and thousands may want it."""


class Slot(NamedTuple):
    """A right to call once from virtual time `at` on; `used` says that its place is marked."""

    place: int
    at: int
    used: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """
    The RING item, in microseconds.

    `held_until` and `paused` (by operation) are real time. `delay` is the sum of all pauses: real
    less virtual time. `born` is when the first ticket was drawn; `clean` says that the version
    before had made no call in the minute before that.
    """

    tickets: int = 0
    delay: int = 0
    held_until: int = 0
    born: int = 0
    clean: bool = False
    paused: Mapping[str, int] = field(default_factory=dict)

    def begins(self, slot: Slot) -> float:
        """Return when a slot begins, in seconds since the epoch."""
        return max(slot.at + self.delay, self.held_until) / MICROSECONDS


class RequestBudget:
    """
    Reserve and use calls to Aurora with the API key of one tenant.

    Every method raises `TokenStoreUnavailableError` when DynamoDB does not do its part.
    """

    def __init__(  # noqa: PLR0913 - what it is wired from.
        self,
        table: Table,
        *,
        rate: float,
        burst: int,
        grace: float,
        patience: float,
        queue_horizon: float,
        sleep: Callable[[float], None],
    ) -> None:
        self._table = table
        self._deployed = (rate, burst)
        self._late = round(grace * MICROSECONDS)
        self.obey(Control())
        self._horizon = round(queue_horizon * MICROSECONDS)
        self.patience = patience
        self.sleep = sleep
        self.known = Ring()
        """The ring as it was when this environment last saw it."""

    def obey(self, control: Control) -> None:
        """
        Apply what is switched: from now on there may be fewer places, and a longer rest of each.

        A place never rests for less than in the deployed configuration, and there are never more
        places. No minute therefore holds more calls than that configuration allows, whatever is
        switched meanwhile, and whichever environments know of it.
        """
        self.control = control
        rate, self._burst = control.lowered(*self._deployed)
        self._turnaround = max(turnaround(*self._deployed), turnaround(rate, self._burst))
        self.rate = self._burst * MINUTE * MICROSECONDS / self._turnaround
        # A late call delays the next one of its place, but never by more than a turnaround.
        self._grace = self._late if self._late < self._turnaround else NEVER

    def now(self) -> int:
        """Return the real time in microseconds."""
        return round(self._table.now() * MICROSECONDS)

    def virtual_now(self) -> int:
        """Return the virtual time in microseconds; while Aurora wants a pause, that of its end."""
        return max(self.now(), self.known.held_until) - self.known.delay

    def allowance(
        self, deadline: Deadline, control: Control, *, queueing: bool = True
    ) -> "Allowance":
        """Return what one request may call; without `queueing`, only what nobody waits for."""
        self.obey(control)
        return Allowance(self, deadline, queueing=queueing)

    def look(self) -> Ring:
        """Read the ring anew."""
        return self._seen(self._table.get(RING))

    def reserve(self, calls: int, *, queueing: bool = True) -> list[Slot]:
        """
        Draw `calls` tickets and return their slots, in order.

        Two writes for a place that is free; one more for a place that others wait for.

        Raises:
            AuroraBusyError: A slot would be beyond the queue's horizon. Without `queueing`: others
                wait for the place, or Aurora wants a pause.

        """
        before = self._table.update(RING, assign_once={"born": self.now()}, add={"tickets": calls})
        known = self._seen(before or {})
        if not queueing and known.held_until > self.now():
            # A place taken now would be missing at the end of the pause, when people come back.
            until = known.held_until / MICROSECONDS
            raise AuroraBusyError(cause="Aurora wants a pause", retry_at=until)
        first = known.tickets
        places = [(first + number) % self._burst for number in range(calls)]
        return [self._free(place) or self._queued(place, queueing=queueing) for place in places]

    def use(self, slot: Slot) -> tuple[Slot, float]:
        """Mark the place of a slot as used; return the slot, and how many seconds to wait first."""
        now, real = self.virtual_now(), self.now() / MICROSECONDS
        if (begins := self.known.begins(slot)) > real:
            return slot, begins - real
        if slot.used and now - slot.at <= LATE:
            return slot, 0
        rested = now - self._turnaround
        before = self._table.update(
            PLACE.format(slot.place),
            assign={"used": now},
            # Or it is marked for this very slot, by its reservation or by a call that was refused.
            condition="used <= :rested OR used = :mine",
            values={"rested": rested, "mine": slot.at},
        )
        if before is not None:
            self._count(before["slot"] + self._turnaround - now)
            return Slot(slot.place, now, used=True), 0
        # The caller before was late, within its grace.
        used = self._table.get(PLACE.format(slot.place)).get("used", rested)
        later = Slot(slot.place, max(used + self._turnaround, now + 1000))
        if later.at - now > self._horizon:
            # A lowered rate has moved the turn beyond the horizon; the switch may end before that.
            raise self._full()
        return later, (later.at - now) / MICROSECONDS

    def pause(self, seconds: float, operation: str) -> None:
        """
        Let nobody call for `seconds`, because Aurora said so.

        Aurora's page on rate limits says that an endpoint may have its own limit. A pause that
        Aurora asked only of the list, or only of the invitation, concerns that operation alone.
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

    def valid(self, slot: Slot) -> Slot | None:
        """
        Return a kept slot; or, after its grace, one on the same place if nobody else has it.

        None is returned for a place that a lowered burst has closed: its caller queues anew.
        """
        if slot.place >= self._burst:
            return None
        if slot.at >= self.virtual_now() - self._grace:
            return slot
        return self._free(slot.place)

    def _free(self, place: int) -> Slot | None:
        """Take a place that can be used now."""
        now = self.virtual_now()
        rested = now - self._turnaround
        before = self._table.update(
            PLACE.format(place),
            assign={"slot": now, "used": now},
            # The last clause is a turn whose grace has passed and that nobody has used.
            condition="attribute_not_exists(slot) OR (used <= :rested AND "
            "(slot <= :rested OR (slot <= :late AND used < slot)))",
            values={"rested": rested, "late": now - self._grace},
        )
        if before is None:
            return None
        self._count(0)
        return Slot(place, now, used=True)

    def _queued(self, place: int, *, queueing: bool) -> Slot:
        """Take the next slot of a place that others wait for."""
        if not queueing:
            raise AuroraBusyError(cause="others use the calls", retry_at=self._table.now() + 1)
        now = self.virtual_now()
        before = self._table.update(
            PLACE.format(place),
            add={"slot": self._turnaround},
            condition="slot <= :last",
            values={"last": now - self._turnaround + self._horizon},
        )
        if before is not None:
            at = before["slot"] + self._turnaround
            self._count(at - now)
            return Slot(place, at)
        raise self._full()

    def _full(self) -> AuroraBusyError:
        """Return the refusal of a caller who is given no turn, and starts anew at a moment."""
        recorder.count(Metric.BUDGET_LEFT, 0)
        wait = self._horizon / MICROSECONDS * uniform(*ASK_AGAIN)  # noqa: S311 - no secret.
        return AuroraBusyError(
            "The queue for Aurora is full. Try again at the time given.",
            cause="the budget's queue is full",
            retry_at=self.now() / MICROSECONDS + wait,
        )

    def _count(self, wait: int) -> None:
        """Count how long a reservation waits, and what is left of the coming minute after it."""
        wait = max(wait, 0) + max(self.known.held_until - self.now(), 0)
        left = self.rate * max(0, 1 - wait / (MINUTE * MICROSECONDS))
        recorder.count(Metric.BUDGET_LEFT, int(left))
        recorder.count(Metric.BUDGET_WAIT, wait / 1000)

    def _seen(self, item: Mapping[str, Any]) -> Ring:
        now = self.now()
        ring = Ring(
            tickets=item.get("tickets", 0),
            delay=item.get("delay", 0),
            held_until=item.get("held_until", 0),
            born=item.get("born", now),
            clean=bool(item.get("clean")),
            paused={
                name.removesuffix("_until"): until
                for name, until in item.items()
                if name.endswith("_until") and name != "held_until"
            },
        )
        self.known = self._taken_over(ring, now)
        return self.known

    def _taken_over(self, ring: Ring, now: int) -> Ring:
        """Hold a new ring while calls of the version before still count in Aurora's minute."""
        begins = ring.born + TAKEOVER * MICROSECONDS
        if ring.clean or now >= begins:
            return ring
        last = self._table.get(BEFORE_THE_RING).get("tat", 0)
        if last < ring.born - MINUTE * MICROSECONDS:
            # Noted for the others, who would all look.
            self._table.update(RING, assign={"clean": 1})
            return ring
        return replace(ring, held_until=max(ring.held_until, begins))


class Allowance:
    """
    The slots of one request: reserved by it or by its kept turn, and not yet spent.

    `AuroraClient` takes one before every attempt. No call leaves unreserved.
    """

    def __init__(self, budget: RequestBudget, deadline: Deadline, *, queueing: bool = True) -> None:
        self._budget = budget
        self._queueing = queueing
        self.deadline = deadline
        self.control = budget.control
        self._slots: list[Slot] = []
        self._spent = Slot(0, 0)

    @property
    def turn(self) -> Turn | None:
        """Return what is reserved and not spent as a turn to keep, or None."""
        if not self._slots:
            return None
        return Turn(
            # In whole milliseconds, which is what items and answers can say.
            at=ceil(self._budget.known.begins(self._slots[0]) * 1000) / 1000,
            slots=tuple((slot.place, slot.at) for slot in self._slots),
        )

    def apart(self, *, queueing: bool | None = None) -> "Allowance":
        """Return another allowance of the same request, without the slots of this one."""
        queueing = self._queueing if queueing is None else queueing
        return Allowance(self._budget, self.deadline, queueing=queueing)

    def redeem(self, turn: Turn) -> None:
        """Take the slots of a kept turn, which Aurora may have moved since."""
        self._slots = [Slot(*slot) for slot in turn.slots]
        self._budget.look()

    def reserve(self, calls: int) -> None:
        """
        Reserve `calls`, and wait for the first of them where it is near.

        Raises:
            AuroraBusyError: It is too far away. What is reserved is kept as the error's turn.

        """
        with recorder.phase("budget"):
            self._slots = [valid for slot in self._slots if (valid := self._budget.valid(slot))]
            if (missing := calls - len(self._slots)) > 0:
                self._slots += self._budget.reserve(missing, queueing=self._queueing)
            while True:
                self._slots[0], wait = self._budget.use(self._slots[0])
                if not wait:
                    return
                self._wait(wait)

    def take(self, operation: str) -> None:
        """
        Spend one slot, reserving it first where none is left.

        Raises:
            AuroraBusyError: As `reserve`; or Aurora wants a pause of this operation.

        """
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

    def _wait(self, seconds: float) -> None:
        if seconds > min(self._budget.patience, self.deadline.remaining() - CALL_TIME):
            raise AuroraBusyError(cause="given a turn", turn=self.turn)
        self._budget.sleep(seconds)
        # Meanwhile Aurora may have asked somebody else for a pause.
        self._budget.look()

    def _refuse_paused(self, operation: str) -> None:
        until = self._budget.known.paused.get(operation, 0)
        if until > self._budget.now():
            raise AuroraBusyError(
                cause=f"Aurora wants a pause of {operation}", retry_at=until / MICROSECONDS
            )


def turnaround(rate: float, burst: int) -> int:
    """Return w = burst · 60 s ÷ rate, in microseconds: how often a place may be used."""
    return round(burst * MINUTE * MICROSECONDS / rate)
