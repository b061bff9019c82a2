"""
What must not travel: JWTs, the API key, the Authorization header; towards callers, AWS's texts.

An Aurora that repeats the request's own headers in its answers is played, and an AWS that names
resources; every text that leaves the service is searched, here and for each row of `test_faults`.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from token_vendor.token_item import TokenItem

from tests.integration.conftest import Deployment, Watch
from tests.integration.test_aurora_adversary import raw_server, request_of

PERSON = "jessica.smith@aurorasolar.com, +1 (415) 555-0100"
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/tokens"


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
        told = b'{"who": "%s", "key": "%s", "jwt": "%s"}' % (PERSON.encode(), key, jwt.encode())
        body = told + b" " * (290 - len(PERSON)) + key
        head = b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, len(body)) + body)

    return talk


@pytest.mark.parametrize("status", [200, 302, 401, 422, 500])
@pytest.mark.parametrize("key", ["sk_sand_0123456789abcdef", "0123456789-of-no-known-form"])
def test_aurora_that_echoes_the_key(
    deployment: Deployment, watch: Watch, status: int, key: str
) -> None:
    """An error page may repeat the request, or name people; its excerpt in the log must not."""
    deployment.secret = key
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.c2lnbmF0dXJl"
    with raw_server(echo(status, jwt)) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        answer = deployment.vend()
    assert answer.status >= 400
    logged = watch.search(answer, key=key)
    # Not even the start of a key that the end of the excerpt cut in two.
    assert key[:12] not in logged
    assert not [each for each in ("jessica", "(415)", "555-0100") if each in logged]


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

    monkeypatch.setattr(deployment.parts.table.dynamodb, operation, fail)
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


KEY = "sk_sand_0123456789abcdef"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("sk_sand_0123 4567", ""),
        ("sk_sand_0123\r\nX-Injected: yes", ""),
        ("sk_sand_\u00e9123", ""),
        ("sk_prod_0123456", "other environment"),
        (json.dumps({"apiKey": KEY}), "the secret is JSON"),
        (f'"{KEY}"', "is in quotes"),
        ("\ufeff" + KEY, "byte order mark"),
        (f"Bearer {KEY}", "is a header, not a key"),
        (KEY.encode(), "the secret is binary"),
    ],
    ids=ascii,
)
def test_key_that_cannot_be_sent_is_told_and_not_quoted(
    deployment: Deployment, watch: Watch, secret: str | bytes, said: str
) -> None:
    """http.client quotes the whole header in its error: such a key never gets that far."""
    deployment.secret = secret
    answer = deployment.vend()
    assert answer.slug == "aurora-key-rejected"
    logged = watch.search(answer, key=KEY)
    assert said in logged
    assert ("put in the key alone" in logged) == (KEY in str(secret))
    assert str(secret)[:12] not in logged
    assert deployment.aurora.calls() == []


def test_values_do_not_print_their_secrets(deployment: Deployment) -> None:
    """A frozen value in an exception's text or a debugger's line shows no JWT."""
    encoded = deployment.vend().body["token"]["jwt"]
    item = deployment.parts.table.load(TokenItem, "jessica.smith@aurorasolar.com")
    assert item.jwt == encoded
    assert encoded not in repr(item)
    assert encoded not in repr(item.token)
