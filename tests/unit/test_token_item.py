"""The TOKEN item's transitions, without a table."""

from dataclasses import replace

import pytest
from token_vendor.models import GENERATE, AccessToken, Turn, Value
from token_vendor.problems import AuroraBusyError, AuroraTimeoutError
from token_vendor.token_item import Lease, TokenItem

NOW, LIFE, MARGIN, PAUSE, LEASE = 1_750_000_000.0, 43_200, 3600.0, 30.0, 25.0
OWNER = "who signed in"

TOKENS = {
    "none": TokenItem(version=1),
    "good": TokenItem(
        version=1, jwt="jwt-1", jti="t1", user_id="user", lifetime=LIFE, expires_at=int(NOW) + 9000
    ),
    "stale": TokenItem(
        version=1, jwt="jwt-1", jti="t1", user_id="user", lifetime=LIFE, expires_at=int(NOW) + 1800
    ),
}
NEW = AccessToken(jwt="jwt-2", jti="t2", expires_at=int(NOW) + LIFE, user_id="user")
FAILED = AuroraTimeoutError()
IN_DOUBT = AuroraTimeoutError(in_doubt=GENERATE)
QUEUED = AuroraBusyError(turn=Turn(at=NOW + PAUSE, slots=((0, 0),)))
HOW = {"now": NOW, "pause": PAUSE}
KEEP = {"now": NOW, "notes_arrivals": False}


def leased(item: TokenItem, *, generates: bool = True, subject: str = OWNER) -> Lease:
    lease = Lease(
        id="mine", at=NOW, until=NOW + LEASE, item=item, subject=subject, generates=generates
    )
    return replace(lease, held=item.leased(lease))


def test_sign_out_during_the_lease_wins_over_its_store() -> None:
    """The life is kept, for the hourly cap; the JWT is not."""
    lease = leased(TOKENS["stale"])
    after = lease.held.forgotten().stored(lease, NEW, **KEEP)
    assert (after.jwt, after.jti, after.lease_id) == ("", "", "")
    assert after.expires_at == NEW.expires_at
    assert after.is_renewal(NOW)


def test_replaced_token_does_not_come_back_by_expiring_later() -> None:
    lease = leased(replace(TOKENS["good"], expires_at=NEW.expires_at + 500))
    assert lease.held.stored(lease, NEW, **KEEP).jti == "t2"


@pytest.mark.parametrize("later", [True, False])
def test_lost_lease_leaves_the_other_holder_alone(later: bool) -> None:  # noqa: FBT001
    lease = leased(TOKENS["none"])
    others = {"lease_id": "other", "lease_until": NOW + 99, "generating_since": NOW + 1}
    found = replace(lease.held, **others, jwt="x", jti="tx", expires_at=NEW.expires_at - 1)
    if later:
        found = replace(found, expires_at=NEW.expires_at + 1)
    after = found.stored(lease, NEW, **KEEP)
    assert after.jti == ("tx" if later else "t2")
    assert {name: getattr(after, name) for name in others} == others
    assert found.released(lease, FAILED, **HOW) is found


def test_mark_and_renewal_are_taken_back_where_nothing_was_generated() -> None:
    """By the holder that set them alone: a predecessor may have generated."""
    item = replace(TOKENS["good"], subjects=(OWNER,))
    lease = leased(item)
    assert (lease.held.generating_since, lease.held.renewals) == (NOW, (NOW,))
    after = lease.held.released(lease, FAILED, **HOW)
    assert (after.generating_since, after.renewals) == (0, ())
    doubtful = lease.held.released(lease, IN_DOUBT, **HOW)
    assert (doubtful.generating_since, doubtful.renewals) == (NOW, (NOW,))
    again = leased(replace(item, generating_since=NOW - 99))
    assert again.held.released(again, FAILED, **HOW).generating_since == NOW - 99


def test_first_sight_of_an_identity_is_kept_over_its_requests() -> None:
    item = replace(TOKENS["good"], subjects=("earlier",))
    first = leased(item, generates=False)
    assert first.held.first_seen(OWNER) == NOW
    assert first.held.generating_since == 0
    waiting = first.held.released(first, FAILED, **HOW)
    later = Lease(
        id="later", at=NOW + 60, until=NOW + 99, item=waiting, subject=OWNER, generates=False
    )
    assert waiting.leased(later).first_seen(OWNER) == NOW
    assert waiting.leased(later).admitted(OWNER, later, jti="t1", **KEEP).first_seen(OWNER) == 0


def test_former_owners_token_is_dropped_and_costs_no_renewal() -> None:
    lease = leased(replace(TOKENS["good"], subjects=("former",)), generates=False)
    after = lease.held.disowned(lease)
    assert (after.jwt, after.expires_at, after.lease_id) == ("", 0, "")
    assert not after.is_renewal(NOW)


def test_transition_changes_nothing_of_its_own_result() -> None:
    """A write whose answer was lost is sent again, fails on itself, and is applied once more."""
    lease = leased(replace(TOKENS["stale"], subjects=(OWNER,)))
    held, written = lease.held, {"version": 2}
    asking = leased(replace(TOKENS["good"], subjects=("earlier",)), generates=False)
    admitted = asking.held.admitted(OWNER, asking, jti="t1", **KEEP)
    disowned = asking.held.disowned(asking)
    stored = held.stored(lease, NEW, **KEEP)
    released = held.released(lease, QUEUED, **HOW)
    assert replace(held, **written).leased(lease) == replace(held, **written)
    assert stored.stored(lease, NEW, **KEEP) == stored
    assert released.released(lease, QUEUED, **HOW) == released
    assert admitted.admitted(OWNER, asking, jti="t1", **KEEP) == admitted
    assert disowned.disowned(asking) == disowned
    assert TOKENS["good"].forgotten().forgotten() == TOKENS["good"].forgotten()


def test_arrival_is_recorded_once_a_shift() -> None:
    item = replace(TOKENS["good"], ahead=1)
    once = item.arrived(now=NOW)
    assert (once.came, once.ahead) == ((int(NOW),), 0)
    assert once.arrived(now=NOW + 3600).came == once.came
    assert len(once.arrived(now=NOW + 9 * 3600).came) == 2


def test_attributes_of_another_version_count_as_absent() -> None:
    """Of another type, or unknown: a newer version may have written them."""
    item = TokenItem.of(
        {"jwt": 7, "jti": "t1", "renewals": "x", "lease_until": "soon", "news": 1, "version": 3}
    )
    assert item == TokenItem(jti="t1", version=3)
    assert Value.of({}) == Value()
