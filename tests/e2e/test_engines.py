"""The demo page in Firefox and WebKitGTK: the scenes in which engines could differ."""

import time
from collections.abc import Iterator

import pytest

from infra.fake_aurora.users import JESSICA
from tests.e2e.conftest import Running
from tests.support.webdriver import Driver, webdriver

EMAIL = JESSICA["email"]
# test_browser.py has these scenes in Chromium every time.
pytestmark = pytest.mark.nightly
EXPIRE = """(() => {
    const key = Object.keys(sessionStorage).find((each) => each.startsWith("oidc.user:"));
    const user = JSON.parse(sessionStorage[key]);
    sessionStorage[key] = JSON.stringify({ ...user, id_token: arguments[0] });
})()"""


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    with webdriver(request.param, tmp_path_factory.mktemp(request.param)) as driver:
        yield driver


@pytest.fixture
def browser(engine: Driver, deployed: Running) -> Iterator[Driver]:
    """Show the demo page in the only tab, with nobody signed in."""
    first, *_ = engine.tabs()
    engine.switch_to(first)
    engine.open(deployed.stack.outputs.demo_url)
    engine.evaluate("sessionStorage.clear()")
    engine.reload()
    yield engine
    for tab in engine.tabs():
        engine.switch_to(tab)
        if tab != first:
            engine.close_tab()
    engine.switch_to(first)


def sign_in(browser: Driver, way: str = "#sign-in") -> str:
    """Go through the provider's own page, and give the token's `jti`."""
    browser.click(way)
    browser.click(f'button[value="{EMAIL}"]')
    return with_token(browser)


def with_token(browser: Driver) -> str:
    """Wait for the token and give its `jti`; until then the page takes no click."""
    email = "document.querySelector('#token-email')?.textContent"
    browser.wait_until(f"{email} === arguments[0]", EMAIL)
    browser.wait_until("document.querySelector('main')?.ariaBusy === 'false'")
    return browser.text("#token-jti")


def open_tab(browser: Driver) -> str:
    """Switch to a second tab, which is signed in like the first; give the first one's handle."""
    (first,) = browser.tabs()
    browser.click("#token a[target]")
    while len(tabs := browser.tabs()) == 1:
        time.sleep(0.05)
    browser.switch_to(next(tab for tab in tabs if tab != first))
    with_token(browser)
    return first


def generated(deployed: Running) -> int:
    calls: dict[str, int] = deployed.aurora.stats()["calls"]
    return calls["generate_token"]


def test_two_tabs_go_from_sign_in_to_sign_out(browser: Driver, deployed: Running) -> None:
    failed = sign_in(browser)
    browser.reads("#status", "You are signed in")
    browser.click("#load")
    browser.reads("#sdk-state", "session is open")
    browser.wait_until("document.querySelector('#cad-element iframe') !== null")
    first = open_tab(browser)
    assert (browser.text("#token-jti"), generated(deployed)) == (failed, 1)
    browser.click("#replace")
    browser.reads("#status", "You have another token.")
    fresh = browser.text("#token-jti")
    assert (deployed.aurora.token_state(fresh), generated(deployed)) == ("live", 2)
    second = next(tab for tab in browser.tabs() if tab != first)
    browser.switch_to(first)
    browser.wait_until("document.querySelector('#token-jti')?.textContent === arguments[0]", fresh)
    browser.reads("#sdk-state", "You have another token since")
    browser.click("#sign-out")
    browser.reads("#status", "You are signed out.")
    browser.switch_to(second)
    browser.reads("#status", "You signed out in another tab.")
    assert browser.evaluate("document.activeElement.id") == "sign-in"
    assert browser.evaluate("sessionStorage.length + localStorage.length") == 0
    assert deployed.vend(EMAIL)["source"] == "generated"


def test_failures_that_an_engine_words_by_itself_are_told_apart(
    browser: Driver, deployed: Running
) -> None:
    """A 401 without CORS headers, and a module that cannot be fetched."""
    sign_in(browser)
    with deployed.aurora.down():
        browser.click("#load")
        browser.reads("#problem-title", "The Client SDK did not load")
    browser.click("#way-out")
    browser.reads("#sdk-state", "session is open")
    browser.evaluate(EXPIRE, deployed.sign_in(EMAIL, exp=int(time.time()) - 60))
    browser.reload()
    browser.reads("#problem-title", "Your sign-in has run out")
    sign_in(browser, "#way-out")
