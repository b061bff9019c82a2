"""The CDK app: `cdk deploy -c stage=NAME` deploys the stack AuroraTokenVendor-NAME."""

import sys

from aws_cdk import App

from infra.build import BundlingError
from infra.stack.token_vendor_stack import TokenVendorStack
from infra.stage import StageConfig, StageError, parse_override


def main() -> None:
    """Synthesize the stage that the context names; what stops it is told in one line."""
    app = App()
    context = app.node.try_get_context
    try:
        override = parse_override(context("override"))
        stage = StageConfig.read(context("stages") or {}, context("stage"), override)
        TokenVendorStack(app, f"AuroraTokenVendor-{stage.stage}", stage=stage)
    except (StageError, BundlingError) as error:
        sys.exit(str(error))
    app.synth()


if __name__ == "__main__":
    main()
