"""
Half an hour of the real service: a rush, Aurora down, the key rejected, and recovery.

Which alarms that turns on and off is computed, as CloudWatch would, from what the service emitted.
"""

from __future__ import annotations

import heapq
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from infra.measures import Measures
from infra.monitoring import Monitoring
from infra.operator.series import Samples, alarm_periods
from infra.stage import StageConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Deployment

START = 29_166_667
"""The minute since the epoch at which it begins."""
RUSH, OUTAGE, REJECTED = range(3, 9), range(14, 18), range(20, 23)
STAGE = {
    "issuer": "https://sign-in.example.com",
    "audiences": ["app"],
    "cors_origins": [],
    "aurora_environment": "sandbox",
    "aurora_tenant_id": "tenant",
}


def alarms() -> dict[str, Any]:
    """
    Synthesize the alarms of a stage, by slug.
    """
    stack = Stack(App(), "Stack")
    measures = Measures(
        stage="test", function_name="f", api_id="a", table_name="t", log_group_name="l"
    )
    stage = StageConfig.read({"test": STAGE}, "test", {})
    Monitoring(stack, "Monitoring", stage=stage, measures=measures, log_group_name="l")
    found = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
    properties = [resource["Properties"] for resource in found]
    return {each["AlarmName"].removeprefix("token-vendor-test-"): each for each in properties}


class HalfHour:
    """
    People who come, and who come back when they are told to.
    """

    def __init__(self, deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
        self._deployment = deployment
        self._capsys = capsys
        self._queue: list[tuple[float, str]] = []
        self.lines: list[dict[str, Any]] = []
        self.served: set[str] = set()

    def comes(self, minute: int, second: float, email: str) -> None:
        heapq.heappush(self._queue, ((START + minute) * 60 + second, email))

    def play(self, minute: int) -> None:
        """
        Serve everybody who comes before the end of the minute.
        """
        clock = self._deployment.clock
        while self._queue and self._queue[0][0] < (START + minute + 1) * 60:
            moment, email = heapq.heappop(self._queue)
            clock.now = max(clock.now, moment)
            answer = self._deployment.vend(email)
            if answer.status == 200:
                self.served.add(email)
            elif "retry_at" in answer.body:
                back = datetime.fromisoformat(answer.body["retry_at"]).timestamp()
                heapq.heappush(self._queue, (back, email))
            for line in self._capsys.readouterr().out.splitlines():
                if '"_aws"' in line:
                    emitted = json.loads(line)
                    # The library takes the machine's time; this half hour has its own.
                    emitted["_aws"]["Timestamp"] = clock.now * 1000
                    self.lines.append(emitted)


def changes(deployment: Deployment) -> dict[int, Callable[[], object]]:
    """
    Return what changes around the service, by the minute before which it does.
    """
    aurora, key = deployment.aurora, deployment.aurora.api_key
    down = {"operation": "generate_token", "kind": "status", "status": 503, "times": 1000}
    return {
        # The rush is small, because the rate is.
        RUSH.start: lambda: deployment.restart(REQUEST_RATE="8", REQUEST_BURST="1"),
        OUTAGE.start - 1: lambda: deployment.restart(REQUEST_RATE="80", REQUEST_BURST="3"),
        OUTAGE.start: lambda: aurora.fail(down),
        OUTAGE.stop: aurora.fail,
        REJECTED.start: lambda: aurora.behave(api_keys=["sk_sand_another"]),
        REJECTED.stop: lambda: aurora.behave(api_keys=[key]),
    }


def people(kind: str, number: int) -> list[str]:
    return [f"{kind}-{each:04}@example.com" for each in range(number)]


@pytest.fixture
def half_hour(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> HalfHour:
    """
    Play it: some come all the time, some in the rush, some while new tokens cannot be had.
    """
    rush, outage, rejected = (people("rush", 96), people("outage", 5), people("rejected", 3))
    steady = people("steady", 20)
    deployment.aurora.add_users(
        {"email": email, "first_name": "Caller", "last_name": "Person"}
        for email in [*rush, *outage, *rejected, *steady]
    )
    deployment.clock.now = START * 60.0
    played, change = HalfHour(deployment, capsys), changes(deployment)
    for minute in range(30):
        coming = [steady[minute % 3]]
        if minute in RUSH:
            coming += rush[16 * (minute - RUSH.start) :][:16]
        if minute in range(OUTAGE.start - 2, REJECTED.stop + 2):
            coming += steady
        if minute in {*OUTAGE, OUTAGE.stop + 1}:
            coming += outage
        if minute in {*REJECTED, REJECTED.stop + 1}:
            coming += rejected
        for number, email in enumerate(coming):
            played.comes(minute, 50 * number / len(coming), email)
        change.get(minute, lambda: None)()
        played.play(minute)
    return played


def test_alarms_go_on_and_off_and_everybody_gets_in(half_hour: HalfHour) -> None:
    samples = Samples(half_hour.lines)
    on = {
        slug: sorted(at - START for at in alarm_periods(alarm, samples))
        for slug, alarm in alarms().items()
    }
    assert {slug: minutes for slug, minutes in on.items() if minutes} == {
        # Five minutes without a call left, to the end of the rush.
        "budget-exhausted": [7, 8],
        # Two of three minutes; the last cool-downs outlast the outage.
        "aurora-unavailable": [15, 16, 17, 18, 19],
        "key-rejected": [20, 21, 22],
        # Three of five minutes, over the outage and the rejected key.
        "failed-share": [16, 17, 18, 19, 20, 21, 22, 23, 24],
    }
    expected = {*people("rush", 96), *people("outage", 5), *people("rejected", 3)}
    assert expected <= half_hour.served
