"""Switches: effective at the next request, at no call more, and never by accident."""

import json
from typing import Any

import pytest
from token_vendor.control import Control, Entry, Switch
from token_vendor.models import Deadline
from token_vendor.problems import AuroraBusyError

from tests.integration.conftest import JESSICA, TABLE, WHY, Deployment

ROBERT = "robert.johnson@aurorasolar.com"
NEWCOMER = "caller-0001@example.com"
DAY = 86_400
HALF_A_DAY = 12 * 3600
MARGIN = 3600


def test_stopped_generating_leaves_stored_tokens(deployment: Deployment) -> None:
    """Who needs a new one hears when to look again; nobody's lease or cool-down remains of it."""
    stored = deployment.vend().jti
    deployment.switch(("stop-generating", ""))
    assert deployment.vend().jti == stored
    answer = deployment.vend(ROBERT)
    assert (answer.status, answer.slug) == (503, "generating-stopped")
    assert answer.headers["retry-after"] == "300"
    assert deployment.vend(replace=stored).slug == "generating-stopped"
    deployment.clock.advance(HALF_A_DAY - MARGIN + 1)
    assert deployment.vend().jti == stored, "past its margin, alive"
    assert deployment.calls()["generate_token"] == 1
    deployment.switch()
    assert deployment.vend(ROBERT).body["source"] == "generated"


@pytest.mark.parametrize("value", [JESSICA, "aurorasolar.com"])
def test_blocked_person_gets_nothing(deployment: Deployment, value: str) -> None:
    """Also where a token is stored, and at no write; a sign-out is still done."""
    deployment.vend()
    before = deployment.item()
    deployment.switch(("block", value))
    answer = deployment.vend()
    assert (answer.status, answer.slug) == (403, "user-not-eligible")
    assert "retry-after" not in answer.headers
    assert "a test" not in json.dumps(answer.body)
    assert deployment.item() == before
    assert deployment.vend(NEWCOMER).status == 200
    assert deployment.forget().status == 204
    deployment.switch()
    assert deployment.vend().status == 200


@pytest.mark.parametrize("value", ["solar.com", "essica.smith@aurorasolar.com", "", "com", "@"])
def test_part_of_an_address_blocks_nobody(deployment: Deployment, value: str) -> None:
    deployment.switch(("block", value))
    assert deployment.vend().status == 200


def test_stopped_inviting_leaves_those_with_an_account(deployment: Deployment) -> None:
    deployment.switch(("stop-inviting", ""))
    assert deployment.vend().status == 200
    assert deployment.vend(NEWCOMER).slug == "user-not-eligible"
    deployment.switch()
    deployment.clock.advance(301)
    assert deployment.vend(NEWCOMER).status == 200
    assert deployment.calls()["invite_user"] == 1


def test_lowered_burst_is_obeyed_at_the_next_request(deployment: Deployment) -> None:
    deployment.switch(("burst", "2"))
    newcomers = [deployment.vend(f"caller-{number:04}@example.com") for number in range(3)]
    # Two pages of the list took both places.
    assert {answer.slug for answer in newcomers} == {"aurora-busy"}
    assert len(deployment.aurora.calls()) == 2
    deployment.switch()
    deployment.clock.advance(200)
    assert deployment.vend(NEWCOMER).status == 200


@pytest.mark.parametrize(
    "switch",
    [("stop-generating", ""), ("stop-inviting", ""), ("block", "example.com"), ("burst", "2")],
    ids=lambda switch: switch[0],
)
def test_nothing_stays_switched(deployment: Deployment, switch: tuple[str, str]) -> None:
    """The code compares the end itself: DynamoDB may take days to expire an item."""
    deployment.switch(switch, lasting=DAY)
    deployment.clock.advance(DAY + 1)
    assert deployment.vend(NEWCOMER).status == 200


NOW = {"N": "1850000000"}
HALF_READ: dict[str, list[dict[str, Any]]] = {
    "no end": [],
    "an end that is a text": [{"S": "1850000000"}, *WHY],
    "a reason that is a number": [NOW, {"N": "1"}, WHY[1]],
    "a member that we do not know": [NOW, *WHY, {"S": "new"}],
}


@pytest.mark.parametrize("name", HALF_READ)
def test_what_cannot_be_read_of_a_block_blocks(deployment: Deployment, name: str) -> None:
    """Another version may have written it; a block that fails open lets somebody in."""
    row = [{"S": "block"}, {"S": JESSICA}, *HALF_READ[name]]
    deployment.put_control({"version": {"N": "1"}, "entries": {"L": [{"L": row}]}})
    assert deployment.vend().slug == "user-not-eligible"
    assert deployment.vend(ROBERT).status == 200


def entries(*rows: Any) -> dict[str, Any]:
    return {"entries": {"L": [{"L": [*row, NOW, *WHY]} for row in rows]}}


NO_RATES, NO_BURSTS = ("slow", "nan", "0", "-5", "inf", ""), ("0", "-1", "nan", "inf", "0.5")
GARBAGE: dict[str, Any] = {
    "no list": {"entries": {"S": "stop-generating"}},
    "a map": {"entries": {"M": {"stop-generating": {"BOOL": True}}}},
    "rows that are texts": {"entries": {"L": [{"S": "stop-generating"}]}},
    "a value that is a number": entries([{"S": "block"}, {"N": "1"}]),
    "no such switch": entries([{"S": "stop"}, {"S": ""}]),
    "a rate that is none": entries(*([{"S": "rate"}, {"S": value}] for value in NO_RATES)),
    "a burst that is none": entries(*([{"S": "burst"}, {"S": value}] for value in NO_BURSTS)),
}


@pytest.mark.parametrize("attributes", GARBAGE.values(), ids=GARBAGE)
def test_broken_item_changes_nothing(deployment: Deployment, attributes: dict[str, Any]) -> None:
    deployment.put_control(attributes)
    assert deployment.vend().body["source"] == "generated"
    assert deployment.vend().body["source"] == "stored"
    assert deployment.vend(NEWCOMER).status == 200


class Unprocessed:
    """Leave one of the two items out of the next answers to the first read, as DynamoDB may."""

    def __init__(self, deployment: Deployment, sk: str, times: int) -> None:
        self.asked: list[dict[str, Any]] = []
        self._sk, self._left = sk, times
        deployment.hear("before-parameter-build.dynamodb.BatchGetItem", self._ask)
        deployment.hear("after-call.dynamodb.BatchGetItem", self._answered)

    def _ask(self, params: dict[str, Any], **_: Any) -> None:
        self.asked.append(params["RequestItems"][TABLE])

    def _answered(self, parsed: dict[str, Any], **_: Any) -> None:
        if not self._left:
            return
        self._left -= 1
        keys = [key for key in self.asked[-1]["Keys"] if key["sk"]["S"] == self._sk]
        parsed["Responses"][TABLE] = [
            item for item in parsed["Responses"].get(TABLE, []) if item["sk"]["S"] != self._sk
        ]
        parsed["UnprocessedKeys"] = {TABLE: {"Keys": keys, "ConsistentRead": True}}


@pytest.mark.parametrize("sk", ["TOKEN", "CONTROL"])
def test_item_that_was_left_out_is_read_again(deployment: Deployment, sk: str) -> None:
    """It alone, and consistently: nobody generates for want of it, nor slips past a block."""
    deployment.vend()
    deployment.switch(("block", ROBERT))
    unprocessed = Unprocessed(deployment, sk, 2)
    assert deployment.vend().body["source"] == "stored"
    assert [[key["sk"]["S"] for key in ask["Keys"]] for ask in unprocessed.asked] == [
        ["TOKEN", "CONTROL"],
        [sk],
        [sk],
    ]
    assert all(ask["ConsistentRead"] for ask in unprocessed.asked)
    deployment.switch(("block", JESSICA))
    Unprocessed(deployment, sk, 2)
    assert deployment.vend().status == 403


def test_blocked_person_stays_blocked_while_the_switches_cannot_be_read(
    deployment: Deployment,
) -> None:
    """For a minute, in a warm environment, which does not wait for them, and in a new one."""
    deployment.switch(("block", JESSICA))
    assert deployment.vend().slug == "user-not-eligible"
    unread = Unprocessed(deployment, "CONTROL", 99)
    for _ in range(6):
        began = deployment.clock.now
        assert deployment.vend().slug == "user-not-eligible"
        assert deployment.vend(ROBERT).status == 200
        assert deployment.clock.now - began < 2
        deployment.clock.advance(10)
    assert len(unread.asked) >= 6
    deployment.restart()
    Unprocessed(deployment, "CONTROL", 99)
    answer = deployment.vend()
    assert answer.slug == "token-store-unavailable"
    assert int(answer.headers["retry-after"]) >= 1


def test_token_that_stays_unread_is_a_problem(deployment: Deployment) -> None:
    deployment.vend()
    deployment.clock.advance(2)
    Unprocessed(deployment, "TOKEN", 99)
    answer = deployment.vend()
    assert answer.slug == "token-store-unavailable"
    assert "retry-after" in answer.headers
    assert deployment.calls()["generate_token"] == 1


def test_turn_that_a_lowered_rate_moves_beyond_the_queue_is_given_up(
    deployment: Deployment,
) -> None:
    """The switch may end long before such a turn would come."""
    budget = deployment.wired(
        REQUEST_RATE="6", REQUEST_BURST="1", PATIENCE="0", QUEUE_HORIZON="300"
    ).budget
    deadline = Deadline(deployment.clock.now + 10_000, deployment.clock, deployment.clock.sleep)
    budget.allowance(deadline, Control()).reserve(1)
    with pytest.raises(AuroraBusyError) as queued:
        budget.allowance(deadline, Control()).reserve(1)
    turn = queued.value.turn
    assert turn
    entry = Entry(switch=Switch.RATE, value="0.1", until=deployment.clock.now + 60)
    control = Control(entries=(entry,), now=deployment.clock.now)
    deployment.clock.advance(turn.at - deployment.clock.now + 0.1)
    allowance = budget.allowance(deadline, control)
    allowance.redeem(turn)
    with pytest.raises(AuroraBusyError) as refused:
        allowance.reserve(1)
    assert refused.value.turn is None
    assert refused.value.retry_at
    assert refused.value.retry_at - deployment.clock.now < 300 * 1.5
