"""Callers who ask at the same moment and obey Retry-After, as the browser helper does."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from tests.support.events import Answer
from tests.support.harness import Harness

MOST_REQUESTS = 10
"""Who is not served by then would ask for ever; the test sees it as an answer that is not 200."""


@dataclass(kw_only=True)
class Visit:
    """One caller's way to a token; times in seconds since the epoch."""

    email: str
    answers: list[Answer] = field(default_factory=list)
    arrived_at: float = 0
    served_at: float = 0

    @property
    def answer(self) -> Answer:
        """The last answer."""
        return self.answers[-1]


def visit(harness: Harness, email: str) -> Visit:
    """Ask until served, coming back exactly when told to."""
    done = Visit(email=email, arrived_at=time.time())
    while len(done.answers) < MOST_REQUESTS:
        done.answers.append(harness.vend(email))
        if "retry_at" not in done.answer.body:
            break
        # Retry-After is rounded up to whole seconds; at a speeded-up limit only the exact member
        # of the problem is fine enough.
        turn = datetime.fromisoformat(done.answer.body["retry_at"]).timestamp()
        time.sleep(max(0.0, turn - time.time()))
    done.served_at = time.time()
    return done


def rush(harness: Harness, emails: Sequence[str]) -> list[Visit]:
    """Let everybody ask at once."""
    with ThreadPoolExecutor(len(emails)) as pool:
        return list(pool.map(lambda email: visit(harness, email), emails))


def people(count: int) -> list[dict[str, str]]:
    """Make up `count` active users of Aurora."""
    return [
        {
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "first_name": "Caller",
            "last_name": f"{number:04d}",
            "email": f"caller-{number:04d}@example.com",
            "account_status": "active",
        }
        for number in range(1, count + 1)
    ]
