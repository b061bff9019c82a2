"""
Simulate a morning: how long the last caller waits, and what Aurora sees of it.

Slots are those of the function's ring of places (request_budget.py). This module adds who comes
when, and what each of them needs.
"""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from math import ceil

from token_vendor.forecast import AHEAD, WEEK, Person, plan
from token_vendor.places import MICROSECONDS, Pace

DAY = 86_400
PAGE = 100
"""Rows after which the list of users goes on on another page."""
CALLS = {"known": 1, "new": 2}
"""Generate; or invite and generate."""


@dataclass(frozen=True, kw_only=True)
class Burst:
    """
    What a burst was like: seconds that each caller waited, and Aurora's calls by minute.

    `turned_away` counts those who came when the queue was full, and had to ask again for a turn.
    """

    waits: tuple[float, ...]
    calls_by_minute: tuple[int, ...]
    fullest_minute: int
    turned_away: int
    ahead_by_minute: tuple[tuple[int, int], ...] = ()
    """Generates before the first minute, by how many minutes before."""

    @property
    def longest(self) -> float:
        return self.waits[-1]

    def percentile(self, share: float) -> float:
        return self.waits[max(0, ceil(share * len(self.waits)) - 1)]


def simulate(  # noqa: PLR0913 - one argument for each option.
    *,
    users: int,
    known: float,
    over: float,
    rate: float,
    burst: int,
    horizon: float,
    prewarmed: float = 0,
) -> Burst:
    """
    Let `users` people without a stored token come at random moments of `over` minutes.

    Args:
        users: How many come.
        known: The share of them whose Aurora account is known; the others are invited. The first of
            them reads the list of users, once for all.
        over: Minutes within which they come.
        rate: Requests a minute to make.
        burst: Requests to make at once.
        horizon: Seconds beyond which no turn is given. Who would have a later one is told when to
            ask again, and is taken to keep the order of coming.
        prewarmed: The share of the people with a known account who come as expected. They hold a
            token that was generated ahead, by the function's own plan.

    """
    chance = random.Random(1)  # noqa: S311 - The same morning each time, and no secret.
    newcomers = users - round(users * known)
    needs = [CALLS["new"]] * newcomers + [CALLS["known"]] * (users - newcomers)
    chance.shuffle(needs)
    # The first newcomer reads the list of users, once for all; a page is reserved when it is due.
    pages = max(1, ceil(users * known / PAGE))
    reader = needs.index(CALLS["new"]) if newcomers else -1
    w = Pace(rate, burst).turnaround / MICROSECONDS
    free_at = [0.0] * burst
    tickets, turned_away = 0, 0
    waits, sent = [], []
    arrivals = sorted(chance.uniform(0, over * 60) for _ in range(users))
    served = _served_ahead(needs, prewarmed, chance)
    for person, (arrival, calls) in enumerate(zip(arrivals, needs, strict=True)):
        if person in served:
            waits.append(0.0)
            continue
        turned_away += free_at[tickets % burst] > arrival + horizon
        slot = arrival
        for _ in range(calls + (pages if person == reader else 0)):
            place = tickets % burst
            slot = max(arrival, free_at[place])
            free_at[place] = slot + w
            tickets += 1
            sent.append(slot)
        waits.append(slot - arrival)
    ahead = _planned(sorted(arrivals[person] for person in served), rate)
    by_minute = Counter(int(slot // 60) for slot in sent) or Counter({0: 0})
    before = Counter(int(-at // 60) + 1 for at in ahead)
    return Burst(
        waits=tuple(sorted(waits)),
        calls_by_minute=tuple(by_minute[minute] for minute in range(max(by_minute) + 1)),
        fullest_minute=_fullest(sorted([*ahead, *sent])),
        turned_away=turned_away,
        ahead_by_minute=tuple(sorted(before.items(), reverse=True)),
    )


def _served_ahead(needs: list[int], prewarmed: float, chance: random.Random) -> set[int]:
    known = [person for person, calls in enumerate(needs) if calls == CALLS["known"]]
    return set(chance.sample(known, round(len(known) * prewarmed)))


def _planned(arrivals: list[float], rate: float) -> list[float]:
    """Return when the function's plan generates for people who come at `arrivals`."""
    people = [
        Person(email=f"{number:06}", came=(arrival - WEEK * DAY,))
        for number, arrival in enumerate(arrivals)
    ]
    # From as early as a run looks ahead for the last one; later than that it could not begin.
    begins = max(arrivals, default=0.0) - AHEAD + 1
    return [each.generate_at for each in plan(people, now=begins, zone=UTC, rate=rate)]


def _fullest(sent: list[float]) -> int:
    """Return the most calls of any minute, wherever it starts."""
    most, first = 0, 0
    for last, moment in enumerate(sent):
        while sent[first] <= moment - 60:
            first += 1
        most = max(most, last - first + 1)
    return most
