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
from token_vendor import models, token_item, token_store
from token_vendor.observability import logger

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


MUTATIONS = {
    # What is broken: the text in a condition of the store, and what replaces it.
    "lease": ("attribute_not_exists(version) OR version = :seen", ""),
    "fence": ("lease_id = :lease AND (", "("),
    "sign-out": ("AND (attribute_not_exists(forgets) OR forgets = :forgets)", ""),
    "store-condition": ("attribute_not_exists(expires_at) OR expires_at < :expires_at", ""),
}


@pytest.mark.parametrize("mutation", [*MUTATIONS, "mark", "inherited-mark"])
def test_broken_protocol_is_found_out(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is worth something: each guard, taken away, breaks an invariant."""
    if mutation == "inherited-mark":
        release = token_store.TokenStore.release

        def forgetful(self: token_store.TokenStore, lease: token_item.Lease, outcome: Any) -> bool:
            unmarked = replace(lease.item, generating_since=0)
            return release(self, replace(lease, item=unmarked), outcome)

        monkeypatch.setattr(token_store.TokenStore, "release", forgetful)
    else:
        text, replacement = MUTATIONS.get(mutation, ("", ""))
        update = token_store.TokenStore._update

        def broken(self: token_store.TokenStore, email: str, **clauses: Any) -> bool:
            clauses["condition"] = clauses["condition"].replace(text, replacement)
            if mutation == "mark":
                clauses.pop("assign_once", None)
            return update(self, email, **clauses)

        monkeypatch.setattr(token_store.TokenStore, "_update", broken)
    with pytest.raises(ViolationError):  # noqa: PT012 - any scenario may find it.
        for scenario in (*TWO, *SIGNED_OUT, *THREE):
            explore(scenario, monkeypatch)
