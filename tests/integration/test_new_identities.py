"""
People who come back by another way to sign in: a new provider, a new client, a second account.

Their stored tokens live. Nobody of them may be locked out, or keep anybody else waiting, and nobody
may get a former owner's token.
"""

from functools import partial
from typing import Any

import pytest
from token_vendor.caller import SUBJECT
from token_vendor.observability import digest
from token_vendor.table import _to_wire

from infra.fake_aurora.users import JESSICA, ROBERT
from tests.integration.conftest import Deployment
from tests.integration.test_right_person import ADDRESS, ISSUER, vend
from tests.support.clients import people
from tests.support.crowd import crowd
from tests.support.events import Answer

HOUR = 3600


def company(deployment: Deployment, size: int) -> list[str]:
    """Let everybody of a company hold a token, by the provider that it had."""
    users, now, memory = people(size), deployment.clock.now, deployment.dynamodb
    assert memory
    deployment.aurora.set_users(users)
    deployment.aurora.behave(page_size=100)
    tenant = f"sandbox#{deployment.aurora.tenant_id}"
    old = digest(f"{ISSUER}|old")[:SUBJECT]
    items: dict[tuple[str, str], dict[str, Any]] = {
        (tenant, "DIRECTORY"): {"read_since": now - 700, "read_at": now - 600, "pages": size // 100}
    }
    for user in users:
        pk = f"{tenant}#{user['email']}"
        items[pk, "TOKEN"] = {
            "version": 1,
            "user_id": user["id"],
            "jwt": "a.stored.jwt",
            "jti": user["id"],
            "expires_at": int(now) + 8 * HOUR,
            "lifetime": 12 * HOUR,
            "subjects": (old,),
        }
        seen = {"seen_at": now - 700, "ttl": int(now) + 86_400}
        items[pk, "ACCOUNT"] = {"user_id": user["id"], "account_status": "active", **seen}
    memory.items |= {key: _to_wire(item) for key, item in items.items()}
    return [user["email"] for user in users]


@pytest.mark.parametrize(
    ("size", "retrieve", "within", "most"),
    [
        pytest.param(300, 200, 60, 110, marks=pytest.mark.nightly),
        (300, 404, 60, 110),
        # A reading is longer than a request, and what is asked alone costs no more than it.
        pytest.param(5000, 200, 1800, 320, marks=pytest.mark.nightly),
    ],
)
def test_company_that_changes_its_provider_is_served_by_one_reading(
    deployment: Deployment, size: int, retrieve: int, within: float, most: int
) -> None:
    """Few calls, no generate, and hardly anybody who comes a third time."""
    emails = company(deployment, size)
    deployment.aurora.behave(retrieve_status=retrieve)
    met = crowd(
        deployment.clock, lambda email: vend(deployment, "new", email), emails, within=within
    )
    assert len(met.served) == size
    calls = deployment.calls()
    assert sum(calls.values()) <= most
    assert calls["generate_token"] == 0
    if size == 300:
        assert met.requests <= 2 * size


def test_others_do_not_wait_beside_them(deployment: Deployment) -> None:
    """Somebody who needs a new token gets it at once, and keeps the known way to sign in."""
    emails = company(deployment, 300)
    *moved, other = emails[:151]
    deployment.forget(other)
    for email in moved:
        vend(deployment, "new", email)
    began = deployment.clock.now
    assert vend(deployment, "old", other).body["source"] == "generated"
    assert deployment.clock.now - began < 5


def test_question_whose_token_it_is_takes_no_turn(deployment: Deployment) -> None:
    """Where a queue has formed the shared reading decides, and has the only turn."""
    first, second, *moved = company(deployment, 12)
    deployment.restart(REQUEST_RATE="6", REQUEST_BURST="1", PATIENCE="0")
    for email in (first, second):
        deployment.forget(email)
        vend(deployment, "old", email)
    before = deployment.tenant_item("PLACE#0")["slot"]
    assert {vend(deployment, "new", email).slug for email in moved} == {"aurora-busy"}
    assert (deployment.tenant_item("PLACE#0")["slot"] - before) / 1e6 <= 10


def test_items_that_never_had_subjects_cost_aurora_nothing(deployment: Deployment) -> None:
    """Their first identity is no new one: the mapping agrees."""
    emails = company(deployment, 300)
    for (_, sk), item in deployment.dynamodb.items.items():
        if sk == "TOKEN":
            item.pop("subjects")
    before = len(deployment.aurora.calls())
    assert {vend(deployment, "new", email).body["source"] for email in emails} == {"stored"}
    assert len(deployment.aurora.calls()) == before
    # And from then on, as everybody.
    assert vend(deployment, "new", emails[0]).body["source"] == "stored"


@pytest.mark.parametrize("operation", ["retrieve_user", "list_users"])
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("status", 403),
        ("status", 429),
        ("status", 500),
        ("drop", 0),
        ("not_json", 0),
        ("missing_fields", 0),
    ],
)
def test_reloads_of_one_person_drain_nobody(
    deployment: Deployment, operation: str, kind: str, status: int
) -> None:
    """Twenty reloads of somebody with a second sign-in, whatever fails."""
    vend(deployment, "first")
    deployment.clock.advance(600)
    deployment.aurora.behave(retrieve_status=403 if operation == "list_users" else 200)
    deployment.aurora.fail({"operation": operation, "kind": kind, "status": status, "times": 99})
    before = sum(deployment.calls().values())
    for _ in range(20):
        vend(deployment, "second")
        deployment.clock.advance(1)
    asked = sum(deployment.calls().values()) - before
    assert asked <= 6
    assert deployment.calls()["generate_token"] == 1
    deployment.aurora.add_users([ROBERT])
    assert vend(deployment, "robert", ROBERT["email"]).status in {200, 502, 503}
    assert vend(deployment, "first").body["source"] == "stored"


AGES = (1, 60, 299, 600, 11 * HOUR)


@pytest.mark.parametrize("retrieve", [200, 403, 404, 405, 500])
@pytest.mark.parametrize("age", AGES)
def test_next_owner_never_gets_the_former_owners_token(
    deployment: Deployment, retrieve: int, age: int
) -> None:
    """The address is reassigned so long after the list was read: an older list is no answer."""
    hers = vend(deployment, "jessica")
    deployment.clock.advance(age)
    deployment.aurora.add_users(
        [JESSICA | {"email": "jessica.jones@aurorasolar.com"}, ROBERT | {"email": ADDRESS}]
    )
    if retrieve == 500:
        deployment.aurora.fail({"operation": "retrieve_user", "kind": "status", "times": 999})
    else:
        deployment.aurora.behave(retrieve_status=retrieve)
    met = crowd(
        deployment.clock,
        partial(asks, deployment, never=hers.jti),
        ["robert"],
        within=900,
    )
    assert met.served.keys() == {"robert"}
    his = vend(deployment, "robert")
    assert his.body["user"]["id"] == ROBERT["id"]


def asks(deployment: Deployment, sub: str, *, never: str) -> Answer:
    """Ask as an identity that may have any token but one."""
    answer = vend(deployment, sub)
    assert answer.status != 200 or answer.jti != never
    return answer


@pytest.mark.parametrize("retrieve", [200, 403, 404])
def test_gone_account_is_not_believed_of_an_older_list(
    deployment: Deployment, retrieve: int
) -> None:
    """The former owner's account was deleted, and the address is nobody's yet."""
    deployment.restart(INVITATIONS="false")
    hers = vend(deployment, "jessica")
    deployment.clock.advance(60)
    deployment.aurora.set_users([ROBERT])
    deployment.aurora.behave(retrieve_status=retrieve)
    met = crowd(
        deployment.clock,
        partial(asks, deployment, never=hers.jti),
        ["new"],
        within=900,
    )
    assert met.refused == {"new": "user-not-eligible"}
