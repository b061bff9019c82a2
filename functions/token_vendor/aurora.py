"""
Aurora's three calls over urllib3, and their failures as problems.

Paths and bodies are those of Aurora's page "Access Token"; statuses are branched on alone,
because Aurora says that texts may change.  Whatever may have been processed although no answer came
is never sent again.
"""

import json
import random
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from socket import SHUT_RDWR
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from token_vendor.api_key import ApiKey
from token_vendor.models import AccessToken, Account, Caller, normalised_email
from token_vendor.observability import Metric, digest, logger, recorder
from token_vendor.problems import (
    AuroraInvalidResponseError,
    AuroraKeyRejectedError,
    AuroraTimeoutError,
    AuroraUnavailableError,
    ProblemError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance

FULL_PAGE = 100
"""Rows that a first page must hold for a second to be asked for: the default of List Projects."""
SECOND = 2
"""The page that tells whether there are any: the first is asked for without a number."""
BODY_LIMIT = 8 * 2**20
"""Bytes of an answer that are read: an unpaged list of some 40,000 users."""
LOGGED_BODY = 300
IDLE_LIMIT = 5
"""Seconds after which a kept connection is not trusted: Lambda froze, Aurora may have hung up."""
GET_ATTEMPTS = 3
POST_ATTEMPTS = 2
RETRY_PAUSE = 0.2
NEEDED_TO_TRY = 0.5
"""Seconds that must remain for an attempt to be worth sending."""
DEFAULT_RETRY_AFTER = 60
LONGEST_RETRY_AFTER = 900
LONGEST_ID = 128
LONGEST_STATUS = 64
LONGEST_JWT = 16_384
"""Characters: some forty times the sample, and far below what an item and a response may hold."""
JWT_LIKE = re.compile(r"eyJ[\w.-]*|[sr]k_[\w-]+")
LONGEST_LIFE = 48 * 3600
"""Seconds; Aurora's tokens live 12 hours, and one that claims much more is not believed."""


class AuroraClient:
    """
    List users, invite a user, generate a token.

    Every method takes the `Allowance` that pays for its attempts, and raises
    `AuroraBusyError`, `AuroraUnavailableError`, `AuroraTimeoutError`, `AuroraInvalidResponseError`
    or `AuroraKeyRejectedError`.
    """

    def __init__(  # noqa: PLR0913 - what it is wired from.
        self,
        api_key: ApiKey,
        *,
        url: str,
        tenant_id: str,
        version_header: tuple[str, str] | None,
        connect_timeout: float,
        read_timeout: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._api_key = api_key
        self._base = f"{url}/tenants/{tenant_id}/users"
        self._headers = {"Accept": "application/json", "User-Agent": "aurora-token-vendor"}
        if version_header:
            self._headers[version_header[0]] = version_header[1]
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._clock = clock
        self._sleep = sleep
        self._http = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False)
        self._http.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        self._used_at = 0.0

    def list_users(self, page: int, allowance: Allowance) -> list[Account]:
        """
        Return the rows of one page of the tenant's user list; e-mails normalised.

        The first page is asked for without parameters. A 4xx on a later page means that the list
        ends before it, or is not paged, and returns no rows; but where pages came before, a 403
        is no end.
        """
        query = f"?page={page}" if page > 1 else ""
        status, body = self._call("list_users", "GET", query, allowance)
        if status == HTTPStatus.FORBIDDEN and page > SECOND:
            raise AuroraUnavailableError(cause=f"list_users: 403 to page {page} of a paged list")
        if status >= HTTPStatus.BAD_REQUEST and page >= SECOND:
            return []
        if status in {403, 404}:
            raise AuroraKeyRejectedError(
                cause=f"Aurora answered {status} to the user list: the key's rights, or the tenant"
            )
        users = (
            body.get("users")
            if isinstance(body, dict) and status < HTTPStatus.MULTIPLE_CHOICES
            else None
        )
        if not isinstance(users, list):
            raise self._invalid("list_users", status, body)
        return [account for row in users if (account := _account(row))]

    def invite_user(
        self, caller: Caller, *, level: str, partner_ids: tuple[str, ...], allowance: Allowance
    ) -> str:
        """
        Invite the caller and return the new user's id.

        Returns an empty string where Aurora names none, or answers 422: created meanwhile, active
        in another tenant, or invalid. The directory tells these apart.
        """
        user: dict[str, Any] = {
            "first_name": caller.first_name,
            "last_name": caller.last_name,
            "email": caller.email,
            "user_level": level,
        }
        if caller.phone:
            user["phone"] = caller.phone
        if partner_ids:
            user["partner_ids"] = list(partner_ids)
        status, body = self._call("invite_user", "POST", "/invite", allowance, {"user": user})
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return ""
        if status in {403, 404}:
            raise AuroraKeyRejectedError(cause=f"Aurora answered {status} to the invitation")
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._invalid("invite_user", status, body)
        invited = body.get("user") if isinstance(body, dict) else None
        user_id = invited.get("id") if isinstance(invited, dict) else None
        return user_id if isinstance(user_id, str) and _is_id(user_id) else ""

    def generate_token(self, user_id: str, allowance: Allowance) -> AccessToken:
        """
        Generate a JWT for the user; whatever token they had may die by it.

        Raises:
            UserNotEligibleError: Aurora answered 403 or 404 for this user.
            ProblemError: With `may_have_generated` set where the answer was lost or unusable.

        """
        try:
            status, body = self._call(
                "generate_token", "POST", f"/{user_id}/generate_token", allowance
            )
        except ProblemError as problem:
            problem.may_have_generated = problem.outcome_unknown
            raise
        if status in {403, 404}:
            raise UserNotEligibleError(
                cause=f"Aurora answered {status} to generate_token. If everybody gets it: does the "
                "key include access to the Platform API?"
            )
        try:
            if status >= HTTPStatus.MULTIPLE_CHOICES:
                raise self._invalid("generate_token", status, body)
            return self._access_token(body, user_id)
        except AuroraInvalidResponseError as problem:
            problem.may_have_generated = status < HTTPStatus.MULTIPLE_CHOICES
            raise

    def _access_token(self, body: Any, user_id: str) -> AccessToken:
        # PyJWT is imported where a token was generated, not at a cold start that finds one stored.
        import jwt  # noqa: PLC0415

        token = body.get("token") if isinstance(body, dict) else None
        encoded = token.get("jwt") if isinstance(token, dict) else None
        if not isinstance(encoded, str) or len(encoded) > LONGEST_JWT:
            raise AuroraInvalidResponseError(cause="generate_token: no token.jwt of usable length")
        try:
            # Signed with HS256 and Aurora's own secret: it cannot be verified here. It came over
            # TLS from Aurora, and all that is taken from it is what Aurora says about it.
            unverified_claims = jwt.decode(
                encoded,
                options={
                    "verify_signature": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise AuroraInvalidResponseError(cause="generate_token: unreadable JWT") from error
        expires_at = unverified_claims.get("exp")
        jti = unverified_claims.get("jti")
        now = self._clock()
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
            raise AuroraInvalidResponseError(cause="generate_token: the JWT has no exp")
        if not now < expires_at < now + LONGEST_LIFE:
            raise AuroraInvalidResponseError(
                cause=f"generate_token: exp is {expires_at!s:.20}, now is {now:.0f}"
            )
        if unverified_claims.get("id") != user_id:
            raise AuroraInvalidResponseError(cause="generate_token: the JWT is another user's")
        return AccessToken(
            jwt=encoded,
            # The sample tokens have a jti; one without gets a name that cannot be mistaken.
            jti=jti if isinstance(jti, str) and _is_id(jti) else digest(encoded)[:32],
            expires_at=int(expires_at),
            user_id=user_id,
        )

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        allowance: Allowance,
        body: dict[str, Any] | None = None,
    ) -> tuple[int, Any]:
        """
        Send a request until it is answered or may not be sent again; return status and JSON.

        A GET is tried three times; a POST again only when it certainly was not processed. A 401
        leads to one more attempt if the secret holds another key by now.
        """
        attempts = GET_ATTEMPTS if method == "GET" else POST_ATTEMPTS
        rekeyed = False
        while True:
            key = self._api_key.current()
            allowance.spend()
            attempts -= 1
            try:
                status, data = self._attempt(operation, method, path, key, allowance, body)
            except (AuroraUnavailableError, AuroraTimeoutError) as problem:
                pause = RETRY_PAUSE * random.uniform(1, 2)  # noqa: S311 - jitter is no secret.
                harmless = method == "GET" or not problem.outcome_unknown
                in_time = allowance.deadline.remaining() > pause + NEEDED_TO_TRY
                if not (attempts and harmless and in_time):
                    raise
                self._sleep(pause)
                continue
            if status != HTTPStatus.UNAUTHORIZED:
                return status, _json(data)
            if rekeyed or not self._api_key.after_rejection(key):
                raise AuroraKeyRejectedError(cause="Aurora answered 401 to the API key")
            rekeyed = True

    def _attempt(  # noqa: PLR0913, PLR0917 - one request has this many parts.
        self,
        operation: str,
        method: str,
        path: str,
        key: str,
        allowance: Allowance,
        body: dict[str, Any] | None,
    ) -> tuple[int, bytes]:
        """Send one request; return the answers that mean something, raise for the others."""
        remaining = allowance.deadline.remaining()
        if remaining < NEEDED_TO_TRY:
            raise AuroraTimeoutError(cause=f"{operation}: no time left to ask")
        started = self._clock()
        outcome = "unreachable"
        try:
            with recorder.phase("aurora"):
                status, headers, data = self._send(method, path, key, remaining, body)
            outcome = "ok" if status < HTTPStatus.MULTIPLE_CHOICES else str(status)
        except (NewConnectionError, NameResolutionError) as error:
            # Nothing was sent: the one failure after which a POST may go out again.
            raise AuroraUnavailableError(cause=f"{operation}: {error}") from error
        except ConnectTimeoutError as error:
            outcome = "timeout"
            raise AuroraTimeoutError(cause=f"{operation}: {error}") from error
        except (HTTPError, OSError) as error:
            problem: ProblemError
            if isinstance(error, ReadTimeoutError | _TooSlowError):
                outcome = "timeout"
                problem = AuroraTimeoutError(cause=f"{operation}: {error}")
            elif isinstance(error, _TooLargeError):
                outcome = "invalid"
                problem = AuroraInvalidResponseError(cause=f"{operation}: {error}")
            else:
                problem = AuroraUnavailableError(cause=f"{operation}: {error}")
            problem.outcome_unknown = True
            raise problem from error
        finally:
            recorder.count(Metric.AURORA_CALL, operation=operation, outcome=outcome)
            recorder.count(
                Metric.AURORA_LATENCY, (self._clock() - started) * 1000, operation=operation
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            now = self._clock()
            retry_at = now + retry_after(headers.get("Retry-After"), now)
            raise allowance.refused(f"{operation}: Aurora answered 429", retry_at)
        if status == HTTPStatus.CONFLICT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            failure = AuroraUnavailableError(cause=f"{operation}: {status}: {_excerpt(data, key)}")
            # Aurora documents 409 as "currently in use, wait a moment then try again".
            failure.outcome_unknown = status != HTTPStatus.CONFLICT
            raise failure
        if status >= HTTPStatus.BAD_REQUEST:
            logger.warning(
                "Aurora refused a call",
                extra={"operation": operation, "status": status, "body": _excerpt(data, key)},
            )
        return status, data

    def _send(
        self, method: str, path: str, key: str, remaining: float, body: dict[str, Any] | None
    ) -> tuple[int, Any, bytes]:
        if self._clock() - self._used_at > IDLE_LIMIT:
            self._http.clear()
        connect = min(self._connect_timeout, remaining / 2)
        limit = min(self._read_timeout, remaining - connect)
        give_up_at = time.monotonic() + limit
        try:
            response = self._http.request(
                method,
                self._base + path,
                headers=self._headers | {"Authorization": f"Bearer {key}"},
                json=body,
                timeout=urllib3.Timeout(connect=connect, read=limit),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                data = bytearray()
                # Read as the bytes come, so that neither size nor a slow drip gets out of hand;
                # nothing is decompressed, so that a small answer stays small.
                while True:
                    chunk = response.read1(65_536)
                    # Before the end counts as one: cut off, an answer may look whole.
                    if time.monotonic() > give_up_at:
                        raise _TooSlowError(f"an answer of more than {limit:.1f} s")  # noqa: TRY301 - closes.
                    if not chunk:
                        break
                    data += chunk
                    if len(data) > BODY_LIMIT:
                        raise _TooLargeError(f"an answer of more than {BODY_LIMIT} bytes")  # noqa: TRY301 - closes.
            except BaseException:
                response.close()
                raise
            finally:
                watchdog: threading.Timer | None = getattr(response, "watchdog", None)
                if watchdog:
                    watchdog.cancel()
            response.release_conn()
        except HTTPError as error:
            if time.monotonic() > give_up_at and not isinstance(error, ReadTimeoutError):
                raise _TooSlowError(f"no answer within {limit:.1f} s") from error
            raise
        finally:
            self._used_at = self._clock()
        return response.status, response.headers, bytes(data)

    def _invalid(self, operation: str, status: int, body: Any) -> AuroraInvalidResponseError:
        return AuroraInvalidResponseError(
            cause=f"{operation}: {status} with an unexpected body of type {type(body).__name__}"
        )


class _TooLargeError(HTTPError):
    """The answer is larger than `BODY_LIMIT`."""


class _TooSlowError(HTTPError):
    """The answer did not end in time, although bytes kept coming."""


class _Watched:
    """
    Cut a connection whose answer, from its first byte to its last, takes longer than the time-out.

    A socket's time-out starts anew with every byte, so that a peer that drips headers, the sizes of
    chunks or trailers would hold the function until Lambda kills it. Whoever has read the body
    cancels the response's `watchdog`.
    """

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


def retry_after(value: str | None, now: float) -> float:
    """
    Return the seconds that a Retry-After asks for, bounded to 1 s … 15 min.

    Aurora does not say in which form it sends it: whole or fractional seconds, an HTTP date, or
    nothing, which counts as a minute, the window of its limit.
    """
    try:
        seconds = float(value) if value else float(DEFAULT_RETRY_AFTER)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value or "").timestamp() - now
        except (ValueError, TypeError, OverflowError):
            seconds = DEFAULT_RETRY_AFTER
    if not isfinite(seconds):
        seconds = DEFAULT_RETRY_AFTER
    return min(max(seconds, 1), LONGEST_RETRY_AFTER)


def _account(row: Any) -> Account | None:
    """Return one row of the user list, or None for what cannot be used as one."""
    if not isinstance(row, dict):
        return None
    user_id, email, status = (row.get(name) for name in ("id", "email", "account_status"))
    if not isinstance(user_id, str) or not isinstance(email, str) or not _is_id(user_id):
        return None
    try:
        return Account(
            user_id=user_id, email=normalised_email(email), status=str(status)[:LONGEST_STATUS]
        )
    except ValueError:
        return None


def _is_id(text: str) -> bool:
    """Tell whether `text` can stand in a path; Aurora's ids are UUIDs."""
    return 0 < len(text) <= LONGEST_ID and all(
        c.isascii() and (c.isalnum() or c in "-_") for c in text
    )


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _excerpt(data: bytes, key: str) -> str:
    """Return the start of an answer for the log, without the key or what looks like a JWT."""
    start = data.replace(key.encode(), b"***")[:LOGGED_BODY]
    return JWT_LIKE.sub("…", start.decode("utf-8", "replace"))
