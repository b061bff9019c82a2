"""Aurora asks for a pause while people wait: the whole queue moves, in its order."""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from token_vendor.handler import Endpoint
from token_vendor.request_budget import RequestBudget

from tests.support.clients import people

if TYPE_CHECKING:
    from tests.integration.conftest import Deployment
    from tests.support.events import Answer

WAITING = 180
PAUSE = 60
REFUSED = {
    "operation": "generate_token",
    "kind": "status",
    "status": 429,
    "headers": {"Retry-After": str(PAUSE)},
}
Turn = tuple[float, str]


def turn(answer: Answer) -> float:
    return datetime.fromisoformat(answer.body["retry_at"]).timestamp()


def queue(deployment: Deployment) -> list[Turn]:
    """Let more people come than Aurora allows in a minute; return the turns they were given."""
    users = people(WAITING + 1)
    deployment.aurora.set_users(users)
    deployment.restart(PATIENCE="0.5")
    first, *others = [user["email"] for user in users]
    # The list is read, and the budget rested.
    deployment.vend(first)
    deployment.clock.advance(30)
    answers = {email: deployment.vend(email) for email in others}
    return [(turn(each), email) for email, each in answers.items() if each.status != 200]


def test_nobody_calls_during_the_pause_and_everybody_keeps_their_place(
    deployment: Deployment,
) -> None:
    """Kept turns move, too: without that, each would be another call that Aurora refuses."""
    turns = queue(deployment)
    order = [email for _, email in turns]
    assert len(order) > 80
    deployment.aurora.fail(REFUSED)
    before = len(deployment.aurora.calls())
    served: list[str] = []
    requests = 0
    heapq.heapify(turns)
    while turns:
        moment, email = heapq.heappop(turns)
        deployment.clock.now = max(deployment.clock.now, moment)
        answer = deployment.vend(email)
        requests += 1
        if answer.status == 200:
            served.append(email)
        else:
            assert answer.slug == "aurora-busy"
            heapq.heappush(turns, (turn(answer), email))
    refused, *calls = [call["at"] for call in deployment.aurora.calls()[before:]]
    assert min(calls) >= refused + PAUSE
    assert len(calls) == len(order)
    assert served == order
    # Once at their turn, and once more where it had moved. The last ones have somebody before them
    # at their place, and look whether that one came.
    assert requests <= 2 * len(order) + 1 + 3


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
