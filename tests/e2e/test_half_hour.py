"""
Half an hour on the deployed stack, played in one minute, and which alarms were on in it.

People come through the real endpoint at the times of a schedule, and come back when they are told
to. A phase that has to be over before the next begins is waited for, and what is asserted is
asserted of the phases as they were.
"""

from __future__ import annotations

import heapq
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

import pytest

from infra.operator import audit, pages
from infra.operator.deployed import Deployed
from infra.operator.series import Samples, alarm_periods

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Running

THREADS = 3
"""
As many execution environments MiniStack starts.
"""
REQUESTS = 30
"""
A minute, by those who hold a token; `failed-share` looks at minutes of 20 and more.
"""
RATE = 8
"""
Requests to Aurora a minute: more than those make who come back again and again in the outage.
"""
LONGEST = 60
"""
Seconds after which a phase, or an answer, is not waited for any more.
"""
LATE = 2
"""
Minutes that an alarm may be on after its phase: it looks at the last ones, too.
"""
ROTATED = "sk_sand_rotated"
STEADY = [f"steady-{number}@example.com" for number in range(8)]
RUSH = [f"rush-{number}@example.com" for number in range(72)]
OUTAGE = [f"outage-{number}@example.com" for number in range(4)]
REJECTED = [f"rejected-{number}@example.com" for number in range(3)]
EVERYBODY = {*STEADY, *RUSH, *OUTAGE, *REJECTED}


@dataclass(frozen=True)
class HalfHour:
    """
    A schedule that is played; `minute` is how many seconds count as one.
    """

    running: Running
    minute: int
    id_tokens: dict[str, str]
    threads: ThreadPoolExecutor
    served: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    # Whoever waits for a moment to come (back), and whoever waits at all.
    _queue: list[tuple[float, str]] = field(default_factory=list)
    _waiting: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _visits: list[Future[None]] = field(default_factory=list)

    def play(
        self,
        phase: str,
        minutes: int,
        coming: Iterable[tuple[float, str]] = (),
        *,
        until: Iterable[str] = (),
    ) -> None:
        """
        Let people come, each at a minute of this phase, and those who hold a token all the time.

        The phase goes on until everybody in `until` is served.
        """
        began = time.time()
        for minute, email in coming:
            self._comes(began + minute * self.minute, email)
        steadily = 0
        while time.time() < began + minutes * self.minute or not self.served.issuperset(until):
            assert time.time() < began + LONGEST, f"{phase} does not end"
            while (moment := began + steadily * self.minute / REQUESTS) <= time.time():
                self._comes(moment, STEADY[steadily % len(STEADY)])
                steadily += 1
            self._send()
            time.sleep(0.01)
        self.phases[phase] = (began, time.time())

    def finish(self) -> None:
        """
        Wait for the last answers; what went wrong in a thread goes wrong here.
        """
        for visit in self._visits:
            visit.result(timeout=LONGEST)

    def periods(self, first: str, last: str, *, later: int = 0) -> set[int]:
        """
        Return the numbers of the minutes from one phase to another, and some after them.
        """
        began, ended = self.phases[first][0], self.phases[last][1]
        return {*range(int(began // self.minute), int(ended // self.minute) + 1 + later)}

    def _comes(self, moment: float, email: str) -> None:
        # Whoever still waits for an answer or a turn does not come anew.
        with self._lock:
            if email not in self._waiting:
                self._waiting.add(email)
                heapq.heappush(self._queue, (moment, email))

    def _send(self) -> None:
        with self._lock:
            while self._queue and self._queue[0][0] <= time.time():
                _, email = heapq.heappop(self._queue)
                self._visits.append(self.threads.submit(self.visit, email))

    def visit(self, email: str) -> None:
        """
        Ask for a token, and come back when told to.
        """
        answer = self.running.request("POST", self.id_tokens[email])
        with self._lock:
            self._waiting.discard(email)
            if answer.status == 200:
                self.served.add(email)
                return
            slug = answer.json()["type"].rpartition(":")[2]
            self.refused.add(slug)
            wait: float = max(1, int(answer.headers["Retry-After"]))
            if slug == "aurora-key-rejected":
                # The browser helper does not wait for that: people load the page again themselves.
                wait = self.minute / 2
            self._comes(time.time() + wait, email)


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
    lines = audit.lines(deployed, since=began, containing="CloudWatchMetrics")
    samples = Samples(lines, period=half_hour.minute)
    on = {
        name.removeprefix("token-vendor-local-"): periods
        for name, alarm in pages._alarms_of("local").items()
        if (periods := alarm_periods(alarm, samples))
    }
    periods = half_hour.periods
    assert set(on) == {"budget-exhausted", "aurora-unavailable", "failed-share", "key-rejected"}
    assert on["budget-exhausted"] <= periods("rush", "rush", later=LATE)
    assert on["aurora-unavailable"] <= periods("outage", "outage", later=LATE)
    assert on["key-rejected"] <= periods("rejected", "rejected", later=LATE)
    # It looks at five minutes, and both causes are failures.
    assert on["failed-share"] <= periods("outage", "rejected", later=2 * LATE)
    assert on["failed-share"] & periods("outage", "outage", later=LATE)
    assert not any(each & {samples.periods[-1], samples.periods[-2]} for each in on.values())

    written = pages.render(
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
    assert service.count("OK, was in alarm") == len(on)
    assert '"name":"Invocations"' in operations
