"""The stack of one stage; reads like the diagram: storage, function, API, and who may do what."""

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.api import Api
from infra.bundling import build_asset
from infra.stage import StageConfig
from infra.storage import Storage, log_group

# Exactly what the code calls; tests compare this with the calls seen at the wire.
TABLE_ACTIONS = (
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
)
# DynamoDB asks KMS in the caller's name; these are the actions that its guide names for a
# customer-managed key, spelt out where the guide writes ReEncrypt* and GenerateDataKey*.
TABLE_KEY_ACTIONS = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


class TokenVendorStack(Stack):
    """Everything that one stage needs in an AWS account."""

    def __init__(self, scope: Construct, id_: str, *, stage: StageConfig) -> None:
        super().__init__(
            scope,
            id_,
            description=f"Vends Aurora Client SDK access tokens ({stage.stage})",
        )
        storage = Storage(self, "Storage", stage=stage)
        logs = log_group(self, "FunctionLog", stage=stage)
        role = iam.Role(
            self, "FunctionRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        function = lambda_.Function(
            self,
            "Function",
            description=f"Vends Aurora access tokens ({stage.stage})",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(build_asset())),
            handler="token_vendor.handler.handler",
            memory_size=stage.memory_mb,
            timeout=Duration.seconds(stage.function_timeout),
            log_group=logs,
            role=role,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if stage.snap_start else None,
            environment={
                **stage.variables(),
                "TABLE_NAME": storage.table.table_name,
                "AURORA_SECRET_ARN": storage.secret_arn,
                "POWERTOOLS_SERVICE_NAME": f"token-vendor-{stage.stage}",
                "POWERTOOLS_METRICS_NAMESPACE": "AuroraTokenVendor",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
        self._allow(role, storage, log_group_arn=logs.log_group_arn)
        live = lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=function.current_version,
            provisioned_concurrent_executions=stage.provisioned_concurrency or None,
        )
        api = Api(self, "Api", handler=live, stage=stage)

        outputs = {
            "ApiUrl": api.url,
            "TokenUrl": f"{api.url}/token",
            "ApiId": api.api.api_id,
            "TableName": storage.table.table_name,
            "SecretArn": storage.secret_arn,
            "FunctionName": function.function_name,
            "LogGroupName": logs.log_group_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    def _allow(self, role: iam.Role, storage: Storage, *, log_group_arn: str) -> None:
        """Grant the function what its code calls, and nothing by an AWS managed policy."""
        storage.table.grant(role, *TABLE_ACTIONS)
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue"], resources=[storage.secret_arn]
            )
        )
        role.add_to_policy(self._through("dynamodb", TABLE_KEY_ACTIONS, storage.key))
        role.add_to_policy(self._through("secretsmanager", ("kms:Decrypt",), storage.key))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group_arn]
            )
        )

    def _through(
        self, service: str, actions: tuple[str, ...], key: kms.IKey
    ) -> iam.PolicyStatement:
        """Allow KMS actions only where the named service asks for them in the function's name."""
        return iam.PolicyStatement(
            actions=list(actions),
            resources=[key.key_arn],
            conditions={
                "StringEquals": {"kms:ViaService": f"{service}.{self.region}.amazonaws.com"}
            },
        )
