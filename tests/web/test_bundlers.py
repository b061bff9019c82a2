"""
The packed helper in bundlers and in the example app, run in a real browser.

`make web` installs the bundlers, which are too large for everybody's `make test`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.npm import WEB, pack, run
from tests.support.tab import HOUR, MINUTE, NOW, jwt, vended

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

    from tests.support.chromium import Site

BUNDLERS = Path(__file__).parent / "bundlers"
EXAMPLE = WEB / "example"
AURORAS_LOADER = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js"
LOADER = """
export const load = async (options) => {
  window.opened = (window.opened ?? 0) + 1;
  return { loadedWith: options, event: { on: (name, handler) => { window[name] = handler; } } };
};
"""

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not all((folder / "node_modules" / "vite").exists() for folder in (BUNDLERS, EXAMPLE)),
        reason="the bundlers are not installed: make web does it",
    ),
]


def installed(folder: Path, into: Path) -> Path:
    """
    Copy a project, and have npm install the tarball that `npm pack` makes.
    """
    shutil.copytree(folder, into, copy_function=_link, symlinks=True)
    tarball = pack(into)
    command = ("npm", "install", "--no-save", "--offline", "--ignore-scripts", "--no-audit")
    run(*command, "--silent", tarball, cwd=into)
    assert (into / "node_modules" / "aurora-token-vendor" / "aurora-token.js").is_file()
    return into


def _link(source: str, target: str) -> None:
    """
    Link what is installed, because a copy takes longer than a build; npm writes its list in place.
    """
    (shutil.copyfile if source.endswith(".package-lock.json") else os.link)(source, target)


@pytest.fixture(scope="module")
def bundlers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(BUNDLERS, tmp_path_factory.mktemp("bundlers") / "project")


def open_page(context: BrowserContext, loopback: Site) -> tuple[Page, list[str]]:
    """
    Open a page that sees Aurora's loader at its real address, and list what it asks for there.
    """
    loopback.answers = [json.dumps(each["body"]).encode() for each in (vended("first"),)]
    loopback.release.set()
    asked: list[str] = []

    def aurora(route: Route) -> None:
        asked.append(route.request.url)
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(body=LOADER, content_type="text/javascript", headers=headers)

    context.route(AURORAS_LOADER, aurora)
    page = context.new_page()
    caller: Any = jwt(exp=4_000_000_000)
    page.add_init_script(f"window.callerToken = {json.dumps(caller)}")
    page.add_init_script(f"sessionStorage.setItem('id_token', {json.dumps(caller)})")
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


def test_example_app_lives_through_its_session(
    tmp_path: Path, context: BrowserContext, loopback: Site
) -> None:
    """
    Built with its types checked, and driven from loading to a session opened elsewhere.
    """
    example = installed(EXAMPLE, tmp_path / "example")
    run("npm", "run", "build", cwd=example)
    kinds = {".html": "text/html", ".js": "text/javascript"}
    for file in (example / "dist").rglob("*.*"):
        path = f"/{file.relative_to(example / 'dist')}"
        loopback.files[path] = (file.read_bytes(), kinds[file.suffix])
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
