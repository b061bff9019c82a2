"""The fake Aurora's memory of the calls it got, and its rate limit."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

MINUTE = 60.0
ALWAYS = ("list_users", "invite_user", "generate_token")
"""The calls of Aurora's "Access Token" page, which are counted also where none was made."""


@dataclass(kw_only=True)
class Call:
    """One request, as `GET /_control/calls` shows it."""

    at: float
    operation: str
    # The status, "dropped" where none was sent, None while it is being worked on.
    answer: int | str | None = None
    about: str = ""


class Calls:
    """
    The calls in the order they came.

    Not thread-safe: `FakeAurora` holds its lock around each call.
    """

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._counted: dict[str, deque[float]] = {}

    def add(self, operation: str, now: float, about: str) -> Call:
        call = Call(at=now, operation=operation, about=about)
        self._calls.append(call)
        return call

    def wait(self, key: str, length: float, now: float, *, limit: int) -> float | None:
        """
        Count a call: None where it fits its key's limit of `length` seconds, else when one fits.

        Aurora's limit is per key over all requests. A refused call does not count, because a limit
        that counts its own refusals never lets a caller back in who retries.
        """
        if not limit:
            return None
        window = self._counted.setdefault(key, deque())
        while window and window[0] <= now - length:
            window.popleft()
        if len(window) < limit:
            window.append(now)
            return None
        return window[len(window) - limit] + length - now

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(call) for call in self._calls]

    def stats(self, window: float) -> dict[str, Any]:
        """Count by operation and answer, and find the fullest window; refused calls count here."""
        answers: dict[str, Counter[str]] = {operation: Counter() for operation in ALWAYS}
        for call in self._calls:
            answers.setdefault(call.operation, Counter())
            answers[call.operation][str(call.answer)] += 1
        times = [call.at for call in self._calls]
        return {
            "calls": {operation: counter.total() for operation, counter in answers.items()},
            "answers": {operation: dict(counter) for operation, counter in answers.items()},
            "max_calls_per_minute": fullest(times),
            "max_calls_per_window": fullest(times, window),
        }


def fullest(moments: Iterable[float], window: float = MINUTE) -> int:
    """Return the most moments that any `window` of seconds holds, wherever it starts."""
    times = sorted(moments)
    most = start = 0
    for end, at in enumerate(times):
        while times[start] <= at - window:
            start += 1
        most = max(most, end - start + 1)
    return most
