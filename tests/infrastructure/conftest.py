"""One synth for every test of the template: starting jsii is slow, reading JSON is not."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from infra.build.lambda_asset import ROOT
from infra.stage import StageConfig

# jsii would take whatever Node the machine has, where it has one.
os.environ.setdefault("JSII_NODE", str(Path(sys.executable).parent / "node"))
# The CDK's own rules only warn, seconds long; cfn-lint has the same, and fails.
os.environ.setdefault("CDK_VALIDATION", "false")

FILLED_IN = {
    "issuer": "https://id.example.com",
    "audiences": ["web-app"],
    "cors_origins": ["https://app.example.com"],
    "aurora_tenant_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "alarm_email": "team@example.com",
    "invite_domains": ["example.com"],
}
ACCOUNT, REGION = "111122223333", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# What a company has already.
GIVEN: dict[str, Any] = {
    "account": ACCOUNT,
    "region": REGION,
    "tags": {"cost-center": "4711", "team": "Solar + Roof"},
    "kms_key_arn": KEY,
    "secret_arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:aurora/api-key-AbCdEf",
    "secret_kms_key_arn": KEY.replace("1234abcd", "abcd1234"),
    "domain_name": "tokens.example.com",
    "certificate_arn": (
        f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/12345678-1234-1234-1234-123456789012"
    ),
    "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "security_group_ids": ["sg-0123456789abcdef0"],
    "encrypt_logs": True,
    "website": True,
    "website_web_acl_arn": (
        f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/ours/12345678-1234-1234-1234-12345678"
    ),
    "directory_schedule": "cron(30 6 ? * MON-FRI *)",
    "runbook": "https://git.example.com/vendor/docs/runbook.md",
}
LONGEST = "a-stage-of-20-letter"
EVERY_ALARM = "every-alarm"
CAREFUL = {"deployment": "canary", "canary_email": "Canary@Example.com", "business_hours": "6-16"}
STAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "sandbox": ("sandbox", {}),
    "production": ("production", {"provisioned_concurrency": 2}),
    EVERY_ALARM: ("production", {"business_hours": "6-16"}),
    LONGEST: (
        "production",
        {
            "snap_start": True,
            "cors_origins": [],
            "memory_mb": 2048,
            "reserved_concurrency": 9,
            "termination_protection": True,
            "claim_email": "upn",
            "issuer": "https://login.example.com/" + "i" * 200,
            "invite_domains": [f"department-{number:02}.example.com" for number in range(40)],
            "invite_levels_by_group": {f"group-{number:02}": "Team Member" for number in range(20)},
        },
    ),
    "given": ("production", GIVEN),
    "encrypted": ("sandbox", {"encrypt_logs": True}),
    "topic-and-secret": (
        "sandbox",
        {
            "alarm_email": "",
            "alarm_topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
            # With AWS's own key.
            "secret_arn": GIVEN["secret_arn"],
        },
    ),
    "website": (
        "production",
        {
            "website": True,
            "website_origins": ["https://sign-in.example.com"],
            "sdk_sources": {
                "script-src": "https://aurora-sdk.s3.amazonaws.com 'wasm-unsafe-eval'",
                "frame-src": "",
            },
            "issuer": "https://id.example.com/tenant",
            # It needs none.
            "cors_origins": [],
        },
    ),
    "careful": ("sandbox", CAREFUL),
    "careful-given": (
        "production",
        {
            **GIVEN,
            "website": False,
            "website_web_acl_arn": "",
            "deployment": "canary",
            "snap_start": True,
            "issuer": "https://login.example.com/" + "i" * 200,
            "claim_email": "https://claims.example.com/" + "c" * 100,
        },
    ),
    "scheduled": (
        "sandbox",
        {
            "directory_schedule": "cron(30 6 ? * MON-FRI *)",
            "prewarm": True,
            "time_zone": "America/Los_Angeles",
        },
    ),
}
"""
Stages that differ in every option that shapes the stack: whose defaults they have, and what not.
"""
# The CDK makes each function wait for its role's policy and, needlessly but harmlessly, for the
# role, which the function refers to anyway. The alias waits for what its update policy names: AWS
# says nowhere that the policy's references order an update.
NEEDLESS = re.compile(
    r"W3005 '\w+Role\w+' dependency already enforced by a 'GetAtt'"
    r"|W3005 '\w*CDKBucketDeployment\w+' dependency"
    r"|W3005 '\w+' dependency already enforced by a 'Ref' at '[\w/]+/UpdatePolicy/"
)


def cdk_json() -> dict[str, Any]:
    return json.loads((ROOT / "cdk.json").read_text())


def filled_in(stage: str, **override: Any) -> StageConfig:
    """Read a stage of cdk.json with its placeholders filled in."""
    stages = cdk_json()["context"]["stages"]
    stages |= {name: stages[like] for name, (like, _) in STAGES.items()}
    return StageConfig.read(stages, stage, {**FILLED_IN, **override})


@dataclass(frozen=True)
class Template:
    """A synthesized template as plain data."""

    stage: str
    path: Path
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path, stage: str = "") -> Self:
        return cls(stage, path, json.loads(path.read_text()))

    def resources(self, type_: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type by logical id."""
        return {id_: each for id_, each in self.data["Resources"].items() if each["Type"] == type_}

    def every(self, type_: str) -> list[dict[str, Any]]:
        """Return the properties of the resources of a type."""
        return [each["Properties"] for each in self.resources(type_).values()]

    def properties(self, type_: str) -> dict[str, Any]:
        """Return the properties of the only resource of a type."""
        (found,) = self.every(type_)
        return found

    def alarm(self, slug: str) -> dict[str, Any]:
        """Return the properties of the alarm whose name ends with this."""
        alarms = self.every("AWS::CloudWatch::Alarm")
        (found,) = [each for each in alarms if each["AlarmName"].endswith(f"-{slug}")]
        return found

    def id(self, type_: str) -> str:
        """Return the logical id of the only resource of a type."""
        (found,) = self.resources(type_)
        return found


@dataclass(frozen=True)
class Assembly:
    """What one synth wrote: a template for each stage, and what cdk-nag says of them."""

    folder: Path

    def template(self, stage: str) -> Template:
        return Template.read(self.folder / f"AuroraTokenVendor-{stage}.template.json", stage)

    def manifest(self, stage: str) -> dict[str, Any]:
        """Return how the CLI is told to deploy a stage's stack."""
        artifacts = json.loads((self.folder / "manifest.json").read_text())["artifacts"]
        return artifacts[f"AuroraTokenVendor-{stage}"]["properties"]

    def findings(self) -> list[tuple[str, str]]:
        """Return the rule and the construct of each finding of cdk-nag's packs."""
        report = json.loads((self.folder / "validation-report.json").read_text())
        packs = {each["pluginName"]: each for each in report["pluginReports"]}
        assert {"AwsSolutions", "Serverless"} <= packs.keys()
        return [
            (violation["ruleName"], construct["constructPath"])
            for pack in packs.values()
            for violation in pack.get("violations", [])
            for construct in violation["violatingConstructs"]
        ]


def cfn_lint(template: Path, *regions: str) -> list[str]:
    """Return what cfn-lint has to say of a template."""
    from cfnlint.api import ManualArgs, lint  # It takes seconds to import.

    matches = lint(template.read_text(), config=ManualArgs(regions=list(regions or [REGION])))
    messages = [f"{each.rule.id} {each.message}" for each in matches]
    return [each for each in messages if not NEEDLESS.search(each)]


def flat(value: Any, reference: str = "") -> str:
    """Join a text that CloudFormation puts together, with logical ids for resources."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return separator.join(flat(part, reference) for part in parts)
        case {"Ref": id_} | {"Fn::GetAtt": [id_, *_]}:
            return reference or id_
    return str(value)


def listed(one_or_more: str | list[str]) -> list[str]:
    """Return a list, in place of which a policy may have a single text."""
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more


def every_text(node: Any) -> Iterator[str]:
    match node:
        case str():
            yield node
        case dict():
            for key, value in node.items():
                yield key
                yield from every_text(value)
        case list():
            for value in node:
                yield from every_text(value)


def synthesize(
    folder: Path,
    *stages: StageConfig,
    judged: bool = False,
    broken: bool = False,
    staged: bool = False,
    packs: Sequence[Callable[[Any], Any]] = (),
) -> None:
    """
    Write the templates of stages; cdk-nag looks on, or a resource that no AWS has spoils them.

    `judged` takes the packs that have nothing left to say; `packs` are others of cdk-nag. `staged`
    copies the assets too, of which the Lambda has thousands of files.
    """
    # Importing the CDK starts jsii, which tests that need no template can do without.
    from aws_cdk import App, CfnResource, Validations
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    from infra.stack.token_vendor_stack import TokenVendorStack

    context = cdk_json()["context"] | {"aws:cdk:disable-asset-staging": not staged}
    app = App(context=context, outdir=str(folder))
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
    """Give every stage, synthesized and judged."""
    folder = tmp_path_factory.mktemp("cdk.out")
    stages = (filled_in(name, **options) for name, (_, options) in STAGES.items())
    synthesize(folder, *stages, judged=True)
    return Assembly(folder)


@pytest.fixture(params=["sandbox", "production", LONGEST])
def template(request: pytest.FixtureRequest, assembly: Assembly) -> Template:
    """Give the template of each of these stages in turn."""
    return assembly.template(request.param)


@pytest.fixture(scope="session")
def sandbox(assembly: Assembly) -> Template:
    return assembly.template("sandbox")


@pytest.fixture(scope="session")
def production(assembly: Assembly) -> Template:
    return assembly.template("production")


@pytest.fixture(scope="session")
def longest(assembly: Assembly) -> Template:
    return assembly.template(LONGEST)
