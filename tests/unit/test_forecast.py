"""Whom a scheduled run expects, and when: last week, the last working day, and changing clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from token_vendor.forecast import AHEAD, LEAD, Person, plan

EIGHT = 1_750_017_600.0
"""Eight o'clock of a Sunday morning, in seconds since the epoch."""
DAY = 86_400
RATE = 88


def came(number: int, *days: int, at: float = EIGHT) -> list[Person]:
    return [
        Person(email=f"{days}-{each}@example.com", came=tuple(at - day * DAY for day in days))
        for each in range(number)
    ]


def planned(people: list[Person], *, now: float = EIGHT - 4 * 3600 + 1) -> set[str]:
    return {each.email.partition("-")[0] for each in plan(people, now=now, zone=UTC, rate=RATE)}


def test_who_came_last_week_or_on_the_last_working_day_is_expected() -> None:
    assert planned([*came(5, 7), *came(9, 1), *came(2, 2), *came(3, 6)]) == {"(7,)", "(1,)"}


def test_weekend_is_no_working_day() -> None:
    """On a Monday: a few came on Saturday and Sunday, all on Friday."""
    people = [*came(2, 1), *came(3, 2), *came(50, 3), *came(40, 4), *came(4, 7)]
    assert planned(people) == {"(3,)", "(7,)"}


# Clocks that change --------------------------------------------------------------------------


def wall(zone: str, text: str, *, fold: int = 0) -> float:
    """Return the moment at which the clocks of a zone show a time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def expected_at(zone: str, *came: float, now: float) -> list[float]:
    """Return when a person is expected who came at some moments."""
    person = Person(email="a@example.com", came=came)
    planned = plan([person], now=now, zone=ZoneInfo(zone), rate=RATE)
    return [each.arrives_at for each in planned]


@pytest.mark.parametrize(
    ("zone", "changed"),
    [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
    ],
)
def test_people_come_at_the_same_time_after_the_clocks_change(zone: str, changed: str) -> None:
    """In the week after it: who came at eight a week ago comes at eight."""
    monday = date.fromisoformat(changed) + timedelta(days=1)
    last_week = wall(zone, f"{monday - timedelta(days=7)}T08:00")
    eight = wall(zone, f"{monday}T08:00")
    assert abs(eight - last_week - 7 * DAY) == 3600
    for now in (eight - AHEAD + 1, eight - LEAD, eight):
        assert expected_at(zone, last_week, now=now) == [eight]
    for now in (eight - AHEAD, eight + 1):
        assert expected_at(zone, last_week, now=now) == []
    friday = wall(zone, f"{monday - timedelta(days=3)}T08:00")
    assert expected_at(zone, friday, now=eight - 60) == [eight]
