"""
Every interleaving of two and three callers, with a fault at every step.

The bound: two faults in a schedule (among three callers one, and nightly two), each a crash, a lost
answer, a refusal, or a holder that wakes after its lease has ended.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from token_vendor import models
from token_vendor.observability import logger

from tests.model.explorer import Scenario, explore

if TYPE_CHECKING:
    from collections.abc import Iterator

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
