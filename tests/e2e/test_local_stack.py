"""The deployed stack over HTTP: gateway, authorizer, function, table, secret and Aurora."""

import re
import sys
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.fake_aurora.users import JESSICA, ROBERT
from infra.local.__main__ import main
from infra.local.processes import free_port
from infra.local.run import console, welcome
from infra.local.sign_in import oidc_provider, sign_in
from infra.local.stack import NEWCOMER
from tests.e2e.conftest import Running

PREFLIGHT = {"Method": "POST", "Headers": "authorization"}


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status, answer.json()["type"].removeprefix("urn:problem:aurora-token-vendor:")


# The way that it goes ---------------------------------------------------------------------


def test_generated_then_stored(deployed: Running) -> None:
    """The second call costs Aurora nothing."""
    first, second = deployed.vend(JESSICA["email"]), deployed.vend(JESSICA["email"])
    assert (first["source"], second["source"]) == ("generated", "stored")
    assert first["token"]["jwt"] == second["token"]["jwt"]
    assert first["user"] == {"id": JESSICA["id"], "email": JESSICA["email"]}
    assert claims(first["token"]["jwt"])["jti"] == first["token"]["jti"]
    assert deployed.aurora.token_state(first["token"]["jti"]) == "live"
    calls = {"list_users": 2, "invite_user": 0, "generate_token": 1}
    assert deployed.aurora.stats()["calls"] == calls


def test_what_make_run_shows(
    deployed: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first answer without secrets; then `login` signs the same person in."""
    with console.capture() as shown:
        welcome(deployed.directory, deployed.stack, time.monotonic())
    assert '"source": "generated"' in shown.get()
    assert not re.search(r"sk_sand_|eyJ[\w-]+\.[\w-]+", shown.get())
    assert deployed.stack.outputs.demo_url in shown.get()

    monkeypatch.chdir(deployed.directory.parent)
    monkeypatch.setattr(sys, "argv", ["infra.local", "login", JESSICA["email"]])
    main()
    answer = deployed.request("POST", capsys.readouterr().out.strip())
    assert answer.json()["source"] == "stored"


def test_somebody_new_is_invited(deployed: Running) -> None:
    """Who is not in Aurora's directory gets an account, and at once a token."""
    vended = deployed.vend(NEWCOMER)
    assert (vended["source"], vended["user"]["email"]) == ("generated", NEWCOMER)
    assert deployed.aurora.stats()["calls"]["invite_user"] == 1
    invited = deployed.aurora.users()[-1]
    assert (invited["email"], invited["user_level"]) == (NEWCOMER, "SDK User")


def test_sign_out_forgets_the_token(deployed: Running) -> None:
    """204, also when nothing is stored; the next call generates."""
    first = deployed.vend(JESSICA["email"])
    id_token = deployed.sign_in(JESSICA["email"])
    assert [deployed.request("DELETE", id_token).status for _ in range(2)] == [204, 204]
    again = deployed.vend(JESSICA["email"])
    assert again["source"] == "generated"
    assert again["token"]["jti"] != first["token"]["jti"]


def test_replace_generates_once(deployed: Running) -> None:
    """Naming the failed token renews it; naming it again gets what has replaced it."""
    failed = deployed.vend(JESSICA["email"])["token"]["jti"]
    renewed = deployed.vend(JESSICA["email"], json={"replace": failed})
    again = deployed.vend(JESSICA["email"], json={"replace": failed})
    assert (renewed["source"], again["source"]) == ("generated", "stored")
    assert renewed["token"]["jti"] == again["token"]["jti"] != failed


# Who is let in -----------------------------------------------------------------------------


def forged(issuer: str) -> str:
    """Sign good claims with a key that is not the provider's."""
    now = int(time.time())
    good = {"iss": issuer, "aud": "aurora-token-vendor-demo", "iat": now, "exp": now + 600}
    person = {"sub": JESSICA["email"], "email": JESSICA["email"], "email_verified": True}
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(good | person, key, algorithm="RS256", headers={"kid": "0"})


@pytest.mark.parametrize("case", ["none", "nonsense", "expired", "audience", "issuer", "forged"])
def test_gateway_refuses(deployed: Running, case: str) -> None:
    """Without a token of this issuer, for this audience, in its time: 401, and no call."""
    issuer, email = deployed.stack.outputs.issuer, JESSICA["email"]
    match case:
        case "none":
            token = None
        case "nonsense":
            token = "eyJ.eyJ.eyJ"
        case "expired":
            token = deployed.sign_in(email, exp=int(time.time()) - 60)
        case "audience":
            token = sign_in(issuer, email, client_id="another-app")
        case "issuer":
            with oidc_provider(port=free_port(), people=[email]) as other:
                token = sign_in(other, email)
        case _:
            token = forged(issuer)
    assert deployed.request("POST", token).status == 401
    assert deployed.request("DELETE", token).status == 401
    assert deployed.aurora.calls() == []


def test_other_routes_do_not_exist(deployed: Running) -> None:
    token = deployed.sign_in(JESSICA["email"])
    assert deployed.request("GET", token).status == 404
    assert deployed.request("POST", token, "/other").status == 404


@pytest.mark.parametrize(
    ("changed", "slug"),
    [
        pytest.param({"email": None}, "caller-not-identified", id="no e-mail"),
        pytest.param({"email_verified": False}, "caller-not-identified", id="not verified"),
        pytest.param({"email_verified": None}, "caller-not-identified", id="nothing verified"),
    ],
)
def test_caller_without_a_verified_email(
    deployed: Running, changed: dict[str, Any], slug: str
) -> None:
    answer = deployed.request("POST", deployed.sign_in(JESSICA["email"], **changed))
    assert problem(answer) == (403, slug)


def test_deactivated_person_is_not_invited_again(deployed: Running) -> None:
    deployed.aurora.add_users([{"id": JESSICA["id"], "account_status": "inactive"}])
    answer = deployed.request("POST", deployed.sign_in(JESSICA["email"]))
    assert problem(answer) == (403, "user-not-eligible")
    assert deployed.aurora.stats()["calls"]["invite_user"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"email": ROBERT["email"]},
        {"user": {"id": ROBERT["id"], "email": ROBERT["email"]}},
        {"user_id": ROBERT["id"]},
        {"profile": {"email": ROBERT["email"]}},
        {"profile": {"first_name": "Robert", "last_name": "Johnson"}},
        {"replace": "THE OTHER'S"},
        {"min_ttl": 39_600},
    ],
    ids="-".join,
)
def test_nobody_gets_the_token_of_another(deployed: Running, body: dict[str, Any]) -> None:
    """Whatever the body says, and also the address and the headers: one's own token or none."""
    others = deployed.vend(ROBERT["email"])
    if "replace" in body:
        body = {"replace": others["token"]["jti"]}
    answer = deployed.request(
        "POST",
        deployed.sign_in(JESSICA["email"]),
        f"?email={ROBERT['email']}",
        json=body,
        headers={"X-Email": ROBERT["email"], "X-User-Id": ROBERT["id"]},
    )
    assert others["token"]["jwt"] not in answer.data.decode()
    if answer.status == 200:
        assert claims(answer.json()["token"]["jwt"])["id"] == JESSICA["id"]
    else:
        assert problem(answer) == (400, "invalid-request")
    # And the other one still has it.
    assert deployed.vend(ROBERT["email"])["token"] | {"expires_in": 0} == (
        others["token"] | {"expires_in": 0}
    )


def test_cors_preflight(deployed: Running) -> None:
    """The page's origin may ask, and read when to come back; another origin may not."""
    asked = {f"Access-Control-Request-{name}": it for name, it in PREFLIGHT.items()}
    origin = deployed.stack.outputs.demo_url
    allowed = deployed.request("OPTIONS", headers=asked | {"Origin": origin}).headers
    assert allowed["Access-Control-Allow-Origin"] == origin
    assert "POST" in allowed["Access-Control-Allow-Methods"]
    assert "authorization" in allowed["Access-Control-Allow-Headers"].lower()
    stranger = deployed.request("OPTIONS", headers=asked | {"Origin": "http://localhost:1"})
    assert "Access-Control-Allow-Origin" not in stranger.headers


# What goes wrong ---------------------------------------------------------------------------


def test_secret_without_a_value(deployed: Running) -> None:
    """Before the operator sets the key, callers hear that it is not their fault."""
    answer = deployed.answer_without_api_key
    assert problem(answer) == (502, "aurora-key-rejected")
    assert deployed.stack.outputs.secret_arn not in answer.data.decode()
    # AWS answers that there is no value, MiniStack that it is empty; the log says either.
    assert re.search(r"the secret of the Aurora API key (is empty|has no)", deployed.logged())


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        pytest.param("sk_sand_0123456789abcdef", "Aurora answered 401", id="wrong"),
        pytest.param(
            "sk_prod_0123456789abcdef", "other environment", id="of the other environment"
        ),
    ],
)
def test_api_key_that_does_not_fit(unsettled: Running, key: str, cause: str) -> None:
    """The log names the cause, and neither log nor answer the key."""
    unsettled.stack.set_api_key(key)
    unsettled.renew_function()
    before = len(unsettled.logged())
    answer = unsettled.request("POST", unsettled.sign_in(JESSICA["email"]))
    assert problem(answer) == (502, "aurora-key-rejected")
    logged = unsettled.logged()[before:]
    assert cause in logged
    assert key not in logged + answer.data.decode()


def test_aurora_down_and_back(deployed: Running) -> None:
    """Who asks while Aurora is away is told when to come back; once it is back, tokens flow."""
    id_token = deployed.sign_in(JESSICA["email"])
    stored = deployed.vend(JESSICA["email"])["token"]["jti"]
    with deployed.aurora.down():
        kept = deployed.request("POST", id_token)
        deployed.request("DELETE", id_token)
        answer = deployed.request("POST", id_token)
    assert (kept.json()["token"]["jti"], kept.headers["Cache-Control"]) == (stored, "no-store")
    assert problem(answer) == (503, "aurora-unavailable")
    assert 0 < int(answer.headers["Retry-After"]) <= 30
    assert re.search(r"generate_token.*(refused|NewConnectionError)", deployed.logged())
    # Robert has not failed, so nothing makes him wait.
    assert deployed.vend(ROBERT["email"])["source"] == "generated"


def test_log_and_metrics_hold_no_secret(deployed: Running) -> None:
    """Everything that the function ever logged: no JWT, no API key, no Authorization header."""
    vended = deployed.vend(JESSICA["email"])
    logged = deployed.logged()
    assert '"Vended"' in logged
    assert vended["token"]["jti"] in logged
    assert "eyJ" not in logged
    assert "Bearer" not in logged
    assert not re.search(r"[sr]k_(sand|prod)_", logged)
