"""
The places of the ring: each is used once in a turnaround, by one caller after another.

A PLACE item holds, in microseconds of virtual time, the last `slot` that was given, when the place
was last `used`, and when a holder of one of its slots last `came`. Slots that wait are a turnaround
apart. A holder who does not come within the grace has left the slot unused: whoever waits may claim
it within another grace. The next holder therefore never waits for longer than two graces.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import randrange
from typing import Any, NamedTuple, Self
from uuid import uuid4

from token_vendor.control import Control
from token_vendor.models import Item
from token_vendor.problems import AuroraBusyError
from token_vendor.settings import MINUTE
from token_vendor.table import Table

PLACE = "PLACE#{}"
MICROSECONDS = 1_000_000
LATE = 50_000
"""Microseconds between a reservation and its call that need not be written down."""
NO_SLOT = 10**18
"""The slot of a caller who waits for unused ones alone, because the queue is full."""
APART = 60 * MICROSECONDS
"""How far apart the clocks of two environments may be if DynamoDB does not tell them the time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many requests a minute, and how many of them at once."""

    rate: float
    burst: int

    @property
    def turnaround(self) -> int:
        """Return w = burst · 60 s ÷ rate, in microseconds: how often a place may be used."""
        return round(self.burst * MINUTE * MICROSECONDS / self.rate)

    def under(self, control: Control) -> Self:
        """
        Return the pace with what is switched applied: fewer places, or a longer rest of each.

        Never more places, nor a shorter rest: no minute holds more calls than the deployed
        configuration allows, whichever environments know of the switch.
        """
        rate, burst = control.lowered(self.rate, self.burst)
        rest = max(self.turnaround, Pace(rate, burst).turnaround)
        return type(self)(burst * MINUTE * MICROSECONDS / rest, burst)


class Slot(NamedTuple):
    """One call, at or after virtual time `at`; `used` says that its place is marked."""

    place: int
    at: int
    used: bool = False
    look: int = NO_SLOT
    """When an earlier slot of the place may turn out to be unused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Take, queue for and use places, at the pace of one request, in virtual microseconds."""

    table: Table
    pace: Pace
    regular: bool  # No rate is switched: the slots of a place are a turnaround apart.
    grace: int
    horizon: int
    count: Callable[[int], None]  # Records how long a reservation waits.
    full: Callable[[], AuroraBusyError]  # The error of a place without a slot in the horizon.

    @property
    def turnaround(self) -> int:
        """Return how long a place rests: for longer while no common time is known."""
        return self.pace.turnaround + (0 if self.table.agreed else APART)

    def take(self, place: int, now: int, *, queueing: bool = True) -> Slot:
        """Return a slot: now if the place is free or was left unused, else behind the others."""
        rested = now - self.turnaround
        free, item = self._mark(
            place,
            {"slot": now, "used": now, "came": 0},
            # The last clause is a last slot that was left unused.
            "attribute_not_exists(slot) OR (used <= :rested AND (slot <= :rested OR "
            "(slot <= :late AND used < slot AND came < slot)))",
            {"rested": rested, "late": now - self.grace},
        )
        if free:
            self.count(0)
            return Slot(place, now, used=True)
        if not queueing:
            raise AuroraBusyError(cause="others use the calls", retry_at=self.table.now() + 1)
        return self._claimed(place, item, now) or self._queued(place, item, now)

    def look(self, slot: Slot, now: int) -> Slot:
        """Claim an earlier slot of the place that was left unused, or say when to look again."""
        item = self.table.get(PLACE.format(slot.place))
        return self._claimed(slot.place, item, now) or self._looking(slot, item, now)

    def use(self, slot: Slot, now: int) -> Slot:
        """Mark the place as used; return the slot, which moves if the place still rests."""
        if slot.used and now - slot.at <= LATE:
            return slot
        used, item = self._mark(
            slot.place,
            {"used": now, "came": now},
            # Or it is marked for this very slot, by its reservation or by a call that was refused.
            "used <= :rested OR used = :mine",
            {"rested": now - self.turnaround, "mine": slot.at},
            otherwise={"came": now},
        )
        if used:
            self.count((_number(item, "slot") or now) + self.turnaround - now)
            return Slot(slot.place, now, used=True)
        if _number(item, "used") is None:
            return self.take(slot.place, now)  # The item was lost.
        # The caller before was late, within its grace.
        later = max(item["used"] + self.turnaround, now + 1000)
        if later - now > self.horizon:
            # A lowered rate has moved the turn beyond the horizon; the switch may end before that.
            raise self.full()
        return Slot(slot.place, later)

    def valid(self, slot: Slot, now: int, *, near: int) -> Slot | None:
        """Return a kept slot, or a better one of its place; None if a lowered burst closed it."""
        if slot.place >= self.pace.burst:
            return None
        # A late call delays the next one of its place, but never by more than a turnaround.
        grace = self.grace if self.grace < self.turnaround else NO_SLOT
        if slot.at == NO_SLOT or slot.at < now - grace:
            return self.take(slot.place, now)
        return slot if slot.at - now <= near else self.look(slot, now)

    def _claimed(self, place: int, item: Item, now: int) -> Slot | None:
        """Take the slot that was last left unused, if its place was not used since."""
        end, used, came = (_number(item, name) for name in ("slot", "used", "came"))
        if end is None or used is None or came is None or not self.regular:
            return None
        unused = self._passed(end, now)
        if unused == end or now > unused + 2 * self.grace or max(used, came) >= unused:
            return None
        claimed, _ = self._mark(
            place,
            {"used": now},
            "used <= :rested AND used < :unused AND came < :unused",
            {"rested": now - self.turnaround, "unused": unused},
        )
        if not claimed:
            return None
        self.count(end + self.turnaround - now)
        return Slot(place, now, used=True)

    def _queued(self, place: int, item: Item, now: int) -> Slot:
        """Take the next slot of a place that others wait for."""
        if _number(item, "slot") is None or _number(item, "used") is None:
            # It cannot be read: it counts as used now.
            lost = {"slot": now, "used": now, "came": 0}
            self.table.update(PLACE.format(place), assign=lost)
        before = self.table.update(
            PLACE.format(place),
            add={"slot": self.turnaround},
            condition="slot <= :last",
            values={"last": now - self.turnaround + self.horizon},
        )
        if before is not None:
            at = before["slot"] + self.turnaround
            self.count(at - now)
            return self._looking(Slot(place, at), before, now)
        end, used = item["slot"], item["used"]
        if not self.regular or used >= self._passed(end, now):
            raise self.full()
        self.count(self.horizon)
        return self._looking(Slot(place, NO_SLOT), item, now)

    def _looking(self, slot: Slot, item: Item, now: int) -> Slot:
        """
        Say when to look at the place: at the next slot that can turn out to be unused.

        Where the last one was kept, the others are probably kept too: then after half of the wait.
        In a ring of few places the looks are spread over a minute: many callers wait for each.
        """
        end, used, came = (_number(item, name) or 0 for name in ("slot", "used", "came"))
        kept = came >= self._passed(end, now)
        spread = randrange(max(1, MINUTE * MICROSECONDS - self.turnaround))  # noqa: S311
        after = (now + slot.at) // 2 if kept and slot.at < NO_SLOT else now + spread
        first = self._passed(end, max(after, used + self.grace + 1)) + self.turnaround
        look = first + self.grace + 1
        return slot._replace(look=look if self.regular and look < slot.at else NO_SLOT)

    def _passed(self, end: int, now: int) -> int:
        """Return the last slot, of those that are given up to `end`, whose grace is over."""
        later = max(0, -((now - end - self.grace - 1) // self.turnaround))
        return end - later * self.turnaround

    def _mark(
        self,
        place: int,
        assign: Mapping[str, int],
        condition: str,
        values: Mapping[str, int],
        *,
        otherwise: Mapping[str, int] = {},
    ) -> tuple[bool, Item]:
        """
        Write to a place under a condition; return whether it holds this write, and the item.

        A write whose answer was lost is sent again and fails on itself: `writer` tells whose it is.
        """
        key, writer = PLACE.format(place), uuid4().hex
        before = self.table.update(
            key, assign={**assign, "writer": writer}, condition=condition, values=values
        )
        if before is not None:
            return True, before
        item = self.table.update(key, assign=otherwise) if otherwise else self.table.get(key)
        return (item or {}).get("writer") == writer, item or {}


def _number(item: Mapping[str, Any], name: str) -> int | None:
    """Return a number of an item; what has another type counts as absent."""
    value = item.get(name)
    return int(value) if isinstance(value, int | float) else None
