"""
The example app, with the package as installed from `npm pack`, on the deployed local stack.

`make web` installs what builds it, which is too large for everybody's `make test`.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from infra.fake_aurora.users import JESSICA
from infra.local.stack import EXAMPLE_ORIGIN
from tests.e2e.conftest import Running
from tests.support.chromium import chromium
from tests.support.npm import WEB, built_files, installed, run
from tests.support.site import site

EXAMPLE = WEB / "example"
PATIENCE = 120_000
EMAIL = JESSICA["email"]

pytestmark = pytest.mark.skipif(
    not (EXAMPLE / "node_modules" / "vite").exists(),
    reason="what builds the example is not installed: make web does it",
)


@pytest.fixture(scope="module")
def files(
    running: Running, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[bytes, str]]:
    outputs = running.stack.outputs
    settings = {
        "VITE_TOKEN_URL": outputs.token_url,
        "VITE_ISSUER": outputs.issuer,
        "VITE_CLIENT_ID": outputs.client_id,
        "VITE_LOADER_URL": f"{outputs.aurora_url}/client-sdk-loader.next.js",
    }
    example = installed(EXAMPLE, tmp_path_factory.mktemp("example") / "app")
    run("npm", "run", "build", cwd=example, environment=settings)
    return built_files(example / "dist")


@pytest.fixture
def page(
    deployed: Running,  # noqa: ARG001  # It is as nobody has used it.
    files: dict[str, tuple[bytes, str]],
) -> Iterator[Page]:
    """
    Open the app at the origin that Vite serves it at, with nobody signed in.

    The port of that origin may be taken: the browser is told to go to another one for it.
    """
    with site() as server:
        server.files = files | {"/": files["/index.html"]}
        rule = f"MAP {urlsplit(EXAMPLE_ORIGIN).netloc} {urlsplit(server.url).netloc}"
        with chromium(f"--host-resolver-rules={rule}") as browser, browser.new_context() as context:
            context.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            page = context.new_page()
            page.goto(EXAMPLE_ORIGIN)
            yield page


def sign_in(page: Page) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("textbox", name="Subject").fill(EMAIL)
    page.get_by_role("button", name="Authorize", exact=True).click()


def opened(page: Page) -> None:
    expect(page.get_by_role("heading", name="The design tool is open")).to_be_visible()


class Vended:
    """What `POST /token` answers to a page from here on."""

    def __init__(self, page: Page, deployed: Running) -> None:
        self._requests: list[Request] = []
        self._url = deployed.stack.outputs.token_url
        page.on("requestfinished", self._remember)

    def _remember(self, request: Request) -> None:
        if (request.method, request.url) == ("POST", self._url):
            self._requests.append(request)

    def jtis(self) -> list[str]:
        answers = [request.response() for request in self._requests]
        return [answer.json()["token"]["jti"] for answer in answers if answer and answer.ok]


def test_person_signs_in_works_replaces_a_token_and_signs_out(
    page: Page, deployed: Running
) -> None:
    vended = Vended(page, deployed)
    sign_in(page)
    opened(page)
    expect(page.locator("header")).to_contain_text(EMAIL)
    # The stand-in draws into the element that the app has for it.
    expect(page.locator("#cad-element iframe")).to_be_visible()
    (first,) = vended.jtis()
    assert deployed.aurora.token_state(first) == "live"
    with page.expect_response(deployed.aurora.url + "/_control/sessions"):
        page.get_by_role("button", name="This token failed").click()
    opened(page)
    _, second = vended.jtis()
    assert (second != first, deployed.aurora.token_state(second)) == (True, "live")
    with page.expect_request_finished(lambda request: request.method == "DELETE") as request:
        page.get_by_role("button", name="Sign out").click()
    assert request.value.response().status == 204  # type: ignore[union-attr]
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.wait_for_function("sessionStorage.length === 0")
    assert deployed.vend(EMAIL)["source"] == "generated"


def test_person_who_replaced_too_often_is_told_and_goes_on(page: Page, deployed: Running) -> None:
    deployed.use_up_renewals(EMAIL)
    vended = Vended(page, deployed)
    sign_in(page)
    opened(page)
    page.get_by_role("button", name="This token failed").click()
    expect(page.get_by_role("status")).to_contain_text("Possible again at")
    opened(page)
    (jti,) = vended.jtis()
    assert deployed.aurora.token_state(jti) == "live"
