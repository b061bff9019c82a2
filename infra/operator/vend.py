"""One request for a token, as a frontend makes it."""

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import urllib3

from infra.operator import audit_log
from infra.operator.deployed import Deployed
from infra.operator.exits import NotDeployedError, OperatorError
from infra.outbound import request

TIMEOUT = 35


@dataclass(frozen=True, kw_only=True)
class Vend:
    """An answer, how long it took, and its audit event, or None where the log has none yet."""

    status: int
    body: dict[str, Any]
    seconds: float
    event: dict[str, Any] | None


def once(deployed: Deployed, id_token: str, *, patience: float) -> Vend:
    """Ask for a token, and await its event in the log; no answer is a `NotDeployedError`."""
    started = time.time()
    try:
        answer = request(
            "POST",
            deployed.token_url,
            headers={"Authorization": f"Bearer {id_token}"},
            timeout=TIMEOUT,
        )
    except urllib3.exceptions.HTTPError as error:
        raise NotDeployedError(f"{deployed.token_url}: {type(error).__name__}") from error
    seconds = time.time() - started
    body = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
    named = body.get("token", {}).get("jti") or body.get("instance")
    event = None
    if named:
        event = audit_log.await_event(
            deployed, since=started - 60, containing=named, patience=patience
        )
    return Vend(status=answer.status, body=body, seconds=seconds, event=event)


def local_sign_in(email: str) -> str:
    """Sign a person in at the local stack, by its own command, or raise `OperatorError`."""
    command = [sys.executable, "-m", "infra.local", "login", audit_log.address(email)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise OperatorError(done.stderr.strip() or "the local stack signs nobody in")
    return done.stdout.strip()
