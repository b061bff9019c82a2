"""
Child processes that log to a file and leave nothing behind, and ports for them.

The reaper is ours because mirakuru, a library for this, finds what is left by an exit handler:
after a SIGKILL nothing runs one. It also hands the whole environment on.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REAPER = Path(__file__).with_name("child_reaper.py")
LOG_TAIL = 30
# The reaper ends its command for good after five seconds; a busy machine takes longer.
END_TIMEOUT = 60


class LocalStackError(Exception):
    """Say in one line, and the end of a log where there is one, why the local stack cannot run."""


class Child:
    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        directory: Path | None = None,
    ) -> None:
        self._name = log.stem
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-I", REAPER, *command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=directory,
                process_group=0,
            )

    def end(self) -> None:
        """End the command and everything it started; returns when they are gone."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(END_TIMEOUT)

    def join(self, timeout: float) -> None:
        """Wait for the command to succeed; raises LocalStackError when it does not in time."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.error(f"did not end within {timeout:g} s") from None
        if code:
            raise self.error(f"failed with exit code {code}")

    def wait_until(self, is_ready: Callable[[], bool], timeout: float) -> None:
        """Wait until a server answers; raises LocalStackError when it ends or takes too long."""
        deadline = time.monotonic() + timeout
        while not is_ready():
            if self._process.poll() is not None:
                raise self.error("ended before it was ready")
            if time.monotonic() > deadline:
                raise self.error(f"was not ready within {timeout:g} s")
            time.sleep(0.05)

    def error(self, what: str) -> LocalStackError:
        tail = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return LocalStackError("\n".join([f"{self._name} {what}; the end of {self._log}:", *tail]))


@contextmanager
def running(command: Sequence[str], *, log: Path, env: Mapping[str, str]) -> Iterator[Child]:
    child = Child(command, log=log, env=env)
    try:
        yield child
    finally:
        child.end()


def clean_environment(**variables: str) -> dict[str, str]:
    """Give a child what it needs: no credentials, proxies or Python settings of the shell."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    # The virtual environment's own Python and Node come first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return kept | {"PATH": path, "NO_COLOR": "1"} | variables


def free_port(preferred: int = 0) -> int:
    """Give the preferred port of loopback, or another where it is taken."""
    for port in (preferred, 0):
        # Who listens on all interfaces may leave loopback free to bind, and answers none the less.
        with socket.socket() as probe:
            if port and probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            # As servers do: a port that was left a moment ago counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LocalStackError("no port of 127.0.0.1 is free")
