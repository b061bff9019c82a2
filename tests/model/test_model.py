"""
Every interleaving of two and three callers, with a fault at every step.

The bound: two faults in a schedule (among three callers one, and nightly two), each a crash, a lost
answer, a refusal, or a holder that wakes after its lease has ended.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from token_vendor import models, token_item
from token_vendor.observability import logger
from token_vendor.table import Table
from token_vendor.token_item import Lease, TokenItem

from tests.model.explorer import Scenario, ViolationError, explore

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = ("at_once", "when_loaded", "never")
TWO = [
    Scenario(name="first token", callers=2, stored="none", faults=2),
    Scenario(name="stale token", callers=2, stored="stale", faults=2),
    Scenario(name="both replace", callers=2, stored="good", replacing=2, faults=2),
    Scenario(name="one replaces", callers=2, stored="good", replacing=1, faults=2),
]
SIGNED_OUT = [
    Scenario(name="first token, signed out", callers=1, signs_out=True),
    Scenario(
        name="one replaces, signed out", callers=2, stored="good", replacing=1, signs_out=True
    ),
]
SHRINKING = [
    Scenario(name="each ends sooner", callers=2, kill="never", shrinking=True, faults=2),
]
THREE = [
    Scenario(name="three, stale token", callers=3, stored="stale"),
    Scenario(name="three, one replaces", callers=3, stored="good", replacing=1),
]
AHEAD = [
    Scenario(name="first token, ahead", callers=1, ahead=True, faults=2),
    Scenario(name="two and ahead", callers=2, ahead=True),
    Scenario(name="stale token, ahead", callers=1, stored="stale", ahead=True, faults=2),
    Scenario(name="one replaces, ahead", callers=1, stored="good", replacing=1, ahead=True),
    Scenario(name="ahead, signed out", callers=1, ahead=True, signs_out=True),
]


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take chance out: a schedule that is replayed must lead to the same state."""
    monkeypatch.setattr(models.random, "uniform", lambda _low, high: high)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("scenario", TWO, ids=lambda s: s.name)
def test_two_callers(scenario: Scenario, kill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore(replace(scenario, kill=kill), monkeypatch) > 50


@pytest.mark.parametrize("scenario", SHRINKING, ids=lambda s: s.name)
def test_lease_ends_whichever_token_stays(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explore(scenario, monkeypatch) > 50


@pytest.mark.parametrize("scenario", SIGNED_OUT, ids=lambda s: s.name)
def test_sign_out_at_every_step(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore(scenario, monkeypatch) > 50


@pytest.mark.parametrize("scenario", AHEAD, ids=lambda s: s.name)
def test_nothing_is_generated_ahead_on_a_token_that_may_live(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever crashes or is lost; and a caller who comes meanwhile gets that token."""
    assert explore(scenario, monkeypatch) > 30


@pytest.mark.parametrize(
    "guard", ["is_marked", "expires_at"], ids=["of what is marked", "of what was forgotten"]
)
def test_each_guard_of_generating_ahead_is_needed(
    guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    surely_empty = token_item.TokenItem.is_surely_empty

    def careless(self: token_item.TokenItem, now: float) -> bool:
        ignored = {"is_marked": {"generating_since": 0}, "expires_at": {"expires_at": 0}}[guard]
        return surely_empty(replace(self, **ignored), now)

    monkeypatch.setattr(token_item.TokenItem, "is_surely_empty", careless)
    with pytest.raises(ViolationError):  # noqa: PT012 - any scenario may find it.
        for scenario in AHEAD:
            explore(scenario, monkeypatch)


@pytest.mark.parametrize("faults", [1, pytest.param(2, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("scenario", THREE, ids=lambda s: s.name)
def test_three_callers(scenario: Scenario, faults: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore(replace(scenario, faults=faults), monkeypatch) > 500


STRANGERS = [
    Scenario(name="two strangers", callers=2, stored="good", strangers=2, faults=2),
    Scenario(name="stranger and owner", callers=2, stored="good", strangers=1, faults=2),
    Scenario(name="stranger, signed out", callers=1, stored="good", strangers=1, signs_out=True),
]


@pytest.mark.parametrize("scenario", STRANGERS, ids=lambda s: s.name)
def test_new_identity_costs_one_question_and_no_generate(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explore(scenario, monkeypatch) > 30


LEASED, STORED, RELEASED = TokenItem.leased, TokenItem.stored, TokenItem.released
CHANGE = Table.change


def never_held(self: TokenItem, lease: Lease) -> TokenItem:
    """Take a lease that somebody else has."""
    return LEASED(self, replace(lease, item=self))


def unmarked(self: TokenItem, lease: Lease) -> TokenItem:
    return replace(LEASED(self, lease), generating_since=self.generating_since)


def unfenced(self: TokenItem, lease: Lease, token: Any, **how: Any) -> TokenItem:
    """Store as if nobody else had the lease."""
    return STORED(replace(self, lease_id=lease.id), lease, token, **how)


def deaf_to_sign_outs(self: TokenItem, lease: Lease, token: Any, **how: Any) -> TokenItem:
    return STORED(replace(self, forgets=lease.item.forgets), lease, token, **how)


def first_come(self: TokenItem, lease: Lease, token: Any, **how: Any) -> TokenItem:
    """Ignore that a later token is there."""
    return STORED(replace(self, expires_at=0, lease_id=lease.id), lease, token, **how)


def keeps_the_lease(self: TokenItem, lease: Lease, token: Any, **how: Any) -> TokenItem:
    """Leave lease and mark where a later token is found."""
    after = STORED(self, lease, token, **how)
    return self if after.jti not in {token.jti, ""} else after


def forgetful(self: TokenItem, lease: Lease, problem: Any, **how: Any) -> TokenItem:
    """Clear a mark that the holder found."""
    unmarked = replace(lease.item, generating_since=0)
    return RELEASED(self, replace(lease, item=unmarked), problem, **how)


def not_applied_again(self: Table, seen: Any, transition: Any, email: str = "") -> Any:
    """Write on a conflict what was decided on the older value."""
    after = transition(seen)
    return CHANGE(self, seen, lambda _: after, email)


def without_a_lease(self: Any, item: TokenItem) -> Any:
    """Ask whose token it is, whoever else asks at the same time."""
    allowance = self._allowance()
    self.vendor.accounts.confirm(self.caller.email, item.user_id, allowance, since=1)
    return self._admit(item, None)


MUTATIONS: dict[str, tuple[str, Any]] = {
    "a question needs no lease": ("vendor._Request._confirm", without_a_lease),
    "the lease is not exclusive": ("token_item.TokenItem.leased", never_held),
    "nothing is marked": ("token_item.TokenItem.leased", unmarked),
    "a lost lease stores": ("token_item.TokenItem.stored", unfenced),
    "a sign-out is ignored": ("token_item.TokenItem.stored", deaf_to_sign_outs),
    "a later token is overwritten": ("token_item.TokenItem.stored", first_come),
    "a later token keeps the lease": ("token_item.TokenItem.stored", keeps_the_lease),
    "a found mark is cleared": ("token_item.TokenItem.released", forgetful),
    "a conflict is not applied again": ("table.Table.change", not_applied_again),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_broken_protocol_is_found_out(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is worth something: each guard, taken away, breaks an invariant."""
    where, instead = MUTATIONS[mutation]
    monkeypatch.setattr(f"token_vendor.{where}", instead)
    with pytest.raises(ViolationError):  # noqa: PT012 - any scenario may find it.
        for scenario in (*STRANGERS, *TWO, *SHRINKING, *SIGNED_OUT, *THREE):
            # Some of them need two faults among three callers.
            explore(replace(scenario, faults=2), monkeypatch)
