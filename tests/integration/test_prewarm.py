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


def before_the_morning(deployment: Deployment, days: int = WEEK) -> int:
    """Pass the days until an hour before people came, and run."""
    deployment.clock.advance(days * DAY - HOUR)
    return prewarm.run(deployment.wired(PREWARM="true"), until=deployment.clock.now + 899, zone=UTC)


def test_owner_gets_the_token_that_waits(noting: Deployment) -> None:
    before, started = noting.calls(), noting.clock.now
    assert before_the_morning(noting) == 0, "an hour before is too early"
    assert noting.clock.now < started + WEEK * DAY - HOUR + 10, "and is not waited for"
    noting.clock.advance(2400)
    assert prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC) == 12
    generated = noting.calls()["generate_token"]
    assert generated == before["generate_token"] + 12
    noting.clock.advance(HOUR)
    wire = Wire(noting)
    assert {noting.vend(email).body["source"] for email in PEOPLE} == {"stored"}
    # The first vend notes the coming, and asks Aurora nothing; the second one only reads.
    assert wire.calls == ["BatchGetItem", "UpdateItem", *["GetItem", "UpdateItem"] * 11]
    wire.calls.clear()
    assert noting.vend(PEOPLE[0]).status == 200
    assert wire.calls == ["GetItem"]
    assert noting.calls()["generate_token"] == generated


def test_coming_that_cannot_be_noted_costs_nobody_the_token(noting: Deployment) -> None:
    before_the_morning(noting)
    noting.clock.advance(2400)
    assert prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC) == 12
    Wire(noting).refuse("UpdateItem")
    assert noting.vend(PEOPLE[0]).body["source"] == "stored"


def test_person_whose_account_is_not_known_is_left_alone(noting: Deployment) -> None:
    """It could be invited by that, or cost a reading of the list."""
    before_the_morning(noting)
    noting.clock.advance(2400)
    key = {
        "pk": {"S": f"sandbox#{noting.aurora.tenant_id}#{PEOPLE[0]}"},
        "sk": {"S": "ACCOUNT"},
    }
    noting.dynamodb.delete_item(TableName=TABLE, Key=key)
    assert prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC) == 11
    assert noting.calls()["invite_user"] == 0


def test_another_sign_in_of_the_address_is_confirmed(noting: Deployment) -> None:
    """A token that waits goes to whom it was vended before; Aurora is asked about anybody else."""
    before_the_morning(noting)
    noting.clock.advance(2400)
    prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC)
    claims = {"email": PEOPLE[0], "email_verified": "true", "sub": "somebody"}
    calls = noting.calls()
    assert noting.send(event(claims)).body["source"] == "stored"
    assert noting.calls() == calls | {"retrieve_user": calls.get("retrieve_user", 0) + 1}
    assert "ahead" not in noting.item(PEOPLE[0])


def test_failures_end_the_run(noting: Deployment) -> None:
    """Lambda counts it as an error, which is the alarm; the next quarter goes on."""
    before_the_morning(noting)
    noting.clock.advance(2400)
    with noting.aurora.down(), pytest.raises(AuroraUnavailableError):
        prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC)
    noting.clock.advance(60)
    assert prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC) == 12


def test_key_that_is_refused_ends_the_run(noting: Deployment) -> None:
    """Each refused person costs calls and a cool-down: a run does not go through all of them."""
    before_the_morning(noting)
    noting.clock.advance(2400)
    noting.aurora.behave(forbidden=["generate_token"])
    before = noting.calls()["generate_token"]
    with pytest.raises(AuroraKeyRejectedError):
        prewarm.run(noting.wired(PREWARM="true"), until=noting.clock.now + 899, zone=UTC)
    assert noting.calls()["generate_token"] - before <= 2 * prewarm.MOST_FAILURES


def test_pause_is_left_to_people(noting: Deployment) -> None:
    """Attempts while Aurora wants a pause take no place that people would use after it."""
    ring = {"REQUEST_RATE": "12", "REQUEST_BURST": "12", "PREWARM": "true"}
    before_the_morning(noting)
    noting.clock.advance(2400)
    waiting = noting.wired(**ring)
    waiting.budget.pause(300, QUEUE)
    assert prewarm.run(waiting, until=noting.clock.now + 290, zone=UTC) == 0
    noting.clock.advance(30)
    noting.restart(**ring)
    began = noting.clock.now
    assert {noting.vend(email).status for email in PEOPLE} == {200}
    assert noting.clock.now - began < 5


def test_entry_point_tells_how_many(
    noting: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    log: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And emits no latency: nobody waited for it."""
    before_the_morning(noting)
    noting.clock.advance(2400)
    monkeypatch.setattr(prewarm, "wire", lambda *_, **__: noting.wired(PREWARM="true"))
    for name, value in (ENVIRONMENT | {"AURORA_URL": noting.aurora.url}).items():
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
