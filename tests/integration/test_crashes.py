"""
SIGKILL of the environment that holds the lease, at each step, on the real processes.

A proxy at the wire kills it: before a step's request arrives, after it was carried out but before
the answer comes back, or before a generate that still lands afterwards. The product has no hooks.
Nobody waits for the end of its lease: that moment is checked in the table, and moved to now.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from tests.support import Harness, InvocationLostError, token_event
from tests.support.clients import people, visit
from tests.support.harness import TABLE
from tests.support.wire import Trap, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 60.0
"""Seconds that Lambda gives the killed one; its lease ends with them."""
OUTLASTS = 2.0
"""Seconds by which a lease may end later: its own second, and one between clocks."""
LATE = 1.0


@dataclass(frozen=True)
class Step:
    """Where on its way the holder dies; `mention` is what only this request's body holds."""

    name: str
    when: Literal["before", "after", "late"]
    operation: str = "UpdateItem"
    mention: bytes = b""

    @property
    def at_aurora(self) -> bool:
        """Tell on which of the two wires the step is seen."""
        return self.operation.startswith("/")


KNOWN = [
    Step(name, when, operation, mention)
    for name, operation, mention in (
        ("lease", "UpdateItem", b"lease_until = :lease_until"),
        ("budget", "UpdateItem", b"ADD tickets"),
        ("generate", "/generate_token", b""),
        ("store", "UpdateItem", b"jwt = :jwt"),
    )
    for when in ("before", "after")
] + [Step("generate", "late", "/generate_token")]
FIRST_TIME = [
    Step("directory lease", "after", "UpdateItem", b"reading_since = :reading_since"),
    Step("list", "after", "/users"),
    Step("mapping", "before", "BatchWriteItem"),
    Step("mark", "after", "UpdateItem", b"generating_since = :generating_since"),
]


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    """Environments for those who come after the crash; the one that dies is started apart."""
    with Harness(
        processes=2,
        settings={
            "AURORA_RATE_LIMIT": "60000",
            "REQUEST_RATE": "50000",
            "REQUEST_BURST": "50000",
        },
        aurora={"rate_limit": 0, "users": people(40)},
    ) as harness:
        yield harness


def crash(harness: Harness, email: str, step: Step, body: object = None) -> float:
    """Kill the environment that serves `email` at `step`; return when that was."""
    with Wire(harness.ministack.url) as aws, Wire(harness.aurora.url) as aurora:
        environment = harness.start_environment(AWS_ENDPOINT_URL=aws.url, AURORA_URL=aurora.url)
        # Init is not part of an invocation's time on Lambda.
        environment.invoke(token_event(email, method="PUT"), timeout=60)

        def kill() -> None:
            environment.kill()
            if step.when == "late":
                time.sleep(LATE)

        wire = aurora if step.at_aurora else aws
        wire.trap = (
            Trap(operation=step.operation, mention=step.mention, after=kill)
            if step.when == "after"
            else Trap(operation=step.operation, mention=step.mention, before=kill)
        )
        with pytest.raises(InvocationLostError, match="ended"):
            environment.invoke(token_event(email, body), timeout=TIMEOUT)
        died_at = time.time()
        environment.stop()
        assert wire.trap is None, "the step was never reached"
        assert wire.sprung.wait(TIMEOUT)
    return died_at


def end_leases(harness: Harness, email: str, died_at: float) -> None:
    """Let the leases that the dead one may hold end now; no such lease is longer than its time."""
    for key in (harness.key(email), harness.tenant_key("DIRECTORY")):
        item = harness.dynamodb.get_item(TableName=TABLE, Key=key).get("Item", {})
        if "lease_until" in item:
            assert float(item["lease_until"]["N"]) < died_at + TIMEOUT + OUTLASTS
            harness.dynamodb.update_item(
                TableName=TABLE,
                Key=key,
                UpdateExpression="SET lease_until = :now",
                ExpressionAttributeValues={":now": {"N": f"{time.time():.3f}"}},
            )


def served_after(harness: Harness, email: str, died_at: float) -> None:
    """Ask again when the lease of the one that died is over: served, with a token that is live."""
    end_leases(harness, email, died_at)
    after = visit(harness, email)
    assert after.answer.status == 200
    session, state = harness.aurora.load(after.answer.body["token"]["jwt"])
    assert session, state


@pytest.mark.parametrize(
    "kill",
    [
        "at_once",
        *(pytest.param(kill, marks=pytest.mark.nightly) for kill in ("when_loaded", "never")),
    ],
)
def test_crash_of_a_renewal(harness: Harness, kill: str) -> None:
    """The request after the lease gets a live token, wherever the renewing holder died."""
    harness.reset(users=people(40), kill=kill)
    emails = [user["email"] for user in people(len(KNOWN))]

    def one(email: str, step: Step) -> None:
        first = visit(harness, email).answer
        died_at = crash(harness, email, step, {"replace": first.jti})
        served_after(harness, email, died_at)

    with ThreadPoolExecutor(len(KNOWN)) as pool:
        list(pool.map(one, emails, KNOWN))


@pytest.mark.parametrize("step", FIRST_TIME, ids=lambda step: f"{step.when} {step.name}")
def test_crash_of_a_first_request(harness: Harness, step: Step) -> None:
    """Neither the caller's lease nor the directory's keeps anybody out beyond its time."""
    harness.reset(users=people(40), kill="at_once")
    email = people(1)[0]["email"]
    served_after(harness, email, crash(harness, email, step))
