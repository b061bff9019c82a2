"""What cdk-nag and cfn-lint say of the templates, and AWS's quotas with the longest names."""

import json

import pytest

from tests.infrastructure.conftest import (
    STAGES,
    Assembly,
    Template,
    cfn_lint,
    every_text,
    flat,
)

NIGHTLY = pytest.mark.nightly
# A template takes seconds, and most resources are in this one.
MOST = "given"
OTHERS = [stage for stage in STAGES if stage != MOST]
# An ARN, for example.
REFERENCE = "r" * 100


def test_cdk_nag_has_nothing_left_to_say(assembly: Assembly) -> None:
    """Every finding is mended, or acknowledged on its resource with a reason."""
    assert assembly.findings() == []


@pytest.mark.parametrize("stage", [MOST, *(pytest.param(each, marks=NIGHTLY) for each in OTHERS)])
def test_cfn_lint_has_nothing_to_say(assembly: Assembly, stage: str) -> None:
    assert cfn_lint(assembly.template(stage).path) == []


# Names whose lengths cfn-lint does not look at, with what AWS allows.
NAMES = {
    ("AWS::ApiGatewayV2::Api", "Name"): 128,
    ("AWS::ApiGatewayV2::Authorizer", "Name"): 128,
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
}


@pytest.mark.parametrize(("type_", "name"), NAMES, ids=lambda each: each.rpartition("::")[-1])
def test_longest_name_is_allowed(longest: Template, type_: str, name: str) -> None:
    for resource in longest.resources(type_).values():
        written = flat(resource.get("Properties", {}).get(name, ""), REFERENCE)
        assert len(written) <= NAMES[type_, name]


def test_stack_stays_inside_the_quotas_of_cloudformation(longest: Template) -> None:
    assert len(longest.path.stem.removesuffix(".template")) <= 128
    assert longest.path.stat().st_size < 1_000_000
    assert len(longest.data["Resources"]) <= 500
    assert len(longest.data["Outputs"]) <= 200


def test_environment_of_the_function_fits(longest: Template) -> None:
    """Lambda allows 4 KB for names and values together."""
    variables = longest.properties("AWS::Lambda::Function")["Environment"]["Variables"]
    total = sum(len(name) + len(flat(value, REFERENCE)) for name, value in variables.items())
    assert total < 4096


def test_dashboards_stay_inside_the_quotas_of_cloudwatch(template: Template) -> None:
    """At most 500 widgets a dashboard, 500 metrics a widget, 2,500 metrics a dashboard."""
    dashboards = template.every("AWS::CloudWatch::Dashboard")
    assert dashboards
    for dashboard in dashboards:
        widgets = json.loads(flat(dashboard["DashboardBody"], REFERENCE))["widgets"]
        metrics = [len(widget["properties"].get("metrics", [])) for widget in widgets]
        assert len(widgets) <= 500
        assert max(metrics) <= 500
        assert sum(metrics) <= 2500


def test_templates_tell_nothing_of_the_building_machine(template: Template) -> None:
    texts = list(every_text(template.data))
    assert not [text for text in texts if str(template.path.parent) in text or "/work/" in text]
