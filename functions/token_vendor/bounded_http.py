"""
urllib3 with one clock over the whole answer, and a cap on its size.

A socket's time-out starts anew with every byte. A peer that drips headers, chunk sizes or trailers
would hold the function until Lambda kills it. Errors name the type of what happened, never its
text: a broken answer may echo our request, and with it the API key.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

# It logs headers that it cannot parse, which may echo our own.
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)
IDLE_LIMIT = 5
"""Seconds after which a kept connection is not trusted: Lambda froze, Aurora may have hung up."""


class ExchangeError(Exception):
    """
    No usable answer came.

    Args:
        reason: What happened, for the log.
        sent: Whether anything had left: if so, the server may have acted on the request.

    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class TooSlowError(ExchangeError):
    """The connection or the answer did not end in time."""


class TooLargeError(ExchangeError):
    """The answer is larger than its limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server answered; header names in any case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class BoundedHTTP:
    """Send one request at a time over one kept connection; time-outs in seconds."""

    def __init__(
        self, *, connect_timeout: float, read_timeout: float, clock: Callable[[], float]
    ) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._clock = clock
        self._used_at = 0.0
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False)
        self._pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def request(  # noqa: PLR0913 - what there is to say of a request.
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Any,
        remaining: float,
        limit: int,
    ) -> Answer:
        """
        Send a request, with `body` as JSON, and return its answer within `remaining` seconds.

        Of the answer's body at most `limit` bytes are read.

        Raises:
            ExchangeError: None came; `sent` says whether the server may have acted.

        """
        if self._clock() - self._used_at > IDLE_LIMIT:
            self._pool.clear()
        connect = min(self._connect_timeout, remaining / 2)
        patience = min(self._read_timeout, remaining - connect)
        give_up_at = time.monotonic() + patience
        _request.sent = False
        try:
            response: Any = self._pool.request(
                method,
                url,
                headers=headers,
                json=body,
                timeout=urllib3.Timeout(connect=connect, read=patience),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                data = _read(response, limit, give_up_at)
            except BaseException:
                response.close()
                raise
            finally:
                if watchdog := getattr(response, "watchdog", None):
                    watchdog.cancel()
            response.release_conn()
        except (HTTPError, OSError, ValueError) as exc:
            name, sent = type(exc).__name__, _request.sent
            # urllib3 counts a refused connection among its time-outs.
            timed_out = isinstance(exc, HTTPTimeoutError) and not isinstance(
                exc, NewConnectionError
            )
            if timed_out or time.monotonic() > give_up_at:
                raise TooSlowError(f"no answer in time: {name}", sent=sent) from None
            raise ExchangeError(name, sent=sent) from None
        finally:
            self._used_at = self._clock()
        return Answer(status=response.status, headers=response.headers, data=data)


def _read(response: Any, limit: int, give_up_at: float) -> bytes:
    """Read a body as its bytes come; nothing is decompressed: a small answer stays small."""
    data = bytearray()
    while True:
        chunk = response.read1(65_536)
        # Checked before the end of the body, because an answer that was cut off may look whole.
        if time.monotonic() > give_up_at:
            raise TooSlowError("the answer did not end in time", sent=True)
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > limit:
            raise TooLargeError(f"an answer of more than {limit} bytes", sent=True)


_request = threading.local()
"""`sent` says whether bytes of this thread's request have left."""


class _Watched:
    """
    Cut a connection whose answer, from its first byte to its last, takes longer than the time-out.

    The reader of the body cancels the response's `watchdog`.
    """

    def send(self, data: Any) -> None:
        # Connect first, if that is still to be done: until then nothing has left.
        connection: Any = self
        if connection.sock is None:
            connection.connect()
        _request.sent = True
        super().send(data)  # type: ignore[misc] # The mixed-in urllib3 connection.

    def getresponse(self) -> Any:
        connection: Any = self
        sock, limit = connection.sock, connection.timeout
        if sock is None or not isinstance(limit, int | float):
            return super().getresponse()  # type: ignore[misc] # The mixed-in urllib3 connection.
        watchdog = threading.Timer(limit, _cut, (sock,))
        watchdog.daemon = True
        watchdog.start()
        try:
            response = super().getresponse()  # type: ignore[misc] # The mixed-in urllib3 connection.
        except BaseException:
            watchdog.cancel()
            raise
        response.watchdog = watchdog
        return response


def _cut(sock: Any) -> None:
    with suppress(OSError):
        sock.shutdown(SHUT_RDWR)


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS
