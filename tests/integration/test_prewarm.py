"""Generating before people come, over the whole service: table, account, ring and Aurora."""

import heapq
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from token_vendor import prewarm
from token_vendor.forecast import LEAD, SHARE, WEEK, Person, arrivals, plan
from token_vendor.problems import AuroraKeyRejectedError, AuroraUnavailableError
from token_vendor.request_budget import QUEUE
from token_vendor.token_item import TokenItem

from tests.integration.conftest import TABLE, Context, Deployment, deployed, event
from tests.integration.test_store_failures import Wire
from tests.support.clients import people
from tests.support.settings import ENVIRONMENT

DAY, HOUR = 86_400, 3600
PEOPLE = [user["email"] for user in people(12)]


@pytest.fixture
def noting(deployment: Deployment) -> Deployment:
    """Give a service with the option, whose people all came once."""
    deployment.aurora.set_users(people(12))
    deployment.restart(PREWARM="true")
    assert {deployment.vend(email).status for email in PEOPLE} == {200}
    return deployment


def run(deployment: Deployment, seconds: float = 899) -> int:
    """Start a scheduled run now."""
    parts = deployment.wired(PREWARM="true")
    return prewarm.run(parts, until=deployment.clock.now + seconds, zone=UTC)


@pytest.fixture
def morning(noting: Deployment) -> Deployment:
    """Pass a week until twenty minutes before people came, with a run that is too early."""
    noting.clock.advance(WEEK * DAY - HOUR)
    started = noting.clock.now
    assert run(noting) == 0, "an hour before is too early"
    assert noting.clock.now < started + 10, "and is not waited for"
    noting.clock.advance(2400)
    return noting


def test_owner_gets_the_token_that_waits(morning: Deployment) -> None:
    before = morning.calls()
    assert run(morning) == 12
    generated = morning.calls()["generate_token"]
    assert generated == before["generate_token"] + 12
    morning.clock.advance(HOUR)
    wire = Wire(morning)
    assert {morning.vend(email).body["source"] for email in PEOPLE} == {"stored"}
    # The first vend notes the coming, and asks Aurora nothing; the second one only reads.
    assert wire.calls == ["BatchGetItem", "UpdateItem", *["GetItem", "UpdateItem"] * 11]
    wire.calls.clear()
    assert morning.vend(PEOPLE[0]).status == 200
    assert wire.calls == ["GetItem"]
    assert morning.calls()["generate_token"] == generated


def test_coming_that_cannot_be_noted_costs_nobody_the_token(morning: Deployment) -> None:
    assert run(morning) == 12
    Wire(morning).refuse("UpdateItem")
    assert morning.vend(PEOPLE[0]).body["source"] == "stored"


def test_person_whose_account_is_not_known_is_left_alone(morning: Deployment) -> None:
    """It could be invited by that, or cost a reading of the list."""
    key = {
        "pk": {"S": f"sandbox#{morning.aurora.tenant_id}#{PEOPLE[0]}"},
        "sk": {"S": "ACCOUNT"},
    }
    morning.dynamodb.delete_item(TableName=TABLE, Key=key)
    assert run(morning) == 11
    assert morning.calls()["invite_user"] == 0


def test_another_sign_in_of_the_address_is_confirmed(morning: Deployment) -> None:
    """A token that waits goes to whom it was vended before; Aurora is asked about anybody else."""
    run(morning)
    claims = {"email": PEOPLE[0], "email_verified": "true", "sub": "somebody"}
    calls = morning.calls()
    assert morning.send(event(claims)).body["source"] == "stored"
    assert morning.calls() == calls | {"retrieve_user": calls.get("retrieve_user", 0) + 1}
    assert "ahead" not in morning.item(PEOPLE[0])


def test_failures_end_the_run(morning: Deployment) -> None:
    """Lambda counts it as an error, which is the alarm; the next quarter goes on."""
    with morning.aurora.down(), pytest.raises(AuroraUnavailableError):
        run(morning)
    morning.clock.advance(60)
    assert run(morning) == 12


def test_key_that_is_refused_ends_the_run(morning: Deployment) -> None:
    """Each refused person costs calls and a cool-down: a run does not go through all of them."""
    morning.aurora.behave(forbidden=["generate_token"])
    before = morning.calls()["generate_token"]
    with pytest.raises(AuroraKeyRejectedError):
        run(morning)
    assert morning.calls()["generate_token"] - before <= 2 * prewarm.MOST_FAILURES


def test_pause_is_left_to_people(morning: Deployment) -> None:
    """Attempts while Aurora wants a pause take no place that people would use after it."""
    ring = {"REQUEST_RATE": "12", "REQUEST_BURST": "12", "PREWARM": "true"}
    waiting = morning.wired(**ring)
    waiting.budget.pause(300, QUEUE)
    assert prewarm.run(waiting, until=morning.clock.now + 290, zone=UTC) == 0
    morning.clock.advance(30)
    morning.restart(**ring)
    began = morning.clock.now
    assert {morning.vend(email).status for email in PEOPLE} == {200}
    assert morning.clock.now - began < 5


def test_entry_point_tells_how_many(
    morning: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And emits no latency: nobody waited for it."""
    monkeypatch.setattr(prewarm, "wire", lambda *_, **__: morning.wired(PREWARM="true"))
    for name, value in (ENVIRONMENT | {"AURORA_URL": morning.aurora.url}).items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert prewarm.handler({}, Context(remaining=900)) == {"prewarmed": 12}
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    audit = emitted[-1]["audit"]
    assert (audit["outcome"], audit["people"]) == ("prewarmed", 12)
    # Each as it happened: CloudWatch takes a line as of the moment at which it is written.
    counted = [line["Prewarmed"] for line in emitted if "Prewarmed" in line]
    assert counted == [[1.0]] * 12
    assert not [line for line in emitted if "Latency" in line]


def test_plan_names_whom_a_run_would_serve(noting: Deployment) -> None:
    items = noting.parts.table.scan(TokenItem.sk, ("came", "expires_at"))
    noted = [Person.of(email, TokenItem.of(item)) for email, item in items]
    tomorrow = noting.clock.now + DAY - HOUR
    assert {each.email for each in plan(noted, now=tomorrow, zone=UTC, rate=88)} == set(PEOPLE)
    assert arrivals(noted, now=tomorrow, zone=UTC, days=(1, 2)) == {1: 12, 2: 0}


# Nights and mornings of many people ---------------------------------------------------------------


EIGHT = 1_750_017_600.0
"""Eight o'clock of some morning; the runs begin at four."""
LIFE = 12 * HOUR
RATE = BURST = 22
MANY = pytest.mark.parametrize("number", [125, pytest.param(1250, marks=pytest.mark.nightly)])


class Morning:
    """People who come while the scheduled run sleeps; `waits` is how long each of them waited."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.clock = deployment.clock
        self.clock.now = EIGHT - 4 * HOUR
        deployment.restart(
            PREWARM="true", PATIENCE="0.05", REQUEST_RATE=str(RATE), REQUEST_BURST=str(BURST)
        )
        deployment.aurora.behave(rate_limit=BURST)
        self.scheduled = replace(deployment.wired(), sleep=self.sleep)
        self.waits: dict[str, float] = {}
        self._coming: list[tuple[float, str, float]] = []

    def knows(self, email: str, *came: float, **attributes: Any) -> None:
        """Write the items of a person who came at some moments, and whose last token died."""
        now = f"{self.clock.now:.3f}"
        pk = f"sandbox#{self.deployment.aurora.tenant_id}#{email}"
        self.deployment.aurora.add_users([{"id": email.partition("@")[0], "email": email}])
        self.deployment.dynamodb.items[pk, "ACCOUNT"] = {
            "user_id": {"S": email.partition("@")[0]},
            "account_status": {"S": "active"},
            "seen_at": {"N": now},
        }
        self.deployment.dynamodb.items[pk, "TOKEN"] = {
            "version": {"N": "1"},
            "jwt": {"S": "old"},
            "jti": {"S": "old"},
            "expires_at": {"N": str(int(self.clock.now) - HOUR)},
            "came": {"L": [{"N": str(int(at))} for at in came]},
        } | attributes

    def comes(self, email: str, at: float) -> None:
        heapq.heappush(self._coming, (at, email, at))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and people come in it."""
        until = self.clock.now + seconds
        while self._coming and self._coming[0][0] <= until:
            at, email, since = heapq.heappop(self._coming)
            self.clock.now = max(self.clock.now, at)
            answer = self.deployment.vend(email)
            if answer.status == 200:
                self.waits[email] = self.clock.now - since
            else:
                back = datetime.fromisoformat(answer.body["retry_at"]).timestamp()
                heapq.heappush(self._coming, (max(back, self.clock.now + 0.01), email, since))
        self.clock.now = max(self.clock.now, until)

    def play(self, *, prewarmed: bool = True, until: float = EIGHT + HOUR) -> None:
        """Start a run at every quarter, and let everybody come."""
        while self.clock.now < until:
            quarter = self.clock.now + 900
            if prewarmed:
                prewarm.run(self.scheduled, until=quarter - 1, zone=UTC)
            self.sleep(max(0, quarter - self.clock.now))

    @property
    def generated(self) -> list[tuple[float, str]]:
        """Return when Aurora generated, and for whom."""
        calls = self.deployment.aurora.calls()
        return [(c["at"], c["about"]) for c in calls if c["operation"] == "generate_token"]


@pytest.fixture
def dawn(deployment: Deployment) -> Morning:
    return Morning(deployment)


def names(kind: str, number: int) -> list[str]:
    return [f"{kind}-{each:04}@example.com" for each in range(number)]


def usual_morning(morning: Morning, number: int) -> None:
    """
    Let 95 % of those who came last week come again, and as many others as stay away.

    All of them in the eight minutes around eight, each up to two minutes off its own time.
    """
    chance = random.Random(1)  # noqa: S311 - arrivals are no secret.
    expected, others = names("usual", number), names("other", number - round(number * 0.95))
    for place, email in enumerate(expected):
        usually = EIGHT + chance.uniform(-120, 120)
        morning.knows(email, usually - 7 * DAY, usually - DAY)
        if place >= len(others):
            morning.comes(email, usually + chance.uniform(-120, 120))
    for email in others:
        morning.knows(email)
        morning.comes(email, EIGHT + chance.uniform(-240, 240))


@MANY
def test_nobody_waits_who_comes_as_last_week(dawn: Morning, number: int) -> None:
    """And of the others at most all wait, none of them for longer than a minute."""
    usual_morning(dawn, number)
    dawn.play()
    assert len(dawn.waits) == number
    waited = {email: wait for email, wait in dawn.waits.items() if wait > 0.5}
    assert len(waited) <= number / 20 + 1
    assert not [email for email in waited if email.startswith("usual")]
    assert max(dawn.waits.values()) <= 60
    stats = dawn.deployment.aurora.stats()
    assert stats["double_generates"] == 0
    assert stats["max_calls_per_window"] <= BURST


@MANY
def test_it_stops_while_people_queue(number: int) -> None:
    """Fifty come at once in the middle of it; nobody's turn moves by more than its share."""
    at = EIGHT - number * 0.72 * 4
    waits = []
    for prewarmed in (False, True):
        with deployed() as deployment:
            morning = Morning(deployment)
            usual_morning(morning, number)
            crowd = names("crowd", 50)
            for email in crowd:
                morning.knows(email)
                morning.comes(email, at)
            morning.play(prewarmed=prewarmed, until=EIGHT)
            waits.append(max(morning.waits[email] for email in crowd))
            between = {who for when, who in morning.generated if at + 1 < when < at + waits[-1]}
            assert {who for who in between if not who.startswith("crowd")} == set()
    # The places that it used in the minute before come free within that minute.
    assert waits[1] <= waits[0] + 62


def test_what_is_late_is_generated_no_faster(dawn: Morning) -> None:
    """People need the rest of the calls meanwhile."""
    soon = dawn.clock.now + 600
    for email in names("usual", 20):
        dawn.knows(email, soon - 7 * DAY, soon - DAY)
    dawn.play(until=dawn.clock.now + 900)
    moments = [when for when, _ in dawn.generated]
    assert len(moments) == 20
    assert min(later - moment for moment, later in pairwise(moments)) >= 60 / (RATE * SHARE)


def test_person_with_a_live_token_lease_cool_down_or_block_is_left_alone(dawn: Morning) -> None:
    soon = {"N": str(int(EIGHT + 60))}
    attributes: dict[str, dict[str, Any]] = {
        "alive": {"expires_at": soon},
        "leased": {"lease_id": {"S": "x"}, "lease_until": soon},
        "cooling": {"failed_until": soon, "failure": {"S": "aurora-timeout"}},
        "marked": {"generating_since": {"N": str(int(EIGHT - DAY))}},
        "signed-out": {"expires_at": soon, "jwt": {"S": ""}},
        "blocked": {},
        "plain": {},
    }
    for name, written in attributes.items():
        dawn.knows(f"{name}@example.com", EIGHT - 7 * DAY, EIGHT - DAY, **written)
    dawn.deployment.switch(("block", "blocked@example.com"))
    dawn.play(until=EIGHT)
    assert {who for _, who in dawn.generated} == {"plain"}


def test_stopped_generating_stops_it(dawn: Morning) -> None:
    usual_morning(dawn, 20)
    dawn.deployment.switch(("stop-generating", ""))
    dawn.play(until=EIGHT - LEAD)
    assert dawn.generated == []


def test_a_run_that_may_not_generate_ends_early(dawn: Morning) -> None:
    """Nobody pays for a function that sleeps until the next person's moment for nothing."""
    began = dawn.clock.now
    for email, expected in (("first@example.com", LEAD + 60), ("second@example.com", LEAD + 600)):
        dawn.knows(email, began + expected - 7 * DAY, began + expected - DAY)
    dawn.deployment.switch(("stop-generating", ""))
    assert prewarm.run(dawn.scheduled, until=began + 900, zone=UTC) == 0
    assert dawn.clock.now < began + 300
