"""The Lambda: what runs, as which role, and the alias that the API calls."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import Acknowledgment, CfnElement, Duration, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.build.lambda_asset import build_asset
from infra.stack.network import place_in_network
from infra.stack.storage import log_group
from infra.stage import StageConfig

# Rules of cdk-nag and the CDK that do not fit this function, each with the reason.
LATEST_RUNTIME = (
    "AWS supports Python 3.13 until June 2029; the lock file, the bytecode in the asset and "
    ".python-version are for 3.13 and change together."
)
ACKNOWLEDGED = {
    "Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish": (
        "The alias `live`, which alone is called, is a published version."
    ),
    "AwsSolutions::AwsSolutions-L1": LATEST_RUNTIME,
    "Serverless::Serverless-LambdaLatestVersion": LATEST_RUNTIME,
    "Serverless::Serverless-LambdaTracing": (
        "The function's metrics time every call to Aurora and its log carries the request id; "
        "without the X-Ray SDK, which does not ship, a trace would add only Lambda's own segment."
    ),
}

ANSWERED = (
    "API Gateway invokes synchronously: a failure is the caller's answer, and no event is left "
    "that a queue could keep."
)


class StageFunction(Construct):
    """
    Own a function, its role and its log.

    The role may write to the log, no more. `no_queue` says why no queue keeps what failed.
    """

    def __init__(  # noqa: PLR0913 - what the functions differ in.
        self,
        scope: Construct,
        id_: str,
        *,
        stage: StageConfig,
        variables: Mapping[str, str],
        code: lambda_.Code,
        handler: str,
        does: str,
        timeout: Duration,
        no_queue: str,
        **further: Any,
    ) -> None:
        super().__init__(scope, id_)
        self.log = log_group(self, "Log", stage=stage)
        # The default role would have AWS's managed policy, which may write to every log group of
        # the account.
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[self.log.log_group_arn],
            )
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"{does} ({stage.stage})",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=code,
            handler=handler,
            memory_size=stage.memory_mb,
            timeout=timeout,
            log_group=self.log,
            role=self.role,
            environment=dict(variables),
            **further,
        )
        reasons = ACKNOWLEDGED | {"Serverless::Serverless-LambdaDLQ": no_queue}
        Validations.of(self.function).acknowledge(
            *(Acknowledgment(id=id_, reason=reason) for id_, reason in reasons.items())
        )
        place_in_network(self.function, self.role, stage=stage)


class VendorFunction(StageFunction):
    """Own the function that vends, and the alias `live`, which alone is called."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: StageConfig, variables: Mapping[str, str]
    ) -> None:
        self.environment = {
            **stage.variables(),
            **variables,
            "POWERTOOLS_SERVICE_NAME": f"token-vendor-{stage.stage}",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        super().__init__(
            scope,
            id_,
            stage=stage,
            variables=self.environment,
            code=lambda_.Code.from_asset(str(build_asset())),
            handler="token_vendor.handler.handler",
            does="Vends Aurora access tokens",
            timeout=Duration.seconds(stage.function_timeout),
            no_queue=ANSWERED,
            reserved_concurrent_executions=stage.reserved_concurrency or None,
            # Lambda's own lines of an undisturbed invocation, START and REPORT, tell nothing that
            # the audit event and Lambda's metrics do not, and are a quarter of the log. WARN keeps
            # those of a crash and of a time-out. Levels need the format, which leaves what the
            # function prints as it is:
            # docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if stage.snap_start else None,
        )
        self.live = lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=self.function.current_version,
            provisioned_concurrent_executions=stage.provisioned_concurrency or None,
        )


def tie_to_its_rights(role: iam.Role) -> None:
    """
    Name the role after what it may do: another policy makes another role.

    A published version keeps the role that it was published with. If all shared one, CloudFormation
    would change its policy before the alias moves, and take a right from the version that serves.
    So an update, and going back, leaves the old version's role alone until that version is gone.
    """
    policy = role.node.find_child("DefaultPolicy")
    assert isinstance(policy, iam.Policy)  # noqa: S101 (narrows the type for mypy)
    stack = Stack.of(role)
    rights = json.dumps(stack.resolve(policy.document), sort_keys=True)
    suffix = hashlib.sha256(rights.encode()).hexdigest()[:8]
    for resource in (role.node.default_child, policy.node.default_child):
        assert isinstance(resource, CfnElement)  # noqa: S101 (narrows the type for mypy)
        resource.override_logical_id(stack.get_logical_id(resource) + suffix)
