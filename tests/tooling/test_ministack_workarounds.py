"""What MiniStack lacks, made up for."""

from typing import Any

import pytest

from infra.operator.audit_log import log_events

MOST = 4


class Logs:
    """Answer as MiniStack does: the first events from a moment on, and no token to go on with."""

    def __init__(self, timestamps: list[int]) -> None:
        self._events = [
            {"message": str(number), "timestamp": timestamp}
            for number, timestamp in enumerate(timestamps)
        ]

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        found = [each for each in self._events if each["timestamp"] >= asked["startTime"]]
        return {"events": found[:MOST]}


@pytest.mark.parametrize(
    "timestamps",
    [[], [1], [1, 2, 3, 4], list(range(1, 11)), [1, 2, 2, 2, 3, 3, 3, 4], [1, 1, 1, 2, 3, 4, 5]],
    ids=["none", "one", "one answer", "more", "same moments", "a moment at the start"],
)
def test_every_event_comes_once(timestamps: list[int]) -> None:
    found = log_events(Logs(timestamps), "group", since=1)
    assert [event["message"] for event in found] == [*map(str, range(len(timestamps)))]
