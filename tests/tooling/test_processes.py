"""
Child processes end with whoever started them, however that happens.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from infra.local.processes import LocalStackError, clean_environment, free_port, running

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
# A command whose child ignores polite requests to end.
FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(60)
"""
STARTER = """
import sys
from pathlib import Path
from infra.local.processes import clean_environment, running
with running(sys.argv[2:], log=Path(sys.argv[1]), env=clean_environment()):
    input()
"""


def wait_for(condition: object, limit: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def alive(pids: Path) -> list[int]:
    """
    List the processes of the family that still run.
    """
    found = []
    for pid in map(int, pids.read_text().split() if pids.exists() else []):
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            found.append(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_starter(tmp_path: Path, number: signal.Signals) -> None:
    """Even SIGKILL of the starter ends its command and what that has started."""
    pids = tmp_path / "pids"
    command = [PYTHON, "-c", FAMILY, str(pids)]
    starter = subprocess.Popen(
        [PYTHON, "-c", STARTER, str(tmp_path / "log"), *command],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    with starter:
        wait_for(lambda: len(alive(pids)) == 2)
        starter.send_signal(number)
    wait_for(lambda: not alive(pids))


def test_ending_takes_the_grandchildren_along(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = [PYTHON, "-c", FAMILY, str(pids)]
    with running(command, log=tmp_path / "log", env=clean_environment()):
        wait_for(lambda: len(alive(pids)) == 2)
    wait_for(lambda: not alive(pids), limit=2)


def test_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "synth.log"
    command = [PYTHON, "-c", "print('the reason'); raise SystemExit(3)"]
    with (
        running(command, log=log, env=clean_environment()) as child,
        pytest.raises(LocalStackError, match=r"(?s)synth failed with exit code 3.*the reason"),
    ):
        child.join(10)


def test_server_that_never_answers(tmp_path: Path) -> None:
    command = [PYTHON, "-c", "import time; time.sleep(60)"]
    with (
        running(command, log=tmp_path / "aws.log", env=clean_environment()) as child,
        pytest.raises(LocalStackError, match=r"aws was not ready within 0\.2 s"),
    ):
        child.wait_until(lambda: False, 0.2)


def test_server_that_ends_early(tmp_path: Path) -> None:
    with (
        running([PYTHON, "-c", ""], log=tmp_path / "aws.log", env=clean_environment()) as child,
        pytest.raises(LocalStackError, match="aws ended before it was ready"),
    ):
        child.wait_until(lambda: False, 10)


def test_taken_port_is_replaced() -> None:
    """Whether it is taken on loopback or on every interface."""
    for address in ("127.0.0.1", ""):
        with socket.socket() as taken:
            taken.bind((address, 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert free_port(port) not in {port, 0}
    assert free_port(port) == port


def test_children_inherit_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AURORA_API_KEY", "sk_sand_0")
    given = clean_environment(EXTRA="1")
    assert given["EXTRA"] == "1"
    assert not {"AWS_PROFILE", "AURORA_API_KEY", "AWS_ACCESS_KEY_ID"} & set(given)
    assert given["PATH"].startswith(str(Path(sys.executable).parent))
