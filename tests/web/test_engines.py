"""
The helper over what each browser engine itself offers: Chromium, Firefox ESR and WebKitGTK.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.web.chromium import chromium_arguments, chromium_path
from tests.support.tab import vended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.chromium import Site

pytestmark = pytest.mark.timeout(120)

PROGRAM = Path(__file__).parent / "pages" / "engine.js"
PAGE = b'<!doctype html><title>Engine</title><script type="module" src="/engine.js"></script>'
WITHIN = 60  # Seconds for a browser's first start on a busy machine.
MINI_BROWSERS = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))

# A proxy that nobody runs stands before all but this machine: Firefox calls home in many ways.
QUIET = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "datareporting.policy.dataSubmissionEnabled": False,
}

EXPECTED = {
    "tokens": ["first"] * 4,
    "aborted": "AbortError",
    "heard": ["first", "second", None],
    "loadedWith": {"token": "jwt-second"},
    "sessionLock": True,
    "overs": ["taken-over"],
    "stored": 0,
    "closed": "closed",
}


def command(engine: str, profile: Path) -> list[str]:
    """
    Give the command that opens the address that is put behind it.
    """
    if engine == "chromium":
        path = chromium_path() or pytest.fail("no Chromium: python -m infra.web.chromium")
        return [path, *chromium_arguments(), "--headless", f"--user-data-dir={profile}"]
    if engine == "firefox":
        path = shutil.which("firefox-esr") or shutil.which("firefox")
        if path is None:
            pytest.skip("no Firefox: apt-get install firefox-esr")
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(v)});" for name, v in QUIET.items()]
        (profile / "user.js").write_text("\n".join(lines))
        return [path, "--headless", "--no-remote", "--profile", str(profile)]
    if not (MINI_BROWSERS and shutil.which("xvfb-run")):
        pytest.skip("no WebKitGTK: apt-get install webkit2gtk-driver xvfb xauth")
    return ["xvfb-run", "--auto-servernum", str(MINI_BROWSERS[0]), "--private"]


@contextmanager
def opened(engine: str, url: str, profile: Path) -> Iterator[None]:
    """
    Start a browser, and keep a page open in it until the block ends.
    """
    environment = os.environ | {
        "HOME": str(profile),
        "MOZ_DISABLE_AUTO_SAFE_MODE": "1",
        # As root, and without a GPU, neither sandbox nor compositor starts.
        "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    with (profile / "log").open("wb") as log:
        browser = subprocess.Popen(
            [*command(engine, profile), url],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(browser.pid, signal.SIGTERM)
            browser.wait(20)


@pytest.mark.parametrize("engine", ["chromium", "firefox", "webkit"])
def test_engine_runs_the_helper(engine: str, loopback: Site, tmp_path: Path) -> None:
    loopback.answers = [json.dumps(vended(jti)["body"]).encode() for jti in ("first", "second")]
    loopback.release.set()
    loopback.files = {
        "/engine.html": (PAGE, "text/html"),
        "/engine.js": (PROGRAM.read_bytes(), "text/javascript"),
    }
    with opened(engine, f"{loopback.url}/engine.html", tmp_path):
        report: dict[str, Any] = json.loads(loopback.reports.get(timeout=WITHIN))
    assert report == EXPECTED
    assert loopback.asked == 2
