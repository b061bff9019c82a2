"""
Loading the SDK, and how calls end, by a clock that tests turn.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.tab import HOUR, MINUTE, Tab, jwt, refused, vended

if TYPE_CHECKING:
    from tests.support.chromium import Site

# Nothing else ends a test whose page hangs.
pytestmark = pytest.mark.timeout(60)

# A caller's token that outlives the day.
ALL_DAY = jwt(exp=4_000_000_000)


def sleep(tab: Tab, milliseconds: int) -> None:
    """
    Let time pass that no timer of the page sees, as in sleep.
    """
    now = tab["Date.now()"]
    tab.page.clock.set_system_time((now + milliseconds) / 1000)


def test_subscribers_are_told_until_they_leave(tab: Tab) -> None:
    tab.start(vended(), vended("second"), caller=ALL_DAY)
    tab.page.evaluate(
        """window.heard = [];
        window.leave = source.subscribe({ onToken: ({ jti }) => heard.push(jti) }); 0"""
    )
    tab.get()
    tab.page.evaluate("leave()")
    tab.get("replaceToken('first')")
    assert (tab["heard"], tab["tokens"]) == (["first"], ["first", "second"])


# Loading the SDK ----------------------------------------------------------------------------


def test_loading_the_sdk_watches_its_session(tab: Tab) -> None:
    tab.start(vended(), vended("second"), caller=ALL_DAY)
    load = "loadClientSDK({ tokenSource: source, loaderUrl: '/loader.js', onOver })"
    tab.page.evaluate("window.overs = []; window.onOver = (over) => overs.push(over); 0")
    tab.page.evaluate(load)
    tab.page.clock.fast_forward(11 * HOUR + MINUTE)
    tab.settle()
    assert tab.get()["jti"] == "first"
    # Loading it again ends that session anyway, so this is the moment for a new token.
    assert tab[load]["token"]["jti"] == "second"
    tab.page.clock.fast_forward(12 * HOUR)
    tab.settle()
    assert tab["overs"] == [{"reason": "expired"}]


def test_sdk_loads_with_the_token_there_is_when_no_more_renewals_are_allowed(tab: Tab) -> None:
    capped = refused("too-many-renewals", "900")
    tab.start(vended(), capped, vended("first", life=1800, source="stored"), caller=ALL_DAY)
    tab.get()
    tab.page.clock.fast_forward(11 * HOUR + 30 * MINUTE)
    loaded = tab["loadClientSDK({ tokenSource: source, loaderUrl: '/loader.js' })"]
    assert (loaded["token"]["jti"], len(tab["calls"])) == ("first", 3)


def test_sdk_that_loads_for_nobody_is_closed(tab: Tab, loopback: Site) -> None:
    loader = b"""
    const sdk = { close() { window.closedItself = this === sdk; } };
    export const load = () => new Promise((resolve) => {
      window.finish = () => resolve(sdk);
      window.loading();
    });
    """
    loopback.files = {"/slow.js": (loader, "text/javascript")}
    tab.start(vended(), caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.controller = new AbortController();
          window.started = new Promise((resolve) => { window.loading = resolve; });
          const { signal } = controller;
          const load = loadClientSDK({ tokenSource: source, loaderUrl: "/slow.js", signal });
          window.pending = outcome(load);
        }"""
    )
    tab.page.evaluate("started")
    tab.page.evaluate("controller.abort(); finish()")
    assert tab.end()["error"] == "AbortError"
    assert tab["closedItself"] is True


# The back/forward cache ---------------------------------------------------------------------

# Timers -------------------------------------------------------------------------------------


def test_endless_patience_is_no_busy_loop(tab: Tab) -> None:
    tab.start(refused("aurora-busy", str(30 * 86_400)), vended(), caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.delays = [];
          const real = window.setTimeout;
          window.setTimeout = (work, ms) => { delays.push(ms); return real(work, ms); };
          source.close();
        }"""
    )
    tab.resume(refused("aurora-busy", str(30 * 86_400)), vended(), caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.source = createTokenSource({
            endpoint: "/token", getCallerToken: () => callerToken, patience: Infinity,
            fetch: async () => { calls.push(1); return new Response("{}", {
              status: 503, headers: { "retry-after": String(30 * 86400) },
            }); },
          });
        }"""
    )
    tab.begin("getToken()")
    tab.settle()
    for _ in range(10):
        tab.pass_time(MINUTE)
    assert len(tab["calls"]) == 1
    # The limits of a request and of the sign-in are longer; a wait looks at the clock each second.
    assert len(tab["delays"]) < 700
    assert max(tab["delays"]) <= 120_000


# Ending a call ------------------------------------------------------------------------------


def test_one_caller_leaves_and_the_other_is_served(tab: Tab) -> None:
    tab.start(vended() | {"held": True}, caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.controller = new AbortController();
          window.one = outcome(source.getToken({ signal: controller.signal }));
          window.pending = outcome(source.getToken());
        }"""
    )
    tab.settle()
    tab.page.evaluate("controller.abort()")
    assert tab["one"]["error"] == "AbortError"
    assert tab["signals[0].aborted"] is False
    tab.page.evaluate("release()")
    assert (tab.end()["jti"], len(tab["calls"])) == ("first", 1)


def test_last_caller_takes_the_request_along(tab: Tab) -> None:
    tab.start(vended() | {"held": True}, vended("second"), caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.controller = new AbortController();
          window.pending = outcome(source.getToken({ signal: controller.signal }));
        }"""
    )
    tab.settle()
    tab.page.evaluate("controller.abort(new RangeError('enough'))")
    assert (tab.end()["error"], tab["signals[0].aborted"]) == ("RangeError", True)
    tab.page.evaluate("release()")
    assert tab.get()["jti"] == "second"


def test_wait_ends_with_its_signal(tab: Tab) -> None:
    tab.start(refused("aurora-busy", "600"), vended("second"), caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.controller = new AbortController();
          window.pending = outcome(source.getToken({ signal: controller.signal }));
        }"""
    )
    tab.settle()
    tab.page.evaluate("controller.abort()")
    assert tab.end()["error"] == "AbortError"
    assert len(tab["calls"]) == 1


@pytest.mark.parametrize(
    "call",
    [
        "source.getToken({ signal })",
        "source.renew({ signal })",
        "source.replaceToken('first', { signal })",
        "source.forget({ signal })",
        "loadClientSDK({ tokenSource: source, loaderUrl: '/loader.js', signal })",
    ],
)
def test_call_whose_signal_is_aborted_already_does_nothing(tab: Tab, call: str) -> None:
    tab.start(vended(), caller=ALL_DAY)
    tab.get()
    assert tab[f"outcome((async (signal) => {call})(AbortSignal.abort()))"]["error"] == "AbortError"
    assert (tab.get()["jti"], len(tab["calls"]), tab["tokens"]) == ("first", 1, ["first"])


def test_closing_ends_what_is_under_way_and_all_that_comes(tab: Tab) -> None:
    tab.start(refused("aurora-busy", "600"), vended("second"), caller=ALL_DAY)
    tab.begin("getToken()")
    tab.settle()
    tab.page.evaluate("source.close()")
    assert (tab.end()["error"], tab.end()["slug"]) == ("TokenError", "closed")
    assert tab.get()["slug"] == "closed"
    tab.pass_time(13 * HOUR)
    assert (len(tab["calls"]), tab["signOuts"]) == (1, 0)


def test_callback_that_rejects_harms_nothing(tab: Tab) -> None:
    tab.start(vended(), caller=ALL_DAY)
    tab.page.evaluate(
        """() => {
          window.loose = [];
          addEventListener("unhandledrejection", ({ reason }) => loose.push(String(reason)));
          source.subscribe({ onToken: async () => { throw new Error("a page's own"); } });
        }"""
    )
    assert tab.get()["jti"] == "first"
    tab.settle()
    assert tab["loose"] == []


def test_time_of_a_wait_passes_in_sleep(tab: Tab) -> None:
    tab.start(refused("aurora-busy", "600"), vended(), caller=ALL_DAY)
    tab.begin("getToken()")
    tab.settle()
    sleep(tab, int(timedelta(minutes=11).total_seconds() * 1000))
    tab.pass_time(1000)
    assert tab.end()["jti"] == "first"
