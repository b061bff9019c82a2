"""The deployed local stack, started once a process, on free ports and in its own folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import urllib3

from infra.fake_aurora.fake_aurora import FakeAurora
from infra.fake_aurora.users import ROBERT
from infra.local.stack import LocalStack, local_stack
from infra.operator.audit_log import log_events

TIMEOUT = 120
# How often one person may replace a token within an hour, by default.
RENEWALS = 6


@dataclass(frozen=True, kw_only=True)
class Running:
    """The stack, and what it answered before it had an API key."""

    stack: LocalStack
    directory: Path
    answer_without_api_key: urllib3.BaseHTTPResponse

    @property
    def aurora(self) -> FakeAurora:
        assert self.stack.fake_aurora
        return self.stack.fake_aurora

    def sign_in(self, email: str, /, **claims: Any) -> str:
        return self.stack.sign_in(email, **claims)

    def request(
        self, method: str, id_token: str | None = None, path: str = "", **arguments: Any
    ) -> urllib3.BaseHTTPResponse:
        return _request(self.stack, method, id_token, path, **arguments)

    def vend(self, email: str, **arguments: Any) -> dict[str, Any]:
        """Sign somebody in, ask for the token, and expect to get it."""
        answer = self.request("POST", self.sign_in(email), **arguments)
        assert answer.status == 200, answer.data
        vended: dict[str, Any] = answer.json()
        return vended

    def use_up_renewals(self, email: str) -> None:
        """Let somebody replace the token as often as an hour allows."""
        jti = self.vend(email)["token"]["jti"]
        for _ in range(RENEWALS):
            jti = self.vend(email, json={"replace": jti})["token"]["jti"]

    def logged(self) -> str:
        """Give everything that the function has logged so far."""
        events = log_events(self.stack.aws.client("logs"), self.stack.outputs.log_group)
        return "\n".join(event["message"] for event in events)

    def renew_function(self) -> None:
        """Publish a new version, whose execution environments hold no API key yet."""
        name, function = self.stack.outputs.function_name, self.stack.aws.client("lambda")
        function.update_function_configuration(FunctionName=name, Description=str(uuid4()))
        version = function.publish_version(FunctionName=name)["Version"]
        function.update_alias(FunctionName=name, Name="live", FunctionVersion=version)

    def clear(self) -> None:
        """Empty the table, and make Aurora as it was."""
        table, dynamodb = self.stack.outputs.table_name, self.stack.aws.client("dynamodb")
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                key = {name: item[name] for name in ("pk", "sk")}
                dynamodb.delete_item(TableName=table, Key=key)
        self.aurora.reset()


def _request(
    stack: LocalStack, method: str, id_token: str | None, path: str = "", **arguments: Any
) -> urllib3.BaseHTTPResponse:
    headers = {"Authorization": f"Bearer {id_token}"} if id_token else {}
    return urllib3.request(
        method,
        stack.outputs.token_url + path,
        headers=headers | arguments.pop("headers", {}),
        retries=False,
        timeout=TIMEOUT,
        **arguments,
    )


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Deploy the stack; like an operator, give it the API key only when it is up."""
    directory = tmp_path_factory.mktemp("run") / ".local"
    with local_stack(directory, with_api_key=False) as stack:
        answer = _request(stack, "POST", stack.sign_in(ROBERT["email"]))
        assert stack.fake_aurora
        stack.set_api_key(stack.fake_aurora.api_key)
        yield Running(stack=stack, directory=directory, answer_without_api_key=answer)


@pytest.fixture
def deployed(running: Running) -> Running:
    """Give the stack with an empty table and an Aurora that has seen nothing."""
    running.clear()
    return running


@pytest.fixture
def unsettled(deployed: Running) -> Iterator[Running]:
    """Give the stack to a test that spoils its API key, and mend it afterwards."""
    yield deployed
    deployed.clear()
    deployed.stack.set_api_key(deployed.aurora.api_key)
    deployed.renew_function()
