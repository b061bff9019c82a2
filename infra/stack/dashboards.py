"""The two dashboards: *service* shows whether people get in, *operations* where it fails."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Aws
from aws_cdk import aws_cloudwatch as cw
from constructs import Construct
from token_vendor.control import Switch
from token_vendor.observability import Metric
from token_vendor.problems import CATALOGUE

from infra.stack.log_queries import QUERIES, WIDE
from infra.stack.metrics import (
    FAILURES,
    NEUTRAL,
    OPERATIONS,
    REFUSALS,
    SHADES,
    TABLE_OPERATIONS,
    Measures,
    math,
)

Series = cw.Metric | cw.MathExpression
REQUESTS, CALLS = "requests a minute", "calls a minute"
FULL, HALF, THIRD = 24, 12, 8

HEALTHY = """
### What healthy looks like
- **Vended** follows your people's day; almost all of it is *stored*.
- **Latency** p50 below 100 ms. p99 of some seconds: Aurora
just generated somebody's token.
- **Problems**: none, or `caller-not-identified` and `user-not-eligible` at a trickle.
- **Refused by a switch**: none, unless somebody switched: `token-vendor switch` shows it.
- **Aurora's budget**: calls left is near its top. At 08:00 it may touch 0 for some minutes:
people get *turns*, come back by themselves and get in.

An alarm is on? Its description names its section of docs/runbook.md.
"""


@dataclass(frozen=True)
class Graph:
    """A widget with lines; `unit` and `right_unit` name its axes, `most` ends the left one."""

    title: str
    left: Sequence[Series]
    unit: str
    right: Sequence[Series] = ()
    right_unit: str = ""
    colors: Sequence[str] = NEUTRAL
    stacked: bool = False
    most: float | None = None

    def drawn(self, width: int) -> cw.GraphWidget:
        """Return the widget; a series without a colour gets the next of `colors`."""
        free = iter(self.colors)
        left, right = (
            list[cw.IMetric](each if each.color else each.with_(color=next(free)) for each in side)
            for side in (self.left, self.right)
        )
        return cw.GraphWidget(
            title=self.title,
            left=left,
            right=right,
            width=width,
            height=7,
            stacked=self.stacked,
            left_y_axis=cw.YAxisProps(min=0, max=self.most, label=self.unit, show_units=False),
            right_y_axis=cw.YAxisProps(min=0, label=self.right_unit or None, show_units=False),
            legend_position=cw.LegendPosition.BOTTOM,
        )


def _side_by_side(graphs: Sequence[Graph]) -> list[cw.GraphWidget]:
    return [each.drawn(FULL // len(graphs)) for each in graphs]


def service_dashboard(
    scope: Construct, *, stage: str, measures: Measures, alarms: list[cw.IAlarm]
) -> cw.Dashboard:
    own = measures.own
    stored = own(Metric.VENDED, label="stored", source="stored")
    generated = own(Metric.VENDED, label="generated", source="generated")
    share = math(
        "100 * SUM([stored, TIME_SERIES(0)]) / SUM([stored, generated])",
        "stored, %",
        stored=stored,
        generated=generated,
    )
    dashboard = _dashboard(scope, "Service", stage)
    dashboard.add_widgets(cw.AlarmStatusWidget(title="Alarms", alarms=alarms, width=FULL, height=3))
    vended = (
        Graph("Vended, by source", [stored, generated], unit="tokens a minute", stacked=True),
        Graph("Stored share", [share], unit="% of vended tokens", most=100),
    )
    well = cw.TextWidget(markdown=HEALTHY, width=THIRD, height=7)
    dashboard.add_widgets(well, *(each.drawn(THIRD) for each in vended))
    problems = (
        Graph("Problems, by type", measures.problems(*CATALOGUE), unit=REQUESTS, stacked=True),
        Graph(
            "Latency", [own(Metric.LATENCY, p, label=p) for p in ("p50", "p95", "p99")], unit="ms"
        ),
    )
    waiting = (
        Graph(
            "Aurora's budget",
            [own(Metric.BUDGET_LEFT, "Minimum", label="least left in the next minute")],
            unit="calls",
            right=[own(Metric.TURN_GIVEN, label="turns given")],
            right_unit="turns a minute",
        ),
        Graph(
            "Waiting (p95)",
            [
                own(Metric.BUDGET_WAIT, "p95", label="until the reserved slot"),
                own(Metric.LEASE_WAIT, "p95", label="for somebody else's generate"),
            ],
            unit="ms",
            right=[own(Metric.LEASE_WAITED, label="requests that waited for somebody else")],
            right_unit=REQUESTS,
        ),
    )
    api = measures.api
    done = (
        Graph("What people are answered", [api("Count"), api("4xx"), api("5xx")], unit=REQUESTS),
        Graph(
            "What was done",
            [
                own(metric, label=label)
                for metric, label in (
                    (Metric.GENERATED, "generated"),
                    (Metric.PREWARMED, "generated before its owner came"),
                    (Metric.RENEWED, "renewed: the caller said that the token failed"),
                    (Metric.STALE_VENDED, "stored token vended because Aurora failed"),
                    (Metric.INVITED, "invited"),
                    (Metric.FORGOTTEN, "forgotten: signed out"),
                )
            ],
            unit="times a minute",
        ),
        Graph(
            "Refused by a switch (token-vendor switch)",
            [
                own(Metric.SWITCHED_OFF, label=switch, switch=switch)
                for switch in (Switch.STOP_GENERATING, Switch.STOP_INVITING, Switch.BLOCK)
            ],
            unit=REQUESTS,
        ),
    )
    for row in (problems, waiting, done):
        dashboard.add_widgets(*_side_by_side(row))
    return dashboard


def operations_dashboard(
    scope: Construct, *, stage: str, memory_mb: int, measures: Measures, log_group_name: str
) -> cw.Dashboard:
    dashboard = _dashboard(scope, "Operations", stage)
    for row in (
        _function_and_api(measures),
        _table(measures),
        [
            Graph(f"Aurora: {operation}", measures.outcomes(operation), unit=CALLS, stacked=True)
            for operation in OPERATIONS
        ],
        _oddities_and_cost(measures, memory_mb),
    ):
        dashboard.add_widgets(*_side_by_side(row))
    dashboard.add_variable(
        cw.DashboardVariable(
            id="caller",
            label="Caller: SHA-256 of the e-mail (token-vendor show EMAIL --raw prints it)",
            type=cw.VariableType.PATTERN,
            value="CALLER_SHA256",
            input_type=cw.VariableInputType.INPUT,
            default_value=cw.DefaultValue.value("CALLER_SHA256"),
        )
    )
    queries = [
        cw.LogQueryWidget(
            title=title,
            log_group_names=[log_group_name],
            query_lines=list(lines),
            width=FULL if title in WIDE else HALF,
            height=6,
        )
        for title, lines in QUERIES.items()
    ]
    dashboard.add_widgets(*queries)
    return dashboard


def _dashboard(scope: Construct, kind: str, stage: str) -> cw.Dashboard:
    return cw.Dashboard(
        scope,
        kind,
        # An account has dashboards in no region: those of two regions need two names.
        dashboard_name=f"token-vendor-{stage}-{kind.lower()}-{Aws.REGION}",
        # A sum is one of a minute, as its axis says, however long the time that is looked at.
        period_override=cw.PeriodOverride.INHERIT,
    )


def _function_and_api(measures: Measures) -> list[Graph]:
    function, api = measures.function, measures.api
    return [
        Graph(
            "Function",
            [function("Invocations"), function("Errors"), function("Throttles")],
            unit="invocations a minute",
            right=[
                function("ConcurrentExecutions", "Maximum", "environments at work"),
                measures.own(Metric.COLD_START, label="environments started"),
            ],
            right_unit="environments",
        ),
        Graph(
            "Function: duration",
            [function("Duration", statistic, statistic) for statistic in ("p50", "p99", "Maximum")],
            unit="ms",
        ),
        Graph("API", [api("Count"), api("4xx"), api("5xx")], unit=REQUESTS),
        Graph(
            "API: latency",
            [
                api("Latency", "p50", "p50"),
                api("Latency", "p99", "p99"),
                api("IntegrationLatency", "p99", "function's part, p99"),
            ],
            unit="ms",
        ),
    ]


def _table(measures: Measures) -> list[Graph]:
    table = measures.table

    def by_operation(
        title: str, name: str, *, colors: Sequence[str], statistic: str = "Sum", unit: str = CALLS
    ) -> Graph:
        metrics = [table(name, statistic, operation) for operation in TABLE_OPERATIONS]
        return Graph(title, metrics, unit=unit, colors=colors)

    return [
        Graph(
            "Table: capacity used",
            [
                table("ConsumedReadCapacityUnits", label="read"),
                table("ConsumedWriteCapacityUnits", label="written"),
            ],
            unit="units a minute",
            right=[table("ConditionalCheckFailedRequests", label="conditions that did not hold")],
            right_unit=CALLS,
        ),
        by_operation(
            "Table: latency (p99)",
            "SuccessfulRequestLatency",
            colors=NEUTRAL,
            statistic="p99",
            unit="ms",
        ),
        by_operation("Table: throttled", "ThrottledRequests", colors=SHADES[REFUSALS]),
        by_operation("Table: AWS's own errors", "SystemErrors", colors=SHADES[FAILURES]),
    ]


def _oddities_and_cost(measures: Measures, memory_mb: int) -> list[Graph]:
    own = measures.own
    gigabytes = memory_mb / 1024
    return [
        Graph(
            "Aurora: latency (p95)",
            [
                own(Metric.AURORA_LATENCY, "p95", label=operation, operation=operation)
                for operation in OPERATIONS
            ],
            unit="ms",
        ),
        Graph(
            "Should be rare",
            [
                own(Metric.DOUBLE_GENERATE),
                own(Metric.WRONG_ACCOUNT),
                own(Metric.UNDATED),
                own(Metric.STORE_FAILED),
                own(Metric.KEY_REREAD),
                own(Metric.DIRECTORY_READ),
            ],
            unit="times a minute",
        ),
        Graph(
            "What costs money, beside requests and capacity",
            [
                math(
                    f"duration / 1000 * {gigabytes:g}",
                    "Lambda",
                    duration=measures.function("Duration"),
                )
            ],
            unit="GB-s a minute",
            right=[measures.logged_bytes()],
            right_unit="bytes a minute",
        ),
    ]
