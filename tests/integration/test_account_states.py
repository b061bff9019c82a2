"""Accounts that are new, refused without their fault, or not the caller's."""

import pytest

from infra.fake_aurora.users import JESSICA
from tests.integration.conftest import Deployment
from tests.support.crowd import crowd

NEWCOMER = "newcomer@example.com"


@pytest.mark.parametrize("status", [404, 409])
@pytest.mark.parametrize("seconds", [2, 20, 90])
def test_account_that_is_seconds_old_is_waited_for(
    deployment: Deployment, status: int, seconds: int
) -> None:
    """Aurora accepted the invitation, and does not know the account everywhere yet."""
    deployment.aurora.behave(usable_after=seconds, listed_after=seconds, early_status=status)
    first = deployment.vend(NEWCOMER)
    assert (first.status, first.slug) == (503, "aurora-unavailable")
    assert int(first.headers["retry-after"]) <= 30
    met = crowd(deployment.clock, deployment.vend, [NEWCOMER], within=300)
    assert met.longest <= 2 * seconds + 35
    assert deployment.calls()["invite_user"] == 1


def test_account_that_stays_unknown_is_doubted_after_two_minutes(deployment: Deployment) -> None:
    deployment.aurora.behave(usable_after=86_400)
    met = crowd(deployment.clock, deployment.vend, [NEWCOMER], within=900)
    assert not met.served
    assert deployment.calls()["invite_user"] == 1
    assert deployment.calls()["generate_token"] <= 40


@pytest.mark.parametrize("seconds", [5, 60, 600])
def test_invited_person_who_is_listed_late_is_served_when_listed(
    deployment: Deployment, seconds: int
) -> None:
    """The invitation names no id: pending with Retry-After, and invited once."""
    deployment.aurora.behave(invite_answer="without_id", listed_after=seconds)
    first = deployment.vend(NEWCOMER)
    assert (first.status, first.slug) == (409, "invitation-pending")
    assert "retry-after" in first.headers
    met = crowd(deployment.clock, deployment.vend, [NEWCOMER], within=3600)
    assert met.served
    assert met.longest <= 2 * seconds + 60
    assert deployment.calls()["invite_user"] == 1
    assert deployment.calls()["list_users"] <= 40


def test_person_who_is_switched_off_is_refused(deployment: Deployment) -> None:
    """Aurora is asked to generate once, and to invite never, however long they try."""
    deployment.vend()
    deployment.clock.advance(13 * 3600)
    deployment.aurora.add_users([JESSICA | {"account_status": "inactive"}])
    before = deployment.calls()["generate_token"]
    for _ in range(20):
        assert deployment.vend().slug == "user-not-eligible"
        deployment.clock.advance(1000)
    calls = deployment.calls()
    assert (calls["generate_token"] - before, calls["invite_user"]) == (1, 0)


def test_refused_invitation_is_not_taken_for_one_to_accept(deployment: Deployment) -> None:
    """Aurora answered 409 to it; later the person is listed as inactive."""
    deployment.aurora.fail(
        {"operation": "invite_user", "kind": "status", "status": 409, "times": 99}
    )
    assert deployment.vend(NEWCOMER).slug == "aurora-unavailable"
    deployment.aurora.add_users([{"id": "new", "email": NEWCOMER, "account_status": "inactive"}])
    deployment.clock.advance(400)
    assert deployment.vend(NEWCOMER).slug == "user-not-eligible"
