"""
What must not travel: JWTs, the API key, the Authorization header; towards callers, AWS's texts.

Every fault of the table in `test_faults` is played, and an Aurora that repeats the request's own
headers in its answers; every text that leaves the service is searched.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from token_vendor.token_item import TokenItem

from tests.integration.test_aurora_adversary import raw_server, request_of
from tests.integration.test_faults import ALWAYS, CASES, NEWCOMER

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from tests.integration.conftest import Deployment
    from tests.integration.test_faults import Row
    from tests.support.events import Answer

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/tokens"
AWS_TEXT = re.compile(r"arn:aws|\b\d{12}\b|DynamoDB|dynamodb|Secrets ?Manager|botocore|Traceback")
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+")


class Watch:
    """Everything that one deployment says: answers, log lines and metrics."""

    def __init__(
        self, deployment: Deployment, log: io.StringIO, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._deployment = deployment
        self._log = log
        self._capsys = capsys

    def search(self, answer: Answer, *, key: str) -> str:
        """Search all of it, and return what went to logs and metrics."""
        printed = self._capsys.readouterr()
        logged = self._log.getvalue() + printed.out + printed.err
        said = json.dumps([answer.body, answer.headers])
        assert "audit" in logged
        for text in (logged, said):
            assert key not in text
            assert base64.b64encode(key.encode()).decode()[:20] not in text
            assert "Bearer" not in text
            assert "authorization" not in text.lower()
        assert not JWT.search(logged)
        if answer.status != 200:
            assert not JWT.search(said)
            assert not AWS_TEXT.search(said)
            assert not set(answer.body) - {
                "type",
                "title",
                "status",
                "detail",
                "instance",
                "retry_at",
            }
        return logged


@pytest.fixture
def watch(deployment: Deployment, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> Watch:
    capsys.readouterr()
    return Watch(deployment, log, capsys)


@pytest.mark.parametrize(("row", "operation"), CASES)
def test_no_fault_makes_the_service_talk(
    deployment: Deployment, watch: Watch, row: Row, operation: str
) -> None:
    deployment.restart(AURORA_READ_TIMEOUT="0.3", LOG_EMAIL="false")
    deployment.aurora.fail({"operation": operation, "times": ALWAYS} | row.fault)
    email = NEWCOMER if operation == "invite_user" else "jessica.smith@aurorasolar.com"
    answer = deployment.vend(email)
    assert answer.status >= 400
    logged = watch.search(answer, key=deployment.aurora.api_key)
    assert email not in logged


def test_success_logs_a_digest_and_no_token(deployment: Deployment, watch: Watch) -> None:
    answer = deployment.vend()
    logged = watch.search(answer, key=deployment.aurora.api_key)
    encoded = answer.body["token"]["jwt"]
    assert all(part not in logged for part in encoded.split("."))
    assert "jwt_sha256" in logged
    assert "jessica.smith" not in logged


def echo(status: int, jwt: str) -> Callable[[Any], None]:
    """Answer with all that was sent, and somebody's JWT."""

    def talk(connection: Any) -> None:
        heard = re.search(rb"[Aa]uthorization: Bearer (\S+)", request_of(connection))
        key = heard[1] if heard else b""
        body = b'{"key": "%s", "jwt": "%s"}%s' % (key, jwt.encode(), b" " * 270 + key)
        head = b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, len(body)) + body)

    return talk


@pytest.mark.parametrize("status", [200, 302, 401, 422, 500])
@pytest.mark.parametrize("key", ["sk_sand_0123456789abcdef", "0123456789-of-no-known-form"])
def test_aurora_that_echoes_the_key(
    deployment: Deployment, watch: Watch, status: int, key: str
) -> None:
    """An error page may repeat the request; its excerpt in the log must not."""
    deployment.secret = key
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.c2lnbmF0dXJl"
    with raw_server(echo(status, jwt)) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        answer = deployment.vend()
    assert answer.status >= 400
    logged = watch.search(answer, key=key)
    # Not even the start of a key that the end of the excerpt cut in two.
    assert key[:12] not in logged


AWS_ERRORS = {
    "denied": ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": f"User: {ARN} is not authorized"}},
        "Operation",
    ),
    "unreachable": EndpointConnectionError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com"),
    "unforeseen": RuntimeError(f"something about {ARN} in account 123456789012"),
}


@pytest.mark.parametrize("name", AWS_ERRORS)
@pytest.mark.parametrize(
    "operation", ["batch_get_item", "get_item", "update_item", "batch_write_item"]
)
def test_texts_of_aws_stay_in_the_log(
    deployment: Deployment,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    name: str,
) -> None:
    def fail(**_: Any) -> None:
        raise AWS_ERRORS[name]

    monkeypatch.setattr(deployment.served_dynamodb, operation, fail)
    answer = deployment.vend()
    assert answer.slug in {"token-store-unavailable", "internal-error"}
    logged = watch.search(answer, key=deployment.aurora.api_key)
    # Operators do read what AWS said.
    assert str(AWS_ERRORS[name]) in logged.replace('\\"', '"')


@pytest.mark.parametrize("name", ["denied", "unreachable"])
def test_texts_of_secrets_manager_stay_in_the_log(
    deployment: Deployment, watch: Watch, name: str
) -> None:
    def fail() -> None:
        raise AWS_ERRORS[name]

    deployment.parts.vendor.aurora.http._api_key._make_client = fail  # type: ignore[assignment]
    answer = deployment.vend()
    assert answer.slug in {"aurora-key-rejected", "aurora-unavailable"}
    logged = watch.search(answer, key=deployment.aurora.api_key)
    assert str(AWS_ERRORS[name]) in logged.replace('\\"', '"')


@pytest.mark.parametrize(
    "key",
    [
        "sk_sand_0123 4567",
        "sk_sand_0123\r\nX-Injected: yes",
        "sk_sand_\u00e9123",
        "sk_prod_0123456",
    ],
    ids=ascii,
)
def test_key_that_cannot_be_sent_is_not_quoted(
    deployment: Deployment, watch: Watch, key: str
) -> None:
    """http.client quotes the whole header in its error: such a key never gets that far."""
    deployment.secret = key
    answer = deployment.vend()
    assert answer.slug == "aurora-key-rejected"
    logged = watch.search(answer, key=key)
    assert key[:12] not in logged
    assert deployment.aurora.calls() == []


def test_values_do_not_print_their_secrets(deployment: Deployment) -> None:
    """A frozen value in an exception's text or a debugger's line shows no JWT."""
    encoded = deployment.vend().body["token"]["jwt"]
    item = deployment.parts.table.load(TokenItem, "jessica.smith@aurorasolar.com")
    assert item.jwt == encoded
    assert encoded not in repr(item)
    assert encoded not in repr(item.token)
