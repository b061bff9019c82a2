"""What runs on a schedule: reading Aurora's user list, and generating before people come."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Acknowledgment, Duration, TimeZone, Validations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct
from token_vendor.forecast import LANES

from infra.build.lambda_asset import build_asset
from infra.stack.function import StageFunction
from infra.stage import StageConfig

LONGEST = 15
"""Minutes; the most that Lambda gives. What is left then, the next run or the next caller does."""

NEXT_RUN = (
    "What a run did not do, the next one or the next caller does: a queue would keep an event that "
    "says nothing."
)


class ScheduledFunction(StageFunction):
    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: StageConfig,
        handler: str,
        attempts: int,
        **further: Any,
    ) -> None:
        super().__init__(
            scope,
            id_,
            stage=stage,
            code=lambda_.Code.from_asset(str(build_asset())),
            handler=f"token_vendor.{handler}.handler",
            timeout=Duration.minutes(LONGEST),
            no_queue=NEXT_RUN,
            **further,
        )
        self._time_zone = TimeZone.of(stage.time_zone)
        # The right to call an alias is one to call nothing else.
        self._live = lambda_.Alias(
            self, "Live", alias_name="live", version=self.function.current_version
        )
        # The scheduler invokes asynchronously: what fails is tried again by Lambda, not by it.
        # docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        invoke_asynchronously(self._live, attempts=attempts, age=Duration.minutes(30))

    def start(
        self,
        id_: str,
        *,
        description: str,
        expression: str,
        event: Mapping[str, Any] | None = None,
    ) -> None:
        scheduler.Schedule(
            self,
            id_,
            description=description,
            schedule=scheduler.ScheduleExpression.expression(expression, self._time_zone),
            target=targets.LambdaInvoke(
                self._live,
                input=scheduler.ScheduleTargetInput.from_object(dict(event)) if event else None,
                retry_attempts=2,
                max_event_age=Duration.minutes(10),
            ),
        )


def invoke_asynchronously(alias: lambda_.IAlias, *, attempts: int, age: Duration) -> None:
    """Bound how often, and for how long, Lambda tries an event of a schedule again."""
    alias.configure_async_invoke(retry_attempts=attempts, max_event_age=age)
    Validations.of(alias).acknowledge(
        Acknowledgment(id="Serverless::Serverless-LambdaAsyncFailureDestination", reason=NEXT_RUN)
    )


def scheduled_reading(
    scope: Construct, id_: str, *, stage: StageConfig, variables: Mapping[str, str]
) -> ScheduledFunction:
    reading = ScheduledFunction(
        scope,
        id_,
        stage=stage,
        variables=variables,
        handler="scheduled",
        does="Reads Aurora's user list",
        attempts=2,
    )
    reading.start(
        "Schedule",
        description=f"Reads Aurora's user list before the working day ({stage.stage})",
        expression=stage.directory_schedule,
    )
    return reading


def prewarm(
    scope: Construct, id_: str, *, stage: StageConfig, variables: Mapping[str, str]
) -> ScheduledFunction:
    ahead = ScheduledFunction(
        scope,
        id_,
        stage=stage,
        variables=variables,
        handler="prewarm",
        does="Generates access tokens before people come",
        # The next run goes on.
        attempts=0,
    )
    for lane in range(LANES):
        ahead.start(
            f"Lane{lane}",
            description=f"Generates before people come, {lane + 1} of {LANES} ({stage.stage})",
            expression=stage.prewarm_schedule,
            event={"lane": lane, "lanes": LANES},
        )
    return ahead
