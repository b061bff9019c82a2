"""
One paid attempt at Aurora after another, until one is answered or none may be sent any more.

A socket's time-out starts anew with every byte. Each attempt therefore has one clock over its whole
answer, and a cap on its size. Errors name the type of what happened, never its text: a broken
answer may echo our request, and with it the API key.
"""

import json
import logging
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from math import inf, isfinite, nan
from select import select
from socket import SHUT_RDWR, socket
from string import punctuation
from threading import Timer
from typing import Any
from urllib.parse import quote, urlsplit
from weakref import finalize

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from token_vendor.api_key import ApiKey
from token_vendor.models import LIST, RETRIEVE
from token_vendor.observability import Metric, excerpt, logger, recorder
from token_vendor.problems import (
    AuroraBusyError,
    AuroraInvalidResponseError,
    AuroraKeyRejectedError,
    AuroraTimeoutError,
    AuroraUnavailableError,
    ProblemError,
)
from token_vendor.request_budget import Allowance
from token_vendor.settings import Settings

# It logs headers that it cannot parse, which may echo our own.
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)
READS = (LIST, RETRIEVE)
READ_ATTEMPTS, WRITE_ATTEMPTS = 3, 2
RETRY_PAUSE = 0.2
NEEDED_TO_TRY = 0.5
"""Seconds that must remain for an attempt to be worth sending."""
BODY_LIMIT, LIST_LIMIT = 256 * 1024, 32 * 2**20
"""Bytes of an answer that are read; of a list, some 150,000 users without pages."""
DEFAULT_RETRY_AFTER, LONGEST_RETRY_AFTER = 60, 900
IDLE_LIMIT = 5
"""Seconds after which a kept connection is not trusted: Lambda froze, Aurora may have hung up."""
OUTCOMES = {
    AuroraUnavailableError: "unreachable",
    AuroraTimeoutError: "timeout",
    AuroraInvalidResponseError: "invalid",
}
"""How an exchange without a usable answer is counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server answered; header names in any case."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def ok(self) -> bool:
        """Tell whether the server did what was asked: 2xx."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> Any:
        """Return the body, or None where it is no JSON."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return None


class AuroraHTTP:
    """Call Aurora with the API key; every attempt takes a call from an `Allowance`."""

    def __init__(self, settings: Settings, api_key: ApiKey, *, clock: Callable[[], float]) -> None:
        self._api_key = api_key
        self._connection = AuroraConnection(settings=settings, clock=clock)
        self._base = f"/tenants/{settings.aurora_tenant_id}/users"
        self._headers = {"Accept": "application/json", "User-Agent": "aurora-token-vendor"}
        if settings.aurora_version_header and settings.aurora_version:
            self._headers[settings.aurora_version_header] = settings.aurora_version
        self._clock = clock

    def call(self, operation: str, path: str, allowance: Allowance, body: Any = None) -> Answer:
        """
        Send a request until it is answered or may not be sent again.

        A write is sent again only when it certainly was not processed, and anything after a 401
        once, if the secret holds another key by now.
        """
        attempts = READ_ATTEMPTS if operation in READS else WRITE_ATTEMPTS
        rekeyed = False
        while True:
            key = self._api_key.current()
            allowance.take(operation)
            attempts -= 1
            try:
                answer = self._attempt(operation, path, key, allowance, body)
            except (AuroraUnavailableError, AuroraTimeoutError) as problem:
                pause = RETRY_PAUSE * random.uniform(1, 2)  # noqa: S311 - jitter is no secret.
                harmless = operation in READS or not problem.in_doubt
                in_time = allowance.deadline.remaining() > pause + NEEDED_TO_TRY
                if not (attempts and harmless and in_time):
                    raise
                allowance.deadline.sleep(pause)
                continue
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return answer
            if rekeyed or not self._api_key.after_rejection(key):
                raise AuroraKeyRejectedError(cause="Aurora answered 401 to the API key")
            rekeyed = True

    def _attempt(
        self, operation: str, path: str, key: str, allowance: Allowance, body: Any
    ) -> Answer:
        """Send one request. Return conclusive answers, raise for the others."""
        remaining = allowance.deadline.remaining()
        if remaining < NEEDED_TO_TRY:
            raise AuroraTimeoutError(cause=f"{operation}: no time left to ask")
        started = self._clock()
        outcome = "unreachable"
        headers = self._headers | {"Authorization": f"Bearer {key}"}
        try:
            answer = self._connection.request(
                operation, self._base + path, headers, body, remaining=remaining
            )
            outcome = "ok" if answer.ok else str(answer.status)
        except ProblemError as problem:
            outcome = OUTCOMES[type(problem)]
            raise
        finally:
            took = (self._clock() - started) * 1000
            recorder.count(Metric.AURORA_CALL, operation=operation, outcome=outcome)
            recorder.count(Metric.AURORA_LATENCY, took, operation=operation)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            asked = retry_after(answer.headers.get("Retry-After"), self._clock())
            turn = allowance.paused(asked, operation)
            raise AuroraBusyError(cause=f"{operation}: Aurora answered 429", turn=turn)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            told = {"operation": operation, "status": answer.status}
            logger.warning(
                "Aurora refused a call", extra=told | {"body": excerpt(answer.data, secret=key)}
            )
        if answer.status == HTTPStatus.CONFLICT:
            # Aurora documents 409 as "currently in use, wait a moment then try again".
            raise AuroraUnavailableError(cause=f"{operation}: 409")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AuroraUnavailableError(cause=f"{operation}: {answer.status}", in_doubt=operation)
        return answer


@dataclass(kw_only=True)
class AuroraConnection:
    """Send one request at a time over one kept connection."""

    settings: Settings
    clock: Callable[[], float]
    _used_at: float = field(default=0, init=False)
    _kept: HTTPConnection | None = field(default=None, init=False)

    @recorder.phase("aurora")
    def request(
        self, operation: str, path: str, headers: Mapping[str, str], body: Any, *, remaining: float
    ) -> Answer:
        """
        Send a request, with `body` as JSON, and return its answer within `remaining` seconds.

        A `ProblemError` says that no usable answer came; with `in_doubt`, Aurora may have acted.
        """
        connect = min(self.settings.aurora_connect_timeout, remaining / 2)
        patience = min(self.settings.aurora_read_timeout, remaining - connect)
        in_doubt, give_up_at = "", inf
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
            body = json.dumps(body).encode()
        try:
            connection = self._connected(connect)
            connection.timeout = patience
            in_doubt, give_up_at = operation, time.monotonic() + patience
            with _cut_after(patience, connection.sock):
                method = "GET" if operation in READS else "POST"
                # Aurora may name a page in any characters.
                connection.request(
                    method,
                    quote(path, safe=punctuation),
                    body,
                    headers,
                    preload_content=False,
                    decode_content=False,
                )
                response = connection.getresponse()
                data = _read(response, operation, give_up_at)
        except BaseException as exc:
            if self._kept:
                self._kept.close()
            if not isinstance(exc, (HTTPError, HTTPException, OSError, ValueError)):
                raise
            timed_out = isinstance(exc, (TimeoutError, HTTPTimeoutError))
            # urllib3 counts a refused connection among its time-outs.
            refused = isinstance(exc, NewConnectionError)
            late = (timed_out and not refused) or time.monotonic() > give_up_at
            problem = AuroraTimeoutError if late else AuroraUnavailableError
            cause = f"{operation}: no answer, {type(exc).__name__}"
            raise problem(cause=cause, in_doubt=in_doubt) from None
        finally:
            self._used_at = self.clock()
        return Answer(status=response.status, headers=response.headers, data=data)

    def _connected(self, timeout: float) -> HTTPConnection:
        """Return the connection, made anew if nobody knows whether it still works."""
        kept = self._kept = self._kept or self._made()
        idle = self.clock() - self._used_at > IDLE_LIMIT
        # What can be read before a request is the server's goodbye.
        if kept.sock is None or idle or select([kept.sock], [], [], 0)[0]:
            kept.close()
            kept.timeout = timeout
            kept.connect()
        return kept

    def _made(self) -> HTTPConnection:
        origin = urlsplit(self.settings.aurora_origin)
        host, port = origin.hostname or "", origin.port
        made = HTTPConnection(host, port)
        if origin.scheme == "https":
            made = HTTPSConnection(host, port, ssl_context=ssl.create_default_context())
        finalize(self, made.close)
        return made


def retry_after(value: str | None, now: float) -> float:
    """
    Return the seconds that a Retry-After asks for, bounded to 1 s … 15 min.

    Aurora does not document its form: seconds, a date, or nothing, which counts as a minute.
    """
    seconds = nan
    with suppress(ValueError, TypeError, OverflowError):
        seconds = parsedate_to_datetime(value or "").timestamp() - now
    with suppress(ValueError):
        seconds = float(value or "")
    if not isfinite(seconds):
        seconds = DEFAULT_RETRY_AFTER
    return min(max(seconds, 1), LONGEST_RETRY_AFTER)


@contextmanager
def _cut_after(seconds: float, sock: socket) -> Iterator[None]:
    """Cut a connection whose whole answer takes longer."""

    def cut() -> None:
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)

    watchdog = Timer(seconds, cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _read(response: Any, operation: str, give_up_at: float) -> bytes:
    """Read a body as its bytes come; nothing is decompressed: a small answer stays small."""
    limit = LIST_LIMIT if operation == LIST else BODY_LIMIT
    data = bytearray()
    while True:
        chunk = response.read1(65_536)
        # Checked before the end of the body, because an answer that was cut off may look whole.
        if time.monotonic() > give_up_at:
            raise TimeoutError
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > limit:
            cause = f"{operation}: an answer of more than {limit} bytes"
            raise AuroraInvalidResponseError(cause=cause, in_doubt=operation)
