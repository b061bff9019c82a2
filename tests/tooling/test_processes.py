"""
What a local stack's child processes get, and what is said when one fails.

That none of them outlives `make run` is tested where people see it: tests/e2e/test_run.py.
"""

import socket
import sys
from pathlib import Path

import pytest

from infra.local.processes import LocalStackError, clean_environment, free_port, running

PYTHON = sys.executable


def test_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "synth.log"
    command = [PYTHON, "-c", "print('the reason'); raise SystemExit(3)"]
    with (
        running(command, log=log, env=clean_environment()) as child,
        pytest.raises(LocalStackError, match=r"(?s)synth failed with exit code 3.*the reason"),
    ):
        child.join(120)


def test_server_that_never_answers(tmp_path: Path) -> None:
    command = [PYTHON, "-c", "import time; time.sleep(60)"]
    with (
        running(command, log=tmp_path / "aws.log", env=clean_environment()) as child,
        pytest.raises(LocalStackError, match=r"aws was not ready within 0\.2 s"),
    ):
        child.wait_until(lambda: False, 0.2)


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
