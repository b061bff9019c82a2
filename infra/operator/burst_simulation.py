"""
Simulate a morning: how long the last caller waits, and what Aurora sees of it.

Slots are those of the function's ring of places (request_budget.py). This module adds who comes
when, and what each of them needs.
"""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from heapq import heapify, heappop, heappush
from math import ceil

from token_vendor.forecast import AHEAD, WEEK, Person, plan
from token_vendor.places import MICROSECONDS, Pace
from token_vendor.request_budget import ASK_AGAIN
from token_vendor.settings import Options, Settings

DAY = 86_400
PAGE = 100
"""Rows after which the list of users goes on on another page."""
KNOWN, NEW = 1, 2
"""Calls for a person: generate; or invite and generate."""


@dataclass(frozen=True, kw_only=True)
class Burst:
    """
    What a burst was like: seconds that callers waited, and Aurora's calls by minute.

    `turned_away` counts how often somebody found the queue full, and had to ask again for a turn.
    `ahead_by_minute` counts generates before the first minute, by how many minutes before.
    """

    longest_wait: float
    median_wait: float
    p95_wait: float
    turned_away: int
    fullest_minute: int
    calls_by_minute: tuple[int, ...]
    ahead_by_minute: tuple[tuple[int, int], ...]


def simulate(*, users: int, known: float, over: float, rate: float, prewarmed: float = 0) -> Burst:
    """
    Let `users` people without a stored token come at random moments of `over` minutes.

    Accounts of the share `known` are known; the others are invited. `prewarmed` is the share of the
    known who come as expected, and hold a token that was generated ahead, by the function's own
    plan. Who finds the queue full comes back when told to, and may be overtaken.
    """
    chance = random.Random(1)  # noqa: S311 - The same morning each time, and no secret.
    newcomers = users - round(users * known)
    needs = [NEW] * newcomers + [KNOWN] * (users - newcomers)
    chance.shuffle(needs)
    # The first newcomer reads the list of users, once for all; a page is reserved when it is due.
    pages = max(1, ceil(users * known / PAGE))
    reader = needs.index(NEW) if newcomers else -1
    burst = Options.request_burst
    w = Pace(rate, burst).turnaround / MICROSECONDS
    free_at = [0.0] * burst
    tickets, turned_away = 0, 0
    arrivals = sorted(chance.uniform(0, over * 60) for _ in range(users))
    accounts = [person for person, calls in enumerate(needs) if calls == KNOWN]
    served = set(chance.sample(accounts, round(len(accounts) * prewarmed)))
    coming = [(arrival, person) for person, arrival in enumerate(arrivals) if person not in served]
    heapify(coming)
    waits, sent = [0.0] * len(served), []
    while coming:
        now, person = heappop(coming)
        calls = needs[person] + (pages if person == reader else 0)
        places = [ticket % burst for ticket in range(tickets, tickets + calls)]
        tickets += calls
        if free_at[places[-1]] > now + Settings.queue_horizon:
            turned_away += 1
            pause = Settings.queue_horizon * chance.uniform(*ASK_AGAIN)
            heappush(coming, (now + pause, person))
            continue
        for place in places:
            slot = max(now, free_at[place])
            free_at[place] = slot + w
            sent.append(slot)
        waits.append(slot - arrivals[person])
    ahead = _planned(sorted(arrivals[person] for person in served), rate)
    by_minute = Counter(int(slot // 60) for slot in sent) or Counter({0: 0})
    before = Counter(int(-at // 60) + 1 for at in ahead)
    waits.sort()
    median, p95, longest = (
        round(waits[max(0, ceil(share * users) - 1)], 1) for share in (0.5, 0.95, 1)
    )
    return Burst(
        longest_wait=longest,
        median_wait=median,
        p95_wait=p95,
        turned_away=turned_away,
        fullest_minute=max([*by_minute.values(), *before.values()]),
        calls_by_minute=tuple(by_minute[minute] for minute in range(max(by_minute) + 1)),
        ahead_by_minute=tuple(sorted(before.items(), reverse=True)),
    )


def _planned(arrivals: list[float], rate: float) -> list[float]:
    """Return when the function's plan generates for people who come at `arrivals`."""
    people = [
        Person(email=f"{number:06}", came=(arrival - WEEK * DAY,))
        for number, arrival in enumerate(arrivals)
    ]
    # From as early as a run looks ahead for the last one; later than that it could not begin.
    begins = max(arrivals, default=0.0) - AHEAD + 1
    return [each.generate_at for each in plan(people, now=begins, zone=UTC, rate=rate)]
