"""
Account, directory and invitation in many orders, by the real code: everybody is served or refused.

Two newcomers, and a person who was switched off, ask at the same time. Before every effect chance
decides who goes on, and whether that caller crashes, is queued, or loses an answer. Aurora's list
has three pages, and plays each behaviour that its documentation leaves open.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from greenlet import GreenletExit, greenlet
from token_vendor.accounts import Accounts
from token_vendor.aurora import Listing
from token_vendor.control import Control
from token_vendor.directory import Directory
from token_vendor.models import ACTIVE, INVITE, LIST, RETRIEVE, Account, Caller, Deadline
from token_vendor.observability import logger
from token_vendor.paging import Page
from token_vendor.problems import (
    AuroraBusyError,
    AuroraTimeoutError,
    AuroraUnavailableError,
    ProblemError,
    UserNotEligibleError,
)
from token_vendor.table import Table

from tests.model.memory_table import MemoryTable
from tests.support.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = 1_750_000_000.0
INVOCATION, COOL_DOWN = 6.0, 31.0
"""Seconds; an invocation has the time for two pages."""
PAGE, PEOPLE = 2, 6
NEW, OFF = ("new-0@example.com", "new-1@example.com"), "off@example.com"
MOST_CALLS = 30
"""Aurora's calls within which all three have an end, whatever goes wrong twice."""
PAGINGS = ("ignored", "refused", "empty", "last", "wraps", "named", "named and forgotten")
ANSWERS = ("with id", "without id")
SCHEDULES = 8
FORGETS = 0.2


class ViolationError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Person:
    """One caller, over as many requests as it takes."""

    email: str
    strand: Any = None
    outcome: Any = None


@dataclass
class World:
    """One schedule; it plays the table's clock, Aurora, and the purse of calls."""

    control = Control()

    paging: str
    answer: str
    retrieve: bool
    chance: random.Random
    faults: int = 2
    now: float = START
    calls: int = 0
    users: dict[str, tuple[str, str]] = field(default_factory=dict)
    running: Person | None = None

    def __post_init__(self) -> None:
        self.users = {f"known-{n}@example.com": (f"id-{n}", ACTIVE) for n in range(PEOPLE - 1)}
        self.users[OFF] = ("id-off", "inactive")
        self.table = MemoryTable(self.step)

    # Aurora, as `AuroraClient` tells it -------------------------------------------------------

    def list_users(self, page: Page, _allowance: Any) -> Listing:
        self._send(LIST)
        number = page.number
        rows = [
            Account(user_id=id_, email=email, status=status)
            for email, (id_, status) in self.users.items()
        ]
        following: Page | None = Page(number=number + 1)
        if self.paging in {"ignored", "refused"}:
            rows = rows if self.paging == "ignored" or number == 1 else []
        else:
            pages = -(-len(rows) // PAGE)
            if number > pages:
                past = {"last": pages, "wraps": (number - 1) % pages + 1}
                number = past.get(self.paging, number)
            rows = rows[(number - 1) * PAGE : number * PAGE]
            if self.paging.startswith("named"):
                named = Page(number=number + 1, named=f"cursor={number}", promised=True)
                following = named if number < pages else None
        # A cursor may be over at any time.
        forgotten = self.paging == "named and forgotten" and page.named and self._forgets()
        self.now += 1.0
        self._hear(LIST)
        if forgotten:
            return Listing(refused=True)
        return Listing(rows=len(rows), accounts=tuple(rows), following=following)

    def retrieve_user(self, user_id: str, _allowance: Any) -> Account | None:
        self._send(RETRIEVE)
        self._hear(RETRIEVE)
        found = [
            Account(user_id=id_, email=email, status=status)
            for email, (id_, status) in self.users.items()
            if id_ == user_id and self.retrieve
        ]
        return found[0] if found else None

    def invite_user(self, caller: Caller, **_: Any) -> tuple[bool, str]:
        self._send(INVITE)
        if caller.email in self.users:
            raise ViolationError(f"{caller.email} was invited again")
        user_id = f"invited-{len(self.users)}"
        self.users[caller.email] = (user_id, ACTIVE)
        self._hear(INVITE)
        return True, user_id if self.answer == "with id" else ""

    def reserve(self, _calls: int) -> None:
        """Reserve nothing: other tests are about the budget."""

    def apart(self, **_: Any) -> World:
        return self

    @property
    def deadline(self) -> Deadline:
        return Deadline(self.ends_at, lambda: self.now, self._pause)

    def _forgets(self) -> bool:
        forgets = self.faults > 0 and self.chance.random() < FORGETS
        self.faults -= forgets
        return forgets

    def _send(self, operation: str) -> None:
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise ViolationError(f"more than {MOST_CALLS} calls")
        match self.step(f"send {operation}", "cut", "queue"):
            case "cut":
                raise AuroraUnavailableError(cause="cut", in_doubt=operation)
            case "queue":
                raise AuroraBusyError(cause="queued", retry_at=self.now + 1)

    def _hear(self, operation: str) -> None:
        if self.step(f"hear {operation}", "lose") == "lose":
            raise AuroraTimeoutError(cause="lost", in_doubt=operation)

    # The scheduler ----------------------------------------------------------------------------

    def step(self, effect: str, *faults: str) -> str:
        """Stop before an effect; go on as chance says."""
        assert self.running
        person = self.running
        person.strand.parent.switch()
        self.now += 0.001
        if self.faults and effect != "read" and self.chance.random() < 0.15:
            self.faults -= 1
            directive = self.chance.choice([*faults, "crash"])
            if directive == "crash":
                raise GreenletExit
            return directive
        return "go"

    def _pause(self, seconds: float) -> None:
        assert self.running
        self.now += seconds
        self.running.strand.parent.switch()

    def request(self, person: Person) -> None:
        """Send one request of a person."""
        table: Any = self.table
        aurora: Any = self
        adapter = Table(
            table,
            name="tokens",
            partition="sandbox#tenant",
            clock=lambda: self.now,
            sleep=self._pause,
        )
        given = {"settings": settings(), "clock": lambda: self.now}
        directory = Directory(adapter, aurora, **given)
        accounts = Accounts(adapter, directory, aurora, **given)
        try:
            person.outcome = accounts.find(Caller(email=person.email), aurora)
        except ProblemError as problem:
            person.outcome = problem

    def play(self) -> list[Person]:
        """Let everybody ask until served or refused for good."""
        people = [Person(email) for email in (*NEW, OFF)]
        for _ in range(MOST_CALLS):
            asking = [person for person in people if not self._ended(person)]
            if not asking:
                return people
            self.ends_at = self.now + INVOCATION
            for person in asking:
                person.outcome = None
                person.strand = greenlet(lambda person=person: self.request(person))
            while alive := [person for person in asking if not person.strand.dead]:
                self.running = self.chance.choice(alive)
                self.running.strand.parent = greenlet.getcurrent()
                self.running.strand.switch()
            # Leases of those who crashed have ended by then.
            self.now = max(self.now, self.ends_at + 3) + COOL_DOWN
        raise ViolationError("somebody is never served")

    @staticmethod
    def _ended(person: Person) -> bool:
        return isinstance(person.outcome, Account | UserNotEligibleError)


def explore(seeds: range) -> None:
    """Play every behaviour of Aurora in many schedules; check who was served."""
    for paging, answer, retrieve in product(PAGINGS, ANSWERS, (True, False)):
        for seed in seeds:
            people = World(paging, answer, retrieve, random.Random(seed)).play()  # noqa: S311
            *served, refused = people
            if not all(isinstance(person.outcome, Account) for person in served):
                raise ViolationError(f"{paging}, {answer}, {seed}: {served}")
            if not isinstance(refused.outcome, UserNotEligibleError):
                raise ViolationError(f"{paging}, {answer}, {seed}: {refused}")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("schedules", [SCHEDULES, pytest.param(200, marks=pytest.mark.nightly)])
def test_everybody_is_served_or_refused_and_nobody_invited_twice(schedules: int) -> None:
    explore(range(schedules))


def never_read(*_: Any) -> bool:
    return False


def unmarked(accounts: Accounts, caller: Caller, allowance: Any) -> Account:
    """Invite, whatever is marked."""
    return accounts._invite(caller, accounts._invitation(caller.email), allowance)


LOOK_UP = Directory.look_up


def now_is_the_moment(
    directory: Directory, email: str, allowance: Any, **moments: Any
) -> Account | None:
    """Want a reading that began after this very request."""
    if moments.get("not_before"):
        moments["not_before"] = directory._clock()
    return LOOK_UP(directory, email, allowance, **moments)


MUTATIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "pages that were read count as new": ("directory.Directory._was_read", never_read),
    "an invitation is not marked": ("accounts.Accounts._invited", unmarked),
    "a moment is taken anew": ("directory.Directory.look_up", now_is_the_moment),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_guard_is_needed(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, instead = MUTATIONS[mutation]
    monkeypatch.setattr(f"token_vendor.{where}", instead)
    with pytest.raises(ViolationError):
        explore(range(SCHEDULES))
