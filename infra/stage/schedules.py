"""
When a stage starts what nobody asks for: the options that EventBridge Scheduler has to take.
"""

from collections.abc import Iterator
from zoneinfo import available_timezones


def wrong_times(*, time_zone: str) -> Iterator[tuple[str, str]]:
    """
    Yield each option that EventBridge Scheduler would refuse, and why.
    """
    if time_zone not in available_timezones():
        yield "time_zone", "the IANA database has no such time zone"
