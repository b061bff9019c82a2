"""The helper over what Node and each engine itself offers: Chromium, Firefox ESR and WebKitGTK."""

import json
from pathlib import Path
from typing import Any

import pytest
from token_vendor.problems import CATALOGUE

from infra.web.chromium import chromium_arguments, chromium_path
from tests.support.engines import firefox, mini_browser, started
from tests.support.npm import WEB, run
from tests.support.site import Site

NIGHTLY = pytest.mark.nightly
OTHERS = ("firefox", "webkit")

PAGES = Path(__file__).parent / "pages"
PAGE = b"""<!doctype html><title>Engine</title>
<script>
  onerror = (what) => fetch("/report", { method: "POST", body: JSON.stringify({ what }) });
</script>
<script type="module" src="/engine.js"></script>"""
SCENES = """
import * as token from "{site}/aurora-token.js";
import * as sdk from "{site}/sdk.js";
import * as sources from "{site}/sources.js";
import * as hooks from "{site}/hooks.js";
import {{ run }} from "{pages}/scenes.js";
globalThis.catalogue = {catalogue};
const text = JSON.stringify(await run(token, sdk, sources, hooks));
"""
STATUSES = json.dumps({slug: problem.status for slug, problem in CATALOGUE.items()})
WITHIN = 600  # Seconds for a first start on a busy machine, and for every scene.


def command(engine: str, profile: Path) -> list[str]:
    """Give the command that opens the address that is put behind it."""
    if engine == "chromium":
        path = chromium_path() or pytest.fail("no Chromium: python -m infra.web.chromium")
        return [path, *chromium_arguments(), "--headless", f"--user-data-dir={profile}"]
    if engine == "firefox":
        return firefox(profile)
    return ["xvfb-run", "--auto-servernum", mini_browser(), "--private"]


def report(engine: str, loopback: Site, profile: Path) -> dict[str, Any]:
    """Open the page, and wait for what its program posts."""
    with started([*command(engine, profile), f"{loopback.url}/engine.html"], profile):
        body: dict[str, Any] = json.loads(loopback.reports.get(timeout=WITHIN))
    return body


@pytest.mark.parametrize(
    "engine", ["node", "chromium", *(pytest.param(each, marks=NIGHTLY) for each in OTHERS)]
)
def test_every_scene_ends_as_it_should(engine: str, loopback: Site, tmp_path: Path) -> None:
    """What is wrong is listed by the scene's name in pages/scenes.js."""
    if engine == "node":
        program = SCENES.format(site=WEB.as_uri(), pages=PAGES.as_uri(), catalogue=STATUSES)
        program += "console.log(text); process.exit();"
        command = ("node", "--no-warnings", "--input-type=module", "--eval", program)
        said = json.loads(run(*command, cwd=tmp_path))
    else:
        program = SCENES.format(site="", pages="", catalogue=STATUSES)
        program += 'await fetch("/report", { method: "POST", body: text });'
        loopback.files = {
            "/engine.html": (PAGE, "text/html"),
            "/engine.js": (program.encode(), "text/javascript"),
            "/scenes.js": ((PAGES / "scenes.js").read_bytes(), "text/javascript"),
            "/requests.js": ((PAGES / "requests.js").read_bytes(), "text/javascript"),
            "/stage.js": ((PAGES / "stage.js").read_bytes(), "text/javascript"),
        }
        said = report(engine, loopback, tmp_path)
    assert len(said) > 90
    assert {name: wrong for name, wrong in said.items() if wrong} == {}
