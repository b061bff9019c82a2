"""
The metrics that dashboards and alarms look at, each made in one place.

The names of our own come from `token_vendor.observability`, so that neither can name a metric, a
dimension or a problem that the function does not emit.
"""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cw
from token_vendor.observability import DIMENSIONS, NAMESPACE, Metric
from token_vendor.problems import CATALOGUE

OPERATIONS = ("list_users", "retrieve_user", "invite_user", "generate_token")
TABLE_OPERATIONS = ("GetItem", "BatchGetItem", "UpdateItem", "BatchWriteItem")
# Being asked to come back at one's own turn is the design at work, and a switch is an operator's
# will: neither is a failure.
INTENDED = ("aurora-busy", "generating-stopped")
FAILURES = tuple(
    slug
    for slug, problem in CATALOGUE.items()
    if problem.status >= 500 and slug not in INTENDED  # noqa: PLR2004 - HTTP's own number.
)
GOOD, WARNING, FAILURE = "#1f77b4", "#ff7f0e", "#d62728"
"""
Colours that mean the same on every widget: blue for what is well, orange for what is refused, red
for what fails.
"""
NEUTRAL = (GOOD, "#9467bd", "#2ca02c", "#17becf", "#8c564b", "#7f7f7f")
"""
What the other series of a widget get, in their order. CloudWatch's own would be orange and red.
"""
REFUSALS = tuple(slug for slug in CATALOGUE if slug not in {*FAILURES, *INTENDED})
SHADES = {
    FAILURES: (
        FAILURE,
        "#8b1a1a",
        "#ff6b6b",
        "#b5179e",
        "#7b2d8b",
        "#e75480",
        "#5c1010",
        "#c0392b",
    ),
    REFUSALS: (WARNING, "#c2570c", "#ffbb78", "#a0522d", "#e6b800", "#8c564b"),
    INTENDED: ("#7f7f7f", "#c7c7c7"),
}
COLORS = {
    slug: shades[number % len(shades)]
    for slugs, shades in SHADES.items()
    for number, slug in enumerate(slugs)
} | {
    "stored": GOOD,
    "generated": "#9ecae1",
    **dict.fromkeys(("Count", "Invocations"), GOOD),
    **dict.fromkeys(("4xx", "Throttles"), WARNING),
    **dict.fromkeys(("5xx", "Errors", Metric.STORE_FAILED), FAILURE),
    Metric.DOUBLE_GENERATE: "#8b1a1a",
    Metric.WRONG_ACCOUNT: "#ff6b6b",
}
"""The colours of series that mean something, by problem, source or name."""


class Measures:
    """Make metrics of one stage; periods are a minute, the finest that a dashboard has for long."""

    def __init__(  # noqa: PLR0913 - the names of what is measured.
        self,
        *,
        stage: str,
        function_name: str,
        api_id: str,
        table_name: str,
        log_group_name: str,
        prewarm_name: str = "",
    ) -> None:
        self._service = {"service": f"token-vendor-{stage}"}
        self._function = {"FunctionName": function_name}
        self._prewarm = {"FunctionName": prewarm_name}
        self._api = {"ApiId": api_id}
        self._table = {"TableName": table_name}
        self._log_group = {"LogGroupName": log_group_name}

    def own(
        self, metric: Metric, statistic: str = "Sum", *, label: str = "", **dimensions: str
    ) -> cw.Metric:
        """Return one of the function's own metrics, with just the dimensions that it emits."""
        if tuple(dimensions) != DIMENSIONS.get(metric, ()):
            raise ValueError(f"{metric} takes the dimensions {DIMENSIONS.get(metric, ())}")
        return _metric(NAMESPACE, metric.value, self._service | dimensions, statistic, label)

    def requests(self) -> cw.Metric:
        """Return how many requests were answered: each has exactly one latency."""
        return self.own(Metric.LATENCY, "SampleCount", label="requests")

    def problems(self, *slugs: str) -> list[cw.Metric]:
        return [self.own(Metric.PROBLEM, label=slug, problem=slug) for slug in slugs]

    def outcomes(self, operation: str) -> list[cw.MathExpression]:
        """
        Return the counts of the answers that Aurora gave to `operation` within two weeks.

        One search for those that are well, and one for all others. Searches, because a dashboard is
        billed by the metrics that it names, and most of the answers that could be named are never
        given:
        docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
        """
        dimensions = self._service | {"operation": operation}
        terms = {"MetricName": Metric.AURORA_CALL.value, **dimensions}
        schema = ",".join([NAMESPACE, *self._service, *DIMENSIONS[Metric.AURORA_CALL]])
        wanted = " ".join(f'{name}="{value}"' for name, value in terms.items())
        return [
            cw.MathExpression(
                expression=f"SEARCH('{{{schema}}} {wanted} {outcome}', 'Sum', 60)",
                label="${PROP('Dim.outcome')}",
                period=Duration.minutes(1),
                color=color,
            )
            for outcome, color in (('outcome="ok"', GOOD), ('NOT outcome="ok"', FAILURE))
        ]

    def function(self, name: str, statistic: str = "Sum", label: str = "") -> cw.Metric:
        return _metric("AWS/Lambda", name, self._function, statistic, label)

    def prewarm(self, name: str) -> cw.Metric:
        return _metric("AWS/Lambda", name, self._prewarm, "Sum", f"prewarm: {name}")

    def api(self, name: str, statistic: str = "Sum", label: str = "") -> cw.Metric:
        return _metric("AWS/ApiGateway", name, self._api, statistic, label)

    def table(
        self, name: str, statistic: str = "Sum", operation: str = "", label: str = ""
    ) -> cw.Metric:
        dimensions = self._table | ({"Operation": operation} if operation else {})
        return _metric("AWS/DynamoDB", name, dimensions, statistic, label or operation)

    def logged_bytes(self) -> cw.Metric:
        return _metric("AWS/Logs", "IncomingBytes", self._log_group, "Sum", "log bytes")


def math(expression: str, label: str, **metrics: cw.IMetric) -> cw.MathExpression:
    """Return an expression over metrics, by the minute as they are."""
    return cw.MathExpression(
        expression=expression,
        label=label,
        using_metrics=metrics,
        period=Duration.minutes(1),
    )


def total(metrics: Sequence[cw.IMetric], label: str) -> cw.MathExpression:
    """
    Return the sum of metrics, where an absent one counts as nothing.

    SUM over an array leaves out what is missing. FILL would invent a 0 for the newest minute, whose
    metrics arrive late, and nobody documents what it makes of a series without any value:
    docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    named = {f"m{number}": metric for number, metric in enumerate(metrics)}
    return math(f"SUM([{', '.join(named)}])", label, **named)


def _metric(
    namespace: str, name: str, dimensions: dict[str, str], statistic: str, label: str
) -> cw.Metric:
    return cw.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(1),
        label=label or None,
        color=COLORS.get(label or name),
    )
