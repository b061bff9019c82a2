"""
The lines of docs/frontend.md as they are there: built by each framework, and run in a real browser.

`make web` installs Next.js and Angular, which are too large for everybody's `make test`.
"""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.support.npm import INFRA, MODULES, WEB, built_files, esbuild, installed, run
from tests.support.site import Site
from tests.support.tab import jwt, vended

FRAMEWORKS = Path(__file__).parent / "frameworks"
DOCS = Path(__file__).parents[2] / "docs" / "frontend.md"
AURORAS_LOADER = "https://aurora-sdk.s3.amazonaws.com/client-sdk-loader.next.js"
LOADER = """
export const load = async ({ token }) => {
  window.loadedWith = [...(window.loadedWith ?? []), token];
  window.mounts = [...(window.mounts ?? []), document.querySelector("#cad-element") !== null];
  return { event: { on: (name, handler) => { window[name] = handler; } } };
};
"""
# What a page of plain HTML has beside the lines of the docs.
PLAIN = """<!doctype html><title>A design</title><p id="said"></p>
<script>
  const auth = { getIdToken: () => sessionStorage.getItem("id_token") };
  const say = (text) => { document.getElementById("said").textContent = text; };
</script>
"""
# As Vite's plugin does with a component: it comes on standard input.
COMPILE_VUE = """
import { readFileSync } from "node:fs";
import { compileScript, parse } from "vue/compiler-sfc";
const { descriptor } = parse(readFileSync(0, "utf8"));
console.log(compileScript(descriptor, { id: "design", inlineTemplate: true }).content);
"""
AUTH = "export const getCallerToken = () => sessionStorage.getItem('id_token');"
# The files beside the lines.
REACT = {
    "auth.js": AUTH,
    "main.jsx": """
      import { createRoot } from "react-dom/client";
      import { Design } from "./design.jsx";
      createRoot(document.body).render(<Design />);
    """,
}
VUE = {
    "auth.js": AUTH,
    "main.jsx": """
      import { createApp } from "vue";
      import Design from "./design.js";
      createApp(Design).mount(document.body);
    """,
}
END_OF_SESSION = "window['session.ended']()"


def in_docs(framework: str, language: str) -> str:
    """Give the code block below the line that begins with this name."""
    pattern = rf"^{re.escape(framework)}.*?^```{language}\n(.*?)^```$"
    block = re.search(pattern, DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert block, f"docs/frontend.md has no lines for {framework}"
    return block[1]


def project(framework: str, tmp_path: Path) -> Path:
    """Copy what is around the lines, with the package as installed from `npm pack`."""
    folder = FRAMEWORKS / framework
    if not (folder / "node_modules").exists():
        pytest.skip(f"{framework} is not installed: make web does it")
    return installed(folder, tmp_path / framework)


def open_page(context: BrowserContext, loopback: Site) -> Page:
    """Open `/index.html` for a signed-in person, with Aurora's loader at its real address."""

    def aurora(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(body=LOADER, content_type="text/javascript", headers=headers)

    loopback.answers = [vended("first")]
    context.route(AURORAS_LOADER, aurora)
    page = context.new_page()
    caller = jwt(exp=4_000_000_000)
    page.add_init_script(f"sessionStorage.setItem('id_token', {json.dumps(caller)})")
    page.goto(f"{loopback.url}/index.html")
    page.wait_for_function("window.loadedWith?.length === 1")
    assert page.evaluate("loadedWith") == ["jwt-first"]
    return page


def test_plain_html_loads_the_sdk_and_says_when_its_session_is_over(
    context: BrowserContext, loopback: Site
) -> None:
    lines = in_docs("Plain HTML", "html").replace(
        "https://….execute-api.….amazonaws.com/token", "/token"
    )
    loopback.files = {"/index.html": (f"{PLAIN}{lines}".encode(), "text/html; charset=utf-8")}
    page = open_page(context, loopback)
    page.evaluate(END_OF_SESSION)
    page.get_by_text("Over: taken-over.").wait_for()


def bundled(files: dict[str, str], folder: Path) -> dict[str, tuple[bytes, str]]:
    """Bundle `main.jsx` of these files with esbuild, and give a site of it and one page."""
    files = files | {"aurora.js": in_docs("Keep one token source", "js")}
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "aurora-token-vendor").symlink_to(WEB)
    for name in ("react", "react-dom", "scheduler", "vue", "@vue"):
        (folder / "node_modules" / name).symlink_to(MODULES / name)
    for name, text in files.items():
        (folder / name).write_text(text)
    arguments = ["--bundle", "--format=esm", "--log-level=error", "--jsx=automatic"]
    arguments += ['--define:process.env.NODE_ENV="development"']
    arguments += ['--define:import.meta.env.VITE_TOKEN_URL="/token"']
    arguments += ["--define:import.meta.env.VITE_LOADER_URL=undefined"]
    script = esbuild(*arguments, "main.jsx", cwd=folder)
    page = b'<!doctype html><title>A design</title><script type="module" src="/app.js"></script>'
    return {
        "/index.html": (page, "text/html"),
        "/app.js": (script.encode(), "text/javascript; charset=utf-8"),
    }


@pytest.mark.parametrize("framework", ["React", "Vue"])
def test_component_loads_the_sdk_into_its_element_and_loads_it_again(
    tmp_path: Path, context: BrowserContext, loopback: Site, framework: str
) -> None:
    if framework == "React":
        files = REACT | {"design.jsx": in_docs("React", "jsx")}
    else:
        compile_vue = ("node", "--input-type=module", "--eval", COMPILE_VUE)
        component = run(*compile_vue, cwd=INFRA, text=in_docs("Vue", "vue"))
        files = VUE | {"design.js": component}
    loopback.files = bundled(files, tmp_path)
    page = open_page(context, loopback)
    page.get_by_text("Loading …").wait_for(state="detached")
    page.evaluate(END_OF_SESSION)
    page.get_by_role("button", name="Load it again").click()
    page.wait_for_function("loadedWith.length === 2")
    assert page.evaluate("mounts") == [True, True]


def test_next_builds_the_client_component_which_loads_the_sdk(
    tmp_path: Path, context: BrowserContext, loopback: Site
) -> None:
    """The build checks the types and renders the page on the server, which must ask for nothing."""
    app = project("next", tmp_path)
    (app / "app" / "design.tsx").write_text(in_docs("Next.js", "tsx"))
    settings = {"NEXT_PUBLIC_TOKEN_URL": "/token", "NEXT_TELEMETRY_DISABLED": "1"}
    next_ = app / "node_modules" / ".bin" / "next"
    run(next_, "build", cwd=app, environment=settings)
    loopback.files = built_files(app / "out")
    assert b"Loading" in loopback.files["/index.html"][0]
    page = open_page(context, loopback)
    assert page.evaluate("mounts") == [True]
    page.evaluate(END_OF_SESSION)
    page.get_by_role("button", name="Load it again").click()
    page.wait_for_function("loadedWith.length === 2")


def test_angular_builds_the_service_which_loads_the_sdk(
    tmp_path: Path, context: BrowserContext, loopback: Site
) -> None:
    app = project("angular", tmp_path)
    (app / "src" / "app" / "aurora.ts").write_text(in_docs("Angular", "ts"))
    ng = app / "node_modules" / ".bin" / "ng"
    run(ng, "build", cwd=app, environment={"NG_CLI_ANALYTICS": "false"})
    loopback.files = built_files(app / "dist" / "browser")
    page = open_page(context, loopback)
    page.get_by_text("The design tool is open").wait_for()
    page.evaluate(END_OF_SESSION)
    page.get_by_text("It is over: taken-over").wait_for()
