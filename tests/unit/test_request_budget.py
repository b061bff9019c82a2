"""The arithmetic of the budget: no window of a minute ever holds more than Aurora's limit."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest
from token_vendor.request_budget import MICROSECONDS, Gcra

LIMIT, GRACE = 90, 5


def slots(gcra: Gcra, arrivals: list[tuple[int, int]]) -> list[int]:
    """Return when each of the calls may be sent, as `RequestBudget.take_slot` would."""
    tat, times = 0, []
    for now, calls in arrivals:
        before = max(tat, now)
        times += [gcra.slot(tat, calls, now)] * calls
        tat = before + calls * gcra.interval
    return times


@pytest.mark.parametrize("seed", range(20))
def test_no_window_of_a_minute_is_over_the_limit(seed: int) -> None:
    """Every turn may be used up to the grace late, and callers come in any pattern."""
    chance = random.Random(seed)  # noqa: S311 - a pattern, no secret.
    gcra = Gcra(rate=80, burst=3)
    now, arrivals = 0, []
    for _ in range(2_000):
        now += chance.choice([0, 0, 0, 1_000, 400_000, 5_000_000, 60_000_000])
        arrivals.append((now, chance.choice([1, 1, 2])))
    used = sorted(slot + chance.randrange(GRACE * MICROSECONDS) for slot in slots(gcra, arrivals))
    fullest = max(
        bisect_left(used, start + 60 * MICROSECONDS) - index for index, start in enumerate(used)
    )
    assert fullest <= LIMIT


def test_idle_budget_sends_a_burst_at_once() -> None:
    gcra = Gcra(rate=60, burst=3)
    assert slots(gcra, [(7, 1)] * 5) == [7, 7, 7, 7 + 1_000_000, 7 + 2_000_000]


def test_two_calls_wait_for_the_later_slot() -> None:
    gcra = Gcra(rate=60, burst=1)
    assert slots(gcra, [(0, 2)]) == [1_000_000, 1_000_000]


def test_left_counts_what_fits_into_a_minute() -> None:
    gcra = Gcra(rate=80, burst=3)
    assert gcra.left(0, 100) == 80
    assert gcra.left(100 + 30 * MICROSECONDS, 100) == 40
    assert gcra.left(100 + 90 * MICROSECONDS, 100) == 0
