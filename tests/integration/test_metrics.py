"""
Every metric that a dashboard can name is one that the running service emits, and there is no other.

One walk through all that can happen to a few people, read as CloudWatch reads it: from the EMF
lines that the service prints.
"""

import json
from collections import Counter

import pytest
from token_vendor.models import Deadline
from token_vendor.observability import DIMENSIONS, Metric, recorder

from tests.integration.conftest import JESSICA, Deployment
from tests.integration.test_store_failures import Wire
from tests.support.events import event

ROBERT, NEWCOMER = "robert.johnson@aurorasolar.com", "caller-0001@example.com"
HOUR = 3600
ROTATED = "sk_sand_rotated"
MEASURED = {
    Metric.LATENCY,
    Metric.LEASE_WAIT,
    Metric.AURORA_CALL,
    Metric.AURORA_LATENCY,
    Metric.BUDGET_LEFT,
    Metric.BUDGET_WAIT,
}
"""What comes with every request, wait, call or reservation; the others say what happened."""


class Walk:
    """What the service has emitted, at each step and on the whole way."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.series: dict[str, set[frozenset[tuple[str, str]]]] = {}

    def happened(self) -> Counter[str]:
        """Read the lines since the last step, and count what they say has happened."""
        counts: Counter[str] = Counter()
        for text in self._capsys.readouterr().out.splitlines():
            if '"_aws"' not in text:
                continue
            line = json.loads(text)
            for directive in line["_aws"]["CloudWatchMetrics"]:
                (names,) = directive["Dimensions"]
                dimensions = frozenset((name, line[name]) for name in names if name != "service")
                for metric in directive["Metrics"]:
                    name = metric["Name"]
                    self.series.setdefault(name, set()).add(dimensions)
                    if name not in MEASURED:
                        counts[name] += sum(line[name])
        return counts


def ordinary_days(deployment: Deployment, walk: Walk) -> None:
    """Sign-ins and sign-outs, a token that failed, and a key that the operator rotates."""
    jessica = deployment.vend().jti
    first = {Metric.COLD_START: 1, Metric.DIRECTORY_READ: 1, Metric.GENERATED: 1, Metric.VENDED: 1}
    assert walk.happened() == first
    assert walk.series.keys() == first.keys() | MEASURED - {Metric.LEASE_WAIT}
    deployment.vend()
    assert walk.happened() == {Metric.VENDED: 1}

    deployment.vend(NEWCOMER)
    assert walk.happened() == {Metric.INVITED: 1, Metric.GENERATED: 1, Metric.VENDED: 1}
    deployment.forget(NEWCOMER)
    assert walk.happened() == {Metric.FORGOTTEN: 1}
    deployment.forget(NEWCOMER)
    assert walk.happened() == {}

    # Aurora needs a second attempt, which is no second generate.
    deployment.aurora.fail({"operation": "generate_token", "kind": "status", "status": 409})
    deployment.vend(replace=jessica)
    assert walk.happened() == {Metric.GENERATED: 1, Metric.RENEWED: 1, Metric.VENDED: 1}

    deployment.secret = ROTATED
    deployment.aurora.behave(api_keys=[ROTATED])
    deployment.vend(ROBERT)
    assert walk.happened() == {Metric.KEY_REREAD: 1, Metric.GENERATED: 1, Metric.VENDED: 1}

    # A sign-in that does not say whether the address is verified.
    deployment.send(event({"email": JESSICA}))
    assert walk.happened() == {Metric.PROBLEM: 1}


def waits(deployment: Deployment, walk: Walk) -> None:
    """Aurora down, a lease that another environment gives up, and a turn that is kept."""
    clock = deployment.clock
    # Past the refresh margin, but alive.
    clock.advance(11.5 * HOUR)
    with deployment.aurora.down():
        deployment.vend()
    assert walk.happened() == {Metric.STALE_VENDED: 1, Metric.VENDED: 1}

    clock.advance(60)
    deployment.lease_elsewhere(0.5)
    deployment.vend()
    assert walk.happened() == {Metric.LEASE_WAITED: 1, Metric.GENERATED: 1, Metric.VENDED: 1}

    clock.advance(13 * HOUR)
    deployment.restart(REQUEST_RATE="1", REQUEST_BURST="1", PATIENCE="0")
    deployment.vend()
    assert walk.happened() == {Metric.GENERATED: 1, Metric.VENDED: 1}
    deployment.vend(ROBERT)
    assert walk.happened() == {Metric.TURN_GIVEN: 1, Metric.PROBLEM: 1}
    clock.advance(deployment.item(ROBERT)["turn_at"] - clock.now)
    deployment.vend(ROBERT)
    assert walk.happened() == {Metric.GENERATED: 1, Metric.VENDED: 1}
    deployment.restart(REQUEST_RATE="88", REQUEST_BURST="90", PATIENCE="5")


def a_night(deployment: Deployment, walk: Walk) -> None:
    """Generate a token before its owner comes."""
    deployment.clock.advance(13 * HOUR)
    recorder.start("a run")
    deadline = Deadline(deployment.clock.now + 25, deployment.clock, deployment.clock.sleep)
    assert deployment.parts.vendor.vend_ahead(JESSICA, deadline)
    recorder.flush(timed=False)
    assert walk.happened() == {Metric.PREWARMED: 1, Metric.GENERATED: 1}


def switched(deployment: Deployment, walk: Walk) -> None:
    """Operators block a person, stop generating, and stop inviting."""
    refused = {Metric.SWITCHED_OFF: 1, Metric.PROBLEM: 1}
    deployment.switch(("block", ROBERT))
    deployment.vend(ROBERT)
    assert walk.happened() == refused
    deployment.clock.advance(13 * HOUR)
    deployment.switch(("stop-generating", ""))
    deployment.vend(ROBERT)
    assert walk.happened() == refused
    deployment.switch(("stop-inviting", ""))
    deployment.vend("caller-0002@example.com")
    assert walk.happened() == refused | {Metric.DIRECTORY_READ: 1}
    deployment.switch()


def losses(deployment: Deployment, walk: Walk) -> None:
    """DynamoDB does not take a token, and a lease ends before its holder."""
    deployment.clock.advance(13 * HOUR)
    # The lease, the ticket and its place are written; the token is not.
    wire = Wire(deployment)
    wire.refuse("UpdateItem", after=3)
    deployment.vend()
    assert walk.happened() == {Metric.STORE_FAILED: 1, Metric.GENERATED: 1, Metric.VENDED: 1}
    wire.refused = ""

    deployment.clock.advance(13 * HOUR)
    deployment.lose_the_lease(ROBERT)
    deployment.vend(ROBERT)
    assert walk.happened() == {Metric.DOUBLE_GENERATE: 1, Metric.GENERATED: 2, Metric.VENDED: 2}
    deployment.restart()

    deployment.clock.advance(13 * HOUR)
    deployment.aurora.behave(exp_claim="absent")
    deployment.vend()
    assert walk.happened() == {Metric.UNDATED: 1, Metric.GENERATED: 1, Metric.VENDED: 1}
    deployment.aurora.behave(exp_claim="seconds")

    # Robert is renamed, and his address is somebody else's.
    deployment.clock.advance(13 * HOUR)
    [robert] = [user for user in deployment.aurora.users() if user["email"] == ROBERT]
    deployment.aurora.add_users([robert | {"email": "renamed@example.com"}, {"email": ROBERT}])
    deployment.vend(ROBERT)
    assert walk.happened() == {
        Metric.WRONG_ACCOUNT: 1,
        Metric.DIRECTORY_READ: 1,
        Metric.GENERATED: 1,
        Metric.VENDED: 1,
    }


def test_walk_emits_every_metric(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the dimensions that `DIMENSIONS` names, without which no dashboard would find it."""
    monkeypatch.setattr(recorder, "_cold", True)
    walk = Walk(capsys)
    ordinary_days(deployment, walk)
    waits(deployment, walk)
    a_night(deployment, walk)
    switched(deployment, walk)
    losses(deployment, walk)

    emitted = {
        (name, frozenset(dimensions))
        for name, series in walk.series.items()
        for dimensions in map(dict, series)
    }
    assert emitted == {(metric, frozenset(DIMENSIONS.get(metric, ()))) for metric in Metric}
    calls = map(dict, walk.series[Metric.AURORA_CALL])
    assert {(call["operation"], call["outcome"]) for call in calls} == {
        ("list_users", "ok"),
        ("retrieve_user", "ok"),
        ("invite_user", "ok"),
        ("generate_token", "ok"),
        ("generate_token", "401"),
        ("generate_token", "409"),
        ("generate_token", "unreachable"),
    }


def test_run_that_counts_nothing_leaves_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    recorder.start("a run")
    recorder.flush(timed=False)
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line).keys() == {"level", "message", "audit"}
