"""
A scene: minutes that are played with the real service, and the alarms that were on in them.

What is on is computed, as CloudWatch would, from what the service emitted.
"""

from __future__ import annotations

import heapq
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.dashboard_view.cloudwatch_math import Samples, alarm_periods
from infra.stage import StageConfig

if TYPE_CHECKING:
    import pytest

    from tests.integration.conftest import Deployment

FRIDAY = datetime(2025, 6, 20, 14, tzinfo=UTC)
FUNCTION = "function"
STAGE = {
    "issuer": "https://sign-in.example.com",
    "audiences": ["app"],
    "cors_origins": [],
    "aurora_environment": "sandbox",
    "aurora_tenant_id": "tenant",
    "business_hours": "6-16",
}
Alarms = dict[str, dict[str, Any]]


def synthesized_alarms() -> Alarms:
    """Synthesize the alarms of a stage, by slug."""
    from aws_cdk import App, Stack
    from aws_cdk.assertions import Template

    from infra.stack.metrics import Measures
    from infra.stack.monitoring import Monitoring

    stack = Stack(App(), "Stack")
    measures = Measures(
        stage="test", function_name=FUNCTION, api_id="a", table_name="t", log_group_name="l"
    )
    stage = StageConfig.read({"test": STAGE}, "test", {})
    Monitoring(stack, "Monitoring", stage=stage, measures=measures, log_group_name="l")
    found = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
    properties = [resource["Properties"] for resource in found]
    return {each["AlarmName"].removeprefix("token-vendor-test-"): each for each in properties}


class Scene:
    """Minutes in which people come, and come back when they are told to."""

    def __init__(
        self, deployment: Deployment, alarms: Alarms, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.deployment = deployment
        self.served: set[str] = set()
        self._alarms = alarms
        self._capsys = capsys
        self._queue: list[tuple[float, str]] = []
        self._lines: list[dict[str, Any]] = []
        self.begin(FRIDAY)

    def begin(self, moment: datetime) -> None:
        self.deployment.clock.now = moment.timestamp()
        self._start = self._minute = int(moment.timestamp()) // 60

    def minute(self, *coming: str) -> None:
        """Play the next minute: serve these, evenly spread, and whoever comes back within it."""
        waiting = {email for _, email in self._queue}
        for number, email in enumerate(coming):
            if email not in waiting:
                moment = self._minute * 60 + 50 * number / len(coming)
                heapq.heappush(self._queue, (moment, email))
        self._minute += 1
        clock = self.deployment.clock
        while self._queue and self._queue[0][0] < self._minute * 60:
            moment, email = heapq.heappop(self._queue)
            clock.now = max(clock.now, moment)
            answer = self.deployment.vend(email)
            if answer.status == 200:
                self.served.add(email)
            elif "retry_at" in answer.body:
                back = datetime.fromisoformat(answer.body["retry_at"]).timestamp()
                heapq.heappush(self._queue, (back, email))
            for line in self._capsys.readouterr().out.splitlines():
                if '"_aws"' in line:
                    self.emitted(json.loads(line))

    def quiet(self, minutes: int) -> None:
        self._minute += minutes

    def emitted(self, line: dict[str, Any]) -> None:
        """Keep a line; the library stamps it with the machine's time, and a scene has its own."""
        line["_aws"]["Timestamp"] = self.deployment.clock.now * 1000
        self._lines.append(line)

    def on(self) -> dict[str, list[int]]:
        """Return the alarms that were on, each with its minutes since the beginning."""
        samples = Samples(self._lines)
        on = {slug: alarm_periods(alarm, samples) for slug, alarm in self._alarms.items()}
        return {
            slug: sorted(at - self._start for at in periods)
            for slug, periods in on.items()
            if periods
        }
