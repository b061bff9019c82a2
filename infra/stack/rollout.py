"""How a new version reaches people: at once, or a tenth of them first, with a canary."""

import json

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_cloudwatch as cw
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct
from token_vendor.models import normalised_email
from token_vendor.observability import NAMESPACE, digest

from infra.stack.gateway_events import canary_event
from infra.stack.metrics import INTENDED
from infra.stack.schedule import invoke_asynchronously
from infra.stage import StageConfig

CANARY_FAILED = "CanaryFailed"
# AWS gives no narrower one for shifting an alias; it may touch every function of the account.
CODEDEPLOY_POLICY = "service-role/AWSCodeDeployRoleForLambdaLimited"
CODEDEPLOY_POLICY_RULE = (
    f"AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/"
    f"{CODEDEPLOY_POLICY}]"
)


class Canary(Construct):
    """
    Ask for one person's token every minute, and count what is refused.

    The schedule calls the alias that API Gateway calls, with the event that it would send: a tenth
    of the calls reach a version that is being deployed. It generates as often as its token ends.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: StageConfig,
        alias: lambda_.IAlias,
        log: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        # The schedule invokes asynchronously: without this, Lambda would repeat a crash for hours.
        invoke_asynchronously(alias, attempts=0, age=Duration.minutes(1))
        scheduler.Schedule(
            self,
            "Schedule",
            description=f"Asks for the canary's token every minute ({stage.stage})",
            schedule=scheduler.ScheduleExpression.rate(Duration.minutes(1)),
            target=targets.LambdaInvoke(
                alias,
                input=scheduler.ScheduleTargetInput.from_text(json.dumps(canary_event(stage))),
                # The next one comes soon enough.
                retry_attempts=0,
                max_event_age=Duration.minutes(1),
            ),
        )
        caller = digest(normalised_email(stage.canary_email))
        logs.MetricFilter(
            self,
            "Failed",
            log_group=log,
            filter_pattern=logs.FilterPattern.all(
                logs.FilterPattern.string_value("$.message", "=", "audit"),
                logs.FilterPattern.string_value("$.audit.caller", "=", caller),
                logs.FilterPattern.number_value("$.audit.status", ">=", 400),
                *(
                    logs.FilterPattern.string_value("$.audit.problem", "!=", slug)
                    # A key that is absent or refused has an alarm, which takes no version back.
                    for slug in (*INTENDED, "aurora-key-rejected")
                ),
            ),
            metric_namespace=NAMESPACE,
            # A filter with a condition on values takes no dimension that is the same for all.
            metric_name=f"{CANARY_FAILED}-{stage.stage}",
            metric_value="1",
        )


def canary_failures(stage: str) -> cw.Metric:
    return cw.Metric(
        namespace=NAMESPACE,
        metric_name=f"{CANARY_FAILED}-{stage}",
        statistic="Sum",
        period=Duration.minutes(1),
    )


class GradualDeployment(Construct):
    """
    Shift an alias to a new version in two steps, and back as soon as one of the alarms is on.

    `hook` tries the version first, and may tell CodeDeploy what it found.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        alias: lambda_.Alias,
        alarms: list[cw.IAlarm],
        hook: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, id_)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(CODEDEPLOY_POLICY)],
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[hook.function_arn])
        )
        group = codedeploy.LambdaDeploymentGroup(
            self,
            "Group",
            alias=alias,
            deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
            alarms=alarms,
            pre_hook=hook,
            auto_rollback=codedeploy.AutoRollbackConfig(
                failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
            ),
            # The CDK would add the hook's versions to what it may call; there are none.
            role=role.without_policy_updates(),
        )
        hook.add_to_role_policy(
            iam.PolicyStatement(
                actions=["codedeploy:GetDeployment"], resources=[group.deployment_group_arn]
            )
        )
        # The update policy names group and hook. Nothing at AWS says that this orders updates, and
        # it does not name what lets the one call the other.
        alias.node.add_dependency(role, hook, group)
        Validations.of(role).acknowledge(
            Acknowledgment(
                id=CODEDEPLOY_POLICY_RULE,
                reason="CodeDeploy's own policy for Lambda: it shifts aliases, and AWS keeps it "
                "in step with what CodeDeploy does.",
            )
        )
