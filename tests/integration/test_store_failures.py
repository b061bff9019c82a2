"""DynamoDB at the wire: how often it is called, and what happens when it refuses."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.conftest import JESSICA, Deployment

NEWCOMER = "caller-0001@example.com"
THROTTLED = {
    "Error": {
        "Code": "ProvisionedThroughputExceededException",
        "Message": "arn:aws:dynamodb:us-east-1:123456789012:table/tokens is throttled",
    }
}


class Wire:
    """Record the calls to DynamoDB, and refuse those of an operation from some point on."""

    def __init__(self, deployment: Deployment) -> None:
        self.calls: list[str] = []
        self.refused = ""
        self._from = 0
        deployment.hear("before-call.dynamodb", self._call)

    def refuse(self, operation: str, *, after: int = 0) -> None:
        """Throttle `operation` from now on, letting `after` calls pass."""
        self.refused, self._from = operation, self.calls.count(operation) + after

    def _call(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        self.calls.append(model.name)
        if model.name != self.refused or self.calls.count(model.name) <= self._from:
            return None
        # What botocore makes of DynamoDB's refusal once its own attempts are used up.
        return SimpleNamespace(status_code=400), THROTTLED


@pytest.fixture
def wire(deployment: Deployment) -> Wire:
    return Wire(deployment)


def test_stored_token_costs_one_read(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    wire.calls.clear()
    aurora = len(deployment.aurora.calls())
    assert deployment.vend().body["source"] == "stored"
    assert wire.calls == ["GetItem"]
    # The switches are read together with the token, every two seconds.
    deployment.clock.advance(2)
    assert deployment.vend().body["source"] == "stored"
    assert wire.calls == ["GetItem", "BatchGetItem"]
    assert len(deployment.aurora.calls()) == aurora


@pytest.mark.parametrize("write", [":lease_until", ":user_level", ":jwt"])
def test_write_that_is_sent_again_is_known_to_its_writer(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], write: str
) -> None:
    """The answer to a write is lost: botocore sends it again, and it fails on itself."""
    update_item = deployment.dynamodb.update_item

    def lost(**arguments: Any) -> Any:
        if write in arguments.get("ExpressionAttributeValues", {}):
            deployment.dynamodb.update_item = update_item  # type: ignore[method-assign]
            update_item(**arguments)
        return update_item(**arguments)

    deployment.dynamodb.update_item = lost  # type: ignore[method-assign]
    answer = deployment.vend(NEWCOMER)
    assert answer.status == 200
    assert deployment.item(NEWCOMER)["jti"] == answer.jti
    assert deployment.calls()["invite_user"] == deployment.calls()["generate_token"] == 1
    assert "DoubleGenerate" not in capsys.readouterr().out


def test_failure_that_only_a_newer_version_knows_is_a_passing_one(deployment: Deployment) -> None:
    deployment.dynamodb.items[f"sandbox#{deployment.aurora.tenant_id}#{JESSICA}", "TOKEN"] = {
        "version": {"N": "1"},
        "failure": {"S": "a-newer-one"},
        "failed_until": {"N": f"{deployment.clock.now + 30:.3f}"},
    }
    assert deployment.vend().slug == "aurora-unavailable"


def test_renewal_costs_six_calls(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    deployment.clock.advance(13 * 3600)
    wire.calls.clear()
    assert deployment.vend().body["source"] == "generated"
    # Read; lease and mark; account; ticket; place; store.
    assert wire.calls == ["BatchGetItem", "UpdateItem", "GetItem", *["UpdateItem"] * 3]


@pytest.mark.parametrize(
    ("operation", "after", "calls"),
    [
        pytest.param("BatchGetItem", 0, [], id="the-first-read"),
        pytest.param("UpdateItem", 0, [], id="the-lease"),
        pytest.param("UpdateItem", 1, [], id="reading-the-directory"),
        pytest.param("UpdateItem", 2, [], id="reserving-the-listing"),
        pytest.param("UpdateItem", 3, [], id="its-place"),
        pytest.param("UpdateItem", 4, ["list_users"], id="reserving-the-second-page"),
        pytest.param("UpdateItem", 6, ["list_users"] * 2, id="finishing-the-directory"),
        pytest.param("UpdateItem", 7, ["list_users"] * 2, id="reserving-the-generate"),
    ],
)
def test_refusal_on_the_way(
    deployment: Deployment, wire: Wire, operation: str, after: int, calls: list[str]
) -> None:
    wire.refuse(operation, after=after)
    answer = deployment.vend()
    assert (answer.status, answer.slug) == (503, "token-store-unavailable")
    assert "retry-after" in answer.headers
    assert [call["operation"] for call in deployment.aurora.calls()] == calls


def test_refused_store_still_returns_the_jwt(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    deployment.clock.advance(13 * 3600)
    wire.refuse("UpdateItem", after=3)
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


def test_turn_survives_a_table_that_fails_at_its_redemption(deployment: Deployment) -> None:
    """The queue did not fail: the caller comes again, and has not lost its place."""
    deployment.vend()
    deployment.clock.advance(13 * 3600)
    deployment.restart(REQUEST_RATE="6", REQUEST_BURST="1", PATIENCE="0")
    assert deployment.vend("robert.johnson@aurorasolar.com").status == 200
    assert deployment.vend().slug == "aurora-busy"
    turn = deployment.item()["turn_at"]
    deployment.clock.now = turn
    wire = Wire(deployment)
    # The lease is written; the place cannot be.
    wire.refuse("GetItem")
    assert deployment.vend().slug == "token-store-unavailable"
    wire.refuse("")
    assert deployment.item()["turn_at"] == turn
    assert deployment.vend().status == 200


def test_refused_forget(deployment: Deployment, wire: Wire) -> None:
    deployment.vend()
    wire.refuse("UpdateItem")
    answer = deployment.forget()
    assert (answer.status, answer.slug) == (503, "token-store-unavailable")
