"""
The token vendor of one stage as a construct.

Reads like the diagram: storage, function, API, and who may do what.
"""

from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.stack.api import Api
from infra.stack.before_traffic import BeforeTraffic
from infra.stack.function import VendorFunction, tie_to_its_rights
from infra.stack.metrics import Measures
from infra.stack.monitoring import Monitoring
from infra.stack.rollout import Canary, GradualDeployment
from infra.stack.schedule import prewarm, scheduled_reading
from infra.stack.storage import Storage
from infra.stack.website import Website
from infra.stage import StageConfig

# Exactly what the code calls; a test compares the two.
TABLE_ACTIONS = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
)
# What only the scheduled generates before people come ask for: who is expected.
EVERYBODY_ACTION = "dynamodb:Scan"
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


class TokenVendor(Construct):
    """
    Everything that one stage needs in an AWS account, in a stack of yours.

    `http_api` gets the two routes; its stage, CORS and throttle are its owner's. `authorizer`
    verifies callers instead of a JWT authorizer for `issuer`, and has to hand the claims over as
    that one does. `token_url` is what frontends call. `outputs` are what the command line
    `token-vendor` looks for in the outputs of a stack.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: StageConfig,
        http_api: apigw.HttpApi | None = None,
        authorizer: apigw.IHttpRouteAuthorizer | None = None,
    ) -> None:
        super().__init__(scope, id_)
        storage = Storage(self, "Storage", stage=stage)
        vendor = VendorFunction(
            self,
            "Vendor",
            stage=stage,
            variables={
                "TABLE_NAME": storage.table.table_name,
                "AURORA_SECRET_ARN": storage.secret_arn,
            },
        )
        api = Api(
            self,
            "Api",
            handler=vendor.live,
            stage=stage,
            http_api=http_api,
            authorizer=authorizer,
        )
        self._allow(vendor.role, storage)
        if stage.directory_schedule:
            reading = scheduled_reading(self, "Reading", stage=stage, variables=vendor.environment)
            self._allow(reading.role, storage)
        ahead = None
        if stage.prewarm:
            ahead = prewarm(self, "Prewarm", stage=stage, variables=vendor.environment)
            self._allow(ahead.role, storage, EVERYBODY_ACTION)
        monitoring = Monitoring(
            self,
            "Monitoring",
            stage=stage,
            measures=Measures(
                stage=stage.stage,
                function_name=vendor.function.function_name,
                api_id=api.api.api_id,
                table_name=storage.table.table_name,
                log_group_name=vendor.log.log_group_name,
                prewarm_name=ahead.function.function_name if ahead else "",
            ),
            log_group_name=vendor.log.log_group_name,
            topic_key=storage.key if stage.encrypt_logs else None,
            owns_api=http_api is None,
        )

        if stage.canary_email:
            Canary(self, "Canary", stage=stage, alias=vendor.live, log=vendor.log)
        if stage.deployment == "canary":
            guards = ("function-errors", "internal-error", "failed-share", "canary-failed")
            alarms = [monitoring.alarms[slug] for slug in guards if slug in monitoring.alarms]
            before = BeforeTraffic(self, "BeforeTraffic", stage=stage, version=vendor.live.version)
            GradualDeployment(
                self, "Deployment", alias=vendor.live, alarms=alarms, hook=before.function
            )
        self.token_url = f"{api.url}/token"
        self.outputs = {
            "ApiUrl": api.url,
            "TokenUrl": self.token_url,
            "ApiId": api.api.api_id,
            "TableName": storage.table.table_name,
            "SecretArn": storage.secret_arn,
            "FunctionName": vendor.function.function_name,
            "LogGroupName": vendor.log.log_group_name,
            "TopicArn": monitoring.topic.topic_arn,
            "DashboardNames": monitoring.dashboard_names,
            **api.dns,
        }
        if stage.website:
            website = Website(self, "Website", stage=stage, api_endpoint=api.url)
            self.outputs["WebsiteUrl"] = website.url

    def _allow(self, role: iam.Role, storage: Storage, *more: str) -> None:
        """
        Grant what the code calls on this table and this secret, and their key through them.

        `more` are actions on the table that not every function calls.
        """
        region = Stack.of(self).region
        key_through = {
            "dynamodb": (storage.key.key_arn, TABLE_KEY_ACTIONS),
            "secretsmanager": (storage.secret_key_arn, ("kms:Decrypt",)),
        }
        statements = [
            iam.PolicyStatement(actions=list(TABLE_ACTIONS), resources=[storage.table.table_arn]),
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue"], resources=[storage.secret_arn]
            ),
            *(
                iam.PolicyStatement(
                    actions=list(actions),
                    resources=[key_arn],
                    conditions={
                        "StringEquals": {"kms:ViaService": f"{service}.{region}.amazonaws.com"}
                    },
                )
                for service, (key_arn, actions) in key_through.items()
                # A given secret may be encrypted with AWS's own key, which needs no right.
                if key_arn
            ),
        ]
        if more:
            on_table = [storage.table.table_arn]
            statements.append(iam.PolicyStatement(actions=list(more), resources=on_table))
        for statement in statements:
            role.add_to_policy(statement)
        tie_to_its_rights(role)
