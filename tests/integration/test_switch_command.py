"""`token-vendor switch` on a table and a log: what it writes is what the service obeys."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from token_vendor.control import Entry
from token_vendor.observability import digest

from infra.operator import doctor, switches
from infra.operator.deployed import Deployed
from infra.operator.exits import OperatorError, UsageError
from tests.integration.conftest import JESSICA, Deployment
from tests.support.settings import settings
from tests.support.stage import stage_of

GROUP = "/aws/lambda/token-vendor"
ME = "arn:aws:sts::123456789012:user/moto"
NOW = float(int(time.time()))
"""CloudWatch Logs takes no event that is older than two weeks."""


@pytest.fixture
def stage(aws: None, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployed:  # noqa: ARG001
    """Give the stage of the running service, whose clock is the operator's too."""
    deployment.clock.now = NOW
    session = boto3.Session()
    session.events.register("before-call.dynamodb", deployment.dynamodb.answer)
    session.client("logs").create_log_group(logGroupName=GROUP)
    monkeypatch.setattr("infra.operator.switches.time.time", deployment.clock)
    chosen = settings(aurora_tenant_id=deployment.aurora.tenant_id)
    return stage_of(chosen, session, LogGroupName=GROUP)


def wanted(name: str, value: str = "", *, until: str = "24h", now: float = NOW) -> Entry:
    return switches.entry(name, value, until=until, reason="a test", now=now)


def told(stage: Deployed) -> list[dict[str, Any]]:
    events = stage.client("logs").filter_log_events(logGroupName=GROUP)["events"]
    lines = [json.loads(event["message"]) for event in events]
    # Queries that count requests must not count these events.
    assert {line["message"] for line in lines} <= {"switch"}
    return [line["audit"] for line in lines]


def test_service_obeys_and_the_log_says_who_and_why(
    deployment: Deployment, stage: Deployed
) -> None:
    deployment.vend()
    switches.set_(stage, wanted("block", "Jessica.Smith@AuroraSolar.com"))
    deployment.clock.advance(2)
    assert deployment.vend().slug == "user-not-eligible"
    switches.set_(stage, wanted("stop-generating"))
    assert [each.switch for each in switches.board(stage).entries] == ["block", "stop-generating"]
    switches.clear(stage, switches.ended("block", JESSICA, reason="back"))
    deployment.clock.advance(2)
    assert deployment.vend().status == 200
    blocked, stopped, cleared = told(stage)
    assert (blocked["outcome"], blocked["reason"], blocked["by"]) == ("switched", "a test", ME)
    assert blocked["caller"] == digest(JESSICA)
    assert JESSICA not in json.dumps(told(stage))
    assert stopped["until"] == NOW + 86_400
    assert (cleared["outcome"], cleared["reason"]) == ("switch cleared", "back")


def test_same_switch_takes_the_place_of_the_one_before(stage: Deployed) -> None:
    for name, value in (("rate", "44"), ("rate", "20"), ("block", "a.org"), ("block", "b.org")):
        switches.set_(stage, wanted(name, value))
    entries = switches.board(stage).entries
    assert [each.value for each in entries] == ["20", "a.org", "b.org"]
    switches.clear(stage, switches.ended("rate", "", reason="over"))
    assert [each.value for each in switches.board(stage).entries] == ["a.org", "b.org"]


def test_two_operators_do_not_overwrite_each_other(deployment: Deployment, stage: Deployed) -> None:
    """The other one writes between this one's look and write."""
    others = [("block", "a.org")]

    def another_writes(**_: Any) -> None:
        if others:
            deployment.switch(others.pop())

    stage.session.events.register("before-call.dynamodb.UpdateItem", another_writes)
    with pytest.raises(OperatorError, match="somebody else"):
        switches.set_(stage, wanted("stop-inviting"))
    assert [each.value for each in switches.board(stage).entries] == ["a.org"]
    assert told(stage) == []
    switches.set_(stage, wanted("stop-inviting"))
    assert len(switches.board(stage).entries) == 2


def test_broken_item_is_mended_by_the_next_switch(deployment: Deployment, stage: Deployed) -> None:
    deployment.put_control({"version": {"S": "x"}, "entries": {"S": "y"}})
    switches.set_(stage, wanted("block", JESSICA))
    assert deployment.vend().status == 403


def test_ended_switches_leave_the_item(deployment: Deployment, stage: Deployed) -> None:
    switches.set_(stage, wanted("stop-inviting", until="30m"))
    deployment.clock.advance(1801)
    assert switches.board(stage).entries == ()
    switches.set_(stage, wanted("block", "a.org", now=deployment.clock.now))
    assert len(deployment.tenant_item("CONTROL")["entries"]) == 1


def test_log_that_cannot_be_written_is_no_silent_switch(
    deployment: Deployment, stage: Deployed
) -> None:
    stage.client("logs").delete_log_group(logGroupName=GROUP)
    with pytest.raises(OperatorError, match="so note it"):
        switches.set_(stage, wanted("block", JESSICA))
    assert deployment.vend().status == 403


def test_doctor_shows_what_is_switched(stage: Deployed) -> None:
    [nothing] = doctor._switches(stage)
    assert (nothing.state, nothing.found) == ("ok", "nothing is switched")
    switches.set_(stage, wanted("burst", "45"))
    [one] = doctor._switches(stage)
    tomorrow = datetime.fromtimestamp(NOW, UTC) + timedelta(days=1)
    assert (one.state, one.found) == (
        "warn",
        f"burst 45 until {tomorrow:%Y-%m-%d %H:%M} UTC: a test",
    )
    assert one.fix == "token-vendor switch burst 45 --clear --reason … --stage test"


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("block", " Jessica.Smith@AuroraSolar.COM ", JESSICA),
        ("block", "@Example.com", "example.com"),
        ("block", "example.com", "example.com"),
        ("rate", "44.50", "44.5"),
        ("burst", "45", "45"),
        ("stop-inviting", "", ""),
    ],
)
def test_value_is_stored_as_the_service_compares_it(name: str, value: str, stored: str) -> None:
    assert wanted(name, value).value == stored


@pytest.mark.parametrize(
    ("name", "value", "until", "said"),
    [
        ("stop", "", "24h", "stop is no switch: choose from stop-generating"),
        ("stop-generating", "now", "24h", "takes no value"),
        ("block", "", "24h", "an e-mail or a domain"),
        ("block", "a@b@c", "24h", "an e-mail or a domain"),
        ("rate", "0", "24h", "at least 0.1"),
        ("rate", "nan", "24h", "at least 0.1"),
        ("burst", "45.5", "24h", "whole number"),
        ("burst", "many", "24h", "at least 1"),
        ("stop-inviting", "", "1w", "write 30m, 24h, 7d"),
        ("stop-inviting", "", "2026-06-15T18:00:00", "write 30m, 24h, 7d"),
        ("stop-inviting", "", "0h", "has to be ahead"),
        ("stop-inviting", "", "31d", "by 30 days at most"),
        ("stop-inviting", "", "2020-01-31T18:00:00Z", "has to be ahead"),
    ],
)
def test_wrong_switch_is_told_in_a_line(name: str, value: str, until: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        wanted(name, value, until=until)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("rate", "88"), ("burst", "90")])
def test_switch_only_lowers(stage: Deployed, name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"only lowers request_{name}, which is {value}"):
        switches.set_(stage, wanted(name, value))
    assert told(stage) == []


def test_moment_may_be_given() -> None:
    """With any offset."""
    entry = wanted("stop-inviting", until="2025-06-15T18:00:00+02:00", now=1_750_000_000)
    assert entry.until == 1_750_000_000 + 3200
