"""
The helper over what each browser engine itself offers: Chromium, Firefox ESR and WebKitGTK.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.web.chromium import chromium_arguments, chromium_path
from tests.support.engines import environment, firefox, mini_browser
from tests.support.tab import vended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.chromium import Site

pytestmark = pytest.mark.timeout(120)

PROGRAM = Path(__file__).parent / "pages" / "engine.js"
PAGE = b'<!doctype html><title>Engine</title><script type="module" src="/engine.js"></script>'
WITHIN = 60  # Seconds for a browser's first start on a busy machine.

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
        return firefox(profile)
    return ["xvfb-run", "--auto-servernum", mini_browser(), "--private"]


@contextmanager
def opened(engine: str, url: str, profile: Path) -> Iterator[None]:
    """
    Start a browser, and keep a page open in it until the block ends.
    """
    with (profile / "log").open("wb") as log:
        browser = subprocess.Popen(
            [*command(engine, profile), url],
            env=environment(profile),
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
