"""
What is stored outlives a change, a failed change and, in production, the stack.

The CDK CLI deploys into MiniStack, whose CloudFormation updates, rolls back and deletes.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from token_vendor.caller import SUBJECT
from token_vendor.observability import digest

from infra.build.cdk_cli import cdk
from infra.local.ministack import ACCOUNT, REGION, MiniStack, ministack
from infra.local.ministack_workarounds import adapt
from infra.local.processes import clean_environment, free_port
from tests.infrastructure.conftest import FILLED_IN, filled_in, synthesize
from tests.support.codedeploy import DEPLOYMENT, CodeDeploy
from tests.support.events import Answer, token_event
from tests.support.program import ended

# The CLI deploys for minutes. What a template says of it is looked at every time: test_upgrade.py
# sees that each version keeps its role, test_stack.py what is kept.
pytestmark = pytest.mark.nightly
EMAIL = "jessica.smith@aurorasolar.com"
STORED = {
    "pk": {"S": f"sandbox#{FILLED_IN['aurora_tenant_id']}#{EMAIL}"},
    "sk": {"S": "TOKEN"},
    "version": {"N": "3"},
    "jwt": {"S": "a.stored.jwt"},
    "jti": {"S": "stored"},
    "user_id": {"S": "3fa85f64-5717-4562-b3fc-2c963f66afa6"},
    "expires_at": {"N": str(int(time.time()) + 12 * 3600)},
    # The identity of an event without `iss` and `sub`: another one would have Aurora asked first.
    "subjects": {"L": [{"S": digest("|")[:SUBJECT]}]},
}
CHANGED = {"memory_mb": 1536, "claim_email": "upn"}


@dataclass(frozen=True)
class Account:
    """An AWS account to deploy into, and a folder for what is deployed."""

    aws: MiniStack
    folder: Path

    def cdk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ended(
            *cdk(*arguments, "--no-notices", "--no-color"),
            # Beside a cdk.json the CLI would ask the app once more.
            cwd=self.folder,
            environment=clean_environment(**self.aws.environment()),
        )

    def deploy(
        self, stage: str, name: str, *, broken: bool = False, **override: object
    ) -> subprocess.CompletedProcess[str]:
        """Synthesize and deploy a stage with some options changed."""
        assembly = self.folder / name
        synthesize(assembly, filled_in(stage, **override), broken=broken)
        adapt(assembly / f"AuroraTokenVendor-{stage}.template.json")
        return self.cdk(
            *("deploy", "--app", str(assembly), "--require-approval", "never", "--method", "direct")
        )

    def destroy(self, name: str) -> None:
        done = self.cdk("destroy", "--app", str(self.folder / name), "--force")
        assert done.returncode == 0, done.stderr

    def outputs(self, stage: str) -> dict[str, str]:
        answer = self.aws.client("cloudformation").describe_stacks(
            StackName=f"AuroraTokenVendor-{stage}"
        )
        return {
            output["OutputKey"]: output["OutputValue"] for output in answer["Stacks"][0]["Outputs"]
        }

    def left(self, stage: str) -> dict[str, int]:
        """Count what there is of a stage, by the names that CloudFormation or the template gave."""
        client = self.aws.client
        names = {
            "tables": client("dynamodb").list_tables()["TableNames"],
            "secrets": [s["Name"] for s in client("secretsmanager").list_secrets()["SecretList"]],
            "functions": [
                f["FunctionName"] for f in client("lambda").list_functions()["Functions"]
            ],
            "logs": [g["logGroupName"] for g in client("logs").describe_log_groups()["logGroups"]],
            "apis": [api["Name"] for api in client("apigatewayv2").get_apis()["Items"]],
            "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"]],
            "topics": [topic["TopicArn"] for topic in client("sns").list_topics()["Topics"]],
            "dashboards": [
                each["DashboardName"]
                for each in client("cloudwatch").list_dashboards()["DashboardEntries"]
            ],
            "keys in use": [
                key["Description"]
                for key in map(self._key, client("kms").list_keys()["Keys"])
                if key["KeyState"] == "Enabled"
            ],
        }
        return {
            kind: found
            for kind, those in names.items()
            if (found := sum(stage in name for name in those))
        }

    def _key(self, key: dict[str, str]) -> dict[str, str]:
        described = self.aws.client("kms").describe_key(KeyId=key["KeyId"])
        metadata: dict[str, str] = described["KeyMetadata"]
        return metadata


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    with ministack(port=free_port(), log=folder / "ministack.log", scratch=folder) as aws:
        account = Account(aws, folder)
        bootstrapped = account.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        assert bootstrapped.returncode == 0, bootstrapped.stderr
        yield account


def test_failed_change_and_change_keep_what_is_stored(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version needs one right less; the one that serves keeps it until replaced."""
    from infra.stack import token_vendor

    client = account.aws.client
    dynamodb, secrets, functions, iam = map(client, ("dynamodb", "secretsmanager", "lambda", "iam"))
    right = "dynamodb:DescribeTable"
    with monkeypatch.context() as patch:
        patch.setattr(token_vendor, "TABLE_ACTIONS", (*token_vendor.TABLE_ACTIONS, right))
        first = account.deploy("sandbox", "first")
        assert first.returncode == 0, first.stderr
    outputs = account.outputs("sandbox")
    dynamodb.put_item(TableName=outputs["TableName"], Item=STORED)
    secrets.put_secret_value(SecretId=outputs["SecretArn"], SecretString="sk_sand_kept")

    def live() -> dict[str, Any]:
        found: dict[str, Any] = functions.get_function_configuration(
            FunctionName=outputs["FunctionName"], Qualifier="live"
        )
        return found

    def settings() -> tuple[int, str]:
        function = live()
        return function["MemorySize"], function["Environment"]["Variables"]["CLAIM_EMAIL"]

    def has_the_right() -> bool:
        role = live()["Role"].rpartition("/")[2]
        (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        return right in json.dumps(document)

    def is_served() -> bool:
        event = token_event(EMAIL)
        event["requestContext"]["authorizer"]["jwt"]["claims"]["upn"] = EMAIL
        answer = functions.invoke(
            FunctionName=outputs["FunctionName"], Qualifier="live", Payload=json.dumps(event)
        )
        vended = Answer.from_response(json.loads(answer["Payload"].read())).body
        secret = secrets.get_secret_value(SecretId=outputs["SecretArn"])
        assert vended["token"]["jwt"] == STORED["jwt"]["S"], vended
        return vended["source"] == "stored" and secret["SecretString"] == "sk_sand_kept"

    old = live()["Role"]
    assert (settings(), has_the_right(), is_served()) == ((1024, "email"), True, True)

    assert account.deploy("sandbox", "failing", broken=True, **CHANGED).returncode != 0
    assert (settings(), has_the_right(), is_served()) == ((1024, "email"), True, True)
    assert live()["Role"] == old

    assert account.deploy("sandbox", "changed", **CHANGED).returncode == 0
    assert (settings(), has_the_right(), is_served()) == ((1536, "upn"), False, True)
    assert account.outputs("sandbox") == outputs
    roles = {role["Arn"] for role in iam.list_roles()["Roles"]}
    assert (live()["Role"] in roles, old in roles) == (True, False)


def test_hook_tries_the_version_that_it_is_deployed_with(account: Account) -> None:
    """Lambda and the versions are MiniStack's; CodeDeploy, which it lacks, is played."""
    functions = account.aws.client("lambda")
    versions = []
    for memory in (1024, 1536):
        done = account.deploy("sandbox", f"{memory}", deployment="canary", memory_mb=memory)
        assert done.returncode == 0, done.stderr
        vendor = account.outputs("sandbox")["FunctionName"]
        live = functions.get_alias(FunctionName=vendor, Name="live")["FunctionVersion"]
        (hook,) = [
            each
            for each in functions.list_functions()["Functions"]
            if each["Handler"] == "hook.handler"
        ]
        variables = hook["Environment"]["Variables"]
        assert variables["NEW_VERSION"].endswith(f":{vendor}:{live}")
        with CodeDeploy() as codedeploy:
            functions.update_function_configuration(
                FunctionName=hook["FunctionName"],
                Environment={"Variables": variables | codedeploy.variables},
            )
            functions.invoke(FunctionName=hook["FunctionName"], Payload=json.dumps(DEPLOYMENT))
        assert codedeploy.statuses == ["Succeeded"]
        versions.append(live)
    assert versions[0] != versions[1]


def test_destroyed_sandbox_leaves_nothing(account: Account) -> None:
    """The key is scheduled for deletion, which AWS does not do at once."""
    assert account.deploy("sandbox", "disposable").returncode == 0
    assert account.left("sandbox").keys() >= {"tables", "secrets", "functions", "apis"}
    account.destroy("disposable")
    assert account.left("sandbox") == {}


def test_destroyed_production_leaves_what_is_stored(account: Account) -> None:
    """Table, secret, their key and both logs stay; nothing that serves or costs by request."""
    assert account.deploy("production", "kept").returncode == 0
    account.destroy("kept")
    assert account.left("production") == {"tables": 1, "secrets": 1, "keys in use": 1, "logs": 2}
