"""
Half an hour on the deployed stack, played in one minute, and which alarms were on in it.

People come through the real endpoint at the times of a schedule, and come back when they are told
to. A phase that has to be over before the next begins is waited for, and what is asserted is
asserted of the phases as they were.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TYPE_CHECKING

import pytest

from infra.operator import audit_log, dashboard_html
from infra.operator.cloudwatch_math import Samples, alarm_periods
from infra.operator.deployed import Deployed
from tests.e2e.half_hour import REQUESTS, STEADY, HalfHour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Running

THREADS = 3
"""
As many execution environments MiniStack starts.
"""
RATE = 8
"""
Requests to Aurora a minute: more than those make who come back again and again in the outage.
"""
LATE = 2
"""
Minutes that an alarm may be on after its phase: it looks at the last ones, too.
"""
ROTATED = "sk_sand_rotated"
RUSH = [f"rush-{number}@example.com" for number in range(72)]
OUTAGE = [f"outage-{number}@example.com" for number in range(4)]
REJECTED = [f"rejected-{number}@example.com" for number in range(3)]
EVERYBODY = {*STEADY, *RUSH, *OUTAGE, *REJECTED}


def set_variables(running: Running, variables: dict[str, str]) -> None:
    name, function = running.stack.outputs.function_name, running.stack.aws.client("lambda")
    function.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    running.renew_function()


@pytest.fixture
def half_hour(
    unsettled: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HalfHour]:
    """
    Scale the function's times down, as far as this machine is fast; afterwards up again.
    """
    (tmp_path / ".local").symlink_to(unsettled.directory)
    monkeypatch.chdir(tmp_path)
    unsettled.aurora.behave(rate_limit=0)
    unsettled.aurora.add_users(
        {"email": email, "first_name": "Caller", "last_name": "Person"} for email in EVERYBODY
    )
    id_tokens = {email: unsettled.sign_in(email) for email in EVERYBODY}
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
    }
    set_variables(unsettled, variables | scaled)
    with ThreadPoolExecutor(THREADS) as threads:
        half_hour = HalfHour(unsettled, minute, id_tokens, threads)
        # Cold starts would be a rush of their own.
        list(threads.map(half_hour.visit, STEADY[:THREADS]))
        yield half_hour
    set_variables(unsettled, variables)


def play(half_hour: HalfHour) -> None:
    """
    Play all of it; what operators would do about the key is done.
    """
    aurora, stack = half_hour.running.aurora, half_hour.running.stack
    half_hour.play("calm", 2)
    # Two minutes' worth at once, then as many as the rate allows: the queue stays full.
    rush = [(0.0, email) for email in RUSH[: 2 * RATE]]
    rush += [(number / RATE, email) for number, email in enumerate(RUSH[2 * RATE :])]
    half_hour.play("rush", 7, rush, until=RUSH)
    half_hour.play("calm after the rush", 3)
    aurora.fail({"operation": "generate_token", "kind": "status", "status": 503, "times": 1000})
    half_hour.play("outage", 5, [(0, email) for email in OUTAGE])
    aurora.fail()
    half_hour.play("recovery", 4, until=OUTAGE)
    aurora.behave(api_keys=[ROTATED])
    half_hour.play("rejected", 3, [(0, email) for email in REJECTED])
    stack.set_api_key(ROTATED)
    half_hour.play("end", 6, until=REJECTED)
    half_hour.finish()


@pytest.mark.timeout(300)
def test_alarms_go_on_and_off_and_the_pictures_show_it(half_hour: HalfHour, tmp_path: Path) -> None:
    """
    Each alarm is on in its phase and off in calm; everybody gets in; both dashboards are drawn.
    """
    began = time.time()
    play(half_hour)
    assert half_hour.served == EVERYBODY
    assert half_hour.refused == {"aurora-busy", "aurora-unavailable", "aurora-key-rejected"}

    deployed = Deployed.find("local")
    lines = audit_log.lines(deployed, since=began, containing="CloudWatchMetrics")
    samples = Samples(lines, period=half_hour.minute)
    on = {
        name.removeprefix("token-vendor-local-"): periods
        for name, alarm in dashboard_html._alarms_of("local").items()
        if (periods := alarm_periods(alarm, samples))
    }
    periods = half_hour.periods
    # Whether the queue stays full for five whole periods depends on how fast this machine is;
    # tests/integration/test_half_hour.py plays the same rush on a clock of its own.
    budget = on.pop("budget-exhausted", set())
    assert set(on) == {"aurora-unavailable", "failed-share", "key-rejected"}
    assert budget <= periods("rush", "rush", later=LATE)
    assert on["aurora-unavailable"] <= periods("outage", "outage", later=LATE)
    assert on["key-rejected"] <= periods("rejected", "rejected", later=LATE)
    # It looks at five minutes, and both causes are failures.
    assert on["failed-share"] <= periods("outage", "rejected", later=2 * LATE)
    assert on["failed-share"] & periods("outage", "outage", later=LATE)
    assert not any(
        each & {samples.periods[-1], samples.periods[-2]} for each in [budget, *on.values()]
    )

    written = dashboard_html.render(
        deployed,
        deployed.outputs["DashboardNames"].split(","),
        to=tmp_path / "dashboards",
        png=True,
        hours=(time.time() - began) / 3600,
        period=half_hour.minute,
    )
    for page in written.values():
        assert page.with_suffix(".png").stat().st_size > 20_000
    service, operations = (page.read_text() for page in written.values())
    assert service.count("OK, was in alarm") == len(on) + bool(budget)
    assert '"name":"Invocations"' in operations
