"""Nobody is vended another's token, whatever happens to addresses and accounts."""

import random
from typing import Any

import pytest

from infra.fake_aurora.users import JESSICA
from tests.integration.conftest import Deployment
from tests.support.events import Answer, event

ADDRESS = JESSICA["email"]
ISSUER = "https://id.example.com"


def vend(deployment: Deployment, sub: str, email: str = ADDRESS, **body: Any) -> Answer:
    """Ask as one identity of the provider."""
    claims = {"iss": ISSUER, "sub": sub, "email": email, "email_verified": "true"}
    return deployment.send(event(claims, body or None))


@pytest.mark.parametrize("retrieve", [200, 403])
def test_second_identity_of_one_person_costs_no_generate(
    deployment: Deployment, retrieve: int
) -> None:
    """One question to Aurora, or none where the list is fresh; then both are served from store."""
    deployment.aurora.behave(retrieve_status=retrieve)
    first = vend(deployment, "password")
    second = vend(deployment, "passkey")
    assert (second.body["source"], second.jti) == ("stored", first.jti)
    for sub in ("password", "passkey") * 3:
        assert vend(deployment, sub).jti == first.jti
    assert deployment.calls()["retrieve_user"] == 1
    assert deployment.calls()["generate_token"] == 1


def test_new_identity_gets_nothing_stored_while_aurora_cannot_be_asked(
    deployment: Deployment,
) -> None:
    vend(deployment, "jessica")
    with deployment.aurora.down():
        assert vend(deployment, "somebody").slug == "aurora-unavailable"
        # Nor a token that is past its margin.
        deployment.clock.advance(11.5 * 3600)
        assert vend(deployment, "somebody").slug == "aurora-unavailable"
        assert vend(deployment, "jessica").body["source"] == "stored"


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_everybody_holds_their_own_token(  # noqa: C901 - one branch an event.
    deployment: Deployment, seed: int
) -> None:
    """Mix renames, re-creations, reassigned addresses, new identities, sign-outs and vends."""
    chance = random.Random(seed)  # noqa: S311 - a pattern, no secret.
    deployment.aurora.behave(retrieve_status=chance.choice([200, 200, 403, 404]))
    addresses = [f"person-{number}@example.com" for number in range(3)]
    # Who has an address at the provider: its identity; at Aurora: an account's id.
    owners = {address: f"sub-{number}" for number, address in enumerate(addresses)}
    accounts = {address: f"id-{number}" for number, address in enumerate(addresses)}
    deployment.aurora.set_users([{"id": accounts[a], "email": a} for a in addresses])
    for step in range(60):
        address = chance.choice(addresses)
        match chance.choice(["vend"] * 8 + ["reassign", "recreate", "identity", "forget", "time"]):
            case "vend":
                answer = vend(deployment, owners[address], address)
                if answer.status == 200:
                    assert answer.body["user"]["id"] == accounts[address]
            case "reassign":
                # The account moves to another name, and its address to somebody new. Without
                # Retrieve User, the list is what tells; it may be five minutes old.
                deployment.clock.advance(301)
                deployment.aurora.add_users(
                    [{"id": accounts[address], "email": f"former-{step}@example.com"}]
                )
                accounts[address], owners[address] = f"id-{step}-new", f"sub-{step}-new"
                deployment.aurora.add_users([{"id": accounts[address], "email": address}])
            case "recreate":
                vend(deployment, owners[address], address)
                deployment.aurora.add_users(
                    [{"id": accounts[address], "account_status": "inactive"}]
                )
                accounts[address] = f"id-{step}-again"
                deployment.aurora.add_users([{"id": accounts[address], "email": address}])
                # Aurora tells nobody: the running token is found out when it fails.
                failed = deployment.item(address).get("jti")
                answer = vend(deployment, owners[address], address, replace=failed)
                if answer.status == 200:
                    assert answer.body["user"]["id"] == accounts[address]
                elif failed:
                    deployment.forget(address)
            case "identity":
                owners[address] = f"sub-{step}-other"
            case "forget":
                deployment.forget(address)
            case "time":
                deployment.clock.advance(chance.choice([60, 400, 3600, 13 * 3600]))
