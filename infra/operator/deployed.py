"""
Find the deployed stack of a stage: its outputs, its function's settings, its AWS clients.

What a command knows about a stage comes from what runs there, not from this checkout's cdk.json.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from token_vendor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local"
LOCAL_OUTPUTS = Path(".local") / "outputs.json"
# MiniStack takes any credentials; real ones stay out of a process that talks to it.
LOCAL_CREDENTIALS = "test"
QUICK = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard"})


class OperatorError(Exception):
    """
    Something that the operator has to know, in one line.
    """


class NotDeployedError(OperatorError):
    """
    The stage has no stack that could be asked, or AWS cannot be reached.
    """


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """
    A stage that is deployed; `outputs` are those of its CloudFormation stack.
    """

    stage: str
    region: str
    outputs: "Mapping[str, str]"
    status: str
    local: "Mapping[str, str]"
    session: boto3.Session

    @classmethod
    def find(cls, stage: str) -> Self:
        """
        Look the stage up in the AWS account of the usual credentials, or on this machine.

        Raises:
            NotDeployedError: There is no such stack, or AWS cannot be asked.

        """
        local = _local_outputs() if stage == LOCAL else {}
        session = (
            boto3.Session(
                region_name=local["region"],
                aws_access_key_id=LOCAL_CREDENTIALS,
                aws_secret_access_key=LOCAL_CREDENTIALS,
            )
            if local
            else boto3.Session()
        )
        name = f"AuroraTokenVendor-{stage}"
        try:
            client = session.client(
                "cloudformation", endpoint_url=local.get("aws_endpoint_url"), config=QUICK
            )
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            where = f"{session.region_name}, profile {session.profile_name}"
            raise NotDeployedError(f"{name} ({where}): {message(error)}") from error
        except BotoCoreError as error:
            mend = "Set AWS_PROFILE, or AWS_REGION and credentials."
            raise NotDeployedError(f"{name}: {error} {mend}") from error
        return cls(
            stage=stage,
            region=str(session.region_name),
            outputs={each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])},
            status=stack["StackStatus"],
            local=local,
            session=session,
        )

    def client(self, service: str) -> Any:
        """
        Return an AWS client of this stage.
        """
        # The names of services are data here, and boto3's stubs want a literal.
        make: Any = self.session.client
        return make(service, endpoint_url=self.local.get("aws_endpoint_url"), config=QUICK)

    @cached_property
    def settings(self) -> Settings:
        """
        Return the settings that the deployed function runs with.
        """
        function = self.client("lambda").get_function_configuration(
            FunctionName=self.outputs["FunctionName"]
        )
        return Settings.from_environment(function["Environment"]["Variables"])

    @property
    def token_url(self) -> str:
        """
        Return the address that frontends call.
        """
        # Not every resolver knows the names below `localhost` that MiniStack gives its APIs.
        return self.local.get("token_url") or self.outputs["TokenUrl"]

    def api_key(self) -> str:
        """
        Return the current API key, or nothing where the secret has none.
        """
        secrets = self.client("secretsmanager")
        try:
            answer = secrets.get_secret_value(SecretId=self.outputs["SecretArn"])
        except secrets.exceptions.ResourceNotFoundException:
            return ""
        return str(answer.get("SecretString", "")).strip()


def message(error: ClientError) -> str:
    """
    Return AWS's own words, without the name of the call around them.
    """
    return str(error.response.get("Error", {}).get("Message") or error)


def _local_outputs() -> dict[str, str]:
    try:
        outputs: dict[str, str] = json.loads(LOCAL_OUTPUTS.read_text())
    except OSError as error:
        raise NotDeployedError(
            f"no local stack runs here ({LOCAL_OUTPUTS} is absent): start it with make run"
        ) from error
    return outputs
