"""What people report of software like this: one test for each kind."""

from types import SimpleNamespace
from typing import Any

import pytest
from token_vendor import handler
from token_vendor.observability import recorder

from tests.integration.conftest import Deployment

HOUR = 3600


def test_cap_does_not_take_away_a_token_that_still_lives(deployment: Deployment) -> None:
    """Past its margin, and no renewal left in this hour: it is served to its end."""
    deployment.aurora.behave(token_lifetime=1800)
    for _ in range(7):
        last = deployment.vend(replace=deployment.item().get("jti", "none"))
    deployment.clock.advance(1400)
    answer = deployment.vend()
    assert (answer.status, answer.jti) == (200, last.jti)


@pytest.mark.parametrize("broken", ["flush", "problem"])
def test_telemetry_costs_no_answer(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(broken)

    match broken:
        case "flush":
            monkeypatch.setattr(recorder, "flush", fail)
        case "problem":
            monkeypatch.setattr(handler.logger, "warning", fail)
    expected = 403 if broken == "problem" else 200
    if broken == "problem":
        deployment.restart(INVITATIONS="false")
    assert deployment.vend("newcomer@example.com").status == expected


def test_secrets_manager_that_throttles_costs_nobody_a_good_key(deployment: Deployment) -> None:
    deployment.vend()
    throttled = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}

    def refuse(**_: Any) -> Any:
        return SimpleNamespace(status_code=400), throttled

    deployment.hear("before-call.secretsmanager", refuse)
    deployment.clock.advance(13 * HOUR)
    assert deployment.vend().body["source"] == "generated"
