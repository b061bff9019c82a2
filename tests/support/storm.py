"""The storm: everybody signs in at once, at a limit speeded up to what two cores sustain."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.clients import Visit, people, rush
from tests.support.harness import Harness

CALLERS = 1000
PAGE = 100
PROCESSES = 12
WINDOW = 10
"""Seconds; a storm of 20 s would never fill the minute that Aurora counts."""
SLACK = 1.05
"""A place of the ring rests this much longer than `WINDOW`: calls wait for two busy cores."""
GRACE = 1.0
"""Seconds; as long beside `WINDOW` as the default grace is beside the minute, or longer."""


@dataclass(frozen=True, kw_only=True)
class Storm:
    """What came of it; the limit is calls per minute."""

    visits: list[Visit]
    stats: dict[str, Any]
    seconds: float
    limit: float

    @property
    def total_calls(self) -> int:
        return sum(self.stats["calls"].values())

    @property
    def efficiency(self) -> float:
        """Which part of what Aurora allows was used."""
        return self.total_calls / (self.seconds * self.limit / 60)

    @property
    def refused(self) -> int:
        """How many calls Aurora answered with 429."""
        return sum(answers.get("429", 0) for answers in self.stats["answers"].values())

    def served_by(self) -> list[float]:
        """Give the moments, in seconds from the start, at which tokens were vended."""
        start = min(visit.arrived_at for visit in self.visits)
        return sorted(visit.served_at - start for visit in self.visits)


def settings(
    limit: int, *, window: float = WINDOW, grace: float = GRACE, slack: float = SLACK
) -> dict[str, str]:
    """Give the settings under which no window of Aurora's holds more than its limit."""
    burst = round(limit * window / 60)
    return {
        "AURORA_RATE_LIMIT": str(limit),
        "REQUEST_RATE": f"{burst * 60 / (window * slack):.3f}",
        "REQUEST_BURST": str(burst),
        "TURN_GRACE": str(grace),
    }


def storm(  # noqa: PLR0913 - what a storm is like has this many parts.
    *,
    limit: int,
    known: bool,
    callers: int = CALLERS,
    window: float = WINDOW,
    grace: float = GRACE,
    slack: float = SLACK,
    others: Mapping[str, str] | None = None,
) -> Storm:
    """
    Let `callers` people ask for their first token; `known` says whether Aurora has them already.

    `limit` is per minute; the fake enforces it in every window of `window` seconds.
    """
    users = people(callers)
    chosen = settings(limit, window=window, grace=grace, slack=slack)
    behaviour = {
        "page_size": PAGE,
        "rate_limit": round(limit * window / 60),
        "rate_window": window,
        "users": users if known else [],
    }
    with Harness(
        processes=PROCESSES, settings=chosen | dict(others or {}), aurora=behaviour
    ) as harness:
        harness.warm_up()
        started = time.monotonic()
        visits = rush(harness, [user["email"] for user in users])
        return Storm(
            visits=visits,
            stats=harness.aurora.stats(),
            seconds=time.monotonic() - started,
            limit=limit,
        )
