"""The fake Aurora as a server: `with FakeAurora.running() as aurora: ...` in a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from infra.fake_aurora.rules import Rules
from infra.fake_aurora.server import AuroraServer


class FakeAurora(Rules):
    """The rules at an address of loopback, `url`, while it runs."""

    url = ""
    _server: AuroraServer | None = None

    @classmethod
    @contextmanager
    def running(cls, *, port: int = 0, **arguments: Any) -> Iterator[Self]:
        """Serve a new fake on loopback until the block ends; port 0 picks a free one."""
        aurora = cls(**arguments)
        aurora.start(port)
        try:
            yield aurora
        finally:
            aurora.stop()

    def start(self, port: int = 0) -> None:
        """Serve on loopback; raises OSError where the port is taken."""
        self._server = AuroraServer(self, port)
        self.url = self._server.url

    def stop(self) -> None:
        """Close the port and every open connection, as an Aurora that is down; the state stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections during the block, then serve at the same address again."""
        port = int(self.url.rpartition(":")[2])
        self.stop()
        try:
            yield
        finally:
            self.start(port)
