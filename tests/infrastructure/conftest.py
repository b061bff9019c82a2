"""
One synth for every test of the template: starting jsii is slow, reading JSON is not.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.build.lambda_asset import ROOT
from infra.stage import StageConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# jsii would take whatever Node the machine has, where it has one.
os.environ.setdefault("JSII_NODE", str(Path(sys.executable).parent / "node"))

FILLED_IN = {
    "issuer": "https://id.example.com",
    "audiences": ["web-app"],
    "cors_origins": ["https://app.example.com"],
    "aurora_tenant_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "alarm_email": "team@example.com",
    "invite_domains": ["example.com"],
}
LONGEST = "a-stage-of-20-letter"
EVERY_ALARM = "every-alarm"


def cdk_json() -> dict[str, Any]:
    return json.loads((ROOT / "cdk.json").read_text())


def filled_in(stage: str, **override: Any) -> StageConfig:
    """
    Read a stage of cdk.json with its placeholders filled in.
    """
    stages = cdk_json()["context"]["stages"]
    stages |= dict.fromkeys((LONGEST, EVERY_ALARM), stages["production"])
    return StageConfig.read(stages, stage, {**FILLED_IN, **override})


@dataclass(frozen=True)
class Template:
    """
    A synthesized template as plain data.
    """

    path: Path
    data: dict[str, Any]

    def resources(self, type_: str) -> dict[str, dict[str, Any]]:
        """
        Return the resources of a type by logical id.
        """
        return {id_: each for id_, each in self.data["Resources"].items() if each["Type"] == type_}

    def one(self, type_: str) -> dict[str, Any]:
        """
        Return the only resource of a type.
        """
        (found,) = self.resources(type_).values()
        return found

    def properties(self, type_: str) -> dict[str, Any]:
        """
        Return the properties of the only resource of a type.
        """
        return self.one(type_)["Properties"]

    def id(self, type_: str) -> str:
        """
        Return the logical id of the only resource of a type.
        """
        (found,) = self.resources(type_)
        return found


@dataclass(frozen=True)
class Assembly:
    """
    What one synth wrote: a template for each stage, and what cdk-nag says of them.
    """

    folder: Path

    def template(self, stage: str) -> Template:
        path = self.folder / f"AuroraTokenVendor-{stage}.template.json"
        return Template(path, json.loads(path.read_text()))

    def manifest(self, stage: str) -> dict[str, Any]:
        """
        Return how the CLI is told to deploy a stage's stack.
        """
        artifacts = json.loads((self.folder / "manifest.json").read_text())["artifacts"]
        return artifacts[f"AuroraTokenVendor-{stage}"]["properties"]

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "validation-report.json").read_text())


def synthesize(
    folder: Path,
    *stages: StageConfig,
    judged: bool = False,
    broken: bool = False,
    packs: Sequence[Callable[[Any], Any]] = (),
) -> None:
    """
    Write the templates of stages; cdk-nag looks on, or a resource that no AWS has spoils them.

    `judged` takes the packs that have nothing left to say; `packs` are others of cdk-nag.
    """
    # Importing the CDK starts jsii, which tests that need no template can do without.
    from aws_cdk import App, CfnResource, Validations  # noqa: PLC0415
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks  # noqa: PLC0415

    from infra.stack.token_vendor_stack import TokenVendorStack  # noqa: PLC0415

    app = App(context=cdk_json()["context"], outdir=str(folder))
    if judged:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    if packs:
        Validations.of(app).add_plugins(*(pack(app) for pack in packs))
    for stage in stages:
        stack = TokenVendorStack(app, f"AuroraTokenVendor-{stage.stage}", stage=stage)
        if broken:
            # Last, so that the deployment fails with everything else changed already.
            spoilt = CfnResource(stack, "Spoilt", type="AWS::Nowhere::Nothing")
            spoilt.node.add_dependency(stack.node.find_child("Default").node.find_child("Api"))
    try:
        app.synth()
    except RuntimeError as error:
        # The findings are in the report, where a test names them one by one.
        if "ValidationFailed" not in str(error):
            raise


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """
    Give stages that differ in every option that shapes the stack.
    """
    folder = tmp_path_factory.mktemp("cdk.out")
    synthesize(
        folder,
        filled_in("sandbox"),
        filled_in("production", provisioned_concurrency=2),
        filled_in(EVERY_ALARM, business_hours="6-16"),
        filled_in(
            LONGEST,
            snap_start=True,
            cors_origins=[],
            memory_mb=2048,
            reserved_concurrency=9,
            termination_protection=True,
            claim_email="upn",
            issuer="https://login.example.com/" + "i" * 200,
            invite_domains=[f"department-{number:02}.example.com" for number in range(40)],
            invite_levels_by_group={f"group-{number:02}": "Team Member" for number in range(20)},
        ),
        judged=True,
    )
    return Assembly(folder)


@pytest.fixture(scope="session")
def sandbox(assembly: Assembly) -> Template:
    return assembly.template("sandbox")


@pytest.fixture(scope="session")
def production(assembly: Assembly) -> Template:
    return assembly.template("production")


@pytest.fixture(scope="session")
def longest(assembly: Assembly) -> Template:
    return assembly.template(LONGEST)
