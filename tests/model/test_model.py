"""
Every interleaving of two and three callers, with a fault at every step.

The bound: two faults in a schedule (among three callers one, and nightly two), each a crash, a lost
answer, a refusal, or a holder that wakes after its lease has ended.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from token_vendor import models
from token_vendor.observability import logger
from token_vendor.table import Table
from token_vendor.token_item import Lease, TokenItem

from tests.model.explorer import Scenario, ViolationError, explore

KILLS = ("at_once", "when_loaded", "never")
TWO = [
    Scenario(name="first token", callers=2, stored="none"),
    Scenario(name="stale token", callers=2, stored="stale"),
    Scenario(name="both replace", callers=2, stored="good", replacing=2),
    Scenario(name="one replaces", callers=2, stored="good", replacing=1),
    Scenario(name="in doubt", callers=1, stored="in doubt"),
]
SIGNED_OUT = [
    Scenario(name="first token, signed out", callers=1, signs_out=True),
    Scenario(name="replaced, signed out", callers=1, stored="good", replacing=1, signs_out=True),
]
SHRINKING = [Scenario(name="each ends sooner", callers=2, kill="never", shrinking=True, faults=2)]
STRANGERS = [
    Scenario(name="two strangers", callers=2, stored="good", strangers=2, faults=2),
    Scenario(name="stranger and owner", callers=2, stored="good", strangers=1, faults=2),
    Scenario(name="stranger, signed out", callers=1, stored="good", strangers=1, signs_out=True),
]
AHEAD = [
    Scenario(name="first token, ahead", callers=1, ahead=True, faults=2),
    Scenario(name="two and ahead", callers=2, ahead=True),
    Scenario(name="stale token, ahead", callers=1, stored="stale", ahead=True, faults=2),
    Scenario(name="one replaces, ahead", callers=1, stored="good", replacing=1, ahead=True),
    Scenario(name="ahead, signed out", callers=1, ahead=True, signs_out=True),
]
EVERY_RUN = [
    *(replace(scenario, kill=kill) for scenario in TWO for kill in KILLS),
    *(*SIGNED_OUT, *SHRINKING, *STRANGERS, *AHEAD),
    Scenario(name="three, one replaces", callers=3, stored="good", replacing=1),
]
NIGHTLY = [
    *(replace(scenario, kill=kill, faults=2) for scenario in TWO for kill in KILLS),
    Scenario(name="two, signed out", callers=2, stored="good", replacing=1, signs_out=True),
    Scenario(name="three, stale token", callers=3, stored="stale", faults=2),
    Scenario(name="three, one replaces", callers=3, stored="good", replacing=1, faults=2),
]


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take chance out: a schedule that is replayed must lead to the same state."""
    monkeypatch.setattr(models.random, "uniform", lambda _low, high: high)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def named(scenario: Scenario) -> str:
    return f"{scenario.name}, {scenario.kill}"


@pytest.mark.parametrize("scenario", EVERY_RUN, ids=named)
def test_no_schedule_breaks_an_invariant(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explore(scenario, monkeypatch) > 10


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", NIGHTLY, ids=named)
def test_no_schedule_of_more_faults_breaks_an_invariant(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explore(scenario, monkeypatch) > 20


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


MUTATIONS: dict[str, tuple[str, Any, str]] = {
    # What is broken: where it is, what is there instead, and the scenario that shows it.
    "a question needs no lease": (
        "vendor._Request._confirm",
        without_a_lease,
        "two strangers",
    ),
    "the lease is not exclusive": ("token_item.TokenItem.leased", never_held, "two strangers"),
    "nothing is marked": ("token_item.TokenItem.leased", unmarked, "one replaces"),
    "a lost lease stores": ("token_item.TokenItem.stored", unfenced, "first token"),
    "a sign-out is ignored": (
        "token_item.TokenItem.stored",
        deaf_to_sign_outs,
        "first token, signed out",
    ),
    "a later token is overwritten": ("token_item.TokenItem.stored", first_come, "first token"),
    "a later token keeps the lease": (
        "token_item.TokenItem.stored",
        keeps_the_lease,
        "each ends sooner",
    ),
    "a found mark is cleared": ("token_item.TokenItem.released", forgetful, "in doubt"),
    "a conflict is not applied again": ("table.Table.change", not_applied_again, "first token"),
}
TWO_FAULTS = [replace(each, faults=2) for each in (*STRANGERS, *SIGNED_OUT, *SHRINKING, *TWO)]


@pytest.mark.nightly
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_broken_protocol_is_found_out(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is worth something: each guard, taken away, breaks an invariant."""
    where, instead, name = MUTATIONS[mutation]
    [scenario] = [each for each in TWO_FAULTS if each.name == name]
    assert explore(scenario, monkeypatch)
    monkeypatch.setattr(f"token_vendor.{where}", instead)
    with pytest.raises(ViolationError):
        explore(scenario, monkeypatch)
