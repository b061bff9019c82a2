"""
Draw the pictures of docs/operations.md: `make dashboard-pictures`.

Half an hour is played on the deployed local stack, where a few seconds count as a minute. Which
alarms go on depends on how fast this machine is, so `make test` has no part of it:
tests/infrastructure/test_monitoring_scenes.py plays the same half hour on its own clock.
"""

from __future__ import annotations

import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.operator import dashboards, switches
from infra.operator.deployed import Deployed
from tests.e2e.half_hour import REQUESTS, STEADY, HalfHour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Running

THREADS = 3
"""
As many execution environments MiniStack starts.
"""
RATE = 8
"""
Requests to Aurora a minute: more than those make who come back again and again in the outage.
"""
DOCS = Path(__file__).parents[2] / "docs"
ROTATED = "sk_sand_rotated"
RUSH = [f"rush-{number}@example.com" for number in range(72)]
OUTAGE = [f"outage-{number}@example.com" for number in range(4)]
REJECTED = [f"rejected-{number}@example.com" for number in range(3)]
NEWCOMERS = ["newcomer-1@example.com", "newcomer-2@example.com"]
KNOWN = {*STEADY, *RUSH, *OUTAGE, *REJECTED}
OTHER_SIGN_IN = "another sign-in of the first"


def set_variables(running: Running, variables: dict[str, str]) -> None:
    name, function = running.stack.outputs.function_name, running.stack.aws.client("lambda")
    function.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    running.renew_function()


@pytest.fixture
def half_hour(
    unsettled: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HalfHour]:
    """Scale the function's times down, as far as this machine is fast; afterwards up again."""
    (tmp_path / ".local").symlink_to(unsettled.directory)
    monkeypatch.chdir(tmp_path)
    unsettled.aurora.behave(rate_limit=0)
    unsettled.aurora.add_users(
        {"email": email, "first_name": "Caller", "last_name": "Person"} for email in KNOWN
    )
    id_tokens = {email: unsettled.sign_in(email) for email in (*KNOWN, *NEWCOMERS)}
    id_tokens[OTHER_SIGN_IN] = unsettled.sign_in("second@example.com", email=STEADY[0])
    assert {unsettled.request("POST", id_tokens[email]).status for email in STEADY} == {200}
    began = time.monotonic()
    assert {unsettled.request("POST", id_tokens[email]).status for email in STEADY * 3} == {200}
    pace = (time.monotonic() - began) / len(STEADY * 3)
    # A third of the time is for those who hold no token, and for the machine's other work.
    minute = max(2, ceil(1.5 * REQUESTS * pace))
    configured = unsettled.stack.aws.client("lambda").get_function_configuration(
        FunctionName=unsettled.stack.outputs.function_name
    )
    variables = configured["Environment"]["Variables"]
    scaled = {
        "AURORA_RATE_LIMIT": "1000",
        "REQUEST_RATE": str(RATE * 60 / minute),
        "REQUEST_BURST": "3",
        "PATIENCE": str(minute / 8),
        "QUEUE_HORIZON": str(minute),
        "COOL_DOWN": str(minute / 2),
        "API_KEY_TTL": str(minute / 2),
        # Newcomers have it read.
        "DIRECTORY_TTL": "1",
    }
    set_variables(unsettled, variables | scaled)
    with ThreadPoolExecutor(THREADS) as threads:
        half_hour = HalfHour(unsettled, minute, id_tokens, threads)
        # Cold starts would be a rush of their own.
        list(threads.map(half_hour.visit, STEADY[:THREADS]))
        yield half_hour
    set_variables(unsettled, variables)


def play(half_hour: HalfHour) -> None:
    """Play all of it; what operators would do about the key is done."""
    aurora, stack = half_hour.running.aurora, half_hour.running.stack
    half_hour.play("calm", 2)
    # Two minutes' worth at once, then as many as the rate allows: the queue stays full.
    rush = [(0.0, email) for email in RUSH[: 2 * RATE]]
    rush += [(number / RATE, email) for number, email in enumerate(RUSH[2 * RATE :])]
    half_hour.play("rush", 7, rush, until=RUSH)
    others = [OTHER_SIGN_IN, *NEWCOMERS]
    half_hour.play("calm after the rush", 3, [(1, email) for email in others], until=others)
    aurora.fail({"operation": "generate_token", "kind": "status", "status": 503, "times": 1000})
    half_hour.play("outage", 5, [(0, email) for email in OUTAGE])
    aurora.fail()
    half_hour.play("recovery", 4, until=OUTAGE)
    odds_and_ends(half_hour)
    aurora.behave(api_keys=[ROTATED])
    half_hour.play("rejected", 3, [(0, email) for email in REJECTED])
    stack.set_api_key(ROTATED)
    half_hour.play("end", 6, until=REJECTED)
    half_hour.finish()


def odds_and_ends(half_hour: HalfHour) -> None:
    """Let somebody sign out, a token fail, and a blocked person come all the same."""
    request, (leaver, failed, blocked) = half_hour.running.request, OUTAGE[:3]
    assert request("DELETE", half_hour.id_tokens[leaver]).status == 204
    stored = request("POST", half_hour.id_tokens[failed]).json()["token"]["jti"]
    assert request("POST", half_hour.id_tokens[failed], json={"replace": stored}).status == 200
    deployed, now = Deployed.find("local"), time.time()
    block = {"until": "30m", "reason": "a picture", "by": "its test", "now": now}
    switches.set_(deployed, switches.entry("block", blocked, **block))
    assert {request("POST", half_hour.id_tokens[blocked]).status for _ in range(5)} == {403}


@pytest.mark.timeout(300)
def test_both_dashboards_are_drawn_over_half_an_hour(half_hour: HalfHour, tmp_path: Path) -> None:
    began = time.time()
    play(half_hour)
    assert half_hour.served == set(half_hour.id_tokens)
    deployed = Deployed.find("local")
    written = dashboards.drawn(
        deployed,
        to=tmp_path / "dashboards",
        png=True,
        hours=(time.time() - began) / 3600,
        period=half_hour.minute,
    )
    service, operations = map(Path, [*written.values()][:2])
    drawn = operations.read_text() + service.read_text()
    for name in ("Invocations", "UpdateItem", "conditions that did not hold", "401", "block"):
        assert f'"name":"{name}"' in drawn
    empty = r"<h2>([^<]+)</h2>\s*(?:<p class=.note.>[^<]*</p>)?\s*<p class=.none.>No data"
    assert re.findall(empty, drawn) == []
    for page, name in (service, "service"), (operations, "operations"):
        picture = page.with_suffix(".png")
        assert picture.stat().st_size > 20_000
        shutil.copy(picture, DOCS / f"dashboard-{name}.png")
