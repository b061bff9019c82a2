"""
The helper module in a real browser, with a scripted fetch and a clock that tests turn.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from token_vendor.problems import CATALOGUE

from tests.support.tab import (
    DAY,
    HOUR,
    JESSICA,
    LIFE,
    MINUTE,
    NETWORK_FAILURE,
    NOW,
    Tab,
    jwt,
    refused,
    vended,
)

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.support.chromium import Site

# Nothing else ends a test whose page hangs.
pytestmark = pytest.mark.timeout(30)


# Asking -------------------------------------------------------------------------------------


def test_a_token_is_asked_for_with_the_callers_token_and_nothing_else(tab: Tab) -> None:
    tab.start(vended())
    token = tab.get()
    assert (token["jwt"], token["jti"], token["user"]) == ("jwt-first", "first", JESSICA)
    assert (token["source"], token["expiresIn"], token["left"]) == ("generated", LIFE, LIFE)
    (call,) = tab["calls"]
    assert call["method"] == "POST"
    assert call["headers"]["authorization"] == f"Bearer {jwt()}"
    assert call["body"] == {}
    assert (call["credentials"], call["redirect"], call["cache"]) == ("omit", "error", "no-store")


def test_the_next_call_is_answered_from_memory(tab: Tab) -> None:
    tab.start(vended(), vended("second"))
    assert tab.get()["jti"] == tab.get()["jti"] == "first"
    assert len(tab["calls"]) == 1


def test_a_shared_failure_reaches_every_caller_and_the_next_call_asks_again(tab: Tab) -> None:
    tab.start(refused("user-not-eligible"), vended())
    both = tab["Promise.all([outcome(source.getToken()), outcome(source.getToken())])"]
    assert [each["slug"] for each in both] == ["user-not-eligible"] * 2
    assert tab.get()["jti"] == "first"


def test_min_ttl_is_sent_and_the_kept_token_with_less_does_not_do(tab: Tab) -> None:
    tab.start(vended(), vended("second"))
    tab.get()
    tab.page.clock.fast_forward(5 * HOUR)
    assert tab.get("getToken({ minTtl: 20000 })")["jti"] == "first"
    assert tab.get("getToken({ minTtl: 30000 })")["jti"] == "second"
    assert [call["body"] for call in tab["calls"]] == [{}, {"min_ttl": 30000}]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"status": 200, "body": "<p>Welcome to our guest network"}, id="HTML"),
        pytest.param({"status": 200, "body": {"token": {}}}, id="no JWT"),
        pytest.param({"status": 200, "body": [1]}, id="another shape"),
        pytest.param(vended(life=0), id="expired"),
        pytest.param({"status": 404, "body": {"message": "Not Found"}}, id="no such route"),
        pytest.param({"status": 400, "body": {"type": 7}}, id="type is no text"),
    ],
)
def test_an_answer_that_is_not_the_services_is_an_error(tab: Tab, answer: dict[str, Any]) -> None:
    tab.start(answer, vended())
    outcome = tab.get()
    assert (outcome["slug"], outcome["status"]) == ("unexpected-answer", answer["status"])
    assert len(tab["calls"]) == 1


# Time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-DAY, 0, DAY], ids=["a day behind", "right", "a day ahead"])
def test_the_browsers_clock_may_be_wrong(tab: Tab, skew: int) -> None:
    """
    A token is used until an hour before its end, wherever the browser thinks that is.
    """
    tab.page.clock.set_system_time(NOW + timedelta(milliseconds=skew))
    tab.start(vended(), vended("second"))
    assert tab.get()["left"] == LIFE
    tab.page.clock.fast_forward(11 * HOUR - MINUTE)
    assert tab.get()["jti"] == "first"
    tab.page.clock.fast_forward(2 * MINUTE)
    assert tab.get()["jti"] == "second"


def test_a_clock_put_back_does_not_lengthen_a_life(tab: Tab) -> None:
    tab.start(vended(), vended("second"))
    tab.get()
    tab.page.clock.fast_forward(HOUR)
    tab.page.clock.set_system_time(NOW - timedelta(days=1))
    tab.page.clock.fast_forward(10 * HOUR + MINUTE)
    assert tab.get()["jti"] == "second"


def test_a_clock_put_forward_costs_one_request(tab: Tab) -> None:
    tab.start(vended(), vended("second", source="stored"))
    tab.get()
    tab.page.clock.set_system_time(NOW + timedelta(days=1))
    assert tab.get()["jti"] == tab.get()["jti"] == "second"
    assert len(tab["calls"]) == 2


def test_the_time_on_the_way_counts_against_the_token(tab: Tab) -> None:
    tab.start(vended(life=4000) | {"held": True}, vended("second"))
    tab.begin("getToken()")
    tab.settle()
    tab.page.clock.fast_forward(1000_000)
    tab.page.evaluate("release()")
    assert tab.end()["expiresIn"] == 3000


# Problems -----------------------------------------------------------------------------------

# What the helper does with each problem when the service adds "Retry-After: 7".
WAITS = {
    "aurora-busy": True,
    "aurora-invalid-response": True,
    "aurora-key-rejected": False,
    "aurora-timeout": True,
    "aurora-unavailable": True,
    "caller-not-identified": False,
    "generating-stopped": True,
    "internal-error": False,
    "invalid-request": False,
    "invitation-pending": False,
    "token-store-unavailable": True,
    "too-many-renewals": False,
    "user-not-eligible": False,
}


def test_every_problem_of_the_service_has_its_line_here() -> None:
    assert set(WAITS) == set(CATALOGUE)


@pytest.mark.parametrize("slug", [slug for slug, waits in WAITS.items() if waits])
def test_a_passing_problem_is_waited_for(tab: Tab, slug: str) -> None:
    tab.start(refused(slug, "7"), vended())
    assert tab.after(8000)["jti"] == "first"
    assert tab["waits"] == [{"in": 7000, "slug": slug}]


@pytest.mark.parametrize("slug", [slug for slug, waits in WAITS.items() if not waits])
def test_a_refusal_is_told_at_once(tab: Tab, slug: str) -> None:
    """
    Also with Retry-After, which the page may show but the helper does not sit out.
    """
    tab.start(refused(slug, "7"), vended())
    outcome = tab.get()
    assert (outcome["error"], outcome["slug"]) == ("TokenError", slug)
    assert (outcome["status"], outcome["retryAfter"]) == (CATALOGUE[slug].status, 7)
    # "Keep using the token that you have" is not for somebody without one.
    said = "Try again later." if slug == "too-many-renewals" else CATALOGUE[slug].detail
    assert outcome["message"] == said
    assert (len(tab["calls"]), tab["waits"], tab["signOuts"]) == (1, [], 0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("12", 12),
        ("2.5", 2.5),
        ("0", 1),
    ],
    ids=["seconds", "a fraction", "zero"],
)
def test_every_form_of_retry_after(tab: Tab, header: str, seconds: float) -> None:
    # Fetch hides no header of an answer that a script made.
    tab.start(refused("aurora-busy", header), vended())
    assert tab.after(seconds * 1000 + 50)["jti"] == "first"
    assert tab["waits"][0]["in"] == pytest.approx(seconds * 1000, abs=1)


def test_nobody_waits_longer_than_their_patience(tab: Tab) -> None:
    tab.start(refused("aurora-busy", "700"), vended(), patience=600)
    outcome = tab.get()
    assert (outcome["slug"], outcome["retryAfter"]) == ("aurora-busy", 700)
    assert tab["waits"] == []


def test_a_turn_as_far_ahead_as_any_is_waited_for(tab: Tab) -> None:
    """
    Who gives up before would come back too late for it, and queue anew.
    """
    tab.start(refused("aurora-busy", "890"), vended())
    tab.begin("getToken()")
    tab.settle()
    tab.pass_time(890_000)
    assert tab.end()["jti"] == "first"


def test_patience_covers_all_waits_of_a_call(tab: Tab) -> None:
    tab.start(*[refused("aurora-busy", "40")] * 3, vended(), patience=100)
    tab.begin("getToken()")
    for _ in range(2):
        tab.settle()
        tab.pass_time(40_000)
    assert tab.end()["slug"] == "aurora-busy"
    assert len(tab["waits"]) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_the_gateways_own_refusal_is_tried_again_twice(tab: Tab, status: int) -> None:
    answer = {"status": status, "body": {"message": "Service Unavailable"}}
    tab.start(*[answer] * 4)
    tab.begin("getToken()")
    for _ in range(2):
        tab.settle()
        tab.pass_time(5000)
    outcome = tab.end()
    assert (outcome["slug"], outcome["status"]) == ("unexpected-answer", status)
    assert len(tab["calls"]) == 3


def test_a_token_that_still_works_is_used_while_the_service_is_down(tab: Tab) -> None:
    tab.start(vended(), refused("aurora-unavailable", "30"))
    tab.get()
    tab.page.clock.fast_forward(11 * HOUR + 30 * MINUTE)
    assert tab.get()["jti"] == "first"
    assert len(tab["calls"]) == 2


def test_a_token_with_too_little_life_for_this_caller_is_not(tab: Tab) -> None:
    tab.start(vended(), refused("aurora-unavailable", "300"), patience=60)
    tab.get()
    tab.page.clock.fast_forward(11 * HOUR + 30 * MINUTE)
    assert tab.get("getToken({ minTtl: 3000 })")["slug"] == "aurora-unavailable"


# Signing in ---------------------------------------------------------------------------------


def test_nobody_signed_in(tab: Tab) -> None:
    tab.start(vended(), caller="")
    assert tab.get()["slug"] == "signed-out"
    assert (tab["calls"], tab["signOuts"]) == ([], 1)


def test_a_401_that_the_browser_shows(tab: Tab) -> None:
    tab.start({"status": 401, "body": {"message": "Unauthorized"}}, vended())
    outcome = tab.get()
    assert (outcome["slug"], outcome["status"], tab["signOuts"]) == ("signed-out", 401, 1)


def test_somebody_answers_but_hides_it_from_a_huge_callers_token(tab: Tab) -> None:
    """
    API Gateway refuses it without a CORS header; another try would be refused, too.
    """
    tab.start(*[NETWORK_FAILURE] * 2, caller=jwt(groups=["g" * 36] * 200))
    tab.page.evaluate("window.isThere = true")
    assert tab.get()["slug"] == "caller-token-too-large"
    assert len(tab["calls"]) == 2


def test_an_opaque_callers_token_is_named_as_the_mistake(tab: Tab) -> None:
    tab.start(vended(), caller="opaque")
    outcome = tab.get()
    assert (outcome["error"], "must give a JWT" in outcome["message"]) == ("TypeError", True)


# Renewing and forgetting --------------------------------------------------------------------


def test_a_failed_token_is_replaced_once_for_all_who_saw_it_fail(tab: Tab) -> None:
    tab.start(vended(), vended("second") | {"held": True})
    tab.get()
    tab.page.evaluate(
        "window.all = Promise.all([1, 2].map(() => outcome(source.replaceToken('first')))); 0"
    )
    tab.settle()
    tab.page.evaluate("release()")
    assert {token["jti"] for token in tab["all"]} == {"second"}
    assert tab.get("replaceToken('first')")["jti"] == "second"
    assert [call["body"] for call in tab["calls"]] == [{}, {"replace": "first"}]


# Whether the token that a page calls failed is kept when the answer is this problem.
KEEPS_THE_FAILED = {
    "aurora-busy": True,
    "aurora-invalid-response": True,
    "aurora-key-rejected": True,
    "aurora-timeout": True,
    "aurora-unavailable": True,
    "caller-not-identified": False,
    "generating-stopped": True,
    "internal-error": True,
    "invalid-request": True,
    "invitation-pending": False,
    "token-store-unavailable": True,
    "too-many-renewals": True,
    "user-not-eligible": False,
}


@pytest.mark.parametrize("slug", list(CATALOGUE))
def test_failed_token_is_kept_unless_the_person_is_refused(tab: Tab, slug: str) -> None:
    """
    It may be the only one for the next hour; the page is told when another try makes sense.
    """
    answers = [vended(), refused(slug, "900"), vended("stored")]
    tab.start(*answers, storage="session", patience=60)
    tab.get()
    outcome = tab.get("replaceToken('first')")
    assert (outcome["slug"], outcome["retryAfter"]) == (slug, 900)
    kept = KEEPS_THE_FAILED[slug]
    assert (tab["sessionStorage.length"], tab["tokens"]) == (
        (1, ["first"]) if kept else (0, ["first", None])
    )
    assert tab.get()["jti"] == ("first" if kept else "stored")
    assert len(tab["calls"]) == (2 if kept else 3)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        pytest.param({"status": 401, "body": {"message": "Unauthorized"}}, False, id="signed out"),
        pytest.param(NETWORK_FAILURE, True, id="no network"),
        pytest.param({"status": 403, "body": "<p>Blocked by your proxy"}, True, id="a proxy's 403"),
    ],
)
def test_failed_token_after_an_answer_that_is_not_the_services(
    tab: Tab, answer: dict[str, Any], *, kept: bool
) -> None:
    tab.start(vended(), answer, vended("stored"), patience=0)
    tab.get()
    assert "error" in tab.get("replaceToken('first')")
    assert tab.get()["jti"] == ("first" if kept else "stored")


def test_failed_token_is_kept_when_the_call_is_aborted(tab: Tab) -> None:
    tab.start(vended(), vended("second") | {"held": True})
    tab.get()
    tab.page.evaluate("window.controller = new AbortController(); 0")
    tab.begin("replaceToken('first', { signal: controller.signal })")
    tab.settle()
    tab.page.evaluate("controller.abort()")
    assert tab.end()["error"] == "AbortError"
    assert (tab.get()["jti"], len(tab["calls"])) == ("first", 2)


def test_forget_drops_the_token_here_and_at_the_service(tab: Tab) -> None:
    tab.start(vended(), {"status": 204}, vended("second"), storage="session")
    tab.get()
    tab.get("forget()")
    assert (tab["calls"][1]["method"], tab["calls"][1]["keepalive"]) == ("DELETE", True)
    assert "body" not in tab["calls"][1] or tab["calls"][1]["body"] is None
    assert (tab["sessionStorage.length"], tab["tokens"]) == (0, ["first", None])
    assert tab.get()["jti"] == "second"


def test_forget_after_signing_out_at_the_provider_still_reaches_the_service(tab: Tab) -> None:
    tab.start(vended(), {"status": 204})
    tab.get()
    tab.page.evaluate("window.callerToken = null")
    assert "error" not in tab.get("forget()")
    assert [call["method"] for call in tab["calls"]] == ["POST", "DELETE"]
    assert tab["signOuts"] == 0


def test_forget_without_anybody_who_ever_signed_in_asks_nothing(tab: Tab) -> None:
    tab.start(caller="")
    assert "error" not in tab.get("forget()")
    assert tab["calls"] == []


NOBODY_IN_PARTICULAR = ({"sub": "everybody"}, {"sub": None})


@pytest.mark.parametrize("claims", NOBODY_IN_PARTICULAR, ids=["one sub", "no sub"])
def test_people_whose_provider_gives_all_the_same_sub_share_nothing(
    tab: Tab, claims: dict[str, Any]
) -> None:
    ann, bob = (jwt(**claims, email=f"{name}@example.com") for name in ("ann", "bob"))
    tab.start(vended("anns"), vended("bobs"), caller=ann, storage="session")
    assert tab.get()["jti"] == "anns"
    tab.page.evaluate("bob => { window.callerToken = bob; }", bob)
    assert tab.get()["jti"] == "bobs"


def test_token_without_an_identity_is_kept_for_nobody(tab: Tab) -> None:
    tab.start(vended(), vended("second"), caller=jwt(sub=None), storage="session")
    assert (tab.get()["jti"], tab.get()["jti"]) == ("first", "second")
    assert tab["sessionStorage.length"] == 0


def test_answer_for_another_address_is_not_kept(tab: Tab) -> None:
    tab.start(vended(), vended("second"), caller=jwt(email="robert.johnson@aurorasolar.com"))
    assert (tab.get()["jti"], tab.get()["jti"]) == ("first", "second")


def test_somebody_else_signs_in_while_an_answer_is_on_its_way(tab: Tab) -> None:
    tab.start(vended() | {"held": True}, vended("bobs"))
    tab.begin("getToken()")
    tab.settle()
    tab.page.evaluate("bob => { window.callerToken = bob; }", jwt(sub="bob"))
    tab.page.evaluate("release()")
    assert tab.end()["slug"] == "caller-changed"
    assert tab.get()["jti"] == "bobs"


def test_callback_that_throws_changes_nothing(tab: Tab) -> None:
    tab.start(vended(), {"status": 204})
    throwing = "{ onToken: () => { throw new Error(`a page's own`); } }"
    tab.page.evaluate(f"source.subscribe({throwing}); 0")
    assert tab.get()["jti"] == "first"
    assert "error" not in tab.get("forget()")
    assert [call["method"] for call in tab["calls"]] == ["POST", "DELETE"]


def test_margin_is_a_quarter_of_a_short_life(tab: Tab) -> None:
    """Tokens of half an hour are not one request each time."""
    tab.start(vended(life=1800), vended("second", life=1800))
    assert (tab.get()["jti"], tab.get()["jti"]) == ("first", "first")
    tab.page.clock.fast_forward(1400 * 1000)
    assert tab.get()["jti"] == "second"


def test_an_answer_that_comes_after_forget_is_nobodys(tab: Tab) -> None:
    tab.start(vended() | {"held": True}, {"status": 204}, vended("second"), storage="session")
    tab.begin("getToken()")
    tab.settle()
    tab.page.evaluate("source.forget()")
    tab.page.evaluate("release()")
    assert tab.end()["slug"] == "signed-out"
    assert (tab["sessionStorage.length"], tab["tokens"]) == (0, [None])
    assert tab.get()["jti"] == "second"


# Storage ------------------------------------------------------------------------------------


def test_a_reload_asks_again_by_default_and_leaves_nothing_in_storage(tab: Tab) -> None:
    tab.start(vended())
    tab.get()
    assert tab["[sessionStorage.length, localStorage.length]"] == [0, 0]
    tab.start(vended("second"))
    assert tab.get()["jti"] == "second"


def test_session_storage_survives_a_reload(tab: Tab) -> None:
    tab.start(vended(), storage="session")
    tab.get()
    tab.page.clock.fast_forward(HOUR)
    tab.start(storage="session")
    token = tab.get()
    assert (token["jti"], tab["calls"]) == ("first", [])
    assert token["left"] == pytest.approx(LIFE - 3600, abs=2)
    assert tab["localStorage.length"] == 0


def test_a_stored_token_from_the_browsers_future_is_not_trusted(tab: Tab) -> None:
    tab.start(vended(), storage="session")
    tab.get()
    tab.page.clock.set_system_time(NOW - timedelta(days=1))
    tab.start(vended("second"), storage="session")
    assert tab.get()["jti"] == "second"


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"who": "x"}', "7"])
def test_rubbish_in_storage_is_overlooked(tab: Tab, text: str) -> None:
    tab.page.goto(tab.url)
    key = "aurora-token /token"
    tab.page.evaluate("([key, text]) => sessionStorage.setItem(key, text)", [key, text])
    tab.resume(vended(), storage="session")
    assert tab.get("replaceToken('other')")["jti"] == "first"


def test_storage_locks_and_channel_denied(tab: Tab) -> None:
    """
    A sandboxed frame has no origin, and the browser throws at each of them.
    """
    tab.page.goto(f"{tab.url}/sandboxed")
    denied = "() => { try { sessionStorage; return false; } catch { return true; } }"
    assert tab.page.evaluate(denied)
    tab.resume(vended(), storage="session", endpoint=f"{tab.url}/token")
    assert tab.get()["jti"] == tab.get()["jti"] == "first"


def test_storage_that_is_full(tab: Tab) -> None:
    tab.page.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }"
    )
    tab.start(vended(), storage="session")
    assert tab.get()["jti"] == tab.get()["jti"] == "first"
    assert len(tab["calls"]) == 1


# Other tabs ---------------------------------------------------------------------------------


def test_tabs_at_the_same_time_make_one_request(context: BrowserContext, loopback: Site) -> None:
    loopback.answers = [json.dumps(vended(str(n))["body"]).encode() for n in range(5)]
    tabs = [Tab(context.new_page(), loopback.url) for _ in range(5)]
    caller = jwt(exp=4_000_000_000)
    for tab in tabs:
        tab.start(real=True, caller=caller)
    for tab in tabs:
        tab.begin("getToken()")
    # All but the first queue for the lock before the first has its answer.
    tabs[0].wait_for_locks("pending", 4)
    loopback.release.set()
    assert {tab.end()["jti"] for tab in tabs} == {"0"}
    assert loopback.asked == 1


def test_what_one_tab_has_kept_is_served_while_another_holds_the_lock(
    context: BrowserContext, loopback: Site
) -> None:
    """
    The kept token is looked at before the lock.
    """
    loopback.answers = [json.dumps(vended()["body"]).encode()]
    loopback.release.set()
    first, second = Tab(context.new_page(), loopback.url), Tab(context.new_page(), loopback.url)
    caller = jwt(exp=4_000_000_000)
    for tab in (first, second):
        tab.start(real=True, caller=caller)
        tab.get()
    loopback.release.clear()
    first.begin("replaceToken('first')")
    first.wait_for_locks("held", 1)
    asked = time.monotonic()
    assert second.get()["jti"] == "first"
    # Whoever queues for the lock gives up after ten seconds.
    assert time.monotonic() - asked < 8
    loopback.release.set()


def test_a_replaced_token_reaches_the_other_tab_and_so_does_forgetting(
    context: BrowserContext, loopback: Site
) -> None:
    first, second = Tab(context.new_page(), loopback.url), Tab(context.new_page(), loopback.url)
    first.start(vended(), vended("second"), {"status": 204})
    second.start(vended())
    first.get()
    second.get()
    first.get("replaceToken('first')")
    second.page.wait_for_function("tokens.length === 2")
    assert second.get()["jti"] == "second"
    first.get("forget()")
    second.page.wait_for_function("tokens.length === 3")
    assert second["tokens"] == ["first", "second", None]
    assert len(second["calls"]) == 1


def test_a_replacement_that_seems_to_end_sooner_reaches_the_other_tab(
    context: BrowserContext, loopback: Site
) -> None:
    """
    Lives are whole seconds, and Aurora's clocks may differ by its nodes.
    """
    first, second = Tab(context.new_page(), loopback.url), Tab(context.new_page(), loopback.url)
    first.start(vended(), vended("second", life=LIFE - 10))
    second.start(vended())
    first.get()
    second.get()
    first.get("replaceToken('first')")
    second.page.wait_for_function("tokens.length === 2")
    assert first.get()["jti"] == second.get()["jti"] == "second"
    assert (len(first["calls"]), len(second["calls"])) == (2, 1)


def test_another_persons_tab_is_left_alone(context: BrowserContext, loopback: Site) -> None:
    first, second = Tab(context.new_page(), loopback.url), Tab(context.new_page(), loopback.url)
    first.start(vended("first"), vended("second"), {"status": 204})
    # Robert is known to the second tab, which has no token for him when Jessica's comes by.
    second.start(
        refused("user-not-eligible"),
        vended("roberts"),
        caller=jwt(sub="robert", exp=4_000_000_000),
    )
    second.get()
    first.get()
    second.page.wait_for_timeout(100)
    assert second["tokens"] == []
    second.get()
    first.get("replaceToken('first')")
    first.get("forget()")
    second.page.wait_for_timeout(100)
    assert (second["tokens"], second.get()["jti"]) == (["roberts"], "roberts")


def test_an_overtaken_answer_does_not_bring_back_the_old_token(
    context: BrowserContext, loopback: Site
) -> None:
    first, second = Tab(context.new_page(), loopback.url), Tab(context.new_page(), loopback.url)
    first.start(vended("new"))
    second.start(vended("oldest", life=LIFE - 200), vended("old", life=LIFE - 100))
    second.get()
    first.get("getToken({ minTtl: 43100 })")
    second.page.wait_for_function("tokens.length === 2")
    assert second.get("getToken({ minTtl: 43200 })")["jti"] == "old"
    assert second["tokens"] == ["oldest", "new"]
    assert second.get()["jti"] == "new"


def test_a_stolen_lock_neither_loses_nor_doubles_the_request(tab: Tab) -> None:
    tab.start(vended() | {"held": True}, vended("second"))
    tab.begin("getToken()")
    tab.settle()
    tab.page.evaluate(
        """async () => {
          const { held: [{ name }] } = await navigator.locks.query();
          await navigator.locks.request(name, { steal: true }, () => {});
        }"""
    )
    tab.page.evaluate("release()")
    assert tab.end()["jti"] == "first"
    assert len(tab["calls"]) == 1


def test_a_lock_that_never_comes_free_is_not_waited_for_for_ever(tab: Tab) -> None:
    tab.start(vended() | {"held": True}, vended("second"))
    tab.begin("getToken()")
    tab.settle()
    tab.page.evaluate("window.first = pending; 0")
    tab.begin("replaceToken('other')")
    tab.settle()
    assert len(tab["calls"]) == 1
    tab.pass_time(40_100)
    assert tab.end()["jti"] == "second"


def test_a_browser_without_locks(tab: Tab) -> None:
    tab.page.add_init_script("delete Navigator.prototype.locks")
    tab.start(vended())
    assert tab.get()["jti"] == "first"


# The Client SDK -----------------------------------------------------------------------------


def test_the_sdk_is_loaded_with_the_token_under_the_option_that_is_named(tab: Tab) -> None:
    tab.start(vended())
    loaded = tab["loadClientSDK({ tokenSource: source, loaderUrl: '/loader.js' })"]
    assert loaded["sdk"]["loadedWith"] == {"token": "jwt-first"}
    assert loaded["token"]["jti"] == "first"
    named = "{ tokenSource: source, loaderUrl: '/loader.js', tokenOption: 'jwt' }"
    assert tab[f"loadClientSDK({named})"]["sdk"]["loadedWith"] == {"jwt": "jwt-first"}


def test_the_loaders_address_is_that_of_auroras_page(tab: Tab) -> None:
    tab.start()
    address = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js"
    assert tab["[LOADER_URL, TOKEN_OPTION]"] == [address, "token"]
