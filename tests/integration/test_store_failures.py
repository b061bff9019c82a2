"""DynamoDB at the wire: how often it is called, and what happens when it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse

if TYPE_CHECKING:
    from tests.integration.conftest import Deployment

THROTTLED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message": "arn:aws:dynamodb:us-east-1:123456789012:table/tokens is throttled",
}


class Raw:
    """The body of an answer, as botocore reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: Any) -> list[bytes]:
        return [self._data]


class Wire:
    """Record the calls to DynamoDB, and refuse those from the `n`th of an operation on."""

    def __init__(self, deployment: Deployment) -> None:
        self.calls: list[str] = []
        self.refused = ""
        self._from = 0
        client = deployment.service._vendor._store._dynamodb
        client.meta.events.register_first("before-send.dynamodb", self._send)

    def refuse(self, operation: str, *, after: int = 0) -> None:
        """Throttle `operation` from now on, letting `after` calls pass."""
        self.refused, self._from = operation, self.calls.count(operation) + after

    def _send(self, request: Any, **_: Any) -> AWSResponse | None:
        target = request.headers["X-Amz-Target"]
        operation = (target if isinstance(target, str) else target.decode()).rpartition(".")[2]
        self.calls.append(operation)
        if operation != self.refused or self.calls.count(operation) <= self._from:
            return None
        body = json.dumps(THROTTLED).encode()
        return AWSResponse(
            request.url, 400, {"Content-Type": "application/x-amz-json-1.0"}, Raw(body)
        )


@pytest.fixture
def wire(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Wire:
    # botocore pauses between its own attempts; nothing here waits for real.
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    return Wire(deployment)


def test_stored_token_costs_one_get(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    wire.calls.clear()
    aurora = len(deployment.aurora.calls())
    assert deployment.vend().body["source"] == "stored"
    assert wire.calls == ["GetItem"]
    assert len(deployment.aurora.calls()) == aurora


def test_renewal_costs_four_calls(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    deployment.clock.advance(13 * 3600)
    wire.calls.clear()
    assert deployment.vend().body["source"] == "generated"
    assert wire.calls == ["GetItem", "UpdateItem", "UpdateItem", "UpdateItem"]


def test_refused_read_asks_nothing_of_aurora(deployment: Deployment, wire: Wire) -> None:
    wire.refuse("GetItem")
    answer = deployment.vend()
    assert (answer.status, answer.slug) == (503, "token-store-unavailable")
    assert "arn:" not in json.dumps(answer.body)
    assert deployment.aurora.calls() == []


def test_refused_lease_asks_nothing_of_aurora(deployment: Deployment, wire: Wire) -> None:
    wire.refuse("UpdateItem")
    assert deployment.vend().slug == "token-store-unavailable"
    assert deployment.aurora.calls() == []


@pytest.mark.parametrize(
    ("after", "calls"),
    [
        pytest.param(1, [], id="reading-the-directory"),
        pytest.param(2, [], id="reserving-the-listing"),
        pytest.param(3, ["list_users"], id="finishing-the-directory"),
        pytest.param(4, ["list_users"], id="reserving-the-generate"),
        pytest.param(5, ["list_users"], id="marking"),
    ],
)
def test_refused_write_on_the_way(
    deployment: Deployment, wire: Wire, after: int, calls: list[str]
) -> None:
    wire.refuse("UpdateItem", after=after)
    answer = deployment.vend()
    assert (answer.status, answer.slug) == (503, "token-store-unavailable")
    assert [call["operation"] for call in deployment.aurora.calls()] == calls


def test_refused_store_still_returns_the_jwt(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    deployment.clock.advance(13 * 3600)
    wire.refuse("UpdateItem", after=2)
    answer = deployment.vend()
    assert answer.status == 200
    assert answer.body["source"] == "generated"
    assert "generating_since" in deployment.item()
    # One generate too many after the lease, but never a dead token served as good.
    wire.refuse("")
    deployment.clock.advance(30)
    again = deployment.vend()
    assert again.body["source"] == "generated"
    assert deployment.aurora.token_state(again.jti) == "live"


def test_refused_directory_write(deployment: Deployment, wire: Wire) -> None:
    wire.refuse("BatchWriteItem")
    assert deployment.vend().slug == "token-store-unavailable"


def test_refused_forget(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    wire.refuse("UpdateItem")
    answer = deployment.forget()
    assert (answer.status, answer.slug) == (503, "token-store-unavailable")
