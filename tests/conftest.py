"""What every suite shares: a network guard, a fake Aurora, and a clock that tests turn."""

import functools
import ipaddress
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from xdist.scheduler import LoadScopeScheduling

from infra.fake_aurora.fake_aurora import FakeAurora
from tests.support.clock import Clock
from tests.support.settings import ENVIRONMENT

# Before any test module makes a client: whatever credentials the machine has are not for tests.
for variable in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[variable]
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    POWERTOOLS_SERVICE_NAME="token-vendor-test",
)
# The handler is wired when it is imported. Its settings must not stay: `make run`, which a test
# starts, takes AURORA_URL for somebody's real Aurora.
with pytest.MonkeyPatch.context() as patch:
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)
    import token_vendor.handler  # noqa: F401


# Hundreds of tests make clients of their own; reading DynamoDB's model takes each 50 ms.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)  # type: ignore[attr-defined]


SHARED = {
    "a stack": tuple(
        f"tests/e2e/test_{subject}"
        for subject in (
            *("browser", "contract", "engines", "example_app"),
            *("local_stack", "operator", "other_pages"),
        )
    ),
    "a synth": tuple(
        f"tests/infrastructure/test_{subject}"
        for subject in (
            *("cost", "documented", "monitoring", "platform_options", "rollout", "schedule"),
            *("stack", "template_lint", "upgrade", "website"),
        )
    ),
}
"""What is slow to make, and the tests that share it; the first that fits."""


class ByWhatIsShared(LoadScopeScheduling):
    """Keep in one process what shares something slow to make, and else a file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((what for what, files in SHARED.items() if file.startswith(files)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give `make test`, which runs several processes, its order."""
    return ByWhatIsShared(config, log)


IMPORTED_EARLY: set[str] = set()


def pytest_collection_finish() -> None:
    """Look for what takes seconds to import, in a process that may run none of its tests."""
    IMPORTED_EARLY.update({"aws_cdk", "cfnlint"} & sys.modules.keys())


@pytest.fixture(autouse=True, scope="session")
def collecting_is_quick() -> None:
    assert not IMPORTED_EARLY, "import it where it is used: every process imports every test"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what did not run; each reason names the command that changes it."""
    skipped = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    if skipped:
        told = "; ".join(f"{number} ({reason})" for reason, number in skipped.items())
        terminalreporter.write_line(f"skipped: {told}")


class NetworkForbiddenError(AssertionError):
    """Name the address that a test wanted to reach."""


def _is_loopback(address: Any) -> bool:
    if not isinstance(address, tuple):
        # A Unix socket.
        return True
    host = str(address[0])
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Refuse every connection of this process that would leave the machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_loopback(address):
            raise NetworkForbiddenError(f"tests stay on this machine, not {address!r}")
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        if not _is_loopback(address):
            raise NetworkForbiddenError(f"tests stay on this machine, not {address!r}")
        return connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        patch.setattr(socket.socket, "connect_ex", guarded_ex)
        yield


@pytest.fixture
def fake_aurora() -> Iterator[FakeAurora]:
    """Serve a fake Aurora on a free port: `.url`, `.api_key`, `.tenant_id`, and direct access."""
    with FakeAurora.running() as aurora:
        yield aurora


@pytest.fixture
def clock() -> Clock:
    """Give a clock that a test moves."""
    return Clock()
