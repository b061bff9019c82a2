"""
Simulate a morning: how long the last caller waits, and what Aurora sees of it.

Slots are those of the function's ring of places (request_budget.py). This module adds who comes
when, and what each of them needs.
"""

import random
from collections import Counter
from dataclasses import dataclass
from math import ceil

from token_vendor.request_budget import MICROSECONDS, turnaround

PAGE = 100
"""
Rows after which the list of users goes on on another page.
"""
CALLS = {"known": 1, "new": 2}
"""
Generate; or invite and generate.
"""


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

    @property
    def longest(self) -> float:
        """
        Return how long the unluckiest caller waited, in seconds.
        """
        return self.waits[-1]

    def percentile(self, share: float) -> float:
        """
        Return the wait that `share` of the callers did not exceed.
        """
        return self.waits[max(0, ceil(share * len(self.waits)) - 1)]


def simulate(  # noqa: PLR0913 - one argument for each option.
    *,
    users: int,
    known: float,
    over: float,
    rate: float,
    burst: int,
    horizon: float,
    seed: int = 1,
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
        seed: The same seed gives the same morning.

    """
    chance = random.Random(seed)  # noqa: S311 - people's arrivals are no secret.
    newcomers = users - round(users * known)
    needs = [CALLS["new"]] * newcomers + [CALLS["known"]] * (users - newcomers)
    chance.shuffle(needs)
    # The first newcomer reads the list of users, once for all; a page is reserved when it is due.
    pages = max(1, ceil(users * known / PAGE))
    reader = needs.index(CALLS["new"]) if newcomers else -1
    w = turnaround(rate, burst) / MICROSECONDS
    free_at = [0.0] * burst
    tickets, turned_away = 0, 0
    waits, sent = [], []
    arrivals = sorted(chance.uniform(0, over * 60) for _ in range(users))
    for person, (arrival, calls) in enumerate(zip(arrivals, needs, strict=True)):
        turned_away += free_at[tickets % burst] > arrival + horizon
        slot = arrival
        for _ in range(calls + (pages if person == reader else 0)):
            place = tickets % burst
            slot = max(arrival, free_at[place])
            free_at[place] = slot + w
            tickets += 1
            sent.append(slot)
        waits.append(slot - arrival)
    by_minute = Counter(int(slot // 60) for slot in sent)
    return Burst(
        waits=tuple(sorted(waits)),
        calls_by_minute=tuple(by_minute[minute] for minute in range(max(by_minute) + 1)),
        fullest_minute=_fullest(sorted(sent)),
        turned_away=turned_away,
    )


def _fullest(sent: list[float]) -> int:
    """
    Return the most calls of any minute, wherever it starts.
    """
    most, first = 0, 0
    for last, moment in enumerate(sent):
        while sent[first] <= moment - 60:
            first += 1
        most = max(most, last - first + 1)
    return most
