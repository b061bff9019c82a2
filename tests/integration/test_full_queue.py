"""The queue for Aurora is limited: a caller who finds it full gets no place."""

import json

import pytest
from token_vendor.control import Control
from token_vendor.models import Deadline
from token_vendor.problems import AuroraBusyError

from tests.integration.conftest import Deployment

INTERVAL, HORIZON = 10, 30
CALLERS = [f"caller-{number}@example.com" for number in range(8)]
"""The first is served, three find a place in the queue, and for the others it is full."""


def reserved_until(deployment: Deployment) -> float:
    """Return when the ring's only place is free again, in seconds: it moves with every slot."""
    return float(deployment.tenant_item("PLACE#0")["slot"]) / 1e6 + INTERVAL


def test_queue_has_as_many_places_as_its_horizon(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight come at once: six calls a minute, half a minute's queue."""
    deployment.aurora.add_users({"email": email} for email in CALLERS)
    deployment.vend()
    deployment.clock.advance(60)
    deployment.restart(
        REQUEST_RATE=str(60 // INTERVAL),
        REQUEST_BURST="1",
        PATIENCE="0",
        QUEUE_HORIZON=str(HORIZON),
    )
    first, *others = [deployment.vend(email) for email in CALLERS]
    assert first.status == 200
    assert {answer.slug for answer in others} == {"aurora-busy"}
    turns = ["turn_at" in deployment.item(email) for email in CALLERS]
    assert turns == [False] + [True] * 3 + [False] * 4
    assert 0 < reserved_until(deployment) - deployment.clock.now <= HORIZON + INTERVAL
    for answer in others[3:]:
        assert 1 <= int(answer.headers["retry-after"]) <= HORIZON
    # Nothing is reserved in a full queue: it would grow with those who will not come back.
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
