"""
The role's policy against what the function sends to AWS, seen at the wire.

One environment with the built asset goes through every path of the service, behind a proxy that
notes each signed request. That is what the whole suite makes it send, whatever its order and in
however many processes it runs; `test_stack.py` sees from the source that no operation is left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.test_stack import EVERY_STAGE, FUNCTION, role_statements
from tests.support import Harness, token_event
from tests.support.clients import people
from tests.support.events import Answer
from tests.support.harness import TABLE
from tests.support.wire import Passage, Trap, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.conftest import Assembly, Template

TIMEOUT = 120
PENDING = {"INVITE_LEVEL": "Team Member"}
SETTINGS = {
    # Nothing here is about waiting, but for the 429 of Aurora.
    "AURORA_RATE_LIMIT": "60000",
    "REQUEST_RATE": "50000",
    "REQUEST_BURST": "50000",
    "PATIENCE": "0",
    "COOL_DOWN": "0",
}
# Services whose actions the role has without calling them itself: Lambda writes the log, DynamoDB
# and Secrets Manager ask KMS in the role's name. test_stack.py names each of these actions.
ON_ITS_BEHALF = {"kms", "logs"}


class Walk:
    """
    The paths of the service, each told apart by its answer.
    """

    def __init__(self, harness: Harness, wire: Wire) -> None:
        self._harness = harness
        self._wire = wire
        self._aurora = harness.aurora
        self._environment = self._start()
        self._known, self._other, self._third, *_ = (user["email"] for user in people(3))

    def go(self) -> None:
        """
        Walk every path once.
        """
        first = self._ask(self._known)
        assert (first.status, first.body["source"]) == (200, "generated")
        assert self._ask(self._known).body["source"] == "stored"
        assert self._ask(self._known, {"replace": first.jti}).body["source"] == "generated"
        assert self._ask(self._known, method="DELETE").status == 204
        self._invite()
        self._lose_the_mapping()
        self._lose_an_answer()
        self._lose_the_lease()
        self._rotate_the_key()
        self._meet_the_limit()

    def _start(self, **variables: str) -> Any:
        return self._harness.start_environment(AWS_ENDPOINT_URL=self._wire.url, **variables)

    def _ask(self, email: str, body: Any = None, *, method: str = "POST") -> Answer:
        event = token_event(email, body, method=method)
        return Answer.from_response(self._environment.invoke(event, timeout=TIMEOUT))

    def _invite(self) -> None:
        assert self._ask("newcomer@example.com").status == 200
        pending = self._start(**PENDING)
        event = token_event("pending@example.com")
        answer = Answer.from_response(pending.invoke(event, timeout=TIMEOUT))
        assert (answer.status, answer.slug) == (409, "invitation-pending")

    def _lose_the_mapping(self) -> None:
        """Aurora knows the account no more: it is looked up, and found under another id."""
        old = self._ask(self._other).body["user"]["id"]
        self._ask(self._other, method="DELETE")
        before = self._harness.calls()["list_users"]
        self._aurora.remove_users(old)
        self._aurora.add_users([{"email": self._other}])
        assert self._ask(self._other).status == 200
        assert self._harness.calls()["list_users"] > before

    def _lose_an_answer(self) -> None:
        """Aurora may have generated, so that the next request does so again."""
        self._aurora.fail({"operation": "generate_token", "kind": "drop_after"})
        assert self._ask(self._third).slug == "aurora-unavailable"
        assert self._harness.item(self._third)["generating_since"]
        assert self._ask(self._third).body["source"] == "generated"

    def _lose_the_lease(self) -> None:
        """Somebody else holds it when the token is there: the later one is kept."""
        key = self._harness.key(self._known)
        self._wire.trap = Trap(
            operation="UpdateItem",
            mention=b"jwt = :jwt",
            before=lambda: self._harness.dynamodb.update_item(
                TableName=TABLE,
                Key=key,
                UpdateExpression="SET lease_id = :another ADD version :one",
                ExpressionAttributeValues={":another": {"S": "another's"}, ":one": {"N": "1"}},
            ),
        )
        assert self._ask(self._known).status == 200
        assert self._wire.trap is None
        assert b"DoubleGenerate" in self._harness.log.read_bytes()

    def _rotate_the_key(self) -> None:
        """Aurora refuses the key that is kept; the secret has another one by now."""
        self._aurora.behave(api_keys=["sk_sand_another"])
        self._harness.secrets.put_secret_value(
            SecretId=self._harness.secret_arn, SecretString="sk_sand_another"
        )
        assert self._ask(self._other, {"replace": self._ask(self._other).jti}).status == 200

    def _meet_the_limit(self) -> None:
        """Aurora's 429 moves the shared clock."""
        self._ask(self._third, method="DELETE")
        self._aurora.fail({"operation": "generate_token", "kind": "status", "status": 429})
        assert self._ask(self._third).slug == "aurora-busy"
        assert self._ask(self._other, method="DELETE").status == 204
        assert self._ask(self._other).slug == "aurora-busy"


@pytest.fixture(scope="module")
def recorded() -> Iterator[set[tuple[str, str]]]:
    """
    Give every action that was asked of AWS, with the environment variable that names its target.
    """
    users = {"users": people(250), "page_size": 100, "rate_limit": 0}
    with (
        Harness(processes=0, settings=SETTINGS, aurora=users) as harness,
        Wire(harness.ministack.url) as wire,
    ):
        Walk(harness, wire).go()
        named = {TABLE: "TABLE_NAME", harness.secret_arn: "AURORA_SECRET_ARN"}
        yield {
            (f"{passage.service}:{passage.operation}", named.get(target, target))
            for passage in wire.passages
            for target in targets(passage)
        }


def targets(passage: Passage) -> list[str]:
    """
    Name the tables or secrets that a request is for; itself where nobody knows how to read it.
    """
    body = json.loads(passage.body or b"{}")
    if "RequestItems" in body:
        return list(body["RequestItems"])
    return [body.get("TableName") or body.get("SecretId") or f"? {body}"]


def granted(template: Template) -> set[tuple[str, str]]:
    """
    List what the role may do itself, with the environment variable that names the resource.
    """
    variables = template.properties(FUNCTION)["Environment"]["Variables"]
    named = {logical_id(variables[name]): name for name in ("TABLE_NAME", "AURORA_SECRET_ARN")}
    pairs = set()
    for statement in role_statements(template):
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for resource in resources if isinstance(resources, list) else [resources]:
                if action.partition(":")[0] not in ON_ITS_BEHALF:
                    pairs.add((action, named.get(logical_id(resource), str(resource))))
    return pairs


def logical_id(reference: Any) -> str:
    if not isinstance(reference, dict):
        return str(reference)
    return str(reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0])


@EVERY_STAGE
def test_role_may_do_exactly_what_passed_the_wire(
    assembly: Assembly, recorded: set[tuple[str, str]], stage: str
) -> None:
    assert granted(assembly.template(stage)) == recorded
