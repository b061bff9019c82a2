"""What people report of software like this: one test for each kind."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from token_vendor import handler
from token_vendor.observability import recorder

from tests.integration.test_aurora_adversary import OK, raw_server, request_of

if TYPE_CHECKING:
    import io

    from tests.integration.conftest import Deployment

HOUR = 3600
KEY = "sk_sand_0123456789abcdef"


@pytest.mark.parametrize("lifetime", [300, 1800, HOUR])
def test_margin_is_relative_to_the_life_that_aurora_decides(
    deployment: Deployment, lifetime: int
) -> None:
    """A token that lives shorter than the margin is not one generate a request."""
    deployment.aurora.behave(token_lifetime=lifetime)
    first = deployment.vend()
    deployment.clock.advance(lifetime / 2)
    assert deployment.vend().jti == first.jti
    deployment.clock.advance(lifetime / 4 + 5)
    assert deployment.vend().jti != first.jti
    assert deployment.calls()["generate_token"] == 2


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


def test_refusal_that_repeats_personal_data_leaves_none_in_the_log(
    deployment: Deployment, log: io.StringIO
) -> None:
    told = b'{"error": "jessica.smith@aurorasolar.com, +1 (415) 555-0100, %s"}' % KEY.encode()

    def talk(connection: Any) -> None:
        while request_of(connection):
            answer = OK.replace(b"200 OK", b"422 Unprocessable Entity")
            connection.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (answer, len(told), told))

    with raw_server(talk) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        assert deployment.vend().slug == "aurora-invalid-response"
    assert '"status":422' in log.getvalue().replace(" ", "")
    for private in ("jessica.smith", "415", "555", "0100", KEY):
        assert private not in log.getvalue()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (json.dumps({"apiKey": KEY}), "the secret is JSON"),
        (f'"{KEY}"', "is in quotes"),
        ("\ufeff" + KEY, "byte order mark"),
        (f"Bearer {KEY}", "is a header, not a key"),
        (KEY.encode(), "the secret is binary"),
    ],
    ids=["json", "quotes", "bom", "bearer", "binary"],
)
def test_secret_that_is_almost_right_is_named(
    deployment: Deployment, log: io.StringIO, value: str | bytes, said: str
) -> None:
    deployment.secret = value
    assert deployment.vend().slug == "aurora-key-rejected"
    assert said in log.getvalue()
    assert "put in the key alone" in log.getvalue()
    assert KEY not in log.getvalue()


def test_secrets_manager_that_throttles_costs_nobody_a_good_key(deployment: Deployment) -> None:
    deployment.vend()
    client: Any = deployment.parts.vendor.aurora.http._api_key._client
    throttled = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}

    def refuse(**_: Any) -> Any:
        return SimpleNamespace(status_code=400), throttled

    client.meta.events.register_first("before-call.secretsmanager", refuse)
    deployment.clock.advance(13 * HOUR)
    assert deployment.vend().body["source"] == "generated"
