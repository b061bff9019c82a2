"""
Who is expected when, and when to generate for them: what `prewarm.py` does, and operators look at.

It rests on `came` in the TOKEN items. A person is expected who came in these hours on this day of
the last week, or on the last working day. What comes again is the time of day where people are: it
is another moment of UTC once their clocks have changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Self

from token_vendor.settings import MINUTE
from token_vendor.token_item import TokenItem

WEEK = 7
"""Days; who came on this day of the last week is expected."""
LONGEST_WEEKEND = 5
"""Days within which the last working day is looked for."""
AHEAD = 4 * 3600
"""Seconds of the coming hours for which a run plans."""
DAY = 86_400
CLOCK_CHANGE = 3 * 3600
"""Seconds; no zone changes its clocks by as much."""
LEAD = 900
"""Seconds before its owner is expected at which a token is to be there."""
SHARE = 0.9
"""The part of the rate that is used: the rest keeps places free for people who come."""
LANES = 4
"""Invocations side by side in a run, because each waits for Aurora's answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """What an item says of its owner; times in seconds since the epoch."""

    email: str
    came: tuple[float, ...] = ()
    alive_until: float = 0  # When the last token that is known dies, forgotten or not.

    @classmethod
    def of(cls, email: str, item: TokenItem) -> Self:
        """Return the owner of a TOKEN item."""
        return cls(email=email, came=item.came, alive_until=item.expires_at)

    def comes_again(self, days: int, *, now: float, zone: tzinfo) -> float | None:
        """Return the first arrival in the hours from `now` on, if days repeat; None for none."""
        near = AHEAD + CLOCK_CHANGE
        again = (
            _days_later(at, days, zone) for at in self.came if abs(at + days * DAY - now) < near
        )
        return min((at for at in again if now <= at < now + AHEAD), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A person who is expected at `arrives_at`, and when to generate for it at the latest."""

    email: str
    arrives_at: float
    generate_at: float


def _days_later(at: float, days: int, zone: tzinfo) -> float:
    """
    Return the moment when the clocks of a zone show the same time, so many days after `at`.

    An hour that the clocks skip is passed on their old time, and one that they repeat is its first.
    """
    # Python adds days to the time that the clock shows, and `fold` is 0 in what it returns.
    return (datetime.fromtimestamp(at, zone) + timedelta(days=days)).timestamp()


def last_working_day(people: Iterable[Person], *, now: float, zone: tzinfo) -> int:
    """
    Return how many days ago people last came as usual in these hours; 0 where they never did.

    As usual is at least half as many as on the fullest of the days: weekends and holidays are not.
    """
    counts = arrivals(people, now=now, zone=zone, days=range(1, LONGEST_WEEKEND + 1))
    return next((day for day, count in counts.items() if count * 2 >= max(counts.values()) > 0), 0)


def arrivals(
    people: Iterable[Person], *, now: float, zone: tzinfo, days: Iterable[int]
) -> dict[int, int]:
    """Count who came in the hours from now on, by how many days ago that was."""
    known = list(people)
    return {
        day: sum(person.comes_again(day, now=now, zone=zone) is not None for person in known)
        for day in days
    }


def plan(people: Iterable[Person], *, now: float, zone: tzinfo, rate: float) -> list[Expected]:
    """
    Return who is expected, each with the latest moment for its generate, first come first served.

    Planned from the last one backwards: as late as the rate allows, but not before `now`.
    """
    known = list(people)
    days = {WEEK, last_working_day(known, now=now, zone=zone)} - {0}
    found: list[tuple[float, str]] = []
    for person in known:
        days_later = (person.comes_again(day, now=now, zone=zone) for day in days)
        arrives_at = min((arrival for arrival in days_later if arrival is not None), default=0.0)
        if arrives_at > person.alive_until:
            found.append((arrives_at, person.email))
    planned: list[Expected] = []
    following = float("inf")
    for arrives_at, email in sorted(found, reverse=True):
        following = min(arrives_at - LEAD, following - MINUTE / (rate * SHARE))
        planned.append(
            Expected(email=email, arrives_at=arrives_at, generate_at=max(now, following))
        )
    return planned[::-1]
