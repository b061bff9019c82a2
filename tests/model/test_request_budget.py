"""
The ring of places, by the real class on a table in memory: no minute is ever too full.

Callers come in any order, alone or for two calls, late, or never again; environments crash between
ticket and place, and their clocks differ; Aurora asks for pauses.
"""

import heapq
import random
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_vendor.control import Control, Entry, Switch
from token_vendor.models import Deadline, Turn
from token_vendor.places import MICROSECONDS, Pace
from token_vendor.problems import AuroraBusyError
from token_vendor.request_budget import QUEUE, RING, Allowance, RequestBudget
from token_vendor.table import Table

from infra.fake_aurora.calls import fullest
from tests.model.memory_table import ConditionalCheckFailedException, MemoryTable
from tests.support.settings import settings as options

START = 1_750_000_000.25
LIMIT = 90
RINGS = {"the default": (88, 90), "spaced a little": (86, 45), "as before": (80, 3)}
GRACE, HORIZON = 5, 900
REQUEST = 0.01
"""Seconds that every request takes, also one that comes too early by its environment's clock."""


class CrashError(Exception):
    """The environment ended at this moment."""


@dataclass(order=True)
class Visit:
    """A caller who comes at `at`, with the turn of the last visit."""

    at: float
    number: int
    calls: int = field(compare=False)
    late: float = field(compare=False)
    stays_away: bool = field(compare=False)
    crashes: bool = field(compare=False)
    turn: Turn | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """What operators switch, in seconds from the start."""

    at: float
    until: float
    rate: float
    burst: int

    def control(self, moment: float) -> Control:
        """Return what is in force at a moment since the epoch."""
        if not self.at <= moment - START < self.until:
            return Control()
        values = {Switch.RATE: self.rate, Switch.BURST: self.burst}
        return Control(
            entries=tuple(
                Entry(switch=switch, value=str(value), until=START + self.until)
                for switch, value in values.items()
            )
        )


class Morning:
    """Play visits in the order of their times; collect when Aurora was called, and for whom."""

    def __init__(self, rate: float, burst: int, skews: list[float]) -> None:
        self.now = START
        self.sent: list[tuple[float, int]] = []
        self.crash = False
        self.table = MemoryTable(self._step, lambda: self.now)
        self.budgets = [self._environment(rate, burst, skew) for skew in skews]
        self.lowered: Lowered | None = None
        self.lags = [0.0]
        """Seconds before a reservation at which each environment read what is switched."""

    def _step(self, effect: str) -> None:
        if self.crash and effect == "write" and any(sk == RING for _, sk in self.table.items):
            self.crash = False
            raise CrashError

    def _environment(self, rate: float, burst: int, skew: float) -> RequestBudget:
        dynamodb: Any = self.table
        table = Table(
            dynamodb,
            name="tokens",
            partition="sandbox#tenant",
            clock=lambda: self.now + skew,
            sleep=self.sleep,
        )
        chosen = options(
            request_rate=rate,
            request_burst=burst,
            turn_grace=GRACE,
            patience=0.05,
            queue_horizon=HORIZON,
        )
        return RequestBudget(table, chosen)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def play(self, visits: list[Visit], pauses: list[tuple[float, float]]) -> None:
        """Let everybody come; who is given a turn comes back at it, and some seconds late."""
        heapq.heapify(visits)
        environments = count()
        while visits:
            assert self.now < START + 10 * HORIZON, "somebody is never served"
            visit = heapq.heappop(visits)
            while pauses and pauses[0][0] <= visit.at - START:
                at, seconds = pauses.pop(0)
                self.now = max(self.now, START + at)
                for hearing in self.budgets:
                    hearing.pause(seconds, QUEUE)
            self.now = max(self.now, visit.at) + REQUEST
            environment = next(environments)
            budget = self.budgets[environment % len(self.budgets)]
            deadline = Deadline(self.now + 24, lambda: self.now, self.sleep)
            self.control = Control()
            if self.lowered:
                lag = self.lags[environment % len(self.lags)]
                self.control = self.lowered.control(self.now - lag)
            try:
                self.visiting = visit.number
                self._request(visit, self.allowed(budget, deadline))
            except AuroraBusyError as busy:
                if not visit.stays_away:
                    visit.turn = busy.turn
                    # A clock that is ahead tells a time that is over: Retry-After is 1 s at least.
                    retry_at = busy.retry_at or 0
                    visit.at = (retry_at if retry_at > self.now else self.now + 1) + visit.late
                    heapq.heappush(visits, visit)
            except CrashError:
                visit.turn = None
                visit.at = self.now + 25
                heapq.heappush(visits, visit)

    def allowed(self, budget: RequestBudget, deadline: Deadline) -> Allowance:
        """Return what a visit may call."""
        return budget.allowance(deadline, self.control)

    def _request(self, visit: Visit, allowance: Allowance) -> None:
        self.crash, visit.crashes = visit.crashes, False
        if visit.turn:
            allowance.redeem(visit.turn)
        while visit.calls:
            allowance.reserve(visit.calls)
            allowance.take(QUEUE)
            visit.calls -= 1
            self.sent.append((self.now, visit.number))

    @property
    def moments(self) -> list[float]:
        """Return when Aurora was called, in seconds from the start."""
        return sorted(moment - START for moment, _ in self.sent)

    @property
    def fullest_minute(self) -> int:
        """Return the most calls of any sliding minute."""
        return fullest(self.moments)


def deadline_of(played: Morning) -> Deadline:
    return Deadline(played.now + 5000, lambda: played.now, played.sleep)


Pattern = list[dict[str, Any]]

patterns = st.lists(
    st.builds(
        dict,
        gap=st.sampled_from([0, 0, 0, 0.001, 0.05, 0.5, 2.0, 10.0]),
        calls=st.sampled_from([1, 1, 1, 2]),
        late=st.sampled_from([0, 0, 0.3, 2.0, 4.9, 9.0]),
        stays_away=st.sampled_from([False, False, False, True]),
        crashes=st.sampled_from([False] * 9 + [True]),
    ),
    min_size=1,
    max_size=40,
)
PROMPT = {"gap": 0, "calls": 1, "late": 0, "stays_away": False, "crashes": False}


def coming(pattern: Pattern) -> list[Visit]:
    at, visits = START, []
    for number, each in enumerate(pattern):
        at += each["gap"]
        visits.append(
            Visit(at=at, number=number, **{name: each[name] for name in each if name != "gap"})
        )
    return visits


def explored(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True)


EVERY_RING = pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS)
SKEWS = st.sampled_from([-1.0, 0.0, 1.0, -5.0, 5.0])
MORNINGS: dict[str, Any] = {
    "pattern": patterns,
    "repeated": st.sampled_from([1, 4, 12]),
    "skews": st.lists(SKEWS, min_size=1, max_size=4),
    "pauses": st.lists(
        st.tuples(st.floats(0, 120), st.sampled_from([1.0, 20.0, 60.0])), max_size=2
    ),
}


@EVERY_RING
@explored(20)
@given(**MORNINGS)
def test_no_minute_is_over_the_limit(
    ring: tuple[float, int],
    pattern: Pattern,
    repeated: int,
    skews: list[float],
    pauses: list[tuple[float, float]],
) -> None:
    """Whoever comes however late, and whatever ends in the middle."""
    played = Morning(*ring, skews)
    played.play(coming(pattern * repeated), sorted(pauses))
    assert played.fullest_minute <= LIMIT


@pytest.mark.nightly
@EVERY_RING
@explored(1000)
@given(**MORNINGS)
def test_no_minute_of_many_is_over_the_limit(ring: tuple[float, int], **morning: Any) -> None:
    test_no_minute_is_over_the_limit.hypothesis.inner_test(ring, **morning)  # type: ignore[attr-defined]


lowerings = st.builds(
    lambda at, lasts, rate, burst: Lowered(at=at, until=at + lasts, rate=rate, burst=burst),
    at=st.sampled_from([0.0, 0.5, 20.0, 61.0, 100.0]),
    lasts=st.sampled_from([5.0, 70.0, 200.0, 10_000.0]),
    rate=st.sampled_from([88.0, 60.0, 44.0, 10.0]),
    burst=st.sampled_from([90, 89, 45, 44, 7, 2, 1]),
)


@EVERY_RING
@explored(20)
@given(
    pattern=patterns,
    repeated=st.sampled_from([1, 4, 8]),
    environments=st.lists(
        st.tuples(SKEWS, st.sampled_from([0.0, 1.0, 10.0, 25.0])), min_size=1, max_size=4
    ),
    lowered=lowerings,
)
def test_switch_in_mid_flight_overflows_no_minute(
    ring: tuple[float, int],
    pattern: Pattern,
    repeated: int,
    environments: list[tuple[float, float]],
    lowered: Lowered,
) -> None:
    """Turns were given before it, some environments do not know of it yet, and it ends."""
    played = Morning(*ring, [skew for skew, _ in environments])
    played.lowered, played.lags = lowered, [lag for _, lag in environments]
    played.play(coming(pattern * repeated), [])
    assert played.fullest_minute <= LIMIT


def test_calls_that_are_late_overflow_no_minute() -> None:
    """Who comes late within the grace marks the place: the next one of it waits for that."""
    chance = random.Random(1)  # noqa: S311 - a pattern, no secret.
    played = Morning(88, 90, [0])
    played.play(coming([{**PROMPT, "late": chance.choice([0, 4.9])} for _ in range(300)]), [])
    assert played.fullest_minute <= LIMIT


@pytest.mark.parametrize("told", [True, False], ids=["with Date", "without Date"])
def test_environments_whose_clocks_differ_fill_no_minute(*, told: bool) -> None:
    """By the clock of DynamoDB; while it tells no time, a place rests for a minute longer."""
    played = Morning(88, 90, [-30, 30])
    if not told:
        played.table._clock = None
    behind, ahead = played.budgets
    played.budgets = [behind]
    played.play(coming([PROMPT] * 90), [])
    played.budgets = [ahead]
    # For the one that is ahead, the minute passes sooner.
    played.play(coming([{**PROMPT, "gap": 30}, *[PROMPT] * 89]), [])
    assert len(played.sent) == 180
    assert played.fullest_minute <= LIMIT


@EVERY_RING
def test_calls_leave_in_the_order_of_coming_as_early_as_the_ring_allows(
    ring: tuple[float, int],
) -> None:
    rate, burst = ring
    played = Morning(rate, burst, [0])
    played.play(coming([PROMPT] * 300), [])
    assert [number for _, number in played.sent] == list(range(300))
    for number, (moment, _) in enumerate(played.sent):
        earliest = START + number // burst * Pace(rate, burst).turnaround / MICROSECONDS
        assert earliest <= moment <= earliest + 2 * 300 * REQUEST


def test_pause_of_the_list_stops_the_list_alone_until_the_invitation_hears_one_too() -> None:
    """Aurora says that an endpoint may have its own limit."""
    played = Morning(88, 90, [0])
    [budget] = played.budgets
    deadline = deadline_of(played)
    budget.pause(60, "list_users")
    budget.allowance(deadline, Control()).take(QUEUE)
    with pytest.raises(AuroraBusyError) as caught:
        budget.allowance(deadline, Control()).take("list_users")
    assert caught.value.retry_at == pytest.approx(START + 60)
    budget.pause(20, "invite_user")
    with pytest.raises(AuroraBusyError) as caught:
        budget.allowance(deadline, Control()).take(QUEUE)
    assert caught.value.retry_at == pytest.approx(START + 20, abs=0.01)
    played.now += 21
    budget.allowance(deadline, Control()).take(QUEUE)


def test_turn_that_nobody_used_serves_the_next_newcomer() -> None:
    """Its grace over, the last slot of a place is given away; the late owner queues anew."""
    played = Morning(1, 1, [0])
    [budget] = played.budgets
    deadline = deadline_of(played)
    budget.allowance(deadline, Control()).take(QUEUE)
    with pytest.raises(AuroraBusyError) as caught:
        budget.allowance(deadline, Control()).reserve(1)
    absent = caught.value.turn
    assert absent
    played.now = absent.at + GRACE + 1
    budget.allowance(deadline, Control()).take(QUEUE)
    late = budget.allowance(deadline, Control())
    late.redeem(absent)
    with pytest.raises(AuroraBusyError) as caught:
        late.reserve(1)
    assert caught.value.retry_at == pytest.approx(played.now + 60, abs=1)


# Slots that nobody uses -------------------------------------------------------------------------

STRANGER = {**PROMPT, "stays_away": True}
TURNAROUND = Pace(88, 90).turnaround / MICROSECONDS
NETWORK = 0.5
"""Seconds that all requests of the model take together."""


SOON = TURNAROUND + GRACE + NETWORK
TOLD_TO_ASK_AGAIN = 0.15 * HORIZON + SOON + GRACE
GHOSTS = [
    # In a ring of few places the looks are spread over a minute.
    *(("spaced a little", ghosts, 0, 5 * 60) for ghosts in (45, 400, 1200)),
    *(("as before", ghosts, 0, 5 * 60) for ghosts in (90, 900)),
    *(("the default", ghosts, after, SOON) for ghosts in (1, 91, 1340) for after in (0, 200)),
    ("the default", 1350, 0, TOLD_TO_ASK_AGAIN),
]
MORE_GHOSTS = [
    *(("the default", ghosts, after, SOON) for ghosts in range(0, 1345, 45) for after in (0, 30)),
    *(("the default", ghosts, 0, TOLD_TO_ASK_AGAIN) for ghosts in (2000, 5000)),
]


@pytest.mark.parametrize(
    ("ring", "ghosts", "after", "bound"),
    [*GHOSTS, *(pytest.param(*each, marks=pytest.mark.nightly) for each in MORE_GHOSTS)],
)
def test_callers_who_never_come_back_delay_nobody_for_long(
    ring: str, ghosts: int, after: float, bound: float
) -> None:
    """However many drew a ticket: ten who come then are served a turnaround and the grace later."""
    played = Morning(*RINGS[ring], [0])
    visits = coming([STRANGER] * ghosts + [{**PROMPT, "gap": after}] + [PROMPT] * 9)
    begins = START + ghosts * REQUEST + after
    played.play(visits, [])
    waits = [moment - begins for moment, number in played.sent if number >= ghosts]
    assert len(waits) == 10
    assert max(waits) <= bound
    assert played.fullest_minute <= LIMIT


def test_turns_that_are_kept_stay_kept() -> None:
    """Those who claim unused slots delay nobody who comes within the grace by more than two."""
    chance = random.Random(2)  # noqa: S311 - a pattern, no secret.
    pattern = [
        {**PROMPT, "stays_away": chance.random() < 0.5, "gap": chance.choice([0, 0, 0.2, 1])}
        for _ in range(600)
    ]
    told: dict[int, float] = {}

    class Noting(Allowance):
        def _wait(self) -> None:
            # The first of its slots that the caller hears of, in virtual time.
            told.setdefault(played.visiting, self._slots[0].at / MICROSECONDS)
            super()._wait()

    class Told(Morning):
        def allowed(self, budget: RequestBudget, deadline: Deadline) -> Allowance:
            return Noting(budget, deadline, self.control, queueing=True)

    played = Told(88, 90, [0])
    visits = coming(pattern)
    kept = {visit.number for visit in visits if not visit.stays_away}
    played.play(visits, [])
    late = {number: moment - told[number] for moment, number in played.sent if number in kept}
    assert set(late) == kept
    assert max(late.values()) <= 2 * GRACE + 2
    assert played.fullest_minute <= LIMIT


# A table that fails ------------------------------------------------------------------------------


class Resending(MemoryTable):
    """Loses the answer to each conditional write: it is sent again, as botocore does."""

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        if arguments.get("ConditionExpression") and "ADD" not in arguments["UpdateExpression"]:
            with suppress(ConditionalCheckFailedException):
                super().update_item(**arguments)
        return super().update_item(**arguments)


def test_lost_answers_cost_nobody_the_turn() -> None:
    """A write that was applied fails on itself when it is sent again: its writer knows it."""
    sent = []
    for table in (MemoryTable, Resending):
        played = Morning(88, 90, [0])
        played.table.__class__ = table
        played.play(coming([PROMPT] * 60 + [STRANGER] * 150 + [PROMPT] * 20), [])
        sent.append([(number, round(moment, 1)) for moment, number in played.sent])
    assert sent[0] == sent[1]


@pytest.mark.parametrize(
    "item", [{}, {"slot": {"S": "?"}, "used": {"N": "1"}}, {"slot": {"N": "1"}, "used": {"S": "?"}}]
)
def test_place_that_is_gone_or_unreadable_is_taken_anew(item: dict[str, Any]) -> None:
    """In a few steps, whether its turn was kept or somebody comes new."""
    played = Morning(88, 1, [0])
    [budget] = played.budgets
    deadline = deadline_of(played)
    budget.allowance(deadline, Control()).take(QUEUE)
    with pytest.raises(AuroraBusyError) as caught:
        budget.allowance(deadline, Control()).reserve(1)
    turn = caught.value.turn
    assert turn
    played.now = turn.at
    played.table.items["sandbox#tenant", "PLACE#0"] = dict(item)
    steps = count()
    played.table._step = lambda _: next(steps) and None
    kept = budget.allowance(deadline, Control())
    kept.redeem(turn)
    with suppress(AuroraBusyError):
        kept.reserve(1)
    with suppress(AuroraBusyError):
        budget.allowance(deadline, Control()).reserve(1)
    assert next(steps) <= 16
    played.now += 10
    budget.allowance(deadline, Control()).take(QUEUE)
