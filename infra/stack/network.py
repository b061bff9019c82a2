"""
The company's own network around a function, where a stage names subnets.

Lambda then reaches Aurora only through that network: docs/configuration.md says what it needs.
"""

from aws_cdk import Acknowledgment, Aws, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from infra.stage import StageConfig

# What Lambda does in the role's name before a function starts, none of it on a resource that is
# known by then: docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
INTERFACE_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


def place_in_network(function: lambda_.Function, role: iam.Role, *, stage: StageConfig) -> None:
    """Put the function into the stage's subnets; a stage without any leaves it where it is."""
    if not stage.subnet_ids:
        return
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101 (narrows the type for mypy)
    resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
        subnet_ids=list(stage.subnet_ids), security_group_ids=list(stage.security_group_ids)
    )
    own = f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{Aws.ACCOUNT_ID}:function:"
    role.add_to_policy(iam.PolicyStatement(actions=list(INTERFACE_ACTIONS), resources=["*"]))
    # AWS's page asks for this: the interfaces are Lambda's to make, not the function's code's.
    role.add_to_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=list(INTERFACE_ACTIONS),
            resources=["*"],
            conditions={
                "ArnLike": {"lambda:SourceFunctionArn": f"{own}{Stack.of(function).stack_name}-*"}
            },
        )
    )
    Validations.of(role).acknowledge(
        Acknowledgment(
            id="AwsSolutions::AwsSolutions-IAM5[Resource::*]",
            reason="Lambda's network interfaces have no name before they are made; what the "
            "function's own code asks for is denied.",
        )
    )
