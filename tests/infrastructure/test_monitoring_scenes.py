"""
Minutes that are played with the real service, and the alarms that were on in them.

What is on is computed, as CloudWatch would, from what the service emitted. A scene for each alarm
that the service leads to: it is on, alone, and goes off again. A rush, an outage and the recovery
from them take seconds, because time is played.
"""

import heapq
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from token_vendor.handler import Endpoint
from token_vendor.observability import logger, recorder

from infra.dashboard_view.cloudwatch_math import Samples, alarm_periods
from infra.stack.gateway_events import canary_event
from tests.infrastructure.conftest import CAREFUL, EVERY_ALARM, Assembly, Template, filled_in
from tests.integration.conftest import Context, Deployment, deployed
from tests.integration.test_store_failures import Wire
from tests.support.metric_filter import MetricFilter

Version = Callable[[dict[str, Any]], object]

FRIDAY = datetime(2025, 6, 20, 14, tzinfo=UTC)
MINUTE = 60


class Scene:
    """Minutes in which people come, and come back when they are told to."""

    def __init__(
        self, deployment: Deployment, template: Template, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.deployment = deployment
        self._service = f"token-vendor-{template.stage}"
        self.served: set[str] = set()
        self._alarms = {
            each["AlarmName"].removeprefix(f"{self._service}-"): each
            for each in template.every("AWS::CloudWatch::Alarm")
        }
        self._capsys = capsys
        self._queue: list[tuple[float, str]] = []
        self._lines: list[dict[str, Any]] = []
        self.begin(FRIDAY)

    def begin(self, moment: datetime) -> None:
        self.deployment.clock.now = moment.timestamp()
        self._start = self._minute = int(moment.timestamp()) // 60

    def minute(self, *coming: str) -> None:
        """Play a minute: serve these people at even intervals, and those who come back in it."""
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
            self.hear()

    def hear(self) -> None:
        """Keep what the service has emitted since the last time."""
        for line in map(json.loads, self._capsys.readouterr().out.splitlines()):
            self.printed(line)

    def printed(self, line: dict[str, Any]) -> None:
        if "_aws" in line:
            self.emitted(line)

    def quiet(self, minutes: int) -> None:
        self._minute += minutes

    def emitted(self, line: dict[str, Any]) -> None:
        """Keep a line, stamped with the scene's time and as the stage's."""
        line["_aws"]["Timestamp"] = self.deployment.clock.now * 1000
        line["service"] = self._service
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


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with deployed() as deployment:
        yield deployment


@pytest.fixture
def scene(
    deployment: Deployment,
    assembly: Assembly,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    # So that latency is of the scene's time, too.
    monkeypatch.setattr(recorder, "timer", deployment.clock)
    return Scene(deployment, assembly.template(EVERY_ALARM), capsys)


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


def test_double_generate(scene: Scene) -> None:
    """A lease ends while Aurora works, and another environment generates for the same caller."""
    caller, other = people(scene, "caller", 2)
    minutes(scene, 2, [other])
    scene.deployment.lose_the_lease(caller)
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


# The canary --------------------------------------------------------------------------------------


def test_a_day_of_the_canary_generates_three_times_at_most(deployment: Deployment) -> None:
    event = canary_event(filled_in("careful", **CAREFUL))
    emails = set()
    # Every fifth call of the schedule: what a generate waits for is the end of a token.
    for _ in range(24 * 12):
        answer = deployment.send(event)
        assert answer.status == 200
        emails.add(answer.body["user"]["email"])
        deployment.clock.advance(5 * MINUTE)
    assert emails == {"canary@example.com"}
    assert deployment.calls()["generate_token"] <= 3


class CrashedError(Exception):
    """Say that a version ended without an answer."""


class Watch(Scene):
    """
    Minutes in which the canary's schedule calls the version behind the alias.

    What decides is the template's: what is sent, and which lines of the log are counted.
    """

    def __init__(
        self, deployment: Deployment, template: Template, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(deployment, template, capsys)
        schedule = template.properties("AWS::Scheduler::Schedule")
        self._event = json.loads(schedule["Target"]["Input"])
        self._filter = MetricFilter(template.properties("AWS::Logs::MetricFilter"))
        self._function = template.properties("AWS::Lambda::Alias")["FunctionName"]

    def minutes(self, number: int, version: Version) -> None:
        """Have a version behind the alias for some minutes."""
        for _ in range(number):
            # The canary's second is its schedule's own.
            self.deployment.clock.now = self._minute * MINUTE + 20
            self._minute += 1
            crashed = 0
            try:
                version(self._event)
            except CrashedError:
                crashed = 1
            self.hear()
            self.emitted(errors(self._function, crashed))

    def printed(self, line: dict[str, Any]) -> None:
        if sample := self._filter.sample(line):
            self.emitted(sample)
        super().printed(line)


def errors(function: Any, number: int) -> dict[str, Any]:
    """Make the metric that Lambda itself counts."""
    directive = {
        "Namespace": "AWS/Lambda",
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": "Errors"}],
    }
    meta = {"CloudWatchMetrics": [directive]}
    return {"_aws": meta, "FunctionName": str(function), "Errors": number}


@pytest.fixture
def watch(
    deployment: Deployment,
    assembly: Assembly,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Watch:
    monkeypatch.setattr(logger.registered_handler, "stream", io.StringIO())
    return Watch(deployment, assembly.template("careful"), capsys)


def working(deployment: Deployment) -> Version:
    deployment.restart()
    service = deployment.service
    return lambda event: service.answer(event, Context())


def raising(deployment: Deployment) -> Version:
    """Make a version with a defect that nobody foresaw."""

    def raise_what_nobody_foresaw(*_: object) -> None:
        raise KeyError("a defect")

    deployment.restart()
    broken: Any = SimpleNamespace(vend=raise_what_nobody_foresaw)
    service = Endpoint(replace(deployment.parts, vendor=broken))
    return lambda event: service.answer(event, Context())


def crashing(_: Deployment) -> Version:
    """Make a version that does not answer: it does not load, or runs out of time."""

    def crash(_: dict[str, Any]) -> None:
        raise CrashedError

    return crash


BROKEN = [5, 6, 7, 8, 9]
TOLD = {"canary-failed": [7, 8, 9, 10, 11]}
"""From the end of the third minute until two of five are left."""


@pytest.mark.parametrize(
    ("broken", "on"),
    [
        (raising, TOLD | {"internal-error": BROKEN}),
        # It writes no line that a filter could count: Lambda's own count is the alarm.
        (crashing, {"function-errors": BROKEN}),
    ],
)
def test_broken_version_is_told_within_five_minutes(
    watch: Watch, broken: Callable[[Deployment], Version], on: dict[str, list[int]]
) -> None:
    """Only the canary asks; three minutes after the working version is back, no alarm is on."""
    good = working(watch.deployment)
    watch.minutes(BROKEN[0], good)
    watch.minutes(len(BROKEN), broken(watch.deployment))
    watch.minutes(6, good)
    assert watch.on() == on


def test_aurora_that_fails_the_canary_for_long_is_told(watch: Watch) -> None:
    """The canary needs a new token just then."""
    good = working(watch.deployment)
    aurora = watch.deployment.aurora
    aurora.fail({"operation": "generate_token", "kind": "status", "status": 503, "times": 1000})
    watch.minutes(3, good)
    aurora.fail()
    watch.minutes(6, good)
    assert watch.on() == {"canary-failed": [2, 3, 4, 5]}
