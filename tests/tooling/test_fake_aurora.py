"""
The fake Aurora behaves as documented, at the wire; everything else is tested against it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import urllib3

from infra.fake_aurora.client_sdk import FAREWELL, GREETING, handshake
from infra.fake_aurora.fake_aurora import FakeAurora
from infra.fake_aurora.users import JESSICA, ROBERT

if TYPE_CHECKING:
    from collections.abc import Iterator

LAURA = {"first_name": "Laura", "last_name": "Chen", "email": "caller-0001@example.com"}


class Client:
    """
    The three calls as any HTTP client makes them.
    """

    def __init__(self, aurora: FakeAurora) -> None:
        self.aurora = aurora
        self.key = aurora.api_key
        self.http = urllib3.PoolManager(retries=False, timeout=5, maxsize=16)

    def __call__(self, method: str, path: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return self.http.request(method, self.aurora.url + path, headers=headers, **arguments)

    def list(self, query: str = "") -> urllib3.BaseHTTPResponse:
        return self("GET", f"/tenants/{self.aurora.tenant_id}/users{query}")

    def invite(self, user: object) -> urllib3.BaseHTTPResponse:
        return self("POST", f"/tenants/{self.aurora.tenant_id}/users/invite", json={"user": user})

    def generate(self, user_id: str = JESSICA["id"]) -> urllib3.BaseHTTPResponse:
        return self("POST", f"/tenants/{self.aurora.tenant_id}/users/{user_id}/generate_token")

    def jwt(self, user_id: str = JESSICA["id"]) -> str:
        return self.generate(user_id).json()["token"]["jwt"]


@pytest.fixture
def call(fake_aurora: FakeAurora) -> Iterator[Client]:
    client = Client(fake_aurora)
    yield client
    client.http.clear()


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


# The three paths ---------------------------------------------------------------------------


def test_lists_the_people_of_the_page(call: Client) -> None:
    """The default directory is the sample of Aurora's page, member by member."""
    assert call.list().json() == {
        "users": [JESSICA | {"account_status": "active"}, ROBERT | {"account_status": "active"}]
    }


def test_generates_a_jwt_with_the_documented_claims(call: Client) -> None:
    """A JWT is HS256, bears the four claims of the page, and lives for twelve hours."""
    token = call.jwt()
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    said = claims(token)
    assert (said["id"], said["email"]) == (JESSICA["id"], JESSICA["email"])
    assert said["exp"] == pytest.approx(time.time() + 12 * 3600, abs=5)
    assert set(said) == {"id", "email", "exp", "jti"}


def test_invited_sdk_user_is_active_at_once(call: Client) -> None:
    """Only the recommended level needs no acceptance, so its JWT can be generated right away."""
    answer = call.invite(LAURA | {"user_level": "SDK User"})
    assert answer.status == 201
    user = answer.json()["user"]
    assert user["account_status"] == "active"
    assert claims(call.jwt(user["id"]))["email"] == LAURA["email"]


def test_invitation_at_another_level_has_to_be_accepted_first(call: Client) -> None:
    """A team member's row is not active, and generate refuses it."""
    user = call.invite(LAURA | {"user_level": "Team Member"}).json()["user"]
    assert user["account_status"] != "active"
    assert call.generate(user["id"]).status == 403


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


def test_restricted_key_lacks_an_action(call: Client) -> None:
    """Generate may be forbidden while the list still works, as for keys without Platform API."""
    call.aurora.behave(forbidden=["generate_token"])
    assert (call.list().status, call.generate().status) == (200, 403)


# The directory -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["inserted", "shuffled"])
@pytest.mark.parametrize("size", [100, 250])
def test_pages_are_disjoint_and_complete(call: Client, size: int, order: str) -> None:
    call.aurora.set_users({"email": f"caller-{n:04}@example.com"} for n in range(505))
    call.aurora.behave(page_size=size, order=order)
    emails: list[str] = []
    for page in range(1, 9):
        rows = call.list(f"?page={page}").json()["users"]
        assert len(rows) <= size
        emails += [row["email"] for row in rows]
    assert len(emails) == len(set(emails)) == 505


def test_per_page_is_capped(call: Client) -> None:
    call.aurora.set_users({"email": f"caller-{n:04}@example.com"} for n in range(300))
    call.aurora.behave(page_size=100)
    assert len(call.list("?per_page=1000").json()["users"]) == 250
    assert call.list("?page=none").status == 400


def test_unpaged_list_may_refuse_a_page(call: Client) -> None:
    call.aurora.behave(unpaged_page="refused")
    assert call.list("?page=2").status == 400


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


def test_person_of_another_tenant_is_not_listed(call: Client) -> None:
    call.aurora.add_users([LAURA | {"tenant_id": "other"}])
    assert len(call.list().json()["users"]) == 2


@pytest.mark.parametrize("missing", ["first_name", "last_name", "email", "user_level"])
def test_incomplete_invitation_is_refused(call: Client, missing: str) -> None:
    user = LAURA | {"user_level": "SDK User"}
    del user[missing]
    assert call.invite(user).status == 422


def test_invitation_may_answer_without_an_id(call: Client) -> None:
    call.aurora.behave(invite_answer="without_id", invite_status=200)
    answer = call.invite(LAURA | {"user_level": "SDK User"})
    assert (answer.status, answer.json()) == (200, {})
    assert LAURA["email"] in {row["email"] for row in call.list().json()["users"]}


@pytest.mark.parametrize("form", ["cursor", "token", "next_page", "page_total", "offset", "total"])
@pytest.mark.parametrize("empty", [1, 2])
def test_empty_page_before_others(call: Client, form: str, empty: int) -> None:
    """One page is empty, its answer says that more follow, and nobody is left out."""
    call.aurora.set_users({"email": f"caller-{n:04}@example.com"} for n in range(4))
    call.aurora.behave(page_size=2, page_form=form, empty_page=empty)
    named = {"token": "pageToken", "next_page": "page", "page_total": "page", "total": "skip"}
    parameter = named.get(form, form)
    starts = [1, 2, 3] if parameter == "page" else [0, 2, 4]
    answers = [call.list(f"?{parameter}={start}").json() for start in starts]
    assert [len(each["users"]) for each in answers] == [2 * (n != empty) for n in (1, 2, 3)]
    assert any(value for name, value in answers[empty - 1].items() if name != "users")
    assert len({row["id"] for each in answers for row in each["users"]}) == 4


@pytest.mark.parametrize("form", ["total", "page_total"])
def test_total_that_counts_more_than_the_list_shows(call: Client, form: str) -> None:
    call.aurora.behave(page_size=100, page_form=form, unlisted=7)
    said = call.list().json()
    assert said.get("meta", said)["total"] == 2 + 7


def test_cursor_that_loops(call: Client) -> None:
    call.aurora.behave(page_size=1, page_form="cursor", cursors="loop")
    named = ["0"]
    for _ in range(4):
        named.append(call.list(f"?cursor={named[-1]}").json()["next_cursor"])
    assert named == ["0", "1", "0", "1", "0"]


@pytest.mark.parametrize(
    ("form", "row"),
    [("integer_ids", {"id": 1}), ("other_names", {"user_id": JESSICA["id"]})],
)
def test_rows_in_another_form(call: Client, form: str, row: dict[str, Any]) -> None:
    call.aurora.behave(row_form=form)
    assert row.items() <= call.list().json()["users"][0].items()


@pytest.mark.parametrize(
    ("form", "other"),
    [
        ("other_id", {"id": JESSICA["id"], "email": LAURA["email"]}),
        ("other_email", {"email": JESSICA["email"]}),
        ("other_user", JESSICA),
    ],
)
def test_invitation_answered_with_somebody_else(
    call: Client, form: str, other: dict[str, str]
) -> None:
    call.aurora.behave(invite_answer=form)
    user = call.invite(LAURA | {"user_level": "SDK User"}).json()["user"]
    assert other.items() <= user.items()


@pytest.mark.parametrize("status", [404, 409])
def test_account_that_is_seconds_old(clock: Any, status: int) -> None:
    """The list and Retrieve User show it late, and generate answers a refusal until then."""
    with FakeAurora.running(clock=clock) as aurora:
        call = Client(aurora)
        aurora.behave(listed_after=60, usable_after=5, early_status=status)
        user_id = call.invite(LAURA | {"user_level": "SDK User"}).json()["user"]["id"]
        path = f"/tenants/{aurora.tenant_id}/users/{user_id}"
        assert call.generate(user_id).status == status
        clock.advance(5)
        assert call.generate(user_id).status == 200
        assert (len(call.list().json()["users"]), call("GET", path).status) == (2, 404)
        clock.advance(55)
        assert (len(call.list().json()["users"]), call("GET", path).status) == (3, 200)
        call.http.clear()


# Tokens and sessions -----------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [30, 86_400, 7 * 86_400])
@pytest.mark.parametrize(("form", "factor"), [("seconds", 1), ("milliseconds", 1000)])
def test_life_of_a_token(call: Client, seconds: int, form: str, factor: int) -> None:
    call.aurora.behave(token_lifetime=seconds, exp_claim=form)
    assert claims(call.jwt())["exp"] / factor == pytest.approx(time.time() + seconds, abs=5)


@pytest.mark.parametrize(
    ("behaviour", "claim", "value"),
    [
        pytest.param({"exp_claim": "absent"}, "exp", None, id="no exp"),
        pytest.param({"email_claim": "null"}, "email", None, id="no e-mail"),
        pytest.param({"id_claim": "capitals"}, "id", JESSICA["id"].upper(), id="id in capitals"),
    ],
)
def test_claims_in_other_forms(
    call: Client, behaviour: dict[str, str], claim: str, value: object
) -> None:
    """The claim is in another form, and the token loads all the same."""
    call.aurora.behave(**behaviour)
    token = call.jwt()
    assert claims(token).get(claim) == value
    assert call.aurora.load(token)[1] == "live"


@pytest.mark.parametrize(
    ("kill", "after_generate", "after_load"),
    [("at_once", False, False), ("when_loaded", True, False), ("never", True, True)],
)
def test_what_a_second_generate_does_to_the_first(
    call: Client, kill: str, *, after_generate: bool, after_load: bool
) -> None:
    aurora = call.aurora
    aurora.behave(kill=kill)
    first, second = call.jwt(), call.jwt()
    assert aurora.stats()["double_generates"] == 1
    jti = claims(first)["jti"]
    assert (aurora.token_state(jti) == "live") is after_generate
    assert aurora.load(second)[1] == "live"
    assert (aurora.token_state(jti) == "live") is after_load


def test_second_session_takes_over(call: Client) -> None:
    """One session per person: the first one learns why it is over, and another person's stays."""
    aurora = call.aurora
    token, robert = call.jwt(), call.jwt(ROBERT["id"])
    first, _ = aurora.load(token)
    other, _ = aurora.load(robert)
    second, _ = aurora.load(token)
    assert first
    assert second
    assert other
    assert aurora.session_state(first) == "another session was opened"
    assert aurora.session_state(second) == aurora.session_state(other) == "live"


def test_second_session_may_be_refused(call: Client) -> None:
    aurora = call.aurora
    aurora.behave(second_session="refused")
    token = call.jwt()
    first, _ = aurora.load(token)
    assert aurora.load(token) == (None, "another session is open")
    assert first
    aurora.close_session(first)
    assert aurora.load(token)[1] == "live"


def test_expired_token_does_not_load(call: Client) -> None:
    call.aurora.behave(token_lifetime=-1)
    assert call.aurora.load(call.jwt()) == (None, "expired")
    assert call.aurora.load("eyJ")[0] is None


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


def test_what_the_stand_in_sdk_loads_comes_for_any_origin(call: Client) -> None:
    chunk = call("GET", "/client-sdk/scene.js")
    assert (chunk.status, chunk.headers["Content-Type"]) == (200, "text/javascript")
    assert chunk.headers["Access-Control-Allow-Origin"] == "*"
    assert call("GET", "/client-sdk/frame.html").headers["Content-Type"].startswith("text/html")
    assert call("GET", "/client-sdk/__init__.py").status == 501
    assert call("GET", "/client-sdk/push").status == 501


def test_the_push_service_speaks_first() -> None:
    """The key and its answer are those of RFC 6455, section 1.3."""
    assert handshake("dGhlIHNhbXBsZSBub25jZQ==") == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }
    assert GREETING + FAREWELL == b'\x81\x15{"event":"connected"}\x88\x00'


# The rate limit ----------------------------------------------------------------------------


def test_ninety_a_minute_by_default(call: Client) -> None:
    statuses = [call.list().status for _ in range(92)]
    assert statuses == [200] * 90 + [429] * 2


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


def test_limit_is_per_key(call: Client) -> None:
    call.aurora.behave(api_keys=["rk_sand_one", "rk_sand_two"], rate_limit=1)
    call.key = "rk_sand_one"
    assert (call.list().status, call.list().status) == (200, 429)
    call.key = "rk_sand_two"
    assert call.list().status == 200


# Faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "generated"),
    [("drop", 0), ("drop_after", 1)],
)
def test_dropped_connections(call: Client, kind: str, generated: int) -> None:
    """The caller cannot tell the two apart; the second generate shows which it was."""
    call.aurora.fail({"operation": "generate_token", "kind": kind})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        call.generate()
    call.generate()
    stats = call.aurora.stats()
    assert stats["double_generates"] == generated
    assert stats["answers"]["generate_token"] == {"dropped": 1, "200": 1}


@pytest.mark.parametrize(("kind", "doubles"), [("delay", 0), ("delay_after", 1)])
def test_delay_before_and_after(call: Client, kind: str, doubles: int) -> None:
    """A caller that gives up on `delay` finds nothing generated yet; on `delay_after` it is."""
    call.aurora.fail({"operation": "generate_token", "kind": kind, "seconds": 30})
    path = f"/tenants/{call.aurora.tenant_id}/users/{JESSICA['id']}/generate_token"
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        call("POST", path, timeout=0.2)
    call.generate()
    assert call.aurora.stats()["double_generates"] == doubles


@pytest.mark.parametrize(("kind", "doubles"), [("status", 0), ("status_after", 1)])
def test_status_before_and_after(call: Client, kind: str, doubles: int) -> None:
    fault = {"operation": "generate_token", "kind": kind, "status": 409}
    call.aurora.fail(fault | {"headers": {"Retry-After": "7"}})
    answer = call.generate()
    assert (answer.status, answer.headers["Retry-After"]) == (409, "7")
    assert call.generate().status == 200
    assert call.aurora.stats()["double_generates"] == doubles


def test_faults_come_in_order_and_end(call: Client) -> None:
    call.aurora.fail(
        {"operation": "list_users", "kind": "none"},
        {"operation": "list_users", "kind": "status", "status": 503, "times": 2},
        {"operation": "list_users", "kind": "status", "status": 500},
    )
    assert [call.list().status for _ in range(5)] == [200, 503, 503, 500, 200]
    assert call.generate().status == 200


@pytest.mark.parametrize("kind", ["not_json", "truncated_json", "missing_fields"])
def test_spoiled_bodies(call: Client, kind: str) -> None:
    call.aurora.fail({"operation": "list_users", "kind": kind})
    answer = call.list()
    assert answer.status == 200
    if kind == "missing_fields":
        assert "users" not in answer.json()
    else:
        with pytest.raises(ValueError, match=r"."):
            answer.json()


@pytest.mark.parametrize("kind", ["huge_body", "gzip_bomb"])
def test_large_bodies(call: Client, kind: str) -> None:
    call.aurora.fail({"operation": "list_users", "kind": kind, "size": 3_000_000})
    assert len(call.list().data) > 3_000_000


def test_redirect(call: Client) -> None:
    call.aurora.fail({"operation": "list_users", "kind": "redirect", "location": "/elsewhere"})
    answer = call("GET", f"/tenants/{call.aurora.tenant_id}/users", redirect=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


def test_slow_drip_passes_read_timeouts(call: Client) -> None:
    """Each byte comes in time, so only a deadline over the whole answer helps."""
    call.aurora.fail({"operation": "list_users", "kind": "slow_drip", "seconds": 0.003})
    started = time.monotonic()
    assert call("GET", f"/tenants/{call.aurora.tenant_id}/users", timeout=0.3).status == 200
    assert time.monotonic() - started > 0.6


@pytest.mark.parametrize("kind", ["corrupt_jwt", "expired_jwt", "distant_jwt", "other_user_jwt"])
def test_bad_jwts(call: Client, kind: str) -> None:
    call.aurora.fail({"operation": "generate_token", "kind": kind})
    token = call.jwt()
    if kind == "corrupt_jwt":
        with pytest.raises(jwt.DecodeError):
            claims(token)
        return
    said = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
    assert (said["id"] == JESSICA["id"]) is (kind != "other_user_jwt")
    assert (said["exp"] < time.time()) is (kind == "expired_jwt")
    assert (said["exp"] > time.time() + 10**9) is (kind == "distant_jwt")


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


def test_down_and_up_again(call: Client) -> None:
    """While it is down connections are refused, also those that were open; the state stays."""
    assert call.list().status == 200
    with call.aurora.down(), pytest.raises(urllib3.exceptions.HTTPError):
        call.list()
    assert call.list().status == 200
    assert call.aurora.stats()["calls"]["list_users"] == 2


def test_counts_hold_under_parallel_load(call: Client) -> None:
    """Sixteen callers at once: every call is counted, and fast enough for a storm."""
    call.aurora.behave(rate_limit=0)
    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: call.generate().status, range(480)))
    rate = 480 / (time.monotonic() - started)
    stats = call.aurora.stats()
    assert statuses == [200] * 480
    assert (stats["calls"]["generate_token"], stats["double_generates"]) == (480, 479)
    assert stats["max_calls_per_minute"] == 480
    assert rate > 150


def test_runs_as_a_program() -> None:
    """It prints its address, serves, and ends cleanly when told to."""
    command = [sys.executable, "-m", "infra.fake_aurora", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(20, process.kill)
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
