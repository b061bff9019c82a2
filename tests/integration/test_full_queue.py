"""The queue for Aurora has an end: whoever comes beyond it gets no place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from token_vendor.control import Control
from token_vendor.models import Deadline
from token_vendor.problems import AuroraBusyError

if TYPE_CHECKING:
    from tests.integration.conftest import Deployment
    from tests.support.events import Answer

INTERVAL, HORIZON = 10, 30
CALLERS = [f"caller-{number}@example.com" for number in range(8)]
"""The first is served, three find a place in the queue, and for the others it is full."""


def reserved_until(deployment: Deployment) -> float:
    """Return when the ring's only place is free again, in seconds: it moves with every slot."""
    return float(deployment.tenant_item("PLACE#0")["slot"]) / 1e6 + INTERVAL


@pytest.fixture
def rush(deployment: Deployment) -> list[Answer]:
    """Let eight people with accounts come at once: six calls a minute, half a minute's queue."""
    deployment.aurora.add_users({"email": email} for email in CALLERS)
    deployment.vend()
    deployment.clock.advance(60)
    deployment.restart(
        REQUEST_RATE=str(60 // INTERVAL),
        REQUEST_BURST="1",
        PATIENCE="0",
        QUEUE_HORIZON=str(HORIZON),
    )
    return [deployment.vend(email) for email in CALLERS]


def test_queue_has_as_many_places_as_its_horizon(
    deployment: Deployment, rush: list[Answer]
) -> None:
    assert [answer.status for answer in rush] == [200] + [503] * 7
    turns = [deployment.item(email).get("turn_at") for email in CALLERS]
    assert [turn is not None for turn in turns] == [False] + [True] * 3 + [False] * 4
    assert 0 < reserved_until(deployment) - deployment.clock.now <= HORIZON + INTERVAL


def test_who_finds_the_queue_full_is_told_when_to_ask_again(rush: list[Answer]) -> None:
    for answer in rush[4:]:
        assert (answer.status, answer.slug) == (503, "aurora-busy")
        assert 1 <= int(answer.headers["retry-after"]) <= HORIZON


def test_nothing_is_reserved_in_a_full_queue(
    deployment: Deployment, rush: list[Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise it would grow with those who will not come back; the metric says it is full."""
    assert rush[-1].slug == "aurora-busy"
    before, calls = reserved_until(deployment), deployment.calls()
    capsys.readouterr()
    assert deployment.vend("robert.johnson@aurorasolar.com").slug == "aurora-busy"
    assert reserved_until(deployment) == before
    assert deployment.calls() == calls
    assert budget_left(capsys) == [[0]]


def budget_left(capsys: pytest.CaptureFixture[str]) -> list[list[float]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [line["BudgetLeft"] for line in lines if "BudgetLeft" in line]


def test_those_who_find_it_full_do_not_all_come_back_at_once(deployment: Deployment) -> None:
    """One place comes free at a time: told to come for that, thousands would ask every second."""
    deployment.aurora.add_users({"email": email} for email in CALLERS)
    deployment.restart(PATIENCE="0", QUEUE_HORIZON="900")
    deployment.vend()
    deadline = Deadline(deployment.clock.now + 25, deployment.clock, deployment.clock.sleep)
    with pytest.raises(AuroraBusyError):
        deployment.parts.budget.allowance(deadline, Control()).reserve(2000)
    waits = [int(deployment.vend(email).headers["retry-after"]) for email in CALLERS]
    assert all(45 <= wait <= 136 for wait in waits)
    assert len(set(waits)) > 1
