"""
Nights and mornings of many people, by the real vendor, ring and plan on a table in memory.

Time is scaled to nothing: it passes as it is slept. While the scheduled run sleeps, people come.
"""

from __future__ import annotations

import heapq
import logging
import random
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from token_vendor import prewarm
from token_vendor.control import Entry, Switch, Switches
from token_vendor.forecast import AHEAD, LEAD, Person, plan
from token_vendor.models import AccessToken, Account, Caller, Deadline, TokenRequest
from token_vendor.observability import logger, recorder
from token_vendor.problems import AuroraBusyError, AuroraUnavailableError
from token_vendor.request_budget import QUEUE, RequestBudget
from token_vendor.table import Table
from token_vendor.vendor import TokenVendor

from infra.fake_aurora.calls import fullest
from tests.model.memory_table import MemoryTable
from tests.support.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUR = 1_750_003_200.0
"""Four o'clock of some morning, when the runs begin."""
EIGHT = FOUR + 4 * 3600
DAY = 86_400
QUARTER = 900
LIFE = 12 * 3600
LIMIT, RATE, BURST = 90, 88, 90
MANY = pytest.mark.parametrize("people", [500, pytest.param(5000, marks=pytest.mark.nightly)])
PAGE = Path(__file__).parents[2] / "docs" / "prewarm.md"
PARTITION = "sandbox#tenant"
SUBJECT = "who signed in"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    recorder.start("model")
    yield
    recorder.start("")
    logger.setLevel(level)


@dataclass
class Parts:
    """What one execution environment is wired from, and its time."""

    vendor: TokenVendor
    table: Table
    switches: Switches
    budget: RequestBudget
    now: Any
    clock: Any
    sleep: Any


@dataclass
class Morning:
    """People, their items, and Aurora; `waits` is how long each waited who came."""

    now: float = FOUR
    waits: dict[str, float] = field(default_factory=dict)
    calls: list[tuple[float, str]] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    down_until: float = 0

    def __post_init__(self) -> None:
        self.table = MemoryTable(lambda _: None, lambda: self.now)
        self._alive: dict[str, float] = {}
        self._coming: list[tuple[float, int, str, float]] = []
        self._number = count()
        self._caller = self._wired(self._pass)
        self.scheduled = self._wired(self.sleep)

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def _wired(self, sleep: Any) -> Parts:
        dynamodb: Any = self.table
        table = Table(
            dynamodb, name="tokens", partition=PARTITION, clock=lambda: self.now, sleep=sleep
        )
        switches = Switches(table)
        paced = settings(request_rate=RATE, request_burst=BURST, patience=0.05)
        budget = RequestBudget(table, paced)
        stands_for: Any = self
        vendor = TokenVendor(
            table=table,
            switches=switches,
            accounts=stands_for,
            budget=budget,
            aurora=stands_for,
            settings=settings(patience=0.05, prewarm=True),
            now=lambda: self.now,
        )
        return Parts(
            vendor=vendor,
            table=table,
            switches=switches,
            budget=budget,
            now=lambda: self.now,
            clock=lambda: self.now,
            sleep=sleep,
        )

    # Aurora, and the accounts at it --------------------------------------------------------------

    def known_id(self, email: str) -> str:
        return email

    def find(self, caller: Caller, _allowance: Any) -> Account:
        return Account(user_id=caller.email, email=caller.email, status="active")

    def generate_token(self, account: Account, allowance: Any) -> AccessToken:
        allowance.take(QUEUE)
        if self.now < self.down_until:
            raise AuroraUnavailableError(cause="down")
        self.calls.append((self.now, account.email))
        if self._alive.get(account.email, 0) > self.now:
            self.killed.append(account.email)
        self._alive[account.email] = self.now + LIFE
        jti = f"{account.email} {len(self.calls)}"
        return AccessToken(
            jwt=jti, jti=jti, expires_at=int(self.now + LIFE), user_id=account.user_id
        )

    # People --------------------------------------------------------------------------------------

    def knows(self, email: str, *came: float, died: float = FOUR - 3600) -> None:
        """Write the item of a person who came at some moments, and whose last token died."""
        self._alive[email] = died
        self.table.items[f"{PARTITION}#{email}", "TOKEN"] = {
            "version": {"N": "1"},
            "user_id": {"S": email},
            "jwt": {"S": "old"},
            "jti": {"S": "old"},
            "subjects": {"L": [{"S": SUBJECT}]},
            "expires_at": {"N": str(int(died))},
            "came": {"L": [{"N": str(int(at))} for at in came]},
        }

    def comes(self, email: str, at: float) -> None:
        heapq.heappush(self._coming, (at, next(self._number), email, at))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and people come in it."""
        until = self.now + seconds
        while self._coming and self._coming[0][0] <= until:
            at, _, email, since = heapq.heappop(self._coming)
            self.now = max(self.now, at)
            self._visit(email, since)
        self.now = max(self.now, until)

    def _visit(self, email: str, since: float) -> None:
        deadline = Deadline(self.now + 24, lambda: self.now, self._pass)
        caller = Caller(email=email, subject=SUBJECT)
        try:
            self._caller.vendor.vend(caller, TokenRequest(), deadline)
        except AuroraBusyError as busy:
            again = max(busy.retry_at or 0, self.now + 0.01)
            heapq.heappush(self._coming, (again, next(self._number), email, since))
        else:
            self.waits[email] = self.now - since

    def play(self, *, prewarmed: bool, until: float = EIGHT + 3600) -> None:
        """Start a run at every quarter until eight, and let everybody come."""
        while self.now < until:
            start = self.now
            if prewarmed:
                parts: Any = self.scheduled
                with suppress(AuroraUnavailableError):
                    prewarm.run(parts, until=start + QUARTER - 1, zone=UTC)
            recorder.start("model")
            self.sleep(max(0, start + QUARTER - self.now))

    @property
    def fullest_minute(self) -> int:
        return fullest(at for at, _ in self.calls)


def names(kind: str, number: int) -> list[str]:
    return [f"{kind}-{each:04}@example.com" for each in range(number)]


def usual_morning(people: int, *, come: bool = True) -> Morning:
    """
    Let 95 % of those who came last week come again, and as many others as stay away.

    All of them in the eight minutes around eight, each up to two minutes off its own time.
    """
    chance = random.Random(1)  # noqa: S311 - arrivals are no secret.
    morning = Morning()
    expected, others = names("usual", people), names("other", people - round(people * 0.95))
    for number, email in enumerate(expected):
        usually = EIGHT + chance.uniform(-120, 120)
        morning.knows(email, usually - 7 * DAY, usually - DAY)
        if come and number >= len(others):
            morning.comes(email, usually + chance.uniform(-120, 120))
    for email in others if come else ():
        morning.knows(email, died=FOUR - 2 * DAY)
        morning.comes(email, EIGHT + chance.uniform(-240, 240))
    return morning


@MANY
def test_nobody_waits_who_comes_as_last_week(people: int) -> None:
    """And of the others at most all wait, none of them for longer than a minute."""
    morning = usual_morning(people)
    morning.play(prewarmed=True)
    assert len(morning.waits) == people
    waited = {email: wait for email, wait in morning.waits.items() if wait > 0.5}
    assert len(waited) <= people / 20
    assert not [email for email in waited if email.startswith("usual")]
    assert max(morning.waits.values()) <= 60
    assert morning.killed == []
    assert morning.fullest_minute <= LIMIT


@MANY
def test_it_stops_while_people_queue(people: int) -> None:
    """Two hundred come at once in the middle of it; nobody's turn moves by more than its share."""
    at = EIGHT - people * 0.72
    waits = []
    for prewarmed in (False, True):
        morning = usual_morning(people)
        crowd = names("crowd", 200)
        for email in crowd:
            morning.knows(email, died=FOUR - 2 * DAY)
            morning.comes(email, at)
        morning.play(prewarmed=prewarmed, until=EIGHT)
        waits.append(max(morning.waits[email] for email in crowd))
        served = max(each for each in (at + morning.waits[email] for email in crowd))
        between = [email for moment, email in morning.calls if at + 1 < moment < served]
        assert {email for email in between if not email.startswith("crowd")} == set()
    # The places that it used in the minute before come free within that minute.
    assert waits[1] <= waits[0] + 62


def test_person_with_a_live_token_lease_cool_down_or_block_is_left_alone() -> None:
    morning = Morning()
    alive, leased, cooling, blocked, marked, signed_out, moved, plain = names("person", 8)
    for email in (alive, leased, cooling, blocked, marked, signed_out, moved, plain):
        morning.knows(email, EIGHT - 7 * DAY, EIGHT - DAY)
    attributes: dict[str, dict[str, Any]] = {
        alive: {"expires_at": {"N": str(int(EIGHT + 60))}},
        leased: {"lease_id": {"S": "x"}, "lease_until": {"N": str(EIGHT)}},
        cooling: {"failed_until": {"N": str(EIGHT)}, "failure": {"S": "aurora-timeout"}},
        marked: {"generating_since": {"N": str(FOUR - DAY)}},
        signed_out: {"expires_at": {"N": str(int(EIGHT + 60))}},
    }
    for email, written in attributes.items():
        morning.table.items[f"{PARTITION}#{email}", "TOKEN"] |= written
    del morning.table.items[f"{PARTITION}#{signed_out}", "TOKEN"]["jwt"]
    entry = Entry(switch=Switch.BLOCK, value=blocked, until=EIGHT + DAY)
    rows = {"L": [{"L": [{"S": t} if isinstance(t, str) else {"N": str(t)} for t in entry.row]}]}
    morning.table.items[PARTITION, "CONTROL"] = {"entries": rows}
    morning.play(prewarmed=True, until=EIGHT)
    assert {email for _, email in morning.calls} == {moved, plain}


def test_stopped_generating_stops_it() -> None:
    morning = usual_morning(20)
    rows = [{"S": "stop-generating"}, {"S": ""}, {"N": str(EIGHT)}, {"S": ""}, {"S": ""}]
    morning.table.items[PARTITION, "CONTROL"] = {"entries": {"L": [{"L": rows}]}}
    morning.play(prewarmed=True, until=EIGHT - LEAD)
    assert morning.calls == []


# The plan ------------------------------------------------------------------------------------


def came(number: int, *days: int, at: float = EIGHT) -> list[Person]:
    return [
        Person(email=f"{days}-{each}@example.com", came=tuple(at - day * DAY for day in days))
        for each in range(number)
    ]


def planned(people: list[Person], *, now: float = FOUR + 1) -> set[str]:
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
