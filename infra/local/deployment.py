"""The real `cdk deploy` of stage `local`, into MiniStack."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.build.cdk_cli import cdk
from infra.build.lambda_asset import ROOT
from infra.local.ministack import ACCOUNT, REGION, MiniStack
from infra.local.ministack_workarounds import adapt, apply_cors
from infra.local.processes import Child, clean_environment

STACK = "AuroraTokenVendor-local"
TIMEOUT = 600
QUIET = ("--no-notices", "--no-version-reporting", "--no-color")


class Deployment:
    """The steps of a deployment; synthesizing needs no MiniStack and may run beside its start."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._assembly = self._directory / "cdk.out"
        self._outputs = self._directory / "cdk-outputs.json"
        self.is_without_codedeploy = False

    def synthesize(self, override: Mapping[str, Any]) -> Child:
        """Start synthesizing stage `local` with options that only this run knows."""
        # Bundling may have to ask a package index, by way of the shell's own settings.
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        context = json.loads((ROOT / "cdk.json").read_text())["context"] | {
            "stage": "local",
            "override": json.dumps(override),
            # The Lambda's 18 MB are not copied once more.
            "aws:cdk:disable-asset-staging": True,
        }
        # What `cdk synth` hands to the app, without the seconds that it takes itself.
        handed = {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(self._assembly)}
        app = [sys.executable, "-m", "infra.app"]
        return self._child("synth", app, env | clean_environment(**handed))

    def bootstrap(self, aws: MiniStack) -> Child:
        # The account is named, so the app need not be asked; beside a cdk.json it would be.
        command = cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", *QUIET)
        env = clean_environment(**aws.environment())
        return self._child("bootstrap", command, env, self._directory)

    def deploy(self, aws: MiniStack) -> dict[str, str]:
        """Deploy what was synthesized, wait until it is there, and return the stack's outputs."""
        template = self._assembly / f"{STACK}.template.json"
        self.is_without_codedeploy = adapt(template)
        # A change set would only add requests: nobody is asked to approve it.
        how = ("--require-approval", "never", "--method", "direct", "--progress", "events")
        where = ("--app", str(self._assembly), "--outputs-file", str(self._outputs))
        command = cdk("deploy", *where, *how, *QUIET)
        deploying = self._child("deploy", command, clean_environment(**aws.environment()))
        try:
            deploying.join(TIMEOUT)
        finally:
            deploying.end()
        outputs: dict[str, str] = json.loads(self._outputs.read_text())[STACK]
        apply_cors(aws, outputs["ApiId"], template)
        return outputs

    def _child(
        self, name: str, command: list[str], env: Mapping[str, str], directory: Path = ROOT
    ) -> Child:
        settings = {
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # AWS's rules for templates take seconds, and say nothing about MiniStack.
            "CDK_VALIDATION": "false",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "true",
        }
        log = self._directory / f"{name}.log"
        return Child(command, log=log, env={**env, **settings}, directory=directory)
