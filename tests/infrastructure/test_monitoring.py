"""Dashboards and alarms name only what exists, and everything that the function counts is shown."""

import json
from itertools import product
from typing import Any

import pytest
from token_vendor.observability import DIMENSIONS, Metric
from token_vendor.problems import CATALOGUE

from infra.dashboard_view.cloudwatch_math import Samples, widget_queries
from tests.infrastructure.conftest import EVERY_ALARM, Assembly, Template, flat

# What AWS's documentation says that it publishes, by namespace and dimensions.
PUBLISHED = {
    ("AWS/Lambda", ("FunctionName",)): {
        *("Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"),
    },
    ("AWS/ApiGateway", ("ApiId",)): {"Count", "4xx", "5xx", "Latency", "IntegrationLatency"},
    ("AWS/DynamoDB", ("TableName",)): {
        *("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"),
        "ConditionalCheckFailedRequests",
    },
    ("AWS/DynamoDB", ("Operation", "TableName")): {
        *("SuccessfulRequestLatency", "ThrottledRequests", "SystemErrors"),
    },
    ("AWS/Logs", ("LogGroupName",)): {"IncomingBytes"},
}
RESOURCES = {
    "FunctionName": "AWS::Lambda::Function",
    "ApiId": "AWS::ApiGatewayV2::Api",
    "TableName": "AWS::DynamoDB::Table",
    "LogGroupName": "AWS::Logs::LogGroup",
}
# Which answers each dimension can take: from the code, or from the API that the code speaks.
STATUSES = {str(status) for status in (400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 504)}
VALUES = {
    "source": {"stored", "generated"},
    "problem": set(CATALOGUE),
    "switch": {"stop-generating", "stop-inviting", "block"},
    "operation": {"list_users", "retrieve_user", "invite_user", "generate_token"},
    "outcome": {"ok", "timeout", "unreachable", "invalid", *STATUSES},
}
NAMESPACE = "AuroraTokenVendor"
# A metric as it is named: namespace, name, dimensions.
Named = tuple[str, str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def template(assembly: Assembly) -> Template:
    return assembly.template(EVERY_ALARM)


def named(row: list[Any]) -> Named | None:
    *names, last = row
    if not isinstance(last, dict):
        names = row
    if not names:  # An expression.
        return None
    namespace, name, *pairs = names
    return namespace, name, frozenset(zip(pairs[::2], pairs[1::2], strict=True))


def rows(template: Template) -> list[list[list[Any]]]:
    """Return the rows of all widgets, by dashboard."""
    return [
        [
            row
            for widget in json.loads(flat(dashboard["DashboardBody"]))["widgets"]
            for row in widget["properties"].get("metrics", [])
        ]
        for dashboard in template.every("AWS::CloudWatch::Dashboard")
    ]


def on_dashboards(template: Template) -> set[Named]:
    """Return what the dashboards name, and what of all that is emitted their searches find."""
    found = {metric for dashboard in rows(template) for row in dashboard if (metric := named(row))}
    queries = [each for dashboard in rows(template) for each in widget_queries(dashboard)]
    searches = [each for each in queries if each.expression.startswith("SEARCH")]
    lines = [
        {
            "_aws": {
                "Timestamp": 0,
                "CloudWatchMetrics": [
                    {
                        "Namespace": namespace,
                        "Dimensions": [[dimension for dimension, _ in pairs]],
                        "Metrics": [{"Name": name}],
                    }
                ],
            },
            name: 1,
            **dict(pairs),
        }
        for namespace, name, pairs in emitted()
    ]
    return found | {each.metric for each in Samples(lines).found(searches) if each.metric}


def in_alarms(template: Template) -> set[Named]:
    found = set()
    for alarm in template.every("AWS::CloudWatch::Alarm"):
        stats = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
        for metric in [each["Metric"] for each in stats] or [alarm]:
            dimensions = {each["Name"]: flat(each["Value"]) for each in metric["Dimensions"]}
            found.add((metric["Namespace"], metric["MetricName"], frozenset(dimensions.items())))
    return found


def emitted() -> set[Named]:
    """List every series that the function can emit."""
    return {
        (NAMESPACE, metric.value, frozenset({("service", "token-vendor-every-alarm"), *pairs}))
        for metric in Metric
        for pairs in product(
            *([(name, value) for value in VALUES[name]] for name in DIMENSIONS.get(metric, ()))
        )
    }


def unknown(metrics: set[Named], template: Template) -> set[Named]:
    """Return the metrics that nobody emits or publishes."""
    wrong = set()
    for namespace, name, pairs in metrics - emitted():
        dimensions = dict(pairs)
        published = PUBLISHED.get((namespace, tuple(sorted(dimensions))), set())
        resources = {
            key: template.resources(kind) for key, kind in RESOURCES.items() if key in dimensions
        }
        exists = all(dimensions[key] in found for key, found in resources.items())
        if name not in published or not exists:
            wrong.add((namespace, name, pairs))
    return wrong


def test_dashboards_and_alarms_name_only_what_exists(template):
    assert unknown(on_dashboards(template), template) == set()
    assert unknown(in_alarms(template), template) == set()


def test_every_metric_is_on_a_dashboard(template):
    shown = on_dashboards(template)
    assert emitted() - shown == set()
    assert in_alarms(template) - shown == set()


def test_red_is_what_fails_and_nothing_else(template):
    """No series is left to CloudWatch's colours: the second is orange, the fourth red."""
    from infra.stack.metrics import FAILURES, SHADES, TABLE_OPERATIONS

    # Waiting for one's turn is none.
    assert "aurora-busy" not in FAILURES
    shown = [
        row[-1] | {"name": row[1] if len(row) > 1 else ""}
        for dashboard in rows(template)
        for row in dashboard
        if row[-1].get("visible", True)
    ]
    assert [each for each in shown if "color" not in each] == []
    red = {each.get("label") or each["name"] for each in shown if each["color"] in SHADES[FAILURES]}
    failures = {*FAILURES, "5xx", "Errors", "StoreFailed", "DoubleGenerate", "WrongAccount"}
    # Answers of Aurora that are not well; and errors of the table, by operation.
    failures |= {"${PROP('Dim.outcome')}", *TABLE_OPERATIONS}
    assert red == failures


def test_every_axis_says_its_unit(template):
    for dashboard in template.every("AWS::CloudWatch::Dashboard"):
        body = json.loads(flat(dashboard["DashboardBody"]))
        # Otherwise a sum over a minute would become one over an hour when a week is looked at.
        assert body["periodOverride"] == "inherit"
        for widget in body["widgets"]:
            properties = widget["properties"]
            for row in properties.get("metrics", []):
                side = row[-1].get("yAxis", "left")
                assert properties["yAxis"][side]["label"], properties["title"]


def test_every_alarm_tells_its_runbook_and_reaches_the_topic(template):
    (topic,) = template.resources("AWS::SNS::Topic")
    alarms = template.every("AWS::CloudWatch::Alarm")
    slugs = {alarm["AlarmName"].removeprefix("token-vendor-every-alarm-") for alarm in alarms}
    assert slugs == {
        *("key-rejected", "aurora-unavailable", "failed-share", "budget-exhausted", "slow"),
        *("double-generate", "throttled", "table-errors", "function-errors", "no-traffic"),
        *("generate-refused", "internal-error", "wrong-account"),
        *("gateway-errors", "rejected-share"),
    }
    for alarm in alarms:
        slug = alarm["AlarmName"].removeprefix("token-vendor-every-alarm-")
        assert alarm["AlarmDescription"].endswith(f"docs/runbook.md#alarm-{slug}")
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
        assert alarm["TreatMissingData"] == "notBreaching"
        # A percentile of a few requests wakes nobody.
        assert (alarm.get("EvaluateLowSampleCountPercentile") == "ignore") is (slug == "slow")


def test_no_expression_rests_on_fill(template):
    """FILL gives the newest minute a value before its metrics come; an alarm may stay OK."""
    assert "FILL(" not in json.dumps(template.data)


def test_what_never_reaches_the_function_has_an_alarm(template):
    watched = {name for namespace, name, _ in in_alarms(template) if namespace == "AWS/ApiGateway"}
    assert watched == {"4xx", "5xx", "Count"}


def test_alarms_of_this_account_and_nobody_else_may_publish(template):
    """A topic that has a policy loses the default one, which lets the account's alarms in."""
    policy = template.properties("AWS::SNS::TopicPolicy")
    statements = policy["PolicyDocument"]["Statement"]
    (allowed,) = [each for each in statements if each["Effect"] == "Allow"]
    assert allowed["Action"] == "sns:Publish"
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    }


def test_a_topic_of_the_companys_takes_the_place_of_ours(assembly):
    """The stage names no address and no business hours."""
    template = assembly.template("topic-and-secret")
    assert (
        template.resources("AWS::SNS::Topic") == template.resources("AWS::SNS::Subscription") == {}
    )
    alarms = template.every("AWS::CloudWatch::Alarm")
    assert {action for each in alarms for action in each["AlarmActions"]} == {
        "arn:aws:sns:us-east-1:111122223333:alarms"
    }
    assert not [each for each in alarms if "no-traffic" in each["AlarmName"]]
