"""The browsers with other engines than Chromium: where they are, and how they start quietly."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# A proxy that nobody runs stands before all but this machine: Firefox calls home in many ways.
QUIET: dict[str, int | str | bool] = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "datareporting.policy.dataSubmissionEnabled": False,
}


def firefox(profile: Path, **settings: int | str | bool) -> list[str]:
    """
    Give the command that starts Firefox without a window; skip the test where there is none.

    Settings have `_` for the `.` in Firefox's names.
    """
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("no Firefox: apt-get install firefox-esr")
    prefs = QUIET | {name.replace("_", "."): value for name, value in settings.items()}
    lines = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in prefs.items()
    ]
    (profile / "user.js").write_text("\n".join(lines))
    return [path, "--headless", "--no-remote", "--profile", str(profile)]


def mini_browser() -> str:
    """Give the path of WebKitGTK's own browser; skip the test where it cannot run."""
    found = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    if not (found and shutil.which("xvfb-run") and shutil.which("WebKitWebDriver")):
        pytest.skip("no WebKitGTK: apt-get install webkit2gtk-driver xvfb xauth")
    return str(found[0])


@contextmanager
def started(command: list[str], home: Path) -> Iterator[None]:
    """Start one of them, also as root and without a GPU, and end it with the block."""
    environment = os.environ | {
        "HOME": str(home),
        "MOZ_DISABLE_AUTO_SAFE_MODE": "1",
        "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    with (home / "log").open("wb") as log:
        browser = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(browser.pid, signal.SIGTERM)
            browser.wait(120)
