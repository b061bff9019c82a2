"""The demo page in a real browser, on the deployed local stack."""

import json
import os
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from infra.fake_aurora.users import JESSICA, ROBERT
from tests.e2e.conftest import Running
from tests.support.chromium import chromium

SCREENSHOTS = Path(__file__).parents[2] / ".local" / "screenshots"
# A page with everything in it, on a machine that does other things too.
PATIENCE = 120_000
NIGHTLY = pytest.mark.nightly
WITH_PICTURES = "NIGHTLY" in os.environ
SIZES = {
    "320": {"width": 320, "height": 640},
    "390": {"width": 390, "height": 844},
    "desktop": {"width": 1280, "height": 800},
}
EMAIL = JESSICA["email"]
# What a browser says of an answer that the page asked for, and tells in words.
EXPECTED_IN_CONSOLE = re.compile(r"Failed to load resource|blocked by CORS policy")
WATCH_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
      violations.push(`${effectiveDirective} ${blockedURI}`));
"""
# Code that is wider than its box: a phone shows no scroll bar, so nothing says that there is more.
CUT_OFF = """
    [...document.querySelectorAll("pre")]
      .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
      .map(({ textContent }) => textContent)
"""
DRAWN = "new Promise((drawn) => requestAnimationFrame(drawn))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """
    Give a fresh browser profile.

    A page that broke its own policy, threw, or asked another machine for anything fails the test.
    """
    complaints: list[str] = []
    hosts: set[str | None] = set()
    context = browser.new_context(color_scheme="light")
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    yield context
    context.close()
    assert hosts <= {"localhost", "127.0.0.1", None}
    assert [text for text in complaints if not EXPECTED_IN_CONSOLE.search(text)] == []


@pytest.fixture
def page(context: BrowserContext, deployed: Running) -> Page:
    """Open the demo page, with nobody signed in."""
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    page.goto(deployed.stack.outputs.demo_url)
    return page


def sign_in(page: Page, person: str = EMAIL) -> None:
    """Go through the provider's own sign-in page."""
    page.get_by_role("button", name="Sign in").click()
    authorize(page, person)


def authorize(page: Page, person: str) -> None:
    page.get_by_role("textbox", name="Subject").fill(person)
    page.get_by_role("button", name="Authorize", exact=True).click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def with_token(page: Page) -> str:
    """Wait for the token and give its `jti`."""
    jti = page.locator("#token-jti")
    expect(jti).not_to_be_empty()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    # Folded away.
    return jti.text_content() or ""


def enter(page: Page) -> str:
    """Sign in, and give the token's `jti`."""
    sign_in(page)
    return with_token(page)


def open_session(page: Page) -> None:
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")


def make_busy(deployed: Running, operation: str) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "50"}}
    deployed.aurora.fail({"operation": operation, "kind": "status", **busy})


def generated(deployed: Running) -> int:
    calls: dict[str, int] = deployed.aurora.stats()["calls"]
    return calls["generate_token"]


def open_tab(page: Page) -> Page:
    """Open a second tab, which is signed in like the first."""
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open a second tab").click()
    other: Page = opened.value
    with_token(other)
    return other


def look(page: Page, name: str, *, with_axe: bool = False) -> None:
    """
    Find nothing cut off in three sizes; `with_axe` nothing that it would say of the smallest.

    Every night, pictures are kept of each size and scheme, and axe looks at all of them.
    """
    # Nothing is drawn in a tab behind another.
    page.bring_to_front()
    usual = page.viewport_size
    assert usual
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate(CUT_OFF) == []
        if WITH_PICTURES or (with_axe and size == "320"):
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function(DRAWN)
                # Nothing but colours depends on the scheme.
                assert_accessible(
                    page, {} if scheme == "light" else {"runOnly": ["color-contrast"]}
                )
                if WITH_PICTURES:
                    keep_picture(page, f"{name}-{size}-{scheme}")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(usual)


def keep_picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # Chromium draws no frame that is out of sight.
    height = page.evaluate("document.documentElement.scrollHeight")
    assert page.viewport_size
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    for frame in page.main_frame.child_frames:
        if frame.frame_element().is_visible():
            frame.wait_for_function(DRAWN)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


def assert_accessible(page: Page, options: dict[str, Any]) -> None:
    """Fail on whatever axe finds; its script is large, and stays in a document."""
    axe = Axe("" if page.evaluate("'axe' in window") else AXE_SCRIPT)
    found = axe.run(page, options={"resultTypes": ["violations"], **options}).response
    violations: list[dict[str, Any]] = found["violations"]
    assert {each["id"]: [node["html"] for node in each["nodes"]] for each in violations} == {}


def focused(page: Page) -> str:
    """Give the id of the element that has the focus, which is in sight."""
    found: str = page.evaluate(
        """() => {
          const { activeElement } = document;
          return activeElement.checkVisibility() ? activeElement.id || activeElement.tagName : "";
        }"""
    )
    return found


def test_from_sign_in_to_a_loaded_sdk(page: Page, deployed: Running) -> None:
    """That no other machine is asked for anything is what the context's end asserts."""
    page.add_init_script(WATCH_VIOLATIONS)
    page.reload()
    # A region that comes into being with its text is not read out.
    status = page.get_by_role("status")
    expect(status).to_be_visible()
    expect(status).to_have_text("")
    look(page, "1-welcome", with_axe=True)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Authorize", exact=True)).to_have_css(
        "border-radius", "8px"
    )
    look(page, "0-sign-in-page", with_axe=True)
    authorize(page, EMAIL)
    jti = with_token(page)
    expect(status).to_have_text("You are signed in, and your token is ready.")
    assert focused(page) == "who"
    expect(page.locator("#who-name")).to_have_text(EMAIL)
    expect(page.locator("#token-email")).to_have_text(EMAIL)
    expect(page.locator("#token-user")).to_have_text(JESSICA["id"])
    expect(page.locator("#token-source")).to_have_text("Aurora, newly generated")
    left = page.locator("#token-left")
    expect(left).to_have_text(re.compile(r"^11 h \d+ min \d+ s$"))
    expect(left).not_to_have_text(left.inner_text())
    expect(page.locator("#stand-in")).to_be_visible()
    look(page, "2-token", with_axe=True)
    expect(page.locator("#load")).not_to_have_class("quiet")
    open_session(page)
    # What is done is offered quietly.
    expect(page.get_by_role("button", name="Load it again")).to_have_class("quiet")
    design = page.frame_locator("#cad-element iframe")
    expect(design.locator("#area")).to_have_text("A made-up roof: 15 panels, 25.5 m²")
    assert page.evaluate("violations") == []
    page.get_by_text("Its particulars").click()
    look(page, "3-sdk-loaded", with_axe=True)
    assert deployed.aurora.token_state(jti) == "live"
    config = page.evaluate("fetch('config.json').then((answer) => answer.json())")
    page.route("**/config.json", lambda route: route.fulfill(json=config | {"stand_in": False}))
    page.reload()
    assert with_token(page) == jti
    expect(page.locator("#token-source")).to_have_text("the vendor's store")
    expect(page.locator("#stand-in")).to_be_hidden()
    assert generated(deployed) == 1


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


def test_a_failed_token_is_replaced_in_every_tab(page: Page, deployed: Running) -> None:
    """The session that it closes goes on with the new one."""
    failed = enter(page)
    open_session(page)
    other = open_tab(page)
    assert with_token(other) == failed
    other.get_by_role("button", name="This token failed me").click()
    expect(other.locator("#token-jti")).not_to_have_text(failed)
    fresh = with_token(other)
    expect(page.locator("#token-jti")).to_have_text(fresh)
    expect(page.locator("#sdk-state")).to_contain_text("You have another token since")
    page.get_by_role("button", name="Continue here").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    assert (deployed.aurora.token_state(fresh), generated(deployed)) == ("live", 2)


def test_a_session_taken_over_is_said_and_can_be_taken_back(page: Page, deployed: Running) -> None:
    enter(page)
    open_session(page)
    other = open_tab(page)
    other.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#sdk-state")).to_contain_text("opened somewhere else")
    look(page, "4-taken-over")
    page.get_by_role("button", name="Continue here").click()
    expect(page.locator("#sdk-state")).to_contain_text("session is open")
    expect(other.locator("#sdk-state")).to_contain_text("opened somewhere else")
    assert generated(deployed) == 1


def test_a_token_that_aurora_refuses_is_said(page: Page, deployed: Running) -> None:
    """Generated behind the vendor's back, as by another system with the same key."""
    refused = enter(page)
    deployed.aurora.answer(
        "generate_token", deployed.aurora.tenant_id, deployed.aurora.api_key, JESSICA["id"]
    )
    page.get_by_role("button", name="Load the Client SDK").click()
    expect(page.locator("#problem-detail")).to_contain_text("another token was generated")
    look(page, "18-sdk-refused")
    page.get_by_role("button", name="This token failed me").click()
    expect(page.locator("#token-jti")).not_to_have_text(refused)
    open_session(page)


def test_signing_out_drops_the_token_everywhere(page: Page, deployed: Running) -> None:
    first = enter(page)
    other = open_tab(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator("#token")).to_be_hidden()
    expect(other.locator("#status")).to_have_text("You signed out in another tab.")
    expect(other.locator("#token")).to_be_hidden()
    expect(other.locator("#who")).to_be_hidden()
    expect(other.get_by_role("button", name="Sign in")).to_be_focused()
    look(other, "20-signed-out-elsewhere")
    expect(page.locator("#status")).to_have_text("You are signed out.")
    other.reload()
    expect(other.get_by_role("button", name="Sign in")).to_be_visible()
    # The page is signed out at once; its storage is, when the service has been told.
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert enter(page) != first
    assert generated(deployed) == 2


def test_aurora_down_and_back(page: Page, deployed: Running) -> None:
    """The page waits as long as the service says; the test passes that time for both of them."""
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
    """Aurora's 429 moves everybody's turn; the page counts down, then has the token by itself."""
    page.clock.install()
    make_busy(deployed, "list_users")
    sign_in(page)
    expect(page.locator("#status")).to_contain_text("Many people are signing in")
    expect(page.locator("#turn")).to_have_text(re.compile(r"^Your turn comes in \d+ s$"))
    deployed.clear()
    page.clock.fast_forward(51_000)
    with_token(page)
    assert generated(deployed) == 1


@NIGHTLY
def test_who_waits_can_sign_out(page: Page, deployed: Running) -> None:
    make_busy(deployed, "list_users")
    page.clock.install()
    sign_in(page)
    expect(page.locator("#turn-left")).to_be_visible()
    started = page.locator("#way .you").bounding_box()
    assert started
    page.clock.fast_forward(20_000)
    expect(page.locator("#turn-left")).to_have_text(re.compile(r"^[123]?\d s$"))
    page.wait_for_function(
        "x => document.querySelector('#way .you').getBoundingClientRect().x > x",
        arg=started["x"] + 50,
    )
    look(page, "6-waiting")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.clock.fast_forward(70_000)
    expect(page.locator("#queue")).to_be_hidden()
    expect(page.locator("#problem")).to_be_hidden()
    assert generated(deployed) == 0


def test_a_sign_in_that_has_run_out(page: Page, deployed: Running) -> None:
    """The gateway's 401 carries no CORS header, so the page has to conclude it."""
    enter(page)
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
    authorize(page, EMAIL)
    with_token(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_refused_person_reads_why_and_can_be_somebody_else(page: Page, deployed: Running) -> None:
    deployed.aurora.add_users([{"id": ROBERT["id"], "account_status": "inactive"}])
    sign_in(page, ROBERT["email"])
    expect(page.locator("#problem-title")).to_have_text("You have no access to Aurora")
    expect(page.locator("#token")).to_be_hidden()
    page.get_by_text("What the service said").click()
    problem = json.loads(page.locator("#problem-raw").inner_text())
    assert problem["type"] == "urn:problem:aurora-token-vendor:user-not-eligible"
    assert problem["status"] == 403
    look(page, "8-refused")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_role("button", name="Sign in as somebody else").click()
    page.get_by_role("button", name=f"Authorize as {EMAIL}").click()
    with_token(page)


def test_somebody_without_a_verified_address_reads_why_and_can_sign_in_anew(page: Page) -> None:
    """The same sign-in says the same again: another one is all that can help."""
    sign_in(page, "stranger")
    expect(page.locator("#problem-title")).to_contain_text("not verified yet")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    look(page, "9-not-verified")
    with page.expect_request(lambda request: "/oauth2/authorize" in request.url) as asked:
        page.get_by_role("button", name="Sign in again").click()
    assert "prompt=login" in asked.value.url
    page.get_by_role("button", name=f"Authorize as {EMAIL}").click()
    with_token(page)
    expect(page.locator("#who-name")).to_have_text(EMAIL)


@NIGHTLY
def test_denying_at_the_provider_is_said_and_leaves_a_way_on(page: Page) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Deny access").click()
    expect(page.locator("#problem-title")).to_have_text("You are not signed in")
    expect(page.locator("main")).not_to_contain_text("access_denied")
    assert focused(page) == "problem"
    look(page, "10-denied")
    enter(page)
    expect(page.locator("#problem")).to_be_hidden()


@NIGHTLY
def test_an_address_of_an_earlier_sign_in_leaves_a_way_on(page: Page, deployed: Running) -> None:
    page.goto(f"{deployed.stack.outputs.demo_url}/?code=used&state=stale")
    expect(page.locator("#problem-title")).to_have_text("That sign-in is no longer good")
    expect(page.locator("main")).not_to_contain_text("state")
    assert page.url == f"{deployed.stack.outputs.demo_url}/"
    look(page, "11-stale")
    enter(page)
    # Going back to it says nothing to somebody who is signed in.
    page.goto(f"{deployed.stack.outputs.demo_url}/?code=used&state=stale")
    with_token(page)
    expect(page.locator("#problem")).to_be_hidden()


def fulfill(answer: dict[str, Any], route: Route) -> None:
    route.fulfill(**answer)


@NIGHTLY
def test_a_page_without_its_configuration_says_so(page: Page) -> None:
    for answer in (
        {"status": 404, "body": "none"},
        {"status": 200, "body": "<!doctype html>"},
        {"status": 200, "body": '{"issuer": "x"}'},
    ):
        page.route("**/config.json", partial(fulfill, answer))
        page.reload()
        expect(page.locator("#problem-title")).to_have_text("This page could not start")
        assert focused(page) == "problem"
        page.unroute_all()
    look(page, "12-not-set-up")
    page.get_by_role("button", name="Load the page again").click()
    enter(page)


@NIGHTLY
def test_a_person_who_replaced_too_often_goes_on_with_the_token(
    page: Page, deployed: Running
) -> None:
    """The page stops offering what cannot be had, and says when it can."""
    page.clock.install()
    enter(page)
    deployed.use_up_renewals(EMAIL)
    spent = generated(deployed)
    page.reload()
    jti = with_token(page)
    page.get_by_role("button", name="This token failed me").click()
    note = page.locator("#replace-note")
    expect(note).to_have_text(re.compile(r"Possible again at \d\d:\d\d.*, in \d\d min"))
    assert with_token(page) == jti
    assert focused(page) == "replace-note"
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.get_by_role("button", name="This token failed me")).to_be_hidden()
    look(page, "14-replaced-too-often")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#problem-title")).to_have_text("You could not come back for a while")
    look(page, "24-before-signing-out")
    page.get_by_role("button", name="Stay signed in").click()
    open_session(page)
    expect(page.get_by_role("button", name="This token failed me")).to_be_hidden()
    assert generated(deployed) == spent
    page.clock.fast_forward(3_600_000)
    expect(page.get_by_role("button", name="This token failed me")).to_be_visible()


@NIGHTLY
def test_a_person_without_a_token_and_over_the_limit_waits_for_it(
    page: Page, deployed: Running
) -> None:
    """Signing out and in needs a token too; the page gets it by itself when the hour is over."""
    page.clock.install()
    enter(page)
    deployed.use_up_renewals(EMAIL)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#status")).to_have_text("You are signed out.")
    sign_in(page)
    expect(page.locator("#queue-title")).to_contain_text("as many tokens as an hour allows")
    expect(page.locator("#turn")).to_have_text(re.compile(r"^The next is yours in \d\d min \d+ s$"))
    expect(page.locator("#problem")).to_be_hidden()
    look(page, "15-over-the-limit")
    deployed.clear()
    page.clock.fast_forward(3_600_000)
    with_token(page)


@NIGHTLY
def test_a_new_token_is_tried_before_it_is_replaced(page: Page, deployed: Running) -> None:
    """Impatient clicks would use up what an hour allows."""
    failed = enter(page)
    page.get_by_role("button", name="This token failed me").dblclick()
    expect(page.locator("#token-jti")).not_to_have_text(failed)
    expect(page.locator("#status")).to_have_text("You have another token.")
    expect(page.get_by_role("button", name="This token failed me")).to_be_hidden()
    assert focused(page) == "token-title"
    look(page, "13-replaced")
    open_session(page)
    expect(page.get_by_role("button", name="This token failed me")).to_be_visible()
    assert generated(deployed) == 2


@NIGHTLY
def test_the_page_makes_a_takeover_and_a_queue_and_tells_what_happened(
    page: Page, deployed: Running
) -> None:
    page.clock.install()
    enter(page)
    open_session(page)
    events = page.locator("#events li strong")
    expect(events).to_have_text(
        ["Design opened with the token of this tab", "Aurora generated a token"]
    )
    page.get_by_role("button", name="Take the session over").click()
    expect(page.locator("#sdk-state")).to_contain_text("opened somewhere else")
    expect(events.nth(1)).to_have_text("You opened your design elsewhere")
    page.get_by_role("button", name="Make a queue").click()
    expect(page.locator("#turn")).to_have_text(re.compile(r"^Your turn comes in \d+ s$"))
    deployed.clear()
    look(page, "21-queue-made-here")
    page.clock.fast_forward(16_000)
    # What was over before has another token to go on with by now, and both cards say so.
    expect(page.locator("#sdk-state")).to_contain_text("You have another token since")
    expect(page.locator("#replace-note")).to_contain_text("This token is new")
    look(page, "22-replaced-after-a-takeover")
    page.reload()
    expect(events.first).to_have_text("The vendor had your token")
    expect(page.locator("#saved")).to_contain_text("It was spared")
    assert generated(deployed) == 1


@NIGHTLY
def test_an_outage_made_here_leaves_the_token_as_it_is(page: Page, deployed: Running) -> None:
    jti = enter(page)
    page.get_by_role("button", name="Make an outage").click()
    expect(page.locator("#turn")).to_have_text(re.compile(r"^Trying again in \d+ s$"))
    look(page, "23-outage-made-here")
    expect(page.locator("#token-jti")).to_have_text(jti)
    assert generated(deployed) >= 1


@NIGHTLY
def test_the_focus_is_moved_only_where_it_was_lost(page: Page, deployed: Running) -> None:
    page.clock.install()
    page.route(deployed.stack.outputs.token_url, lambda route: route.abort())
    sign_in(page)
    expect(page.locator("#problem-title")).to_have_text("The service cannot be reached")
    page.unroute_all()
    make_busy(deployed, "list_users")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#queue")).to_be_visible()
    assert focused(page) == "who"
    deployed.clear()
    page.clock.fast_forward(51_000)
    with_token(page)
    page.reload()
    with_token(page)
    assert focused(page) == "BODY"


@NIGHTLY
def test_what_happened_pushes_nothing_away(page: Page, deployed: Running) -> None:
    enter(page)
    page.reload()
    with_token(page)
    expect(page.locator("#status")).to_have_text("")
    before = page.locator("#token").bounding_box()
    held: list[Route] = []
    page.route(deployed.stack.outputs.token_url, partial(held.append), times=1)
    page.get_by_role("button", name="This token failed me").click()
    expect(page.locator("#status")).to_have_text("Getting another token …")
    assert page.locator("#token").bounding_box() == before
    look(page, "16-busy")
    held[0].continue_()
    expect(page.locator("#status")).to_have_text("You have another token.")
    after = page.locator("#token").bounding_box()
    assert before
    assert after
    assert after["y"] == before["y"]


@NIGHTLY
def test_a_queue_pushes_nothing_away_either(page: Page, deployed: Running) -> None:
    enter(page)
    before = [page.locator(each).bounding_box() for each in ("#token", "#sdk")]
    page.clock.install()
    make_busy(deployed, "generate_token")
    page.get_by_role("button", name="This token failed me").click()
    expect(page.locator("#turn")).to_be_visible()
    assert [page.locator(each).bounding_box() for each in ("#token", "#sdk")] == before
    look(page, "17-waiting-with-a-token")


def test_the_page_is_served_with_a_strict_policy(page: Page) -> None:
    answer = page.reload()
    assert answer
    policy = answer.headers["content-security-policy"]
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in directives["script-src"]
    assert "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
