"""`token-vendor show`: the cause in the first line, of what the service itself has just decided."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from token_vendor.control import Control
from token_vendor.settings import Settings
from token_vendor.token_item import TokenItem

from infra.operator import output, person, switches
from infra.operator.deployed import Deployed
from infra.operator.person import Look
from tests.integration.conftest import JESSICA, WHY, Deployment
from tests.integration.test_switch_command import NOW, stage, wanted
from tests.support.settings import ENVIRONMENT

__all__ = ["stage"]


def block(deployment: Deployment, stage: Deployed) -> int:
    switches.set_(stage, wanted("block", JESSICA))
    return deployment.vend().status


def deactivate(deployment: Deployment, _: Deployed) -> int:
    deployment.aurora.set_users([{"email": JESSICA, "account_status": "inactive"}])
    return deployment.vend().status


def queue(deployment: Deployment, _: Deployed) -> int:
    deployment.restart(REQUEST_RATE="1", REQUEST_BURST="1", PATIENCE="0")
    deployment.vend("robert.johnson@aurorasolar.com")
    return deployment.vend().status


def invite(deployment: Deployment, _: Deployed) -> int:
    deployment.aurora.set_users([])
    deployment.restart(INVITE_LEVEL="Team Member")
    return deployment.vend().status


def reject(deployment: Deployment, _: Deployed) -> int:
    deployment.aurora.behave(api_keys=["sk_sand_another"])
    return deployment.vend().status


SITUATIONS: dict[str, tuple[Callable[[Deployment, Deployed], int], int, str]] = {
    "blocked": (block, 403, r"Blocked until [\w: ]+ UTC by arn:\S+ \(a test\)\."),
    "deactivated": (deactivate, 403, r"Refused by Aurora until [\w: ]+ UTC: deactivated\."),
    "queued": (queue, 503, r"In the queue, turn at [\w: ]+ UTC\."),
    "pending": (invite, 409, r"Refused until [\w: ]+ UTC: invited, and .* not accepted yet\."),
    "key": (reject, 502, r"Gets no new token until .*, and nobody does: Aurora rejects the API"),
}


def first_lines(stage: Deployed, *events: dict[str, Any]) -> str:
    found = person.look(stage, JESSICA, events)
    assert found
    answer = output.person(found, events, caller="c", raw=False)
    assert answer.said[0] == found.verdict
    return f"{found.verdict}\n{found.fix}"


@pytest.mark.parametrize(("prepare", "status", "said"), SITUATIONS.values(), ids=SITUATIONS)
def test_first_line_is_the_cause(
    deployment: Deployment,
    stage: Deployed,
    prepare: Callable[[Deployment, Deployed], int],
    status: int,
    said: str,
) -> None:
    """Then what to do; and what is wrong with the person stays said after the cool-down."""
    assert prepare(deployment, stage) == status
    told = first_lines(stage)
    assert re.match(said, told), told
    clear = {"blocked": "--clear", "key": "set-api-key", "deactivated": "activates"}
    name = next(name for name, each in SITUATIONS.items() if each[0] is prepare)
    assert clear.get(name, "") in told


def test_last_refusal_counts_after_its_cool_down(deployment: Deployment, stage: Deployed) -> None:
    deployment.aurora.behave(api_keys=["sk_sand_another"])
    slug = deployment.vend().slug
    deployment.clock.advance(60)
    told = first_lines(stage, {"at": NOW, "status": 502, "problem": slug, "duration_ms": 1})
    assert "nobody does: Aurora rejects the API key" in told


def test_who_gets_in_is_told_so(deployment: Deployment, stage: Deployed) -> None:
    deployment.vend()
    assert first_lines(stage).startswith("Gets the stored token, which is good for 12 h")
    deployment.clock.advance(11.5 * 3600)
    assert first_lines(stage).startswith("Gets a new token at the next request; the stored one")
    until = {"N": str(int(deployment.clock.now) + 60)}
    row = [{"S": "stop-generating"}, {"S": ""}, until, *WHY]
    deployment.put_control({"entries": {"L": [{"L": row}]}})
    assert first_lines(stage).startswith("Gets no new token: generating stopped until")


HELD = TokenItem(version=1, jwt="a.b.c", jti="jti", expires_at=int(NOW) + 7200, user_id="id")
LOOK = Look(
    stage="test",
    email="new@example.com",
    settings=Settings.from_environment(ENVIRONMENT),
    item=TokenItem(),
    control=Control(now=NOW),
    account={},
    refused="",
    now=NOW,
)
NOT_ELIGIBLE = "user-not-eligible"
uninvited = replace(LOOK.settings, invitations=False)
elsewhere = replace(LOOK.settings, invite_domains=("a.org",))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"item": HELD}, "good for 2 h 0 min more"),
        ({"item": replace(HELD, expires_at=int(NOW) + 90)}, "ends in 1 min 30 s"),
        ({"item": replace(HELD, jwt="")}, "Gets a new token"),
        ({"item": replace(HELD, generating_since=NOW - 9)}, "lost on its way"),
        ({"item": replace(HELD, jwt="", lease_until=NOW + 5)}, "in 5 s"),
        ({"account": {"account_status": "frozen"}}, "account_status is frozen"),
        ({"account": {"account_status": "active"}, "refused": NOT_ELIGIBLE}, "active account"),
        ({"refused": NOT_ELIGIBLE}, "took no invitation"),
        ({"refused": "aurora-busy"}, "too many requests"),
        ({"refused": "aurora-timeout"}, "aurora-timeout"),
        ({"refused": "too-many-renewals"}, "renewals_per_hour"),
        ({"refused": "generating-stopped"}, "gets a token again"),
        ({"refused": NOT_ELIGIBLE, "settings": uninvited}, "invitations are off"),
        ({"refused": NOT_ELIGIBLE, "settings": elsewhere}, "is not invited"),
    ],
)
def test_verdict(changed: dict[str, Any], said: str) -> None:
    assert said in replace(LOOK, **changed).verdict()[0]
