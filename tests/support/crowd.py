"""Many people in a test's own time, each of whom comes back exactly when told to."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from tests.support.clock import Clock
from tests.support.events import Answer


@dataclass(kw_only=True)
class Crowd:
    """What became of each person: when served after it first came, and how often it asked."""

    served: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    requests: int = 0

    @property
    def longest(self) -> float:
        """Return how long the last one waited, in seconds."""
        return max(self.served.values(), default=0)


def crowd(
    clock: Clock, ask: Callable[[str], Answer], people: Iterable[str], *, within: float
) -> Crowd:
    """Let people come at the same moment; nobody asks later than `within` seconds after that."""
    began, number, result = clock.now, count(), Crowd()
    coming = [(began, next(number), person) for person in people]
    while coming:
        at, _, person = heapq.heappop(coming)
        if at > began + within:
            result.refused[person] = "still waiting"
            continue
        clock.now = max(clock.now, at)
        answer = ask(person)
        result.requests += 1
        if answer.status == 200:
            result.served[person] = clock.now - began
        elif "retry_at" in answer.body:
            again = datetime.fromisoformat(answer.body["retry_at"]).timestamp()
            heapq.heappush(coming, (max(again, clock.now + 0.001), next(number), person))
        else:
            result.refused[person] = answer.slug
    return result
