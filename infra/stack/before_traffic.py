"""The function that tries a new version before anybody's request reaches it."""

import json
from pathlib import Path

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.build.lambda_asset import SOURCES
from infra.stack.function import StageFunction
from infra.stack.gateway_events import LONGEST, events
from infra.stage import StageConfig

IN_WHEEL = Path(__file__).parents[1] / "build" / "before_traffic"
ASSET = IN_WHEEL if IN_WHEEL.exists() else SOURCES / "before_traffic"
NO_QUEUE = "CodeDeploy waits for its answer, and fails the deployment where none comes."


class BeforeTraffic(StageFunction):
    """
    Own the function that CodeDeploy calls with its hook `BeforeAllowTraffic`.

    It may call the version that is being deployed, and no other.
    """

    def __init__(
        self, scope: Construct, id_: str, *, stage: StageConfig, version: lambda_.IVersion
    ) -> None:
        super().__init__(
            scope,
            id_,
            stage=stage,
            # CodeDeploy's event names the deployment, not the version.
            variables={
                "NEW_VERSION": version.function_arn,
                "EVENTS": json.dumps(events(stage)),
            },
            code=lambda_.Code.from_asset(str(ASSET), exclude=["__pycache__"]),
            handler="hook.handler",
            does="Tries a new version before it gets traffic",
            timeout=Duration.minutes(LONGEST),
            no_queue=NO_QUEUE,
        )
        self.role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[version.function_arn])
        )
