"""The stack of one stage: the token vendor and its outputs."""

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from infra.stack.token_vendor import TokenVendor
from infra.stage import StageConfig


class TokenVendorStack(Stack):
    def __init__(self, scope: Construct, id_: str, *, stage: StageConfig) -> None:
        super().__init__(
            scope,
            id_,
            description=f"Vends Aurora Client SDK access tokens ({stage.stage})",
            termination_protection=stage.termination_protection,
            tags=dict(stage.tags),
            env=Environment(account=stage.account, region=stage.region) if stage.region else None,
        )
        # The CDK leaves "Default" out of logical ids: those of deployed stages stay as they are.
        vendor = TokenVendor(self, "Default", stage=stage)
        for name, value in vendor.outputs.items():
            CfnOutput(self, name, value=value)
