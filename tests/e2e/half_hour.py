"""A schedule that is played on the deployed stack: who comes when, and who comes back."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future, ThreadPoolExecutor

    from tests.e2e.conftest import Running

REQUESTS = 30
"""
A minute, by those who hold a token; `failed-share` looks at minutes of 20 and more.
"""
LONGEST = 60
"""
Seconds that a phase may take beyond its minutes, and an answer at all.
"""
STEADY = [f"steady-{number}@example.com" for number in range(8)]


@dataclass(frozen=True)
class HalfHour:
    """A schedule that is played; `minute` is how many seconds count as one."""

    running: Running
    minute: int
    id_tokens: dict[str, str]
    threads: ThreadPoolExecutor
    served: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    # Whoever waits for a moment to come (back), and whoever waits at all.
    _queue: list[tuple[float, str]] = field(default_factory=list)
    _waiting: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _visits: list[Future[None]] = field(default_factory=list)

    def play(
        self,
        phase: str,
        minutes: int,
        coming: Iterable[tuple[float, str]] = (),
        *,
        until: Iterable[str] = (),
    ) -> None:
        """
        Let people come, each at a minute of this phase, and those who hold a token all the time.

        The phase goes on until everybody in `until` is served.
        """
        began = time.time()
        for minute, email in coming:
            self._comes(began + minute * self.minute, email)
        steadily = 0
        while time.time() < began + minutes * self.minute or not self.served.issuperset(until):
            assert time.time() < began + minutes * self.minute + LONGEST, f"{phase} does not end"
            while (moment := began + steadily * self.minute / REQUESTS) <= time.time():
                self._comes(moment, STEADY[steadily % len(STEADY)])
                steadily += 1
            self._send()
            time.sleep(0.01)

    def finish(self) -> None:
        """Wait for the last answers."""
        while self._visits:
            self._visits.pop().result(timeout=LONGEST)

    def visit(self, email: str) -> None:
        """Ask for a token, and come back when told to."""
        answer = self.running.request("POST", self.id_tokens[email])
        with self._lock:
            self._waiting.discard(email)
            if answer.status == 200:
                self.served.add(email)
                return
            slug = answer.json()["type"].rpartition(":")[2]
            self.refused.add(slug)
            wait: float = max(1, int(answer.headers["Retry-After"]))
            if slug == "aurora-key-rejected":
                # The browser helper does not wait for that: people load the page again themselves.
                wait = self.minute / 2
            self._comes(time.time() + wait, email)

    def _comes(self, moment: float, email: str) -> None:
        # Whoever still waits for an answer or a turn does not come anew.
        with self._lock:
            if email not in self._waiting:
                self._waiting.add(email)
                heapq.heappush(self._queue, (moment, email))

    def _send(self) -> None:
        with self._lock:
            while self._queue and self._queue[0][0] <= time.time():
                _, email = heapq.heappop(self._queue)
                self._visits.append(self.threads.submit(self.visit, email))
        # What went wrong in a thread goes wrong here.
        while self._visits and self._visits[0].done():
            self._visits.pop(0).result()
