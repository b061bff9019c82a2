"""
Find the deployed stack of a stage: its outputs, its function's settings, its AWS clients.

What a command knows about a stage comes from what runs there, not from this checkout's cdk.json.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from token_vendor.settings import Settings

from infra.operator.exits import NotDeployedError, message

LOCAL = "local"
LOCAL_OUTPUTS = Path(".local") / "outputs.json"
# MiniStack takes any credentials; real ones stay out of a process that talks to it.
LOCAL_CREDENTIALS = "test"
QUICK = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard"})
# Loopback is not behind a proxy, whatever HTTP_PROXY says.
ON_LOOPBACK = QUICK.merge(Config(proxies={}, retries={"mode": "standard", "max_attempts": 1}))


@dataclass(frozen=True, kw_only=True)
class Deployed:
    stage: str
    region: str
    outputs: Mapping[str, str]
    status: str
    local: Mapping[str, str]
    session: boto3.Session

    @classmethod
    def find(cls, stage: str) -> Self:
        """
        Look the stage up in the AWS account of the usual credentials, or on this machine.

        Where there is no such stack, or AWS cannot be asked, `NotDeployedError` says what to do.
        """
        if (known := stages()) and stage not in known:
            raise NotDeployedError(f"cdk.json has no stage {stage}; it has {', '.join(known)}")
        local = _local_outputs() if stage == LOCAL else {}
        name = f"AuroraTokenVendor-{stage}"
        try:
            session = _session(local)
            client = _client(session, "cloudformation", local)
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            where = f"{session.region_name}, profile {session.profile_name}"
            if "does not exist" in message(error):
                mend = f"make deploy STAGE={stage}, or look at AWS_PROFILE and AWS_REGION"
                raise NotDeployedError(f"{name} is not deployed ({where}): {mend}") from error
            raise NotDeployedError(f"{name} ({where}): {message(error)}") from error
        except (NoCredentialsError, NoRegionError, ProfileNotFound) as error:
            mend = "set AWS_PROFILE, or AWS_REGION and credentials"
            raise NotDeployedError(f"{name}: {error}; {mend}") from error
        except BotoCoreError as error:
            mend = (
                f"the local stack is gone ({LOCAL_OUTPUTS} is of a run that was killed): make run"
                if local
                else "AWS was not reached: look at the network, HTTPS_PROXY and AWS_REGION"
            )
            raise NotDeployedError(f"{name}: {mend}. {error}") from error
        return cls(
            stage=stage,
            region=str(session.region_name),
            outputs={each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])},
            status=stack["StackStatus"],
            local=local,
            session=session,
        )

    def client(self, service: str) -> Any:
        return _client(self.session, service, self.local)

    @cached_property
    def settings(self) -> Settings:
        function = self.client("lambda").get_function_configuration(
            FunctionName=self.outputs["FunctionName"]
        )
        return Settings.from_environment(function["Environment"]["Variables"])

    @property
    def token_url(self) -> str:
        # Not every resolver knows the names below `localhost` that MiniStack gives its APIs.
        return self.local.get("token_url") or self.outputs["TokenUrl"]

    def authorizer(self) -> Any:
        """Return the issuer and the audiences whose tokens the API takes."""
        (only,) = self.client("apigatewayv2").get_authorizers(ApiId=self.outputs["ApiId"])["Items"]
        return only["JwtConfiguration"]

    def api_key(self) -> str:
        """Return the current API key, or nothing where the secret has none."""
        secrets = self.client("secretsmanager")
        try:
            answer = secrets.get_secret_value(SecretId=self.outputs["SecretArn"])
        except secrets.exceptions.ResourceNotFoundException:
            return ""
        return str(answer.get("SecretString", "")).strip()


def stages() -> list[str]:
    """Name the stages of this folder's cdk.json; none where it is missing or broken."""
    try:
        return list(json.loads(Path("cdk.json").read_text())["context"]["stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _session(local: Mapping[str, str]) -> boto3.Session:
    if not local:
        # boto3 reads AWS_DEFAULT_REGION and the profile; AWS_REGION is the other SDKs' name for it.
        return boto3.Session(region_name=os.environ.get("AWS_REGION"))
    # A profile that this machine does not know would be refused, though none is needed here.
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(variable, None)
    return boto3.Session(
        region_name=local["region"],
        aws_access_key_id=LOCAL_CREDENTIALS,
        aws_secret_access_key=LOCAL_CREDENTIALS,
    )


def _client(session: boto3.Session, service: str, local: Mapping[str, str]) -> Any:
    # The names of services are data here, and boto3's stubs want a literal.
    make: Any = session.client
    if local:
        return make(service, endpoint_url=local["aws_endpoint_url"], config=ON_LOOPBACK)
    return make(service, config=QUICK)


def _local_outputs() -> dict[str, str]:
    try:
        outputs: dict[str, str] = json.loads(LOCAL_OUTPUTS.read_text())
    except OSError as error:
        raise NotDeployedError(
            f"no local stack runs here ({LOCAL_OUTPUTS} is absent): start it with make run"
        ) from error
    return outputs
