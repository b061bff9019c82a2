"""What everybody shares is kept once: a list that fails, its turn, when it may be read."""

from typing import Any

import pytest

from infra.fake_aurora.users import JESSICA
from tests.integration.conftest import Deployment
from tests.support.clients import people
from tests.support.crowd import crowd

ALWAYS = 9999
KNOWN = JESSICA["email"]


def newcomers(count: int) -> list[str]:
    return [f"newcomer-{number}@example.com" for number in range(count)]


FAILURES: dict[str, dict[str, Any]] = {
    "500": {"fail": {"kind": "status", "status": 500}},
    "403": {"fail": {"kind": "status", "status": 403}},
    "not JSON": {"fail": {"kind": "not_json"}},
    "a cursor that loops": {"page_size": 20, "page_form": "cursor", "cursors": "loop"},
    "rows that nobody can use": {"row_form": "integer_ids"},
}


@pytest.mark.parametrize("name", FAILURES)
def test_list_that_fails_costs_one_reading_a_cool_down(deployment: Deployment, name: str) -> None:
    """However many people need it; the pauses grow, and nobody is invited."""
    deployment.vend()
    deployment.aurora.add_users(people(50))
    deployment.clock.advance(600)
    failure = dict(FAILURES[name])
    if fault := failure.pop("fail", None):
        deployment.aurora.fail({"operation": "list_users", "times": ALWAYS} | fault)
    deployment.aurora.behave(**failure)
    before = deployment.calls()["list_users"]
    met = crowd(deployment.clock, deployment.vend, newcomers(30), within=300)
    calls = deployment.calls()["list_users"] - before
    # At 0, 30, 90 and 210 s: a reading of three attempts, or of as many pages as come before.
    assert calls <= 4 * 4
    assert not met.served
    assert deployment.calls()["invite_user"] == 0
    # Who is known keeps their place.
    deployment.forget()
    assert deployment.vend(KNOWN).status == 200


def test_list_that_works_again_serves_everybody(deployment: Deployment) -> None:
    deployment.aurora.fail({"operation": "list_users", "kind": "status", "times": 6})
    met = crowd(deployment.clock, deployment.vend, newcomers(10), within=600)
    assert len(met.served) == 10
    # Two readings of three attempts; the one that ends, of a page and the look behind it.
    assert deployment.calls()["list_users"] <= 6 + 2


def test_turn_of_a_reading_is_everybodys(deployment: Deployment) -> None:
    """Those who wait for a reading draw no tickets of their own for it."""
    known = [user["email"] for user in people(6)]
    deployment.aurora.add_users(people(6))
    deployment.vend(known[0])
    deployment.clock.advance(400)
    deployment.restart(REQUEST_RATE="6", REQUEST_BURST="6", AURORA_RATE_LIMIT="90")
    for email in known:
        deployment.forget(email)
        assert deployment.vend(email).status == 200
    tickets = deployment.tenant_item("RING")["tickets"]
    answers = [deployment.vend(email) for email in newcomers(20)]
    assert {answer.slug for answer in answers} == {"aurora-busy"}
    assert len({answer.body["retry_at"] for answer in answers}) == 1
    assert deployment.tenant_item("RING")["tickets"] - tickets == 1
    met = crowd(deployment.clock, deployment.vend, newcomers(20), within=900)
    assert len(met.served) == 20


def test_nobody_waits_for_a_reading_for_longer_than_patience(deployment: Deployment) -> None:
    """A person who waits occupies an execution environment."""
    deployment.vend()
    deployment.clock.advance(400)
    item = deployment.dynamodb.items[f"sandbox#{deployment.aurora.tenant_id}", "DIRECTORY"]
    item |= {
        "lease_id": {"S": "another"},
        "lease_until": {"N": f"{deployment.clock.now + 22:.3f}"},
        "reading_since": {"N": f"{deployment.clock.now:.3f}"},
    }
    began = deployment.clock.now
    answer = deployment.vend("somebody@example.com")
    assert answer.slug == "aurora-busy"
    assert deployment.clock.now - began < 6
    assert 1 <= int(answer.headers["retry-after"]) <= 6
