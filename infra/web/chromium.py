"""
Find the Chromium that the browser tests drive; install Debian's where there is none.

    python -m infra.web.chromium

The headless shell is Chromium without its windows; a fresh profile and a page cost it a fifth of
the processor time. Playwright's own builds come from a host that a company's machines often
cannot reach; Debian's package comes from the mirror that they already use.
"""

import os
import shutil
import subprocess
import sys

PACKAGE = "chromium-headless-shell"
NAMES = (PACKAGE, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these, Chromium calls home, tries UDP, and wants a GPU that no test machine has.
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
INSTALL_WITHIN = 600  # Seconds for each of apt-get's two steps, on a slow mirror.


class NoChromiumError(RuntimeError):
    """Say in one line what to install."""


def chromium_path() -> str | None:
    """Give the path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def chromium_arguments() -> list[str]:
    """Give the arguments for a quiet Chromium; as root, its sandbox cannot start."""
    return [*QUIET, "--no-sandbox"] if os.geteuid() == 0 else list(QUIET)


def ensure_chromium() -> str:
    """
    Give the path of Chromium, after installing Debian's headless shell where that is possible.

    Where it is not, any other Chromium serves. Raises NoChromiumError where there is none.
    """
    path = chromium_path()
    if path and path.endswith(PACKAGE):
        return path
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium for the browser tests (about a minute) ...", flush=True)
        try:
            _apt_get("update")
            _apt_get("install", "--yes", "--no-install-recommends", PACKAGE)
        except NoChromiumError:
            if not path:
                raise
        path = chromium_path()
    if path:
        return path
    raise NoChromiumError(
        f"The browser tests need one of {', '.join(NAMES)} on PATH; "
        f"on Debian and Ubuntu: sudo apt-get install {PACKAGE}"
    )


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "--quiet", "--quiet", *arguments]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            env=environment,
            timeout=INSTALL_WITHIN,
        )
    except subprocess.TimeoutExpired as exc:
        raise NoChromiumError(f"{' '.join(command)} took over {INSTALL_WITHIN} s") from exc
    except subprocess.CalledProcessError as exc:
        last = (exc.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoChromiumError(f"{' '.join(command)} failed: {last}") from exc


def main() -> None:
    """Make sure that there is a Chromium; say nothing where there is one."""
    try:
        ensure_chromium()
    except NoChromiumError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
