"""The React hooks and the Vue composables, each in an app in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.npm import esbuild
from tests.support.site import Site
from tests.support.tab import HOUR, JESSICA, MINUTE, NOW, jwt, vended

PAGES = Path(__file__).parent / "pages"

type Start = Callable[..., Page]


@pytest.fixture(scope="module", params=["react.jsx", "vue.js"])
def bundle(request: pytest.FixtureRequest) -> bytes:
    page = PAGES / request.param
    arguments = ["--bundle", "--format=esm", "--log-level=error", "--jsx=automatic"]
    # Both have a development build, which does more: React's runs effects twice.
    arguments += ['--define:process.env.NODE_ENV="development"', "--loader=jsx"]
    arguments += [f"--define:{flag}=false" for flag in ("__VUE_OPTIONS_API__",)]
    return esbuild(*arguments, text=page.read_text()).encode()


@pytest.fixture
def start(context: BrowserContext, loopback: Site, bundle: bytes) -> Start:
    def start(*answers: dict[str, Any]) -> Page:
        loopback.answers = [*answers]
        loopback.files = {
            "/app.js": (bundle, "text/javascript"),
            "/counting.js": ((PAGES / "counting-loader.js").read_bytes(), "text/javascript"),
        }
        page = context.new_page()
        page.goto(loopback.url)
        page.evaluate("token => { window.callerToken = token; }", jwt(exp=4_000_000_000))
        page.evaluate("import('/app.js')")
        page.evaluate("mount()")
        return page

    return start


def reads(page: Page, **texts: str) -> None:
    """Wait until these elements have these texts."""
    for name, text in texts.items():
        element = name.replace("_", "-")
        page.wait_for_function(
            "([id, text]) => document.getElementById(id)?.textContent === text", arg=[element, text]
        )


def test_app_gets_one_token_and_opens_one_session(start: Start, loopback: Site) -> None:
    page = start(vended("first"), vended("second"))
    reads(page, token="first", sdk_1="session 1", error="", status="ready", over_1="")
    assert page.evaluate("[opened, left, loadedWith]") == [1, [], ["jwt-first"]]
    assert loopback.asked == 1


def test_leaving_closes_the_session_once_and_coming_back_opens_another(start: Start) -> None:
    page = start(vended("first"))
    reads(page, sdk_1="session 1")
    page.evaluate("unmount()")
    page.wait_for_function("left.length === 1")
    page.evaluate("mount()")
    reads(page, sdk_1="session 2")
    assert page.evaluate("[opened, left]") == [2, [1]]


def test_end_of_a_session_is_shown_and_loading_it_again_takes_it_away(start: Start) -> None:
    page = start(vended("first"))
    reads(page, sdk_1="session 1")
    page.evaluate("handlers['session.ended']()")
    reads(page, over_1="taken-over")
    page.evaluate("document.getElementById('reload-1').click()")
    reads(page, over_1="", sdk_1="session 2")
    page.evaluate("handlers['session.ended']()")
    reads(page, over_1="taken-over")


def test_components_share_the_session_that_one_of_them_loads_again(start: Start) -> None:
    page = start(vended("first"))
    reads(page, sdk_1="session 1")
    page.evaluate("document.getElementById('reload-2').click()")
    reads(page, sdk_1="session 2", sdk_2="session 2")
    assert page.evaluate("[opened, left]") == [2, [1]]


def test_problem_is_shown_and_trying_again_takes_it_away(start: Start, loopback: Site) -> None:
    page = start({"token": {}}, vended("first"))
    reads(page, error="unexpected-answer", status="failed")
    assert loopback.asked == 1
    page.evaluate("document.getElementById('refetch').click()")
    reads(page, error="", token="first", status="ready")


def test_end_of_a_session_is_near_until_another_is_loaded(
    start: Start, context: BrowserContext
) -> None:
    context.clock.install(time=NOW)
    page = start(vended("first"), vended("second"))
    reads(page, sdk_1="session 1", expiring_1="")
    page.clock.fast_forward(11 * HOUR + MINUTE)
    reads(page, expiring_1="soon")
    page.evaluate("document.getElementById('reload-1').click()")
    reads(page, token="second", sdk_1="session 2", expiring_1="")


def test_sign_out_takes_the_token_away(start: Start, loopback: Site) -> None:
    page = start(vended("first"))
    reads(page, token="first", sdk_1="session 1")
    page.evaluate("tokenSource.forget().catch(() => {})")
    reads(page, token="", over_1="signed-out")
    assert JESSICA["email"] not in page.content()
    assert loopback.asked == 1
