"""
The canary's event is one as API Gateway sends it, for one person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.stack.rollout import canary_event
from infra.stage import StageConfig

if TYPE_CHECKING:
    from tests.integration.conftest import Deployment

CANARY = "canary@example.com"


def test_a_day_of_the_canary_generates_three_times_at_most(deployment: Deployment) -> None:
    stage = StageConfig.of(
        "test",
        issuer="https://sign-in.example.com",
        audiences=["app"],
        cors_origins=[],
        aurora_environment="sandbox",
        aurora_tenant_id="tenant",
        canary_email=CANARY,
    )
    event = canary_event(stage)
    emails = set()
    for _ in range(24 * 12):
        answer = deployment.send(event)
        assert answer.status == 200
        emails.add(answer.body["user"]["email"])
        deployment.clock.advance(300)
    assert emails == {CANARY}
    assert deployment.calls()["generate_token"] <= 3
