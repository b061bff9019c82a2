"""
Half an hour of the real service, and a scene for each alarm that it leaves alone.

Where an alarm should be on it is, alone, and it goes off again. Time is played: a rush, an outage
and the recovery from them take seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from token_vendor.observability import recorder

from tests.integration.alarm_scenario import FRIDAY, Alarms, Scene, synthesized_alarms
from tests.integration.during_aurora_call import while_aurora_works
from tests.integration.test_store_failures import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tests.integration.conftest import Deployment


@pytest.fixture(scope="module")
def alarms() -> Alarms:
    return synthesized_alarms()


@pytest.fixture
def scene(
    deployment: Deployment,
    alarms: Alarms,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    # So that latency is of the scene's time, too.
    monkeypatch.setattr(recorder, "timer", deployment.clock)
    return Scene(deployment, alarms, capsys)


def people(scene: Scene, kind: str, number: int) -> list[str]:
    """Give Aurora some accounts, and return their addresses."""
    emails = [f"{kind}-{each:04}@example.com" for each in range(number)]
    scene.deployment.aurora.add_users(
        {"email": email, "first_name": "Caller", "last_name": "Person"} for email in emails
    )
    return emails


def minutes(scene: Scene, number: int, coming: Iterable[str] = ()) -> None:
    """Play some minutes that are all alike."""
    for _ in range(number):
        scene.minute(*coming)


def test_half_hour_of_rush_outage_rejected_key_and_recovery(scene: Scene) -> None:
    """Each cause's alarms are on while it lasts, off after it; in the end everybody is in."""
    steady, rush = people(scene, "steady", 20), people(scene, "rush", 33)
    outage, rejected = people(scene, "outage", 5), people(scene, "rejected", 3)
    aurora, key = scene.deployment.aurora, scene.deployment.aurora.api_key
    minutes(scene, 3, steady)
    # The rush is small, because the rate is.
    scene.deployment.restart(REQUEST_RATE="4", REQUEST_BURST="1")
    for come in (rush[:8], rush[8:13], rush[13:18], rush[18:23], rush[23:28], rush[28:]):
        scene.minute(*come, *steady[:1])
    minutes(scene, 4, steady[:1])
    scene.deployment.restart(REQUEST_RATE="88", REQUEST_BURST="90")
    minutes(scene, 1, steady)
    aurora.fail({"operation": "generate_token", "kind": "status", "status": 503, "times": 1000})
    minutes(scene, 4, steady + outage)
    aurora.fail()
    minutes(scene, 4, steady)
    aurora.behave(api_keys=["sk_sand_another"])
    minutes(scene, 3, steady + rejected)
    aurora.behave(api_keys=[key])
    minutes(scene, 5, steady)
    assert scene.on() == {
        # Five minutes without a call left, until the last of those who wait are served.
        "budget-exhausted": [7, 8, 9, 10],
        # From the second minute of the outage; it takes two of three.
        "aurora-unavailable": [15, 16, 17],
        "key-rejected": [22, 23, 24],
        # Three of five minutes: of the outage, and of the rejected key.
        "failed-share": [16, 17, 18, 24, 25, 26],
    }
    assert scene.served == {*rush, *outage, *rejected, *steady}


def test_double_generate(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease ends while Aurora works, and another environment generates for the same caller."""
    caller, other = people(scene, "caller", 2)
    minutes(scene, 2, [other])
    happened = []

    def lease_is_lost(_operation: str) -> None:
        if not happened:
            happened.append(caller)
            scene.deployment.clock.advance(27)
            answer = scene.deployment.vend_elsewhere(caller)
            assert answer.body["source"] == "generated"

    while_aurora_works(scene.deployment, monkeypatch, lease_is_lost)
    minutes(scene, 1, [caller])
    minutes(scene, 2, [caller, other])
    assert scene.on() == {"double-generate": [2]}
    assert scene.deployment.aurora.stats()["double_generates"] == 1


def test_table_errors(scene: Scene) -> None:
    """Once DynamoDB refuses to read, and once to keep what was generated."""
    callers, wire = people(scene, "caller", 4), Wire(scene.deployment)
    minutes(scene, 2, callers[:2])
    wire.refuse("BatchGetItem")
    minutes(scene, 1, callers[:2])
    wire.refuse("")
    minutes(scene, 2, callers[:2])
    # The lease, the ticket and its place are written; the token is not.
    wire.refuse("UpdateItem", after=3)
    scene.minute(callers[2])
    wire.refuse("")
    minutes(scene, 2, callers[:2])
    minutes(scene, 5, callers[:2])
    # One minute of the last five; the two failures lie three minutes apart.
    assert scene.on() == {"table-errors": [*range(2, 10)]}
    assert callers[2] in scene.served


def test_a_key_without_the_right_to_generate(scene: Scene) -> None:
    """Aurora lists and refuses to generate: the key's fault; stored tokens go on."""
    steady, newcomers = people(scene, "steady", 4), people(scene, "newcomer", 9)
    minutes(scene, 3, steady)
    scene.deployment.aurora.behave(forbidden=["generate_token"])
    for come in (newcomers[:3], newcomers[3:6], newcomers[6:]):
        scene.minute(*come, *steady)
    minutes(scene, 1, steady + newcomers)
    scene.deployment.aurora.behave(forbidden=[])
    minutes(scene, 6, steady + newcomers)
    assert scene.on() == {"key-rejected": [3, 4, 5, 6], "generate-refused": [4, 5, 6, 7]}
    assert scene.served == {*steady, *newcomers}


def test_one_person_whom_aurora_refuses_is_no_alarm(scene: Scene) -> None:
    """Only the person is told, however often it comes back."""
    (caller,) = people(scene, "caller", 1)
    aurora = scene.deployment.aurora
    [account] = [user for user in aurora.users() if user["email"] == caller]
    aurora.add_users([account | {"account_status": "inactive"}])
    minutes(scene, 12, [caller])
    assert scene.on() == {}
    assert scene.served == set()


@pytest.mark.parametrize(
    ("begins", "on"),
    [
        pytest.param(FRIDAY, {"no-traffic": [*range(60, 100)]}, id="working-day"),
        pytest.param(FRIDAY.replace(day=21), {}, id="saturday"),
        pytest.param(FRIDAY.replace(minute=30), {"no-traffic": [*range(60, 90)]}, id="to-16"),
    ],
)
def test_no_traffic(scene: Scene, begins: datetime, on: dict[str, list[int]]) -> None:
    """An hour in which nobody asks, until somebody does or the business hours are over."""
    (caller,) = people(scene, "caller", 1)
    scene.begin(begins)
    for _ in range(3):
        scene.minute(caller)
        scene.quiet(99)
    assert scene.on() == on
