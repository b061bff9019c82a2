"""A new version that is tried and taken back, and the canary: where a stage wants it."""

import json
from typing import Any

import pytest
from before_traffic.hook import CODEDEPLOY, LAMBDA, PAUSE, READ_TIMEOUT, REPORTING
from token_vendor.settings import GATEWAY_TIMEOUT

from infra.stack.gateway_events import NOBODY
from tests.infrastructure.conftest import Assembly, Template, every_text, flat, listed
from tests.infrastructure.test_template_lint import REFERENCE

CANARY = "canary@example.com"
FUNCTION, ALIAS, POLICY = "AWS::Lambda::Function", "AWS::Lambda::Alias", "AWS::IAM::Policy"
INIT = 10
"""
Seconds that Lambda gives a function to load.
"""


@pytest.fixture(scope="module")
def template(assembly: Assembly) -> Template:
    return assembly.template("careful")


def test_four_alarms_take_a_version_back(template: Template) -> None:
    group = template.properties("AWS::CodeDeploy::DeploymentGroup")
    alarms = template.resources("AWS::CloudWatch::Alarm")
    guards = {
        alarms[each["Name"]["Ref"]]["Properties"]["AlarmName"]
        for each in group["AlarmConfiguration"]["Alarms"]
    }
    assert guards == {
        f"token-vendor-careful-{slug}"
        for slug in ("function-errors", "internal-error", "failed-share", "canary-failed")
    }
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    (alias,) = template.resources("AWS::Lambda::Alias").values()
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_the_canary_calls_what_the_gateway_calls(template: Template) -> None:
    schedule = template.properties("AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    (alias,) = template.resources("AWS::Lambda::Alias")
    assert schedule["Target"]["Arn"] == {"Ref": alias}
    event = json.loads(schedule["Target"]["Input"])
    assert event["requestContext"]["authorizer"]["jwt"]["claims"]["email"].lower() == CANARY


def test_every_refusal_of_the_canary_is_counted(template: Template) -> None:
    pattern = template.properties("AWS::Logs::MetricFilter")["FilterPattern"]
    assert "$.audit.status >= 400" in pattern


def test_silence_is_noticed_although_the_canary_asks(template: Template) -> None:
    metrics = template.alarm("no-traffic")["Metrics"]
    watched = [each["MetricStat"]["Metric"] for each in metrics if "MetricStat" in each]
    assert {each["Namespace"] for each in watched} == {"AWS/ApiGateway"}


# Before it gets traffic.


def hook(template: Template) -> tuple[str, dict[str, Any]]:
    """Return the logical id and the properties of the function that tries a new version."""
    (found,) = [
        (id_, each["Properties"])
        for id_, each in template.resources(FUNCTION).items()
        if each["Properties"]["Handler"] == "hook.handler"
    ]
    return found


def live(template: Template) -> dict[str, Any]:
    """Return the alias that CodeDeploy shifts."""
    (found,) = [each for each in template.resources(ALIAS).values() if "UpdatePolicy" in each]
    return found


def allowed(template: Template, role: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what a role may do, each action with its resource."""
    (name, _) = role["Fn::GetAtt"]
    return [
        (action, statement["Resource"])
        for policy in template.every(POLICY)
        if policy["Roles"] == [{"Ref": name}]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        if not action.startswith("ec2:")
    ]


@pytest.fixture(scope="module", params=["careful", "careful-given"])
def each(request: pytest.FixtureRequest, assembly: Assembly) -> Template:
    return assembly.template(request.param)


def test_codedeploy_has_the_new_version_tried_first(each: Template) -> None:
    """The version that is tried is the one that the alias is to get; the two share no code."""
    id_, function = hook(each)
    shifted = live(each)
    update = shifted["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == {"Ref": id_}
    (version, attribute) = shifted["Properties"]["FunctionVersion"]["Fn::GetAtt"]
    assert attribute == "Version"
    assert function["Environment"]["Variables"]["NEW_VERSION"] == {"Ref": version}
    vendor = each.data["Resources"][shifted["Properties"]["FunctionName"]["Ref"]]["Properties"]
    assert function["Code"] != vendor["Code"]
    assert "SnapStart" not in function


def test_hook_may_call_this_version_and_answer_for_this_deployment(each: Template) -> None:
    _, function = hook(each)
    (version, _) = live(each)["Properties"]["FunctionVersion"]["Fn::GetAtt"]
    may = allowed(each, function["Role"])
    log = {"Fn::GetAtt": [function["LoggingConfig"]["LogGroup"]["Ref"], "Arn"]}
    group = each.id("AWS::CodeDeploy::DeploymentGroup")
    application = each.id("AWS::CodeDeploy::Application")
    assert [resource for action, resource in may if action == "lambda:InvokeFunction"] == [
        {"Ref": version}
    ]
    at_codedeploy = {action: arn for action, arn in may if action.startswith("codedeploy:")}
    assert set(at_codedeploy) == {
        "codedeploy:GetDeployment",
        "codedeploy:PutLifecycleEventHookExecutionStatus",
    }
    for arn in at_codedeploy.values():
        *_, before, its_application, slash, its_group = arn["Fn::Join"][1]
        assert before.endswith(":deploymentgroup:")
        assert (its_application, slash) == ({"Ref": application}, "/")
        assert its_group == {"Ref": group}
    assert {action for action, arn in may if arn == log} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }
    assert len(may) == 5
    assert not [text for text in every_text(may) if "*" in text]


def test_codedeploy_may_call_the_hook_before_it_shifts(each: Template) -> None:
    """Its own policy of AWS covers only functions whose name begins with `CodeDeployHook_`."""
    id_, _ = hook(each)
    role = each.properties("AWS::CodeDeploy::DeploymentGroup")["ServiceRoleArn"]
    assert allowed(each, role) == [("lambda:InvokeFunction", {"Fn::GetAtt": [id_, "Arn"]})]
    policies = {
        found["Properties"]["Roles"][0]["Ref"]: name
        for name, found in each.resources(POLICY).items()
    }
    name = role["Fn::GetAtt"][0]
    group = each.id("AWS::CodeDeploy::DeploymentGroup")
    assert {name, policies[name], id_, group} <= set(live(each)["DependsOn"])
    its_own = hook(each)[1]["Role"]["Fn::GetAtt"][0]
    assert {its_own, policies[its_own]} <= set(each.data["Resources"][id_]["DependsOn"])


def test_hook_answers_before_its_own_time_is_up(each: Template) -> None:
    """A new version gets the time of a cold start and of its longest request, and a second try."""
    _, function = hook(each)
    assert READ_TIMEOUT > GATEWAY_TIMEOUT + INIT
    assert LAMBDA.read_timeout == READ_TIMEOUT
    assert CODEDEPLOY.retries["total_max_attempts"] * 5 < REPORTING
    assert function["Timeout"] > 3 * READ_TIMEOUT + REPORTING + PAUSE


def test_without_a_canary_only_the_table_is_asked(each: Template, template: Template) -> None:
    _, function = hook(each)
    variables = function["Environment"]["Variables"]
    asked = [event["routeKey"] for event in json.loads(variables["EVENTS"])]
    has_canary = each.path == template.path
    assert asked == ["DELETE /token", "POST /token"][: 2 if has_canary else 1]
    assert NOBODY in variables["EVENTS"]
    assert (CANARY in variables["EVENTS"].lower()) is has_canary
    assert sum(len(name) + len(flat(value, REFERENCE)) for name, value in variables.items()) < 4096


def test_the_canarys_vend_is_its_schedules(template: Template) -> None:
    """The same identity: for another one, Aurora would be asked who owns the account."""
    _, function = hook(template)
    _, vend = json.loads(function["Environment"]["Variables"]["EVENTS"])
    assert vend == json.loads(template.properties("AWS::Scheduler::Schedule")["Target"]["Input"])
