"""The flow of Aurora's page, and what the store makes of it."""

import pytest

from infra.fake_aurora.users import JESSICA
from tests.integration.conftest import Deployment
from tests.support.clients import people

NEWCOMER = "caller-0001@example.com"


def test_first_vend_lists_and_generates(deployment: Deployment) -> None:
    answer = deployment.vend()
    assert answer.status == 200
    assert answer.body["source"] == "generated"
    assert answer.body["user"]["id"] == "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    assert answer.headers["cache-control"] == "no-store"
    assert 43_190 <= answer.body["token"]["expires_in"] <= 43_200
    assert deployment.calls() == {"list_users": 2, "invite_user": 0, "generate_token": 1}


def test_refused_page_is_not_the_end_of_the_list(deployment: Deployment) -> None:
    """Where pages came before, a 403 is somebody's firewall: nobody further down may be invited."""
    users = people(450)
    last = users[-1]["email"]
    deployment.aurora.set_users(users)
    deployment.aurora.behave(page_size=100, rate_limit=0)
    deployment.aurora.fail(
        {"operation": "list_users", "kind": "none", "times": 3},
        {"operation": "list_users", "kind": "status", "status": 403},
    )
    assert deployment.vend(last).slug == "aurora-unavailable"
    deployment.clock.advance(31)
    assert deployment.vend(last).status == 200
    assert deployment.calls()["invite_user"] == 0


def test_replace_is_capped_per_hour(deployment: Deployment) -> None:
    jti = deployment.vend().jti
    for _ in range(6):
        jti = deployment.vend(replace=jti).jti
    refused = deployment.vend(replace=jti)
    assert (refused.status, refused.slug) == (429, "too-many-renewals")
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600
    assert deployment.vend().jti == jti
    deployment.clock.advance(3601)
    assert deployment.vend(replace=jti).status == 200


@pytest.mark.parametrize(("lease", "retry_after"), [(25, 5), (7, 2)])
def test_nobody_waits_for_another_request_longer_than_for_a_turn(
    deployment: Deployment, lease: float, retry_after: int
) -> None:
    """A page that calls in a loop would hold an execution environment with each request."""
    deployment.lease_elsewhere(lease)
    began = deployment.clock.now
    answer = deployment.vend()
    assert answer.slug == "aurora-busy"
    assert 5 <= deployment.clock.now - began < 5.5
    assert int(answer.headers["retry-after"]) == retry_after
    assert sum(deployment.calls().values()) == 0


def test_min_ttl_asks_for_more_life(deployment: Deployment) -> None:
    first = deployment.vend()
    deployment.clock.advance(3600)
    assert deployment.vend(min_ttl=39_000).jti == first.jti
    deployment.clock.advance(3600)
    assert deployment.vend(min_ttl=39_600).jti != first.jti


def test_active_row_counts_among_several(deployment: Deployment) -> None:
    statuses = ("inactive", "active", "inactive")
    deployment.aurora.set_users(
        JESSICA | {"id": f"id-{number}", "account_status": status}
        for number, status in enumerate(statuses)
    )
    assert deployment.vend().body["user"]["id"] == "id-1"


def test_invitations_can_be_limited_to_domains_or_switched_off(deployment: Deployment) -> None:
    deployment.restart(INVITE_DOMAINS="solar.example, example.com")
    assert deployment.vend(NEWCOMER).status == 200
    assert deployment.vend("caller@elsewhere.example").slug == "user-not-eligible"
    deployment.restart(INVITE_DOMAINS="", INVITATIONS="false")
    assert deployment.vend("caller-0002@example.com").slug == "user-not-eligible"
    assert deployment.calls()["invite_user"] == 1


def test_address_active_in_another_tenant_is_refused(deployment: Deployment) -> None:
    deployment.aurora.add_users([{"id": "theirs", "email": NEWCOMER, "tenant_id": "another"}])
    answer = deployment.vend(NEWCOMER)
    assert (answer.status, answer.slug) == (403, "user-not-eligible")
    assert deployment.calls() == {"list_users": 4, "invite_user": 1, "generate_token": 0}
