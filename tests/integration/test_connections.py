"""Which connections to Aurora are used again: a Lambda that froze cannot tell that one has died."""

from typing import Any

import pytest

from tests.integration.conftest import Deployment

ROBERT = "robert.johnson@aurorasolar.com"


@pytest.fixture
def accepted(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the addresses from which the fake Aurora's server accepts connections."""
    addresses: list[Any] = []
    server: Any = deployment.aurora._server
    process = server.process_request

    def counted(request: Any, address: Any) -> None:
        addresses.append(address)
        process(request, address)

    monkeypatch.setattr(server, "process_request", counted)
    return addresses


@pytest.mark.parametrize(
    ("idle", "connections"),
    [
        pytest.param(4, 1, id="within-five-seconds"),
        pytest.param(6, 2, id="after-five-seconds"),
    ],
)
def test_connection_that_idled_is_not_used_again(
    deployment: Deployment, accepted: list[Any], idle: float, connections: int
) -> None:
    deployment.vend()
    assert deployment.calls() == {"list_users": 2, "invite_user": 0, "generate_token": 1}
    assert len(accepted) == 1
    deployment.clock.advance(idle)
    assert deployment.vend(ROBERT).status == 200
    assert deployment.calls()["generate_token"] == 2
    assert len(accepted) == connections


def test_connection_that_aurora_closed_is_not_used_again(deployment: Deployment) -> None:
    """A generate that is sent into it would be lost, and could not be sent again."""
    deployment.vend()
    with deployment.aurora.down():
        pass
    assert deployment.vend(ROBERT).status == 200
    assert deployment.calls()["generate_token"] == 2


def test_answer_may_take_longer_than_connecting(deployment: Deployment) -> None:
    deployment.restart(AURORA_CONNECT_TIMEOUT="0.1")
    late = {"operation": "generate_token", "kind": "delay", "seconds": 0.4, "times": 1}
    deployment.aurora.fail(late)
    assert deployment.vend().status == 200
    assert deployment.calls()["generate_token"] == 1
