"""The reading before the working day: only where a stage asks for it."""

import json
from pathlib import Path

import pytest
from token_vendor.forecast import LANES
from token_vendor.prewarm import lane_of

from tests.infrastructure.conftest import Assembly, Template, listed

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
AT_HALF_PAST_SIX = "cron(30 6 ? * MON-FRI *)"


@pytest.fixture(scope="module")
def template(assembly: Assembly) -> Template:
    return assembly.template("scheduled")


def test_it_runs_the_same_asset_in_the_stages_time_zone(template: Template) -> None:
    schedules = template.every("AWS::Scheduler::Schedule")
    lanes = [each for each in schedules if each["ScheduleExpression"] != AT_HALF_PAST_SIX]
    assert len(schedules) == LANES + 1
    assert {each["ScheduleExpression"] for each in lanes} == {"cron(0/15 3-8 ? * MON-FRI *)"}
    events = [json.loads(each["Target"]["Input"]) for each in lanes]
    assert [lane_of(event) for event in events] == [(lane, LANES) for lane in range(LANES)]
    assert {each["ScheduleExpressionTimezone"] for each in schedules} == {"America/Los_Angeles"}
    functions = template.every("AWS::Lambda::Function")
    handlers = {each["Handler"]: json.dumps(each["Code"]) for each in functions}
    assert set(handlers) == {
        "token_vendor.handler.handler",
        "token_vendor.prewarm.handler",
        "token_vendor.scheduled.handler",
    }
    assert len(set(handlers.values())) == 1
    one, *others = (each["Environment"] for each in functions)
    assert others == [one, one]


def test_its_role_may_do_what_the_functions_role_may(template: Template) -> None:
    """
    Both roles have the same rights on table, secret and key, and each may write to its own log.

    What generates before people come may look at everybody's item too.
    """
    from infra.stack.token_vendor import EVERYBODY_ACTION

    allowed = []
    for policy in template.every("AWS::IAM::Policy"):
        statements = policy["PolicyDocument"]["Statement"]
        actions = {action for each in statements for action in listed(each["Action"])}
        if any("dynamodb" in each for each in actions):
            allowed.append(actions)
    reading, vendor, prewarm = sorted(allowed, key=len)
    assert reading == vendor
    assert prewarm - vendor == {EVERYBODY_ACTION}


def test_failed_run_is_an_alarm_of_its_own(template: Template) -> None:
    alarm = template.alarm("prewarm-failed")
    [metric] = [each["MetricStat"]["Metric"] for each in alarm["Metrics"]]
    (function,) = [
        name
        for name, each in template.resources("AWS::Lambda::Function").items()
        if each["Properties"]["Handler"] == "token_vendor.prewarm.handler"
    ]
    assert metric["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]
    assert (metric["MetricName"], alarm["Threshold"]) == ("Errors", 1)
    assert alarm["AlarmActions"]
    assert "## Alarm: prewarm-failed" in RUNBOOK.read_text()
