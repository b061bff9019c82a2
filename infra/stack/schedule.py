"""
The reading of Aurora's user list before the working day: a function of its own, on a schedule.
"""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, TimeZone, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct

from infra.build.lambda_asset import build_asset
from infra.stack.function import ACKNOWLEDGED
from infra.stack.network import place_in_network
from infra.stack.storage import log_group
from infra.stage import StageConfig

LONGEST = 15
"""
Minutes; the most that Lambda gives. What is unread then, the next run or the next caller reads.
"""

NO_QUEUE = {
    "Serverless::Serverless-LambdaDLQ": (
        "What a run did not read, the next one or the next caller reads: a queue would keep an "
        "event that says nothing."
    ),
}


class ScheduledReading(Construct):
    """
    Own the function that reads the list, its role, and the schedule.
    """

    def __init__(
        self, scope: Construct, id_: str, *, stage: StageConfig, variables: Mapping[str, str]
    ) -> None:
        super().__init__(scope, id_)
        log = log_group(self, "Log", stage=stage)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[log.log_group_arn],
            )
        )
        function = lambda_.Function(
            self,
            "Function",
            description=f"Reads Aurora's user list ({stage.stage})",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(build_asset())),
            handler="token_vendor.scheduled.handler",
            memory_size=stage.memory_mb,
            timeout=Duration.minutes(LONGEST),
            log_group=log,
            role=self.role,
            environment=dict(variables),
        )
        Validations.of(function).acknowledge(
            *(
                Acknowledgment(id=id_, reason=reason)
                for id_, reason in (ACKNOWLEDGED | NO_QUEUE).items()
            )
        )
        place_in_network(function, self.role, stage=stage)
        # The right to call an alias is one to call nothing else.
        live = lambda_.Alias(self, "Live", alias_name="live", version=function.current_version)
        scheduler.Schedule(
            self,
            "Schedule",
            description=f"Reads Aurora's user list before the working day ({stage.stage})",
            schedule=scheduler.ScheduleExpression.expression(
                stage.directory_schedule, TimeZone.of(stage.time_zone)
            ),
            target=targets.LambdaInvoke(live, retry_attempts=2, max_event_age=Duration.minutes(30)),
        )
