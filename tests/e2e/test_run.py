"""`make run` as people use it: it vends, prints, says what it did, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.fake_aurora.fake_aurora import FakeAurora
from infra.local.__main__ import main

Call = Callable[..., tuple[object, str, str]]

ROOT = Path(__file__).parents[2]
START_LIMIT = 600
END_LIMIT = 120


@contextmanager
def started(home: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start it in an empty folder, where it keeps its `.local`."""
    # The temporary folder marks every process that belongs to this run.
    marked = {"PYTHONPATH": str(ROOT), "TMPDIR": str(home), "COLUMNS": "200"}
    with (
        (home / "out").open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", "infra.local", "run"],
            cwd=home,
            env=os.environ | marked | variables,
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Give what carries out a command line in the folder of the run: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["infra.local", *arguments])
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return call


def until(condition: Callable[[], object], limit: float, home: Path) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, (home / "out").read_text()
        time.sleep(0.1)


def processes(home: Path) -> list[str]:
    """List the processes whose command or environment names the folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
            if str(home).encode() in said:
                found.append(said.split(b"\0\0")[0].decode(errors="replace"))
    return found


def is_open(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", parts.port or 80)) == 0


@pytest.mark.nightly
def test_run_vends_and_ends(tmp_path: Path, call: Call) -> None:
    """It vends and prints no secret; `stop` ends all of it."""
    outputs_file = tmp_path / ".local" / "outputs.json"
    with started(tmp_path) as run:
        until(lambda: run.poll() is not None or b"Ctrl-C" in out(tmp_path), START_LIMIT, tmp_path)
        printed = out(tmp_path).decode()
        assert '"source": "generated"' in printed, printed
        assert not re.search(r"sk_sand_|eyJ[\w-]+\.[\w-]+", printed)
        outputs = json.loads(outputs_file.read_text())
        assert all(is_open(url) for url in addresses(outputs))
        code, _, told = call("stop")
        assert code == 0, told
        assert run.wait(END_LIMIT) == 0, out(tmp_path).decode()
    assert processes(tmp_path) == []
    assert not any(is_open(url) for url in addresses(outputs))
    assert not outputs_file.exists()
    assert not list(tmp_path.glob("token-vendor-*"))


def test_run_that_ends_while_it_starts(tmp_path: Path, call: Call) -> None:
    """Until then a second one refuses; `stop` leaves neither process nor file behind."""
    with started(tmp_path) as run:
        until(lambda: len(processes(tmp_path)) > 4, START_LIMIT, tmp_path)
        code, _, told = call("run")
        assert code == 1
        assert f"runs here already (process {run.pid}): make stop" in told
        code, told, _ = call("stop")
        assert code == 0
        assert str(run.pid) in told
        assert run.wait(END_LIMIT) == 0, out(tmp_path).decode()
    assert b"nothing is left running" in out(tmp_path)
    assert processes(tmp_path) == []
    assert not list(tmp_path.glob("token-vendor-*"))


def test_killed_run_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL while everything is being started: no MiniStack, no CDK, no Node remains."""
    with started(tmp_path) as run:
        until(lambda: len(processes(tmp_path)) > 4, START_LIMIT, tmp_path)
        run.kill()
    until(lambda: not processes(tmp_path), END_LIMIT, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("invite", "says", "calls"), [("", "user-not-eligible", 0), ("true", '"generated"', 1)]
)
def test_in_front_of_another_aurora(tmp_path: Path, invite: str, says: str, calls: int) -> None:
    """The named Aurora is called, with its key; nobody is invited there unprompted."""
    with FakeAurora.running(users=[], port=0) as other:
        named = {
            "AURORA_URL": other.url,
            "AURORA_TENANT_ID": other.tenant_id,
            "AURORA_API_KEY": other.api_key,
            "AURORA_INVITE": invite,
            # A terminal of Windows, which lacks the signs of the steps.
            "PYTHONIOENCODING": "cp1252",
        }
        with started(tmp_path, **named) as run:
            until(
                lambda: run.poll() is not None or b"Ctrl-C" in out(tmp_path), START_LIMIT, tmp_path
            )
            # As Ctrl-C does.
            run.send_signal(signal.SIGINT)
            assert run.wait(END_LIMIT) == 0
        printed = out(tmp_path).decode("cp1252")
        assert says in printed
        assert ("AURORA_INVITE=true" in printed) == (not invite)
        assert other.api_key not in printed
        counted = other.stats()["calls"]
        assert (counted["invite_user"], counted["generate_token"]) == (calls, calls)


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        pytest.param(["login", "a@b.c"], {}, "No local stack runs here", id="login before run"),
        pytest.param(["stop"], {}, "No local stack runs here", id="stop before run"),
        pytest.param(
            ["run"], {"AURORA_URL": "https://x"}, "missing: AURORA_TENANT_ID", id="half an Aurora"
        ),
    ],
)
def test_wrong_use_is_one_line(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    message: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, _, told = call(*arguments)
    assert code == 1
    assert message in told
    assert told.count("\n") == 1


def addresses(outputs: dict[str, str]) -> list[str]:
    return [outputs[name] for name in ("issuer", "aws_endpoint_url", "aurora_url", "demo_url")]


def out(home: Path) -> bytes:
    return (home / "out").read_bytes()
