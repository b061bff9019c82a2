"""The list is read before the working day, with calls that nobody waits for."""

import json
from typing import Any

import pytest
from token_vendor import scheduled
from token_vendor.observability import recorder
from token_vendor.problems import AuroraUnavailableError

from tests.integration.conftest import Context, Deployment
from tests.support.clients import people
from tests.support.settings import ENVIRONMENT

PEOPLE = 2000


@pytest.fixture
def large(deployment: Deployment) -> Deployment:
    deployment.aurora.set_users(people(PEOPLE))
    deployment.aurora.behave(page_size=100)
    return deployment


def test_newcomer_after_it_is_served_with_two_calls(large: Deployment) -> None:
    assert scheduled.read(large.wired(), until=large.clock.now + 900)
    before = large.calls()
    assert before == {"list_users": 21, "invite_user": 0, "generate_token": 0}
    assert large.vend("newcomer@example.com").status == 200
    assert large.calls() == before | {"invite_user": 1, "generate_token": 1}


def test_it_takes_no_call_that_somebody_waits_for(large: Deployment) -> None:
    """With a queue of people, the reading waits for its end and nobody's turn moves."""
    large.aurora.set_users(people(20))
    large.vend(people(1)[0]["email"])
    large.clock.advance(3600)
    slow = {"REQUEST_RATE": "6", "REQUEST_BURST": "1"}
    large.restart(**slow, PATIENCE="0")
    first, *waiting = [user["email"] for user in people(20)[1:6]]
    assert large.vend(first).status == 200
    turns = {}
    for email in waiting:
        assert large.vend(email).slug == "aurora-busy"
        turns[email] = large.item(email)["turn_at"]
    assert not scheduled.read(large.wired(**slow), until=large.clock.now + 35)
    assert {email: large.item(email)["turn_at"] for email in waiting} == turns


def test_calls_are_counted_while_it_reads(
    large: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them at its end would look like more calls in a minute than Aurora takes."""
    slow = large.wired(REQUEST_RATE="10", REQUEST_BURST="1")
    recorder.start("reading")
    assert not scheduled.read(slow, until=large.clock.now + 120)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    counted = [line["AuroraCall"] for line in lines if "AuroraCall" in line]
    assert len(counted) > 3
    assert max(map(len, counted)) < 5
    assert sum(map(sum, counted)) == large.calls()["list_users"]


def test_failure_is_left_to_the_scheduler_to_try_again(
    large: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled, "wire", lambda *_, **__: large.wired())
    for name, value in (ENVIRONMENT | {"AURORA_URL": large.aurora.url}).items():
        monkeypatch.setenv(name, value)
    context: Any = Context(remaining=900)
    with large.aurora.down(), pytest.raises(AuroraUnavailableError):
        scheduled.handler({"id": "one"}, context)
    assert scheduled.handler({"id": "two"}, context) == {"read": True}
