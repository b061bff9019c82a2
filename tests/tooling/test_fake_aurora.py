"""The fake Aurora behaves as documented, at the wire; everything else is tested against it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import urllib3

from infra.fake_aurora.fake_aurora import FakeAurora
from infra.fake_aurora.users import JESSICA, ROBERT

LAURA = {"first_name": "Laura", "last_name": "Chen", "email": "caller-0001@example.com"}


class Client:
    """The three calls as any HTTP client makes them."""

    def __init__(self, aurora: FakeAurora) -> None:
        self.aurora = aurora
        self.key = aurora.api_key
        self.http = urllib3.PoolManager(retries=False, timeout=120, maxsize=16)

    def __call__(self, method: str, path: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return self.http.request(method, self.aurora.url + path, headers=headers, **arguments)

    def list(self) -> urllib3.BaseHTTPResponse:
        return self("GET", f"/tenants/{self.aurora.tenant_id}/users")

    def invite(self, user: object) -> urllib3.BaseHTTPResponse:
        return self("POST", f"/tenants/{self.aurora.tenant_id}/users/invite", json={"user": user})

    def jwt(self, user_id: str = JESSICA["id"]) -> str:
        path = f"/tenants/{self.aurora.tenant_id}/users/{user_id}/generate_token"
        return self("POST", path).json()["token"]["jwt"]


@pytest.fixture
def call(fake_aurora: FakeAurora) -> Iterator[Client]:
    client = Client(fake_aurora)
    yield client
    client.http.clear()


# The three paths ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param("", 401, id="no header"),
        pytest.param("sk_sand_wrong", 401, id="unknown key"),
        pytest.param("sk_prod_valid", 401, id="valid, but of the other environment"),
        pytest.param("odd_but_valid", 200, id="no known prefix"),
        pytest.param("rk_sand_valid", 200, id="restricted key, second during a rotation"),
    ],
)
def test_keys(call: Client, key: str, status: int) -> None:
    call.aurora.behave(api_keys=["odd_but_valid", "sk_prod_valid", "rk_sand_valid"])
    call.key = key
    assert call.list().status == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/tenants/other/users", 404, id="another tenant"),
        pytest.param("POST", "/tenants/{t}/users/nobody/generate_token", 404, id="unknown user"),
        pytest.param("GET", "/tenants/{t}/users?page=0", 200, id="unpaged list ignores page"),
        pytest.param("PUT", "/tenants/{t}/users", 405, id="method"),
        pytest.param("GET", "/tenants/{t}/projects", 501, id="path that nobody calls"),
        pytest.param("POST", "/tenants/{t}/users/invite", 400, id="no body"),
    ],
)
def test_paths(call: Client, method: str, path: str, status: int) -> None:
    assert call(method, path.format(t=call.aurora.tenant_id)).status == status


# The directory -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        pytest.param([{"account_status": "inactive"}], 201, id="e-mail of a non-active user"),
        pytest.param([{"account_status": "inactive"}, {}], 422, id="several rows, one active"),
        pytest.param([{"tenant_id": "other"}], 422, id="active in another tenant"),
        pytest.param([{"email": LAURA["email"].upper()}], 422, id="other case"),
        pytest.param([], 201, id="new"),
    ],
)
def test_who_can_be_invited(call: Client, rows: list[dict[str, Any]], status: int) -> None:
    call.aurora.set_users(LAURA | row for row in rows)
    assert call.invite(LAURA | {"user_level": "SDK User"}).status == status


# Tokens and sessions -----------------------------------------------------------------------


def test_second_session_takes_over(call: Client) -> None:
    """One session per person: the first one learns why it is over, and another person's stays."""
    token, robert = call.jwt(), call.jwt(ROBERT["id"])
    sessions = [call.aurora.load(each)[0] for each in (token, robert, token)]
    states = [call.aurora.session_state(str(each)) for each in sessions]
    assert states == ["another session was opened", "live", "live"]


def test_sessions_over_http(call: Client) -> None:
    """The stand-in loader runs in a browser, so its paths allow any origin."""
    answer = call("POST", "/_control/sessions", json={"jwt": call.jwt()})
    assert answer.status == 201
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    path = f"/_control/sessions/{answer.json()['session']}"
    assert call("GET", path).json() == {"state": "live"}
    assert call("DELETE", path).status == 204
    assert call("GET", path).json() == {"state": "closed"}
    assert call("OPTIONS", "/_control/sessions").status == 204
    assert b"export async function load" in call("GET", "/client-sdk-loader.next.js").data


# The rate limit ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["seconds", "float", "http_date", "absent"])
def test_waiting_as_told_is_enough(clock: Any, form: str) -> None:
    """Whatever its form, Retry-After ends when the next call fits the sliding window."""
    aurora = FakeAurora(clock=clock, rate_limit=3, rate_window=10, retry_after=form)
    arguments = ("list_users", aurora.tenant_id, aurora.api_key, {})
    for _ in range(3):
        assert aurora.answer(*arguments).status == 200
        clock.advance(1.2)
    reply = aurora.answer(*arguments)
    assert reply.status == 429
    header = reply.headers.get("Retry-After")
    if form == "absent":
        assert header is None
        return
    assert header
    until = parsedate_to_datetime(header).timestamp() if "GMT" in header else None
    clock.advance(until - clock.now if until else float(header))
    assert aurora.answer(*arguments).status == 200
    assert aurora.answer(*arguments).status == 429


# Control, life and load --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data"),
    [
        pytest.param("behaviour", {"kil": "never"}, id="unknown member"),
        pytest.param("behaviour", {"kill": "sometimes"}, id="unknown value"),
        pytest.param("behaviour", {"forbidden": ["fly"]}, id="unknown operation"),
        pytest.param("behaviour", None, id="no object"),
        pytest.param("faults", {"faults": [{"operation": "fly", "kind": "drop"}]}, id="operation"),
        pytest.param("faults", {"faults": [{"operation": "list_users", "kind": "x"}]}, id="kind"),
        pytest.param(
            "faults", {"faults": [{"operation": "list_users", "kind": "corrupt_jwt"}]}, id="jwt"
        ),
        pytest.param("faults", {"faults": [{"kind": "drop"}]}, id="incomplete"),
        pytest.param("users", {"users": [{"mail": "x"}]}, id="user member"),
    ],
)
def test_control_refuses_what_it_does_not_know(call: Client, path: str, data: object) -> None:
    """A typo in a test must not make it pass."""
    assert call("PUT", f"/_control/{path}", json=data).status == 400


def test_control_over_http(call: Client) -> None:
    assert call("PUT", "/_control/behaviour", json={"rate_limit": 5}).status == 204
    behaviour = call("GET", "/_control/behaviour").json()
    assert (behaviour["rate_limit"], "api_keys" in behaviour) == (5, False)
    people = [{"email": f"caller-{n:04}@example.com"} for n in range(1000)]
    assert call("PUT", "/_control/users", json={"users": people}).status == 204
    assert call("POST", "/_control/users", json={"users": [LAURA]}).status == 204
    assert len(call("GET", "/_control/users").json()["users"]) == 1001
    assert len(call.list().json()["users"]) == 1001
    faults = {"faults": [{"operation": "list_users", "kind": "status"}]}
    assert call("PUT", "/_control/faults", json=faults).status == 204
    assert call.list().status == 500
    assert call("GET", "/_control/stats").json()["calls"]["list_users"] == 2
    assert [each["answer"] for each in call("GET", "/_control/calls").json()["calls"]] == [200, 500]
    assert call("GET", "/_control/tokens/none").json() == {"state": "unknown"}
    assert call("POST", "/_control/reset").status == 204
    assert call("GET", "/_control/stats").json()["max_calls_per_minute"] == 0
    assert len(call.list().json()["users"]) == 2
    assert call("GET", "/_control/none").status == 404
    assert call("PATCH", "/_control/none").status == 501


def test_runs_as_a_program() -> None:
    """It prints its address, serves, and ends cleanly when told to."""
    command = [sys.executable, "-m", "infra.fake_aurora", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            assert urllib3.request("GET", f"{url}/_control/stats").status == 200
        finally:
            process.terminate()
            process.communicate()
            watchdog.cancel()
    assert process.returncode == 0
