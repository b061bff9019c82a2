"""Generating before people come, over the whole service: table, account, ring and Aurora."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from token_vendor import prewarm
from token_vendor.forecast import WEEK, Person, arrivals, plan
from token_vendor.problems import AuroraKeyRejectedError, AuroraUnavailableError
from token_vendor.request_budget import QUEUE
from token_vendor.token_item import TokenItem

from tests.integration.conftest import ENVIRONMENT, TABLE, Context, event
from tests.integration.test_store_failures import Wire
from tests.support.clients import people

if TYPE_CHECKING:
    import io

    from tests.integration.conftest import Deployment


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
    morning: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    log: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And emits no latency: nobody waited for it."""
    monkeypatch.setattr(prewarm, "wire", lambda *_, **__: morning.wired(PREWARM="true"))
    for name, value in (ENVIRONMENT | {"AURORA_URL": morning.aurora.url}).items():
        monkeypatch.setenv(name, value)
    log.truncate(0)
    capsys.readouterr()
    assert prewarm.handler({}, Context(remaining=900)) == {"prewarmed": 12}
    audit = json.loads(log.getvalue().strip("\x00\n").splitlines()[-1])["audit"]
    assert (audit["outcome"], audit["people"]) == ("prewarmed", 12)
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
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
