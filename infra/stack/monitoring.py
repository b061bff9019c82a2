"""
What operators look at and what wakes them: two dashboards, the alarms, and their topic.

Every alarm names its section of docs/runbook.md: what it means, what to look at and what to do.
"""

from dataclasses import dataclass

from aws_cdk import Acknowledgment, Aws, Validations
from aws_cdk import aws_cloudwatch as cw
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct
from token_vendor.observability import Metric
from token_vendor.settings import Settings

from infra.stack.dashboards import operations_dashboard, service_dashboard
from infra.stack.metrics import FAILURES, INTENDED, Measures, math, total
from infra.stack.rollout import canary_failures
from infra.stage import StageConfig

# A stored token takes milliseconds; one that Aurora generates takes its answer and, in a rush, the
# patience before it.
AURORA_SECONDS = 3
OF_THE_API = ("gateway-errors", "rejected-share")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """
    When an alarm is on: the value is at least `threshold` in `minutes` of the last `of` minutes.

    `slug` names the alarm and its section of docs/runbook.md; `below` turns the comparison round.
    """

    slug: str
    means: str
    value: cw.IMetric
    threshold: float
    minutes: int = 1
    of: int = 1
    below: bool = False
    percentile: bool = False


class Monitoring(Construct):
    def __init__(  # noqa: PLR0913 - what is watched, and where it goes.
        self,
        scope: Construct,
        id_: str,
        *,
        stage: StageConfig,
        measures: Measures,
        log_group_name: str,
        topic_key: kms.IKey | None = None,
        owns_api: bool = True,
    ) -> None:
        super().__init__(scope, id_)
        self.topic = (
            sns.Topic.from_topic_arn(self, "Topic", stage.alarm_topic_arn)
            if stage.alarm_topic_arn
            else _topic(self, stage, topic_key)
        )
        conditions = [
            each
            for each in alarm_conditions(measures, stage)
            # The metrics of somebody's API are also those of its other routes.
            if owns_api or each.slug not in OF_THE_API
        ]
        self.alarms = {each.slug: self._alarm(each, stage) for each in conditions}
        dashboards = (
            service_dashboard(
                self, stage=stage.stage, measures=measures, alarms=list(self.alarms.values())
            ),
            operations_dashboard(
                self,
                stage=stage.stage,
                memory_mb=stage.memory_mb,
                measures=measures,
                log_group_name=log_group_name,
            ),
        )
        self.dashboard_names = ",".join(each.dashboard_name for each in dashboards)

    def _alarm(self, condition: Condition, stage: StageConfig) -> cw.IAlarm:
        operator = cw.ComparisonOperator
        alarm = cw.Alarm(
            self,
            condition.slug.title().replace("-", ""),
            alarm_name=f"token-vendor-{stage.stage}-{condition.slug}",
            alarm_description=f"{condition.means} Runbook: {stage.runbook}#alarm-{condition.slug}",
            metric=condition.value,
            threshold=condition.threshold,
            comparison_operator=operator.LESS_THAN_THRESHOLD
            if condition.below
            else operator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            datapoints_to_alarm=condition.minutes,
            evaluation_periods=condition.of,
            # A quiet minute has no data, and is no reason to wake anybody.
            treat_missing_data=cw.TreatMissingData.NOT_BREACHING,
            # Nor are three slow requests of a night: too few for a percentile to say anything.
            # docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
            # percentiles-with-low-samples.html
            evaluate_low_sample_count_percentile="ignore" if condition.percentile else None,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
        return alarm


def alarm_conditions(measures: Measures, stage: StageConfig) -> list[Condition]:
    """Return the conditions of a stage, the most urgent first."""
    slowest = Settings.patience + AURORA_SECONDS
    conditions = [
        Condition(
            slug="key-rejected",
            means="Aurora refuses the API key, or the secret has none: nobody gets a new token.",
            value=measures.problems("aurora-key-rejected")[0],
            threshold=1,
        ),
        Condition(
            slug="generate-refused",
            # One refused person makes one such call, and then none for `directory_ttl`: more, and
            # again in another minute, are the key's fault.
            means="Aurora refuses to generate for people it lists: the key may lack access to the "
            "Platform API.",
            value=measures.own(Metric.AURORA_CALL, operation="generate_token", outcome="403"),
            threshold=3,
            minutes=2,
            of=3,
        ),
        Condition(
            slug="aurora-unavailable",
            means="Aurora fails or does not answer: people without a stored token do not get in.",
            value=total(
                measures.problems(
                    "aurora-unavailable", "aurora-timeout", "aurora-invalid-response"
                ),
                "failures of Aurora",
            ),
            threshold=3,
            minutes=2,
            of=3,
        ),
        Condition(
            slug="internal-error",
            means="A request met a defect of this service, or something that nobody foresaw.",
            value=measures.problems("internal-error")[0],
            threshold=1,
        ),
        Condition(
            slug="failed-share",
            means="More than 5 % of at least 20 requests a minute fail on our side or Aurora's.",
            value=_failed_share(measures),
            threshold=5,
            minutes=3,
            of=5,
        ),
        Condition(
            slug="gateway-errors",
            means="API Gateway answers 5xx, and not to tell people their turn or that operators "
            "stopped new tokens: where nothing else is on, requests fail before they reach the "
            "function.",
            value=math(
                "SUM([failed, TIME_SERIES(0)]) - SUM([turns, stopped, TIME_SERIES(0)])",
                "5xx without what is intended",
                failed=measures.api("5xx"),
                **dict(zip(("turns", "stopped"), measures.problems(*INTENDED), strict=True)),
            ),
            threshold=3,
            minutes=3,
            of=5,
        ),
        Condition(
            slug="rejected-share",
            # A browser asks before its first call (CORS): at worst half of what counts are calls.
            means="API Gateway or the function refuses 40 % or more of at least 20 requests a "
            "minute: sign-ins that the authorizer does not take, or too many requests.",
            value=math(
                "IF(counted >= 20, 100 * rejected / counted, 0)",
                "refused, %",
                rejected=measures.api("4xx"),
                counted=measures.api("Count"),
            ),
            threshold=40,
            minutes=5,
            of=5,
        ),
        Condition(
            slug="budget-exhausted",
            means="For five minutes all of Aurora's calls of the next minute have been taken: "
            "people wait for their turn.",
            value=measures.own(Metric.BUDGET_LEFT, "Minimum"),
            threshold=1,
            below=True,
            minutes=5,
            of=5,
        ),
        Condition(
            slug="slow",
            means=f"One request in a hundred takes {slowest:g} s or more.",
            value=measures.own(Metric.LATENCY, "p99"),
            percentile=True,
            threshold=slowest * 1000,
            minutes=3,
            of=5,
        ),
        Condition(
            slug="double-generate",
            means="Aurora generated twice for one person, and the first token may have died.",
            value=measures.own(Metric.DOUBLE_GENERATE),
            threshold=1,
        ),
        Condition(
            slug="wrong-account",
            means="An address passed to somebody else: Aurora's token for it, stored or new, was "
            "another person's, and was not vended.",
            value=measures.own(Metric.WRONG_ACCOUNT),
            threshold=1,
        ),
        Condition(
            slug="throttled",
            means="Lambda turned requests away: the concurrency of function or account is used up.",
            value=measures.function("Throttles"),
            threshold=1,
        ),
        Condition(
            slug="table-errors",
            means="DynamoDB did not answer, or a generated token could not be stored.",
            value=total(
                [
                    *measures.problems("token-store-unavailable"),
                    measures.own(Metric.STORE_FAILED),
                ],
                "failures of the table",
            ),
            threshold=1,
            # Metrics arrive late: an alarm over the newest minute alone could miss one.
            of=5,
        ),
        Condition(
            slug="function-errors",
            means="The function crashed or ran out of time instead of answering with a problem.",
            value=measures.function("Errors"),
            threshold=1,
        ),
    ]
    if stage.prewarm:
        conditions.append(
            Condition(
                slug="prewarm-failed",
                means="The generates before people come failed: who comes in the morning waits "
                "for a turn, as without them.",
                value=measures.prewarm("Errors"),
                threshold=1,
            )
        )
    if stage.canary_email:
        conditions.append(
            Condition(
                slug="canary-failed",
                means="The person who asks for a token every minute was refused in three of five.",
                value=canary_failures(stage.stage),
                threshold=1,
                # On within five minutes of a version that refuses; one slip of Aurora is none.
                minutes=3,
                of=5,
            )
        )
    if stage.business_hours:
        # The canary asks around the clock, but not through the gateway.
        counted = measures.api("Count") if stage.canary_email else measures.requests()
        conditions.append(_no_traffic(counted, stage.business_hours))
    return conditions


def _failed_share(measures: Measures) -> cw.MathExpression:
    """Return the percentage of failed requests; a handful of requests make no percentage."""
    failures = {f"f{number}": m for number, m in enumerate(measures.problems(*FAILURES))}
    return math(
        f"IF(requests >= 20, 100 * SUM([{', '.join(failures)}]) / requests, 0)",
        "failed, %",
        requests=measures.requests(),
        **failures,
    )


def _no_traffic(counted: cw.IMetric, hours: str) -> Condition:
    start, end = hours.split("-")
    return Condition(
        slug="no-traffic",
        means=f"Nobody has asked for an hour of a working day ({hours} h UTC).",
        # CloudWatch numbers the days of the week from Monday, 1.
        value=math(
            "IF(DAY(requests) <= 5 AND HOUR(requests) >= "
            f"{start} AND HOUR(requests) < {end}, requests, 1)",
            "requests in business hours",
            # TIME_SERIES has a value in every minute, also in those in which nobody asked.
            requests=math("SUM([counted, TIME_SERIES(0)])", "requests", counted=counted),
        ),
        threshold=1,
        below=True,
        minutes=60,
        of=60,
    )


def _topic(scope: Construct, stage: StageConfig, key: kms.IKey | None) -> sns.Topic:
    # Alarms tell numbers, never a person: without `encrypt_logs` the topic has no key.
    topic = sns.Topic(scope, "Topic", enforce_ssl=True, master_key=key)
    # A topic that has a policy loses the default one, which lets the account's alarms in.
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
    )
    if stage.alarm_email:
        topic.add_subscription(subscriptions.EmailSubscription(stage.alarm_email))
        Validations.of(topic).acknowledge(
            Acknowledgment(
                id="Serverless::Serverless-SNSRedrivePolicy",
                reason="A mail that cannot be delivered has no reader in a queue either; the "
                "alarm itself stays in CloudWatch and on the dashboard.",
            )
        )
    return topic
