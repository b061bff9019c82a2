"""The canary: its event is one as API Gateway sends it, and its alarm tells a broken version."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from infra.stack.gateway_events import canary_event
from infra.stage import StageConfig
from tests.infrastructure.conftest import Assembly, Template, synthesize
from tests.integration.alarm_scenario import FRIDAY, Scene
from tests.integration.conftest import Context
from tests.support.metric_filter import MetricFilter

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Deployment

    Version = Callable[[dict[str, Any]], object]

CANARY = "canary@example.com"
STAGE = StageConfig.of(
    "test",
    issuer="https://sign-in.example.com",
    audiences=["app"],
    cors_origins=[],
    aurora_environment="sandbox",
    aurora_tenant_id="tenant",
    deployment="canary",
    canary_email=CANARY,
)
MINUTE = 60


def test_a_day_of_the_canary_generates_three_times_at_most(deployment: Deployment) -> None:
    event = canary_event(STAGE)
    emails = set()
    # Every fifth call of the schedule: what a generate waits for is the end of a token.
    for _ in range(24 * 12):
        answer = deployment.send(event)
        assert answer.status == 200
        emails.add(answer.body["user"]["email"])
        deployment.clock.advance(5 * MINUTE)
    assert emails == {CANARY}
    assert deployment.calls()["generate_token"] <= 3


# What the stack makes of it.


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder: Path = tmp_path_factory.mktemp("cdk.out")
    synthesize(folder, STAGE)
    return Assembly(folder).template("test")


class CrashedError(Exception):
    """Say that a version ended without an answer."""


class Watch:
    """
    Minutes in which the canary's schedule calls the version behind the alias.

    What decides is the template's: what is sent and how often, which lines of the log are counted,
    and when an alarm is on.
    """

    def __init__(self, template: Template, scene: Scene, log: io.StringIO) -> None:
        schedule = template.properties("AWS::Scheduler::Schedule")
        assert schedule["ScheduleExpression"] == "rate(1 minute)"
        self._event = json.loads(schedule["Target"]["Input"])
        self._filter = MetricFilter(template.properties("AWS::Logs::MetricFilter"))
        self._function = template.properties("AWS::Lambda::Alias")["FunctionName"]
        self._scene = scene
        self._log = log
        self._minute = 0

    def minutes(self, number: int, version: Version) -> None:
        """Have a version behind the alias for some minutes."""
        for _ in range(number):
            # The canary's second is its schedule's own.
            self._scene.deployment.clock.now = FRIDAY.timestamp() + self._minute * MINUTE + 20
            self._minute += 1
            crashed = 0
            try:
                version(self._event)
            except CrashedError:
                crashed = 1
            for line in map(json.loads, self._log.getvalue().splitlines()):
                if sample := self._filter.sample(line):
                    self._scene.emitted(sample)
                if "_aws" in line:
                    self._scene.emitted(line)
            self._log.seek(0)
            self._log.truncate()
            # What Lambda itself counts.
            self._scene.emitted(errors(self._function, crashed))


def errors(function: Any, number: int) -> dict[str, Any]:
    directive = {
        "Namespace": "AWS/Lambda",
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": "Errors"}],
    }
    meta = {"CloudWatchMetrics": [directive]}
    return {"_aws": meta, "FunctionName": str(function), "Errors": number}


@pytest.fixture
def scene(template: Template, deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> Scene:
    alarms = {
        each["Properties"]["AlarmName"].removeprefix("token-vendor-test-"): each["Properties"]
        for each in template.resources("AWS::CloudWatch::Alarm").values()
    }
    return Scene(deployment, alarms, capsys)


@pytest.fixture
def watch(template: Template, scene: Scene, log: io.StringIO) -> Watch:
    return Watch(template, scene, log)


@pytest.fixture
def guards(template: Template) -> set[str]:
    """Give the alarms that take a version back."""
    group = template.properties("AWS::CodeDeploy::DeploymentGroup")
    named = [each["Name"]["Ref"] for each in group["AlarmConfiguration"]["Alarms"]]
    alarms = [template.data["Resources"][each]["Properties"]["AlarmName"] for each in named]
    return {each.removeprefix("token-vendor-test-") for each in alarms}


def version(deployment: Deployment, **settings: str) -> Version:
    """Make a version of the function with other settings."""
    deployment.restart(**settings)
    service = deployment.service
    return lambda event: service.answer(event, Context())


def raising(deployment: Deployment) -> Version:
    """Make a version with a defect that nobody foresaw."""

    def raise_what_nobody_foresaw(*_: object) -> None:
        raise KeyError("a defect")

    deployment.restart()
    service = deployment.service
    broken: Any = SimpleNamespace(vend=raise_what_nobody_foresaw)
    service._parts = replace(deployment.parts, vendor=broken)
    return lambda event: service.answer(event, Context())


def crashing(_: Deployment) -> Version:
    """Make a version that does not answer: it does not load, or runs out of time."""

    def crash(_: dict[str, Any]) -> None:
        raise CrashedError

    return crash


BROKEN = (5, 6, 7, 8, 9)
TOLD = {"canary-failed": [7, 8, 9, 10, 11]}
"""From the end of the third minute until two of five are left."""


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("broken", "on"),
    [
        (raising, TOLD | {"internal-error": [*BROKEN]}),
        # It writes no line that a filter could count: Lambda's own count is the alarm.
        (crashing, {"function-errors": [*BROKEN]}),
    ],
)
def test_broken_version_is_told_within_five_minutes(
    watch: Watch,
    scene: Scene,
    guards: set[str],
    broken: Callable[[Deployment], Version],
    on: dict[str, list[int]],
) -> None:
    """Only the canary asks; three minutes after the working version is back, no alarm is on."""
    working = version(scene.deployment)
    watch.minutes(BROKEN[0], working)
    watch.minutes(len(BROKEN), broken(scene.deployment))
    watch.minutes(6, working)
    assert scene.on() == on
    guarding = [minute for slug, minutes in on.items() if slug in guards for minute in minutes]
    assert min(guarding) < BROKEN[0] + 5
    assert max(guarding) < BROKEN[-1] + 3


@pytest.mark.nightly
def test_aurora_that_fails_the_canary_for_long_is_told(watch: Watch, scene: Scene) -> None:
    """The canary needs a new token just then."""
    working = version(scene.deployment)
    aurora = scene.deployment.aurora
    aurora.fail({"operation": "generate_token", "kind": "status", "status": 503, "times": 1000})
    watch.minutes(3, working)
    aurora.fail()
    watch.minutes(6, working)
    assert scene.on() == {"canary-failed": [2, 3, 4, 5]}
