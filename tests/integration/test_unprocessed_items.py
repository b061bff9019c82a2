"""BatchWriteItem may succeed and leave items: they are written again, or it is a problem."""

from itertools import pairwise
from typing import Any

from tests.integration.conftest import TABLE, Deployment

ROBERT = "robert.johnson@aurorasolar.com"


class Throttle:
    """While `on`, leave Robert's mapping out of each write, and say so as DynamoDB does."""

    def __init__(self, deployment: Deployment) -> None:
        self.on = True
        self.asked_at: list[float] = []
        self._deployment = deployment
        deployment.hear("after-call.dynamodb.BatchWriteItem", self._answered)

    def _answered(self, parsed: dict[str, Any], **_: Any) -> None:
        self.asked_at.append(self._deployment.clock.now)
        if not self.on:
            return
        partition = f"sandbox#{self._deployment.aurora.tenant_id}#{ROBERT}"
        removed = self._deployment.dynamodb.delete_item(
            TableName=TABLE,
            Key={"pk": {"S": partition}, "sk": {"S": "ACCOUNT"}},
            ReturnValues="ALL_OLD",
        )
        put = {"PutRequest": {"Item": removed["Attributes"]}}
        parsed["UnprocessedItems"] = {TABLE: [put]}


def test_item_that_stays_unprocessed_is_a_problem(deployment: Deployment) -> None:
    """
    Each attempt waits twice as long as the last; then the directory does not count as read.

    If it did, a person who has an account would be invited.
    """
    throttle = Throttle(deployment)
    answer = deployment.vend()
    assert (answer.status, answer.slug) == (503, "token-store-unavailable")
    assert deployment.calls() == {"list_users": 1, "invite_user": 0, "generate_token": 0}
    assert len(throttle.asked_at) == 5
    pauses = [later - earlier for earlier, later in pairwise(throttle.asked_at)]
    assert 0.05 < pauses[0] < 0.1
    assert all(1.8 < later / earlier < 2.2 for earlier, later in pairwise(pauses))

    throttle.on = False
    assert deployment.vend(ROBERT).status == 200
    assert deployment.calls() == {"list_users": 3, "invite_user": 0, "generate_token": 1}
