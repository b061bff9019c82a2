"""How long items live: those of a caller for a month, and a lease until its holder is dead."""

import pytest

from tests.integration.conftest import JESSICA, TABLE, Deployment
from tests.support.events import event

DAY = 86_400
NEWCOMER = "caller-0001@example.com"
LEFT = "left@example.com"


def test_item_of_a_caller_lives_for_thirty_days(deployment: Deployment) -> None:
    """It outlives every token: a person who returns within a month costs no listing."""
    deployment.aurora.add_users([{"email": LEFT, "account_status": "inactive"}])
    deployment.restart(INVITE_LEVEL="Team Member")
    assert deployment.vend().status == 200
    assert deployment.vend(NEWCOMER).slug == "invitation-pending"
    left = {
        (item["pk"]["S"].rpartition("#")[2], item["sk"]["S"].partition("#")[0]): (
            round((int(item["ttl"]["N"]) - deployment.clock.now) / DAY) if "ttl" in item else None
        )
        for item in deployment.dynamodb.scan()["Items"]
    }
    for_ever = {sk for (_, sk), days in left.items() if days is None}
    assert for_ever == {"RING", "PLACE", "DIRECTORY"}
    assert {days for days in left.values() if days is not None} == {30}
    assert {(LEFT, "INACTIVE"), (NEWCOMER, "INVITATION"), (JESSICA, "ACCOUNT")} <= left.keys()


@pytest.mark.parametrize("remaining", [25.0, 6.0])
def test_no_lease_ends_before_its_holder(deployment: Deployment, remaining: float) -> None:
    """
    Lambda kills the holder at the invocation's end, and nobody else may generate before.

    Nor does a lease last much longer, because it keeps the caller out if the holder has died.
    """
    leases: dict[str, float] = {}

    def look(operation: str) -> None:
        leases[operation] = deployment.item()["lease_until"]
        if operation == "list_users":
            key = {"pk": {"S": f"sandbox#{deployment.aurora.tenant_id}"}, "sk": {"S": "DIRECTORY"}}
            directory = deployment.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
            leases["directory"] = float(directory["lease_until"]["N"])

    deployment.while_aurora_works(look)
    killed_at = deployment.clock.now + remaining
    claims = {"email": JESSICA, "email_verified": "true"}
    assert deployment.send(event(claims), remaining=remaining).status == 200
    assert leases.keys() == {"list_users", "directory", "generate_token"}
    assert all(killed_at + 0.9 <= until < killed_at + 3 for until in leases.values()), leases
    assert "lease_until" not in deployment.item()
