"""
A new version that is taken back, and the person who always asks: only where a stage wants them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from token_vendor.observability import digest

from tests.infrastructure.conftest import Assembly, Template, filled_in, synthesize
from tests.infrastructure.test_template_lint import (
    test_cdk_nag_has_nothing_left_to_say as nag_is_content,
)
from tests.infrastructure.test_template_lint import (
    test_cfn_lint_has_nothing_to_say as cfn_lint_is_content,
)

CANARY = "canary@example.com"


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    folder = tmp_path_factory.mktemp("cdk.out")
    stage = filled_in(
        "sandbox", deployment="canary", canary_email="Canary@Example.com", business_hours="6-16"
    )
    synthesize(folder, stage, judged=True)
    return Assembly(folder)


@pytest.fixture(scope="module")
def template(careful: Assembly) -> Template:
    return careful.template("sandbox")


def test_no_stage_has_it_by_default(assembly: Assembly) -> None:
    template = assembly.template("sandbox")
    assert template.resources("AWS::CodeDeploy::DeploymentGroup") == {}
    assert template.resources("AWS::Scheduler::Schedule") == {}


def test_judges_have_nothing_to_say(careful: Assembly) -> None:
    nag_is_content(careful)
    cfn_lint_is_content(careful, "sandbox")


def test_four_alarms_take_a_version_back(template: Template) -> None:
    group = template.properties("AWS::CodeDeploy::DeploymentGroup")
    alarms = template.resources("AWS::CloudWatch::Alarm")
    guards = {
        alarms[each["Name"]["Ref"]]["Properties"]["AlarmName"]
        for each in group["AlarmConfiguration"]["Alarms"]
    }
    assert guards == {
        f"token-vendor-sandbox-{slug}"
        for slug in ("function-errors", "internal-error", "failed-share", "canary-failed")
    }
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    (alias,) = template.resources("AWS::Lambda::Alias").values()
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_the_canary_calls_what_the_gateway_calls(template: Template) -> None:
    schedule = template.properties("AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    (alias,) = template.resources("AWS::Lambda::Alias")
    assert schedule["Target"]["Arn"] == {"Ref": alias}
    event = json.loads(schedule["Target"]["Input"])
    assert event["requestContext"]["authorizer"]["jwt"]["claims"]["email"].lower() == CANARY


def test_what_is_counted_is_the_canarys_refusals(template: Template) -> None:
    pattern = template.properties("AWS::Logs::MetricFilter")["FilterPattern"]
    assert digest(CANARY) in pattern
    assert "$.audit.status >= 400" in pattern
    (transformation,) = template.properties("AWS::Logs::MetricFilter")["MetricTransformations"]
    watched = [
        each["Properties"]
        for each in template.resources("AWS::CloudWatch::Alarm").values()
        if each["Properties"]["AlarmName"].endswith("-canary-failed")
    ]
    assert [each["MetricName"] for each in watched] == [transformation["MetricName"]]
    assert [each["Namespace"] for each in watched] == [transformation["MetricNamespace"]]


def test_silence_is_noticed_although_the_canary_asks(template: Template) -> None:
    (alarm,) = [
        each["Properties"]
        for each in template.resources("AWS::CloudWatch::Alarm").values()
        if each["Properties"]["AlarmName"].endswith("-no-traffic")
    ]
    metrics: list[dict[str, Any]] = [
        each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each
    ]
    assert {each["Namespace"] for each in metrics} == {"AWS/ApiGateway"}
