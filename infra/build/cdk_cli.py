"""
Run the pinned CDK CLI on one stage.

    python -m infra.build.cdk_cli bootstrap|synth|deploy|destroy STAGE

The CLI and Node are the project's own, and the stage is checked before either starts.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError

from infra.build import BundlingError
from infra.build.lambda_asset import ROOT, build_asset
from infra.stage import StageConfig, StageError, parse_override
from infra.stage.issuer import IssuerError, signing_keys
from infra.terminal import replace_what_it_cannot_show

CLI = ROOT / "infra" / "node_modules" / ".bin" / "cdk"

# CodeDeploy's failure names neither the alarm nor the log that knows the cause.
REFUSED = """If CodeDeploy went back to the version before, the cause is one of these:
  its hook refused the version: the log of the function "Tries a new version before it gets traffic"
  an alarm was on, or there is no API key: token-vendor doctor --stage {stage}
  Aurora refuses the API key: token-vendor set-api-key --stage {stage}"""


def cdk(*arguments: str) -> list[str]:
    return [str(CLI), *arguments]


def main() -> int:
    """Run one verb; whatever stops it is told in one line."""
    replace_what_it_cannot_show()
    parser = argparse.ArgumentParser(prog="python -m infra.build.cdk_cli", description=__doc__)
    parser.add_argument("verb", choices=["bootstrap", "synth", "deploy", "destroy"])
    parser.add_argument("stage", help="a stage of cdk.json")
    parser.add_argument("--override", default="{}", help="JSON object of options that win")
    chosen, rest = parser.parse_known_args()
    try:
        stages = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]
        stage = StageConfig.read(stages, chosen.stage, parse_override(chosen.override))
        build_asset()
    except json.JSONDecodeError as error:
        print(f"cdk.json is not JSON: {error}", file=sys.stderr)
        return 2
    except (StageError, BundlingError) as error:
        print(error, file=sys.stderr)
        return 2
    if not CLI.exists():
        print("the CDK CLI is not installed; `make setup` brings it", file=sys.stderr)
        return 2
    if chosen.verb == "deploy" and (wrong := _wrong_issuer(stage.issuer)):
        print(wrong, file=sys.stderr)
        return 2
    if chosen.verb != "synth" and (missing := _missing_credentials()):
        print(missing, file=sys.stderr)
        return 2
    # The template is in cdk.out; printed whole it hides what matters.
    quiet = ["--quiet"] if chosen.verb == "synth" else []
    context = ["-c", f"stage={chosen.stage}", "-c", f"override={chosen.override}"]
    command = cdk(chosen.verb, *context, *quiet, *rest)
    # The project's own Node and Python are found first.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = os.environ | {"PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"}
    code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if code and chosen.verb == "deploy" and stage.deployment == "canary":
        print(REFUSED.format(stage=chosen.stage), file=sys.stderr)
    if chosen.verb == "synth" and code == 0:
        print(f"cdk.out/AuroraTokenVendor-{chosen.stage}.template.json")
    return code


def _wrong_issuer(issuer: str) -> str:
    """Say why AWS would refuse the issuer, minutes later and with a roll-back, or nothing."""
    try:
        signing_keys(issuer)
    except IssuerError as error:
        if error.answered:
            return f"{error}: {error.fix}"
        print(f"{error}. AWS has to reach it; going on", file=sys.stderr)
    return ""


def _missing_credentials() -> str:
    """Say why AWS would not know who deploys; empty where credentials are there."""
    try:
        found = boto3.Session().get_credentials()
    except BotoCoreError as error:
        return str(error)
    return "" if found else "no AWS credentials: set AWS_PROFILE, or sign in with `aws sso login`"


if __name__ == "__main__":
    sys.exit(main())
