"""
Aurora asks for a pause while people wait for their turns: the whole queue moves, in its order.
"""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.harness.clients import people

if TYPE_CHECKING:
    from tests.integration.conftest import Answer, Deployment

WAITING = 94
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
    """
    Let more people come than Aurora allows in a minute, and return the turns that they were given.
    """
    users = people(WAITING + 1)
    deployment.aurora.set_users(users)
    deployment.restart(PATIENCE="0")
    first, *others = [user["email"] for user in users]
    # The list is read, and the budget rested.
    deployment.vend(first)
    deployment.clock.advance(30)
    answers = {email: deployment.vend(email) for email in others}
    return [(turn(each), email) for email, each in answers.items() if each.status != 200]


def test_nobody_calls_during_the_pause_and_everybody_keeps_their_place(
    deployment: Deployment,
) -> None:
    """
    Kept turns move, too: without that, each would be another call that Aurora refuses.
    """
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
    # At the rate, as before: one call in 60 s / 80. Only the first, whom the pause met, was late.
    gaps = [later - earlier for earlier, later in pairwise(calls)]
    assert min(gaps[1:]) > 0.74
    # Once at their turn, and once more where it had moved.
    assert requests <= 2 * len(order) + 1


def test_who_waits_inside_a_request_hears_of_the_pause(deployment: Deployment) -> None:
    """
    Somebody else is refused while this one sleeps until its slot: it does not call either.
    """
    users = people(8)
    deployment.aurora.set_users(users)
    first, *others, waits = [user["email"] for user in users]
    deployment.vend(first)
    deployment.clock.advance(30)
    for email in others:
        deployment.vend(email)
    calls = len(deployment.aurora.calls())
    budget = deployment.service._vendor._budget

    def refused_meanwhile(seconds: float) -> None:
        deployment.clock.advance(seconds)
        budget.hold_until(deployment.clock.now + PAUSE)

    budget.sleep = refused_meanwhile
    answer = deployment.vend(waits)
    assert answer.slug == "aurora-busy"
    assert turn(answer) - deployment.clock.now > PAUSE - 1
    assert len(deployment.aurora.calls()) == calls


def test_two_who_hear_the_same_move_the_queue_once(deployment: Deployment) -> None:
    deployment.vend()
    budget = deployment.service._vendor._budget
    until = deployment.clock.now + PAUSE + 0.000_123
    moved = []
    for _ in range(2):
        budget.hold_until(until)
        moved.append(deployment.budget())
    assert moved[0] == moved[1]
    assert moved[0]["held_until"] == round(until * 1_000_000)
    assert moved[0]["delay"] % 1000 == 0
    # A longer pause moves it by what is longer.
    budget.hold_until(until + 5)
    assert deployment.budget()["delay"] - moved[0]["delay"] == 5_000_000
