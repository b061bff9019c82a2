"""
What outlives a request: the table, the secret with the API key, their KMS key, and the logs.
"""

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.stage import StageConfig


class Storage(Construct):
    """
    Own the table, the secret and the key that encrypts both.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: StageConfig) -> None:
        super().__init__(scope, id_)
        removal = _removal(stage)
        self.key = kms.Key(
            self,
            "Key",
            description=f"Aurora token vendor ({stage.stage}): stored tokens and the API key",
            enable_key_rotation=True,
            pending_window=Duration.days(7 if stage.disposable else 30),
            removal_policy=removal,
        )
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
            removal_policy=removal if stage.disposable else RemovalPolicy.RETAIN,
        )
        # The CDK's own Secret generates a random password where no value is given.  It would look
        # like an API key and be refused by Aurora; without a value the cause can be named.
        secret = secretsmanager.CfnSecret(
            self,
            "ApiKey",
            description=f"Aurora API key of the token vendor ({stage.stage})",
            kms_key_id=self.key.key_arn,
        )
        secret.apply_removal_policy(removal)
        Validations.of(secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="Aurora has no call that rotates a key: its admins do, and the function "
                "takes the new value up without a failed request.",
            )
        )
        self.secret_arn = secret.attr_id


def log_group(scope: Construct, id_: str, *, stage: StageConfig) -> logs.LogGroup:
    """
    Add a log group that forgets after the stage's retention and leaves as its table does.
    """
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
