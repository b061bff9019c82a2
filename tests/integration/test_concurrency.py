"""
Races on many execution environments: stampede, storms, kept turns, key rotation.

Nothing is simulated but AWS and Aurora; see `tests.support`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import pytest

from infra.fake_aurora.users import JESSICA
from tests.support import Harness
from tests.support.clients import people, rush
from tests.support.storm import PAGE, settings, storm

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 6


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
