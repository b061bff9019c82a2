"""The OIDC provider of the local stack, and signing in at it as a browser would."""

import base64
import hashlib
import logging
import secrets
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import urllib3

from infra.local.processes import LocalStackError

CLIENT_ID = "aurora-token-vendor-demo"
SCOPE = "openid profile email phone"
# A provider that accepts any redirect address is asked for one that nobody serves: the code is
# read from the redirect itself.
REDIRECT_URI = "http://localhost/signed-in"
TIMEOUT = 60
# The provider's own pages take their style from a CDN, which a machine may not reach.
PAGES = Path(__file__).with_name("sign_in_page")


@contextmanager
def oidc_provider(*, port: int, people: list[str], origins: Collection[str] = ()) -> Iterator[str]:
    """
    Run an OIDC provider until the block ends, and give its issuer address.

    The people are offered on its sign-in page; anybody else may sign in too, but then without
    a verified e-mail. By itself the provider answers every page, which could sign in as anybody
    and change anybody's claims: only pages of the given origins, and its own, are answered.
    """
    # It ships no types. Signing in does not need it.
    import oidc_provider_mock  # type: ignore[import-untyped]  # noqa: PLC0415

    # Its line for every request would stand between those of the starter.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    users = [oidc_provider_mock.User(sub=email, claims=claims_of(email)) for email in people]
    with oidc_provider_mock.run_server_in_thread(port, user_claims=users) as server:
        server.app.jinja_loader.searchpath.insert(0, str(PAGES))
        issuer = f"http://localhost:{server.server_port}"
        server.app = _closed(server.app, {issuer, *origins})
        yield issuer


def _closed(app: Any, origins: Collection[str]) -> Any:
    """Wrap a WSGI app so that it answers pages of these origins alone, and programs."""

    def answer(environ: dict[str, str], start_response: Any) -> Any:
        host = environ.get("HTTP_HOST", "").partition(":")[0]
        origin = environ.get("HTTP_ORIGIN")
        # A name that an attacker points to 127.0.0.1 needs no `Origin` (DNS rebinding).
        if host in {"127.0.0.1", "localhost"} and (origin is None or origin in origins):
            return app(environ, start_response)
        start_response("403 Forbidden", [])
        return [b"Not for this page.\n"]

    return answer


def claims_of(email: str) -> dict[str, Any]:
    """Make up the claims of a person from the e-mail: jessica.smith@… is Jessica Smith."""
    given, _, family = email.partition("@")[0].partition("+")[0].partition(".")
    given, family = given.capitalize(), family.capitalize() or "Person"
    return {
        "email": email,
        "email_verified": True,
        "given_name": given,
        "family_name": family,
        "name": f"{given} {family}",
    }


def sign_in(issuer: str, email: str, /, *, client_id: str = CLIENT_ID, **claims: Any) -> str:
    """
    Sign a person in (authorization code with PKCE) and return the ID token.

    Claims given by name are added to those made up from the e-mail; None takes one away.
    """
    said = {name: value for name, value in (claims_of(email) | claims).items() if value is not None}
    # Opaque, as with real providers: nothing may rely on its being the e-mail.
    subject = str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{email}"))
    _request("PUT", f"{issuer}/users/{subject}", json=said)
    discovery = _request("GET", f"{issuer}/.well-known/openid-configuration").json()
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT_URI,
        "scope": SCOPE,
        "state": secrets.token_urlsafe(16),
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }
    # What the sign-in page's form posts.
    address = f"{discovery['authorization_endpoint']}?{urlencode(query)}"
    answer = _request("POST", address, **_form({"sub": subject}))
    redirect = parse_qs(urlsplit(answer.headers["Location"]).query)
    if redirect["state"] != [query["state"]]:
        raise LocalStackError("The OIDC provider answered another request than ours.")
    exchange = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "redirect_uri": REDIRECT_URI,
        "code": redirect["code"][0],
        "code_verifier": verifier,
    }
    answer = _request("POST", discovery["token_endpoint"], **_form(exchange))
    return str(answer.json()["id_token"])


def _form(fields: dict[str, str]) -> dict[str, Any]:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return {"body": urlencode(fields), "headers": headers}


def _request(method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
    try:
        answer = urllib3.request(
            method, url, redirect=False, retries=False, timeout=TIMEOUT, **arguments
        )
    except urllib3.exceptions.HTTPError as exc:
        raise LocalStackError(f"The OIDC provider does not answer: {method} {url}") from exc
    if answer.status >= 400:  # noqa: PLR2004  # HTTP's own number.
        raise LocalStackError(f"The OIDC provider answers {answer.status} to {method} {url}")
    return answer
