"""Aurora asks for a pause while people wait: the whole queue moves, in its order."""

from dataclasses import replace
from datetime import datetime

from token_vendor.handler import Endpoint
from token_vendor.request_budget import RequestBudget

from tests.integration.conftest import Deployment
from tests.support.clients import people
from tests.support.crowd import crowd
from tests.support.events import Answer

PAUSE = 60
REFUSED = {
    "operation": "generate_token",
    "kind": "status",
    "status": 429,
    "headers": {"Retry-After": str(PAUSE)},
}


def turn(answer: Answer) -> float:
    return datetime.fromisoformat(answer.body["retry_at"]).timestamp()


def test_nobody_calls_during_the_pause_and_everybody_keeps_their_place(
    deployment: Deployment,
) -> None:
    """Kept turns move, too: without that, each would be another call that Aurora refuses."""
    first, *others = [user["email"] for user in people(90)]
    deployment.aurora.set_users(people(90))
    deployment.restart(PATIENCE="0.5", REQUEST_RATE="44", REQUEST_BURST="45")
    # The list is read, and the budget rested.
    deployment.vend(first)
    deployment.clock.advance(60)
    waiting = [email for email in others if deployment.vend(email).status != 200]
    assert len(waiting) > 40
    deployment.aurora.fail(REFUSED)
    before = len(deployment.aurora.calls())
    met = crowd(deployment.clock, deployment.vend, waiting, within=3600)
    refused, *calls = [call["at"] for call in deployment.aurora.calls()[before:]]
    assert min(calls) >= refused + PAUSE
    assert len(calls) == len(waiting)
    assert list(met.served) == waiting
    # Once at once, once at their turn, and once more where it had moved. The last ones have
    # somebody before them at their place, and look whether that one came.
    assert met.requests <= 3 * len(waiting) + 1 + 3


def test_who_waits_inside_a_request_hears_of_the_pause(deployment: Deployment) -> None:
    """Somebody else is refused while this one sleeps until its slot: it does not call either."""
    users = people(3)
    deployment.aurora.set_users(users)
    first, second, waits = [user["email"] for user in users]
    deployment.vend(first)
    deployment.clock.advance(30)
    # A call every three seconds.
    deployment.restart(REQUEST_RATE="20", REQUEST_BURST="1")
    deployment.vend(second)
    calls = len(deployment.aurora.calls())
    # Another environment's: this one has to look.
    budget = RequestBudget(deployment.parts.table, deployment.parts.settings)

    def refused_meanwhile(seconds: float) -> None:
        deployment.clock.advance(seconds)
        budget.pause(PAUSE, "generate_token")

    deployment.service = Endpoint(replace(deployment.parts, sleep=refused_meanwhile))
    answer = deployment.vend(waits)
    assert answer.slug == "aurora-busy"
    assert turn(answer) - deployment.clock.now > PAUSE - 1
    assert len(deployment.aurora.calls()) == calls
