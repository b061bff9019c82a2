"""
The demo page in a real browser, on the deployed local stack.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from infra.fake_aurora.users import JESSICA, ROBERT
from tests.support.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.e2e.conftest import Running

SCREENSHOTS = Path(__file__).parents[2] / ".local" / "screenshots"
# A page with everything in it, on a machine that does other things too.
PATIENCE = 20_000
PHONE = {"width": 360, "height": 740}
EMAIL = JESSICA["email"]
# What a browser says of an answer that the page asked for, and tells in words.
EXPECTED_IN_CONSOLE = re.compile(r"Failed to load resource|blocked by CORS policy")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """
    Give a fresh browser profile, and fail the test where a page broke its own policy or threw.
    """
    complaints: list[str] = []
    context = browser.new_context(color_scheme="light")
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    yield context
    context.close()
    assert [text for text in complaints if not EXPECTED_IN_CONSOLE.search(text)] == []


@pytest.fixture
def page(context: BrowserContext, deployed: Running) -> Page:
    """
    Open the demo page, with nobody signed in.
    """
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    page.goto(deployed.stack.outputs.demo_url)
    return page


def sign_in(page: Page, person: str = EMAIL) -> None:
    """
    Go through the provider's own sign-in page.
    """
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("textbox", name="Subject").fill(person)
    page.get_by_role("button", name="Authorize", exact=True).click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def with_token(page: Page) -> str:
    """
    Wait for the token and give its `jti`.
    """
    jti = page.locator("#token-jti")
    expect(jti).not_to_be_empty()
    expect(page.locator("#notice")).to_be_hidden()
    return jti.inner_text()


def generated(deployed: Running) -> int:
    calls: dict[str, int] = deployed.aurora.stats()["calls"]
    return calls["generate_token"]


def look(page: Page, name: str) -> None:
    """
    Keep a picture of the state, and let axe look at it in both schemes and on a phone.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    usual = page.viewport_size
    assert usual
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)
        serious(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    page.screenshot(path=SCREENSHOTS / f"{name}-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    serious(page)
    page.set_viewport_size(usual)


def serious(page: Page) -> None:
    """
    Fail on whatever axe finds serious or worse.
    """
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    found = {
        each["id"]: [node["html"] for node in each["nodes"]]
        for each in violations
        if each["impact"] in {"serious", "critical"}
    }
    assert found == {}


def test_from_sign_in_to_a_loaded_sdk(page: Page, deployed: Running) -> None:
    look(page, "1-welcome")
    sign_in(page)
    jti = with_token(page)
    expect(page.locator("#who-name")).to_have_text(EMAIL)
    expect(page.locator("#token-email")).to_have_text(EMAIL)
    expect(page.locator("#token-user")).to_have_text(JESSICA["id"])
    expect(page.locator("#token-source")).to_have_text("Aurora, newly generated")
    expect(page.locator("#token-left")).to_have_text(re.compile(r"^11 h 59 min \d+ s$"))
    look(page, "2-token")
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    look(page, "3-sdk-loaded")
    assert deployed.aurora.token_state(jti) == "live"
    page.reload()
    assert with_token(page) == jti
    expect(page.locator("#token-source")).to_have_text("the vendor's store")
    assert generated(deployed) == 1


def test_the_count_down_counts_down(page: Page) -> None:
    sign_in(page)
    with_token(page)
    before = page.locator("#token-left").inner_text()
    expect(page.locator("#token-left")).not_to_have_text(before)


def test_everything_can_be_done_from_the_keyboard(page: Page) -> None:
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Subject").fill(EMAIL)
    page.keyboard.press("Enter")
    with_token(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()


def test_two_tabs_share_one_token(page: Page, context: BrowserContext, deployed: Running) -> None:
    sign_in(page)
    jti = with_token(page)
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open a second tab").click()
    assert with_token(opened.value) == jti
    assert generated(deployed) == 1


def test_twenty_tabs_at_once_cause_one_generate(
    page: Page, context: BrowserContext, deployed: Running
) -> None:
    sign_in(page)
    with_token(page)
    user = page.evaluate("JSON.stringify({ ...sessionStorage })")
    page.close()
    deployed.clear()
    # Also runs in the empty page that each tab starts with, which has no storage.
    context.add_init_script(
        f"if (location.protocol === 'http:') Object.assign(sessionStorage, {user})"
    )
    tabs = [context.new_page() for _ in range(20)]
    for tab in tabs:
        tab.goto(deployed.stack.outputs.demo_url, wait_until="commit")
    assert len({with_token(tab) for tab in tabs}) == 1
    assert generated(deployed) == 1


def test_a_failed_token_is_replaced_in_every_tab(
    page: Page, context: BrowserContext, deployed: Running
) -> None:
    sign_in(page)
    failed = with_token(page)
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open a second tab").click()
    other = opened.value
    assert with_token(other) == failed
    page.get_by_role("button", name="This token failed me").click()
    expect(page.locator("#token-jti")).not_to_have_text(failed)
    fresh = with_token(page)
    expect(other.locator("#token-jti")).to_have_text(fresh)
    assert (deployed.aurora.token_state(fresh), generated(deployed)) == ("live", 2)


def test_a_session_taken_over_is_said_and_can_be_taken_back(
    page: Page, context: BrowserContext, deployed: Running
) -> None:
    sign_in(page)
    with_token(page)
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open a second tab").click()
    other = opened.value
    other.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("opened somewhere else")
    look(page, "4-taken-over")
    page.get_by_role("button", name="Continue here").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    expect(other.locator("#sdk-state")).to_contain_text("opened somewhere else")
    assert generated(deployed) == 1


def test_a_session_that_a_new_token_closed_goes_on_with_that_token(
    page: Page, context: BrowserContext, deployed: Running
) -> None:
    sign_in(page)
    with_token(page)
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open a second tab").click()
    with_token(opened.value)
    opened.value.get_by_role("button", name="This token failed me").click()
    expect(page.locator("#sdk-state")).to_contain_text("you have got a new token")
    page.get_by_role("button", name="Continue here").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    assert generated(deployed) == 2


def test_a_token_that_aurora_refuses_is_said(page: Page, deployed: Running) -> None:
    """
    Generated behind the vendor's back, as by another system with the same key.
    """
    sign_in(page)
    refused = with_token(page)
    deployed.aurora.answer(
        "generate_token", deployed.aurora.tenant_id, deployed.aurora.api_key, JESSICA["id"]
    )
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#problem-detail")).to_contain_text("another token was generated")
    page.get_by_role("button", name="This token failed me").click()
    expect(page.locator("#token-jti")).not_to_have_text(refused)
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")


def test_signing_out_drops_the_token_everywhere(
    page: Page, context: BrowserContext, deployed: Running
) -> None:
    sign_in(page)
    first = with_token(page)
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open a second tab").click()
    with_token(opened.value)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator("#token")).to_be_hidden()
    expect(opened.value.locator("#status")).to_have_text("Your token was dropped.")
    expect(opened.value.locator("#token")).to_be_hidden()
    # The page is signed out at once; its storage is, when the service has been told.
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    sign_in(page)
    assert with_token(page) != first
    assert generated(deployed) == 2


def test_aurora_down_and_back(page: Page, deployed: Running) -> None:
    """
    The page waits as long as the service says; the test passes that time for both of them.
    """
    page.clock.install()
    with deployed.aurora.down():
        sign_in(page)
        expect(page.locator("#status")).to_have_text("Aurora is not available.")
        expect(page.locator("#turn")).to_have_text(re.compile(r"^Trying again in \d+ s$"))
        look(page, "5-aurora-down")
    deployed.clear()
    page.clock.fast_forward(31_000)
    with_token(page)


def test_who_has_to_wait_for_a_turn_sees_it_come(page: Page, deployed: Running) -> None:
    """
    Aurora's 429 moves everybody's turn; the page counts down and then has the token by itself.
    """
    wait = 9
    busy = {"status": 429, "headers": {"Retry-After": str(wait)}}
    deployed.aurora.fail({"operation": "list_users", "kind": "status", **busy})
    started = time.monotonic()
    sign_in(page)
    expect(page.locator("#status")).to_contain_text("Many people are signing in")
    expect(page.locator("#turn")).to_have_text(re.compile(r"^Your turn comes in \d s$"))
    look(page, "6-waiting")
    with_token(page)
    assert time.monotonic() - started >= wait
    assert generated(deployed) == 1


def test_who_waits_can_sign_out(page: Page, deployed: Running) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "60"}}
    deployed.aurora.fail({"operation": "list_users", "kind": "status", **busy})
    page.clock.install()
    sign_in(page)
    expect(page.locator("#turn-left")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.clock.fast_forward(70_000)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#problem")).to_be_hidden()
    assert generated(deployed) == 0


def test_a_sign_in_that_has_run_out(page: Page, deployed: Running) -> None:
    """
    The gateway's 401 carries no CORS header, so the page has to conclude it.
    """
    sign_in(page)
    with_token(page)
    expired = deployed.sign_in(EMAIL, exp=int(time.time()) - 60)
    page.evaluate(
        """expired => {
          const key = Object.keys(sessionStorage).find((each) => each.startsWith("oidc.user:"));
          const user = JSON.parse(sessionStorage[key]);
          sessionStorage[key] = JSON.stringify({ ...user, id_token: expired });
        }""",
        expired,
    )
    page.reload()
    expect(page.locator("#problem-title")).to_have_text("Your sign-in has run out")
    look(page, "7-signed-out")
    page.get_by_role("button", name="Sign in again").click()
    page.get_by_role("textbox", name="Subject").fill(EMAIL)
    page.get_by_role("button", name="Authorize", exact=True).click()
    with_token(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_refused_person_reads_why(page: Page, deployed: Running) -> None:
    deployed.aurora.add_users([{"id": ROBERT["id"], "account_status": "inactive"}])
    sign_in(page, ROBERT["email"])
    expect(page.locator("#problem-title")).to_have_text("You have no access to Aurora")
    expect(page.locator("#token")).to_be_hidden()
    page.get_by_text("What the service said").click()
    problem = json.loads(page.locator("#problem-raw").inner_text())
    assert problem["type"] == "urn:problem:aurora-token-vendor:user-not-eligible"
    assert problem["status"] == 403
    look(page, "8-refused")


def test_somebody_without_a_verified_address_reads_why(page: Page) -> None:
    sign_in(page, "stranger")
    expect(page.locator("#problem-title")).to_contain_text("verified e-mail address")


def test_denying_at_the_provider_is_said(page: Page) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Deny access").click()
    expect(page.locator("#problem")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()


def test_the_page_is_served_with_a_strict_policy(browser: Browser, deployed: Running) -> None:
    page = browser.new_page()
    answer = page.goto(deployed.stack.outputs.demo_url)
    assert answer
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    injected = page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.injected = true";
          document.body.append(script);
          return window.injected ?? false;
        }"""
    )
    assert not injected
    page.context.close()
