"""
Races on many execution environments, and environments that are killed at each step.

Nothing is simulated but AWS and Aurora; see `tests.support`. A proxy at the wire kills the holder
of a lease: before a step's request arrives, after it was carried out but before the answer comes
back, or before a generate that still lands afterwards. The product has no hooks. Nobody waits for
the end of its lease: that moment is checked in the table, and moved to now.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

import pytest

from infra.fake_aurora.users import JESSICA
from tests.support import Harness, InvocationLostError, token_event
from tests.support.clients import people, rush, visit
from tests.support.harness import TABLE
from tests.support.storm import PAGE, settings, storm
from tests.support.wire import Trap, Wire

PROCESSES = 4


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    """Environments with longer waits than by default, for busy machines; tests reset the rest."""
    with Harness(processes=PROCESSES, settings={"PATIENCE": "20"}) as harness:
        yield harness


def test_stampede(harness: Harness) -> None:
    """Two hundred requests of one caller at once cause one generate and get one token."""
    harness.reset(users=[JESSICA], latency=0.2)
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(harness.vend, [JESSICA["email"]] * 200))
    assert [answer.status for answer in answers] == [200] * 200
    assert len({answer.jti for answer in answers}) == 1
    assert harness.calls() == {"list_users": 2, "invite_user": 0, "generate_token": 1}
    assert harness.aurora.token_state(answers[0].jti) == "live"


@pytest.mark.nightly
@pytest.mark.parametrize("known", [True, False], ids=["known to Aurora", "to be invited"])
def test_storm(*, known: bool) -> None:
    """
    First-time callers share one reading of the directory, and nobody oversteps Aurora's limit.

    How fast, and in how many requests, depends on the machine: `make bench` measures it with a
    thousand callers.
    """
    callers = 300
    done = storm(limit=3000, known=known, callers=callers)
    assert [visit.answer.status for visit in done.visits] == [200] * callers
    assert done.stats["calls"] == {
        "list_users": callers // PAGE + 1 if known else 1,
        "invite_user": 0 if known else callers,
        "generate_token": callers,
    }
    assert done.refused == 0
    assert done.stats["max_calls_per_window"] <= 3000 / 6


def test_everybody_is_served_while_aurora_has_room(harness: Harness) -> None:
    """As many as Aurora takes in a minute come at once, and none of them is refused by it."""
    users = people(80)
    harness.reset(users=users, rate_limit=90)
    harness.warm_up()
    visits = rush(harness, [user["email"] for user in users])
    assert {visit.answer.status for visit in visits} == {200}
    assert "429" not in harness.aurora.stats()["answers"]["generate_token"]


@pytest.mark.nightly
def test_turns_are_kept() -> None:
    """
    Where nobody waits inside a request, everybody is served in turn, and no turn is lost.

    How many are told one depends on how fast the machine is.
    """
    users = people(80)
    with Harness(
        processes=PROCESSES,
        # Fifty at once, and the others two seconds later.
        settings=settings(1500, window=2, grace=5) | {"PATIENCE": "0"},
        aurora={"rate_limit": 1500, "users": users},
    ) as harness:
        harness.warm_up()
        visits = rush(harness, [user["email"] for user in users])
        assert [visit.answer.status for visit in visits] == [200] * len(users)
        # A turn is not reserved twice: as many calls left as were needed.
        assert harness.calls()["generate_token"] == len(users)


# Crashes ----------------------------------------------------------------------------------------

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
    ("kill", "whens"),
    [
        # What was not carried out is the model's, too.
        ("at_once", {"after", "late"}),
        *(
            pytest.param(kill, {"before", "after", "late"}, marks=pytest.mark.nightly)
            for kill in ("at_once", "when_loaded", "never")
        ),
    ],
)
def test_crash_of_a_renewal(harness: Harness, kill: str, whens: set[str]) -> None:
    """The request after the lease gets a live token, wherever the renewing holder died."""
    harness.reset(users=people(40), rate_limit=0, kill=kill)
    steps = [step for step in KNOWN if step.when in whens]
    emails = [user["email"] for user in people(len(steps))]

    def one(email: str, step: Step) -> None:
        first = visit(harness, email).answer
        died_at = crash(harness, email, step, {"replace": first.jti})
        served_after(harness, email, died_at)

    with ThreadPoolExecutor(len(steps)) as pool:
        list(pool.map(one, emails, steps))


@pytest.mark.parametrize("step", FIRST_TIME, ids=lambda step: f"{step.when} {step.name}")
def test_crash_of_a_first_request(harness: Harness, step: Step) -> None:
    """Neither the caller's lease nor the directory's keeps anybody out beyond its time."""
    harness.reset(users=people(40), rate_limit=0, kill="at_once")
    email = people(1)[0]["email"]
    served_after(harness, email, crash(harness, email, step))


# Last: every environment then holds a key that is none for those that follow.
def test_key_rotation_under_load(harness: Harness) -> None:
    """A key that is changed in the secret and at Aurora while requests run fails none of them."""
    users, new_key = people(60), "sk_sand_the_next_one"
    early, late = users[:30], users[30:]
    harness.reset(users=users, rate_limit=90)
    with ThreadPoolExecutor(len(users)) as pool:
        answers = [pool.submit(harness.vend, user["email"]) for user in early]
        wait(answers[:15])
        harness.aurora.behave(api_keys=(harness.aurora.api_key, new_key))
        harness.secrets.put_secret_value(SecretId=harness.secret_arn, SecretString=new_key)
        harness.aurora.behave(api_keys=(new_key,))
        answers += [pool.submit(harness.vend, user["email"]) for user in late]
    assert [answer.result().status for answer in answers] == [200] * len(users)
    refused = harness.aurora.stats()["answers"]["generate_token"].get("401", 0)
    # Every environment finds out by itself, once.
    assert 0 < refused <= PROCESSES
