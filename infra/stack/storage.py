"""What outlives a request: the table, the secret with the API key, their KMS key, and the logs."""

import jsii
from aws_cdk import (
    Acknowledgment,
    Aspects,
    Aws,
    Duration,
    IAspect,
    RemovalPolicy,
    Stack,
    Validations,
)
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IConstruct

from infra.stage import StageConfig


class Storage(Construct):
    """
    Own the table, and the secret and the key that encrypts both unless the stage names its own.

    `secret_key_arn` is the key of the secret, or empty where that is AWS's own.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: StageConfig) -> None:
        super().__init__(scope, id_)
        self.key = self._key(stage)
        if stage.encrypt_logs:
            Aspects.of(scope).add(_EncryptLogs(self.key))
        # TableV2 cannot write a customer-managed key into a template without a fixed region, and
        # this one takes its region from whoever deploys it.
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            time_to_live_attribute="ttl",
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=not stage.disposable,
            # A protected table cannot be rolled back: it is left where a first deployment fails.
            removal_policy=_removal(stage) if stage.disposable else RemovalPolicy.RETAIN,
        )
        if stage.secret_arn:
            self.secret_arn, self.secret_key_arn = stage.secret_arn, stage.secret_kms_key_arn
        else:
            self.secret_arn, self.secret_key_arn = self._secret(stage), self.key.key_arn

    def _key(self, stage: StageConfig) -> kms.IKey:
        if stage.kms_key_arn:
            return kms.Key.from_key_arn(self, "Key", stage.kms_key_arn)
        key = kms.Key(
            self,
            "Key",
            description=f"Aurora token vendor ({stage.stage}): stored tokens and the API key",
            enable_key_rotation=True,
            pending_window=Duration.days(7 if stage.disposable else 30),
            removal_policy=_removal(stage),
        )
        if stage.encrypt_logs:
            for statement in _used_by_logs_and_alarms(Stack.of(self)):
                key.add_to_resource_policy(statement)
        return key

    def _secret(self, stage: StageConfig) -> str:
        # The CDK's own Secret generates a random password where no value is given.  It would look
        # like an API key and be refused by Aurora; without a value the cause can be named.
        secret = secretsmanager.CfnSecret(
            self,
            "ApiKey",
            description=f"Aurora API key of the token vendor ({stage.stage})",
            kms_key_id=self.key.key_arn,
        )
        secret.apply_removal_policy(_removal(stage))
        Validations.of(secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="Aurora has no call that rotates a key: its admins do, and the function "
                "takes the new value up without a failed request.",
            )
        )
        return secret.attr_id


@jsii.implements(IAspect)
class _EncryptLogs:
    """Give every log group of the stack the key, also those that other parts of it make."""

    def __init__(self, key: kms.IKey) -> None:
        self._key = key

    def visit(self, node: IConstruct) -> None:
        if isinstance(node, logs.CfnLogGroup):
            node.kms_key_id = self._key.key_arn


def _used_by_logs_and_alarms(stack: Stack) -> list[iam.PolicyStatement]:
    """
    Return what lets CloudWatch use the key for this stack's logs and this account's alarms.

    Sources: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html and
    docs.aws.amazon.com/sns/latest/dg/sns-key-management.html.
    """
    groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:"
    return [
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
            actions=[
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey*",
                "kms:ReEncrypt*",
            ],
            resources=["*"],
            # By the stack's name: a group that was named here would wait for the key, and the key
            # for the group.
            conditions={
                "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"{groups}{stack.stack_name}-*"}
            },
        ),
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        ),
    ]


def log_group(scope: Construct, id_: str, *, stage: StageConfig) -> logs.LogGroup:
    """Add a log group that forgets after the stage's retention and leaves as its table does."""
    group = logs.LogGroup(scope, id_, removal_policy=_removal(stage))
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)  # noqa: S101 (narrows the type for mypy)
    # The construct wants a word for every retention; the resource takes cdk.json's days.
    resource.retention_in_days = stage.log_retention_days
    return group


def _removal(stage: StageConfig) -> RemovalPolicy:
    # RetainExceptOnCreate: what a first deployment created before it failed is rolled back, and
    # costs nobody money. docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/
    # aws-attribute-deletionpolicy.html
    kept = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    return RemovalPolicy.DESTROY if stage.disposable else kept
