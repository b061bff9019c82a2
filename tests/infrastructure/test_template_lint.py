"""
What cdk-nag and cfn-lint say of the templates, and AWS's quotas with the longest names.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.api import ManualArgs, lint

from tests.infrastructure.test_stack import EVERY_STAGE, every_text

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Assembly, Template

# The CDK makes each function wait for its role's policy and, needlessly but harmlessly, for the
# role, which the function refers to anyway. The alias waits for what its update policy names: AWS
# says nowhere that the policy's references order an update.
NEEDLESS = re.compile(
    r"W3005 '\w+Role\w+' dependency already enforced by a 'GetAtt'"
    r"|W3005 '\w+' dependency already enforced by a 'Ref' at '[\w/]+/UpdatePolicy/"
)


def findings(assembly: Assembly) -> list[tuple[str, str]]:
    """
    Return the rule and the construct of each finding of the judges that looked on.
    """
    reports = {each["pluginName"]: each for each in assembly.report["pluginReports"]}
    assert {"AwsSolutions", "Serverless"} <= reports.keys()
    return [
        (violation["ruleName"], construct["constructPath"])
        for report in reports.values()
        for violation in report.get("violations", [])
        for construct in violation["violatingConstructs"]
    ]


def test_cdk_nag_has_nothing_left_to_say(assembly: Assembly) -> None:
    """
    Every finding is mended, or acknowledged on its resource with a reason.
    """
    assert findings(assembly) == []


@EVERY_STAGE
def test_cfn_lint_has_nothing_to_say(assembly: Assembly, stage: str) -> None:
    template = assembly.template(stage)
    matches = lint(template.path.read_text(), config=ManualArgs(regions=["us-east-1", "us-west-2"]))
    messages = [f"{each.rule.id} {each.message}" for each in matches]
    assert [each for each in messages if not NEEDLESS.search(each)] == []


# The names that a template sets itself, with the lengths that AWS allows.  What it leaves to
# CloudFormation is cut to fit there.
NAMES = {
    ("AWS::ApiGatewayV2::Api", "Name"): 128,
    ("AWS::ApiGatewayV2::Authorizer", "Name"): 128,
    ("AWS::CloudWatch::Alarm", "AlarmName"): 255,
    ("AWS::CloudWatch::CompositeAlarm", "AlarmName"): 255,
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
    ("AWS::DynamoDB::Table", "TableName"): 255,
    ("AWS::IAM::Role", "RoleName"): 64,
    ("AWS::Lambda::Alias", "Name"): 128,
    ("AWS::Lambda::Function", "FunctionName"): 64,
    ("AWS::Lambda::Function", "Description"): 256,
    ("AWS::Logs::LogGroup", "LogGroupName"): 512,
    ("AWS::Logs::MetricFilter", "FilterName"): 512,
    ("AWS::Logs::QueryDefinition", "Name"): 255,
    ("AWS::SNS::Topic", "TopicName"): 256,
    ("AWS::SNS::Topic", "DisplayName"): 100,
    ("AWS::SecretsManager::Secret", "Name"): 512,
}


def flat(value: Any) -> str:
    """
    Join a text that CloudFormation puts together, each of its references as long as an ARN may be.
    """
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return separator.join(map(flat, parts))
    return "r" * 100


@pytest.mark.parametrize(("type_", "name"), NAMES, ids=lambda each: each.rpartition("::")[-1])
def test_longest_name_is_allowed(longest: Template, type_: str, name: str) -> None:
    for resource in longest.resources(type_).values():
        assert len(flat(resource.get("Properties", {}).get(name, ""))) <= NAMES[type_, name]


def test_stack_stays_inside_the_quotas_of_cloudformation(longest: Template) -> None:
    assert len(longest.path.stem.removesuffix(".template")) <= 128
    assert longest.path.stat().st_size < 1_000_000
    assert len(longest.data["Resources"]) <= 500
    assert len(longest.data["Outputs"]) <= 200


def test_environment_of_the_function_fits(longest: Template) -> None:
    """
    Lambda allows 4 KB for names and values together.
    """
    variables = longest.properties("AWS::Lambda::Function")["Environment"]["Variables"]
    assert sum(len(name) + len(flat(value)) for name, value in variables.items()) < 4096


@EVERY_STAGE
def test_dashboards_stay_inside_the_quotas_of_cloudwatch(assembly: Assembly, stage: str) -> None:
    """
    At most 500 widgets a dashboard, 500 metrics a widget, 2,500 metrics a dashboard.
    """
    dashboards = assembly.template(stage).resources("AWS::CloudWatch::Dashboard").values()
    assert dashboards
    for dashboard in dashboards:
        widgets = json.loads(flat(dashboard["Properties"]["DashboardBody"]))["widgets"]
        metrics = [len(widget["properties"].get("metrics", [])) for widget in widgets]
        assert len(widgets) <= 500
        assert max(metrics) <= 500
        assert sum(metrics) <= 2500


@EVERY_STAGE
def test_templates_tell_nothing_of_the_building_machine(assembly: Assembly, stage: str) -> None:
    texts = list(every_text(assembly.template(stage).data))
    assert not [text for text in texts if str(assembly.folder) in text or "/work/" in text]
