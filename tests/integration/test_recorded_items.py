"""
Items that one version wrote and another one reads: a canary runs both at once.

`recorded_items.json` holds what the commit before "one way to write" (60ced46) and this version
leave in the table after the same scenes. That commit's own reader found the states below in both.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from token_vendor.accounts import ACCEPTED, Invitation
from token_vendor.models import TokenRequest
from token_vendor.reading import Reading
from token_vendor.table import _from_wire
from token_vendor.token_item import State, TokenItem

RECORDED: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("recorded_items.json").read_text(encoding="utf-8")
)
SOON = 1_750_000_010
"""Seconds since the epoch, ten after the first scene began: cool-downs and turns still last."""
STATES = {
    "stored": State.GOOD,
    "renewed": State.GOOD,
    "forgotten": State.EMPTY,
    "in doubt": State.COOLING_DOWN,
    "queued": State.QUEUED,
    "invited": State.GOOD,
}
pytestmark = pytest.mark.parametrize("by", RECORDED)


@pytest.mark.parametrize("scene", STATES)
def test_token_items_read_the_same(by: str, scene: str) -> None:
    item = TokenItem.of(_from_wire(RECORDED[by][f"{scene} TOKEN"]))
    subject = item.subjects[-1] if item.subjects else ""
    assert item.state(SOON, TokenRequest(subject=subject, margin=3600)) is STATES[scene]
    assert item.is_marked is (scene == "in doubt")
    assert item.version > 0


def test_reading_goes_on_where_the_other_version_stopped(by: str) -> None:
    done = Reading.of(_from_wire(RECORDED[by]["stored DIRECTORY"]))
    assert done.read_at >= done.read_since > 0
    stopped = Reading.of(_from_wire(RECORDED[by]["stopped DIRECTORY"]))
    now = stopped.lease_until + 60
    resumed = stopped.leased("another", now=now, until=now + 9)
    assert (resumed.page.number, resumed.reading_since) == (2, stopped.reading_since)


def test_invitation_is_known_to_both(by: str) -> None:
    invitation = Invitation.of(_from_wire(RECORDED[by]["invited INVITATION"]))
    assert invitation.accepted
    assert invitation.answer == ACCEPTED
