"""The identity provider as API Gateway asks it: its discovery document, and the keys in that."""

from typing import Any

import urllib3

from infra import outbound

TIMEOUT = 10


class IssuerError(Exception):
    """What is wrong with an issuer, and what mends it."""

    def __init__(self, found: str, fix: str, *, answered: bool = True) -> None:
        super().__init__(found)
        self.fix = fix
        self.answered = answered


def signing_keys(issuer: str) -> str:
    """
    Say which keys the issuer signs with.

    `IssuerError` says why API Gateway cannot take tokens of this issuer. Where it was not
    `answered`, that may be this machine's network.
    """
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    correct = "correct issuer in cdk.json and deploy"
    try:
        discovery = _json(address)
        keys = _json(discovery["jwks_uri"])["keys"]
    except urllib3.exceptions.HTTPError as error:
        found = f"no answer at {address} ({type(error).__name__})"
        raise IssuerError(found, f"{outbound.NETWORK}; then {correct}", answered=False) from error
    except (ValueError, KeyError, TypeError) as error:
        found = f"no discovery document and keys at {address} ({type(error).__name__})"
        raise IssuerError(found, correct) from error
    if discovery.get("issuer") != issuer:
        raise IssuerError(f"{address} is of {discovery.get('issuer')}, not {issuer}", correct)
    rsa = [key for key in keys if key.get("kty") == "RSA"]
    found = f"{issuer} signs with RSA ({len(rsa)} of {len(keys)} keys)"
    if not rsa:
        raise IssuerError(found, "let the provider sign with RSA: API Gateway takes nothing else")
    return found


def _json(url: str) -> Any:
    return outbound.request("GET", url, timeout=TIMEOUT).json()
