"""
What is built and run on the way to a deployment.

`lambda_asset.py` builds the folder that Lambda runs with what `botocore_data.py` leaves of
botocore, `cdk_cli.py` runs the pinned CDK on one stage, and `vulnerabilities.py` looks up what is
known against the packages that ship.
"""


class BundlingError(Exception):
    """The asset cannot be built; one line says why."""
