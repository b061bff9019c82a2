"""
The packed helper in bundlers and in the example app, run in a real browser.

`make web` installs the bundlers, which are too large for everybody's `make test`.
"""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.support.npm import WEB, built_files, installed, run
from tests.support.site import Site
from tests.support.tab import HOUR, JESSICA, MINUTE, NOW, jwt, vended

BUNDLERS = Path(__file__).parent / "bundlers"
EXAMPLE = WEB / "example"
DOCS = Path(__file__).parents[2] / "docs" / "frontend.md"
AURORAS_LOADER = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js"
# Nobody asks it anything: the person is signed in from the start.
ISSUER = "https://idp.example.com"
LOADER = """
export const load = async (options) => {
  window.opened = (window.opened ?? 0) + 1;
  return { loadedWith: options, event: { on: (name, handler) => { window[name] = handler; } } };
};
"""

pytestmark = pytest.mark.skipif(
    not all((folder / "node_modules" / "vite").exists() for folder in (BUNDLERS, EXAMPLE)),
    reason="the bundlers are not installed: make web does it",
)


@pytest.fixture(scope="module")
def bundlers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(BUNDLERS, tmp_path_factory.mktemp("bundlers") / "project")


def open_page(context: BrowserContext, loopback: Site) -> tuple[Page, list[str]]:
    """Open a page that sees Aurora's loader at its real address; list what it asks for."""
    loopback.answers = [vended("first")]
    asked: list[str] = []

    def aurora(route: Route) -> None:
        asked.append(route.request.url)
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(body=LOADER, content_type="text/javascript", headers=headers)

    context.route(AURORAS_LOADER, aurora)
    page = context.new_page()
    caller: Any = jwt(exp=4_000_000_000)
    page.add_init_script(f"window.callerToken = {json.dumps(caller)}")
    user = {"id_token": caller, "access_token": "a", "token_type": "Bearer", "profile": JESSICA}
    stored = f"'oidc.user:{ISSUER}:example', {json.dumps(json.dumps(user))}"
    page.add_init_script(f"sessionStorage.setItem({stored})")
    return page, asked


@pytest.mark.parametrize("bundler", ["esbuild", "rspack", "vite", "webpack"])
def test_bundle_imports_the_loader_from_auroras_address(
    bundlers: Path, context: BrowserContext, loopback: Site, bundler: str
) -> None:
    run("node", "build.js", bundler, cwd=bundlers)
    bundle = (bundlers / "dist" / bundler / "page.js").read_bytes()
    assert AURORAS_LOADER.encode() in bundle
    loopback.files = {"/page.js": (bundle, "text/javascript")}
    page, asked = open_page(context, loopback)
    page.goto(loopback.url)
    page.evaluate("import('/page.js')")
    page.wait_for_function("document.title === 'loaded with jwt-first'")
    assert asked == [AURORAS_LOADER]


@pytest.mark.parametrize("steps", [1, 2], ids=["a token", "and the SDK"])
def test_first_steps_of_the_docs_lead_to_a_page(
    tmp_path: Path, context: BrowserContext, loopback: Site, steps: int
) -> None:
    """In a clean folder, with the package as installed from the tarball."""
    blocks = re.findall(r"^   ```js\n(.*?)^   ```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    page_folder = installed(BUNDLERS, tmp_path / "my-page")
    (page_folder / "src").mkdir()
    (page_folder / "src" / "main.js").write_text(textwrap.dedent("".join(blocks[:steps])))
    html = '<!doctype html><body><script type="module" src="/src/main.js"></script></body>'
    (page_folder / "index.html").write_text(html)
    settings = {
        "VITE_TOKEN_URL": "/token",
        "VITE_ID_TOKEN": jwt(exp=4_000_000_000),
        "VITE_LOADER_URL": "/loader.js",
    }
    (page_folder / ".env.local").write_text(
        "".join(f"{name}={value}\n" for name, value in settings.items())
    )
    run("node_modules/.bin/vite", "build", cwd=page_folder)
    loopback.files = built_files(page_folder / "dist")
    loopback.answers = [vended("first")]
    page = context.new_page()
    page.goto(f"{loopback.url}/index.html")
    if steps == 1:
        page.get_by_text("A token until").wait_for()
    else:
        page.wait_for_selector("#cad-element", state="attached")
    assert loopback.asked == 1


def test_example_app_lives_through_its_session(
    tmp_path: Path, context: BrowserContext, loopback: Site
) -> None:
    """Built with its types checked, and driven from loading to a session opened elsewhere."""
    example = installed(EXAMPLE, tmp_path / "example")
    settings = {"VITE_TOKEN_URL": "/token", "VITE_ISSUER": ISSUER, "VITE_CLIENT_ID": "example"}
    run("npm", "run", "build", cwd=example, environment=settings)
    loopback.files = built_files(example / "dist")
    context.clock.install(time=NOW)
    page, asked = open_page(context, loopback)
    page.goto(f"{loopback.url}/index.html")
    page.get_by_role("heading", name="The design tool is open").wait_for()
    assert page.evaluate("opened") == 1
    assert asked == [AURORAS_LOADER]
    page.clock.fast_forward(11 * HOUR + MINUTE)
    page.get_by_text("Save your work.").wait_for()
    page.evaluate("window['session.ended']()")
    page.get_by_text("You opened a session somewhere else.").wait_for()
    page.get_by_role("button", name="Continue here").click()
    page.get_by_role("heading", name="The design tool is open").wait_for()
    assert page.evaluate("opened") == 2
