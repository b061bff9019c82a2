"""
What Aurora's three calls mean, and their failures as problems.

Paths and bodies are those of Aurora's page "Access Token". We branch on statuses alone, because
Aurora says that texts may change. A request that may have been processed although no answer came
is never sent again.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any

from token_vendor.access_token import access_token, is_address, is_same_id
from token_vendor.api_key import ApiKey
from token_vendor.bounded_http import (
    Answer,
    BoundedHTTP,
    ExchangeError,
    TooLargeError,
    TooSlowError,
)
from token_vendor.models import (
    GENERATE,
    INVITE,
    LIST,
    RETRIEVE,
    AccessToken,
    Account,
    Caller,
    is_id,
    normalised_email,
)
from token_vendor.observability import Metric, logger, recorder
from token_vendor.paging import Page
from token_vendor.problems import (
    AuroraBusyError,
    AuroraInvalidResponseError,
    AuroraKeyRejectedError,
    AuroraTimeoutError,
    AuroraUnavailableError,
    ProblemError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance

BODY_LIMIT = 256 * 1024
LIST_LIMIT = 32 * 2**20
"""Bytes of an answer that are read; of a list, some 150,000 users without pages."""
LOGGED_BODY = 300
GET_ATTEMPTS = 3
POST_ATTEMPTS = 2
RETRY_PAUSE = 0.2
NEEDED_TO_TRY = 0.5
"""Seconds that must remain for an attempt to be worth sending."""
DEFAULT_RETRY_AFTER = 60
LONGEST_RETRY_AFTER = 900
LONGEST_STATUS = 64
PRIVATE = re.compile(r"eyJ[\w.-]*|[sr]k_[\w-]+|[^\s\"'<>,;:]+@[^\s\"'<>,;:]+|\+?\d[\d ()/.-]{5,}\d")
"""What looks like a JWT, a key, an address or a telephone number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A page of the user list: how many rows it had, those that can be used, and what follows."""

    rows: int = 0
    accounts: tuple[Account, ...] = ()
    following: Page | None = None
    refused: bool = False


class AuroraClient:
    """
    List and retrieve users, invite a user, generate a token.

    Every method takes the `Allowance` that pays for its attempts, and raises
    `AuroraBusyError`, `AuroraUnavailableError`, `AuroraTimeoutError`, `AuroraInvalidResponseError`
    or `AuroraKeyRejectedError`.
    """

    def __init__(  # noqa: PLR0913 - what it is wired from.
        self,
        api_key: ApiKey,
        http: BoundedHTTP,
        *,
        url: str,
        tenant_id: str,
        version_header: tuple[str, str] | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._api_key = api_key
        self._http = http
        self._base = f"{url}/tenants/{tenant_id}/users"
        self._headers = {"Accept": "application/json", "User-Agent": "aurora-token-vendor"}
        if version_header:
            self._headers[version_header[0]] = version_header[1]
        self._clock = clock
        self._sleep = sleep

    def list_users(self, page: Page, allowance: Allowance) -> Listing:
        """
        Return one page of the tenant's user list; e-mails normalised.

        A 4xx on a later page is returned as refused: the list ends before it, or is not paged. But
        where pages came before, a 403 is no end.
        """
        query = f"?{page.query_string}" if page.query_string else ""
        status, body, headers = self._call(LIST, "GET", query, allowance)
        if status == HTTPStatus.FORBIDDEN and page.number > 2:  # noqa: PLR2004 - 2 proved paging.
            raise AuroraUnavailableError(
                cause=f"list_users: 403 to page {page.number} of a paged list"
            )
        if status >= HTTPStatus.BAD_REQUEST and page.number > 1:
            return Listing(refused=True)
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
            raise _unexpected(LIST, status, body)
        accounts = tuple(account for row in users if (account := _account(row)))
        following = page.after(body, headers.get("Link", ""))
        return Listing(rows=len(users), accounts=accounts, following=following)

    def retrieve_user(self, user_id: str, allowance: Allowance) -> Account | None:
        """
        Return one user, or None where Aurora does not say.

        The call is on Aurora's partners page; its answer is not documented, and a key may lack the
        right. A 4xx therefore says nothing of the person.
        """
        status, body, _ = self._call(RETRIEVE, "GET", f"/{user_id}", allowance)
        account = _account(_user(body)) if status < HTTPStatus.MULTIPLE_CHOICES else None
        return account if account and is_same_id(account.user_id, user_id) else None

    def invite_user(
        self, caller: Caller, *, level: str, partner_ids: tuple[str, ...], allowance: Allowance
    ) -> tuple[bool, str]:
        """
        Invite the caller; return whether Aurora accepted, and the new user's id or "".

        Not accepted is a 422: created meanwhile, active in another tenant, or invalid. The
        directory tells these apart.
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
        status, body, _ = self._call(INVITE, "POST", "/invite", allowance, {"user": user})
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return False, ""
        if status in {403, 404}:
            raise AuroraKeyRejectedError(cause=f"Aurora answered {status} to the invitation")
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _unexpected(INVITE, status, body)
        invited = _user(body)
        user_id, email = invited.get("id"), invited.get("email")
        # An answer about somebody else names no account of the caller's: the list does.
        theirs = email is None or is_address(email, caller.email)
        return True, user_id if theirs and is_id(user_id) else ""

    def generate_token(self, account: Account, allowance: Allowance) -> AccessToken:
        """
        Generate a JWT for the account. This may invalidate the current token.

        Raises:
            UserNotEligibleError: Aurora refused this account, or the JWT is another person's.
            ProblemError: With `in_doubt` set where the answer was lost or unusable.

        """
        path = f"/{account.user_id}/generate_token"
        status, body, _ = self._call(GENERATE, "POST", path, allowance)
        if status >= HTTPStatus.BAD_REQUEST:
            kind = (
                AuroraKeyRejectedError if status == HTTPStatus.FORBIDDEN else AuroraUnavailableError
            )
            cause = f"Aurora answered {status} to generate_token"
            raise UserNotEligibleError(
                cause=f"{cause}; the account is not active, or not the caller's",
                if_active=kind(
                    cause=f"{cause}, and says that the account is active. Does the key include "
                    "access to the Platform API?"
                ),
            )
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _unexpected(GENERATE, status, body)
        token = body.get("token") if isinstance(body, dict) else None
        encoded = token.get("jwt") if isinstance(token, dict) else None
        return access_token(encoded, account, self._clock())

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        allowance: Allowance,
        body: dict[str, Any] | None = None,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """
        Send a request until it is answered or may not be sent again.

        Return status, JSON and headers.

        A GET is tried three times; a POST again only when it certainly was not processed. A 401
        leads to one more attempt if the secret holds another key by now.
        """
        attempts = GET_ATTEMPTS if method == "GET" else POST_ATTEMPTS
        rekeyed = False
        while True:
            key = self._api_key.current()
            allowance.take(operation)
            attempts -= 1
            try:
                answer = self._attempt(operation, method, path, key, allowance, body)
            except (AuroraUnavailableError, AuroraTimeoutError) as problem:
                pause = RETRY_PAUSE * random.uniform(1, 2)  # noqa: S311 - jitter is no secret.
                harmless = method == "GET" or not problem.in_doubt
                in_time = allowance.deadline.remaining() > pause + NEEDED_TO_TRY
                if not (attempts and harmless and in_time):
                    raise
                self._sleep(pause)
                continue
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return answer.status, _json(answer.data), answer.headers
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
    ) -> Answer:
        """Send one request; return the answers that mean something, raise for the others."""
        remaining = allowance.deadline.remaining()
        if remaining < NEEDED_TO_TRY:
            raise AuroraTimeoutError(cause=f"{operation}: no time left to ask")
        started = self._clock()
        outcome = "unreachable"
        try:
            with recorder.phase("aurora"):
                answer = self._http.request(
                    method,
                    self._base + path,
                    headers=self._headers | {"Authorization": f"Bearer {key}"},
                    body=body,
                    remaining=remaining,
                    limit=LIST_LIMIT if operation == LIST else BODY_LIMIT,
                )
            ok = answer.status < HTTPStatus.MULTIPLE_CHOICES
            outcome = "ok" if ok else str(answer.status)
        except ExchangeError as exc:
            outcome, problem = FAILURES[type(exc)]
            raise problem(
                cause=f"{operation}: {exc}", in_doubt=operation if exc.sent else ""
            ) from exc
        finally:
            recorder.count(Metric.AURORA_CALL, operation=operation, outcome=outcome)
            recorder.count(
                Metric.AURORA_LATENCY, (self._clock() - started) * 1000, operation=operation
            )
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            asked = retry_after(answer.headers.get("Retry-After"), self._clock())
            turn = allowance.paused(asked, operation)
            raise AuroraBusyError(cause=f"{operation}: Aurora answered 429", turn=turn)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            logger.warning(
                "Aurora refused a call",
                extra={
                    "operation": operation,
                    "status": answer.status,
                    "body": _excerpt(answer.data, key),
                },
            )
        if answer.status == HTTPStatus.CONFLICT:
            # Aurora documents 409 as "currently in use, wait a moment then try again".
            raise AuroraUnavailableError(cause=f"{operation}: 409")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AuroraUnavailableError(cause=f"{operation}: {answer.status}", in_doubt=operation)
        return answer


FAILURES: dict[type[ExchangeError], tuple[str, type[ProblemError]]] = {
    ExchangeError: ("unreachable", AuroraUnavailableError),
    TooSlowError: ("timeout", AuroraTimeoutError),
    TooLargeError: ("invalid", AuroraInvalidResponseError),
}
"""How an exchange without a usable answer is counted, and the problem that it becomes."""


def _unexpected(operation: str, status: int, body: Any) -> AuroraInvalidResponseError:
    # A 2xx says that Aurora has acted; a redirect or a refusal, that it has not.
    return AuroraInvalidResponseError(
        cause=f"{operation}: {status} with an unexpected body of type {type(body).__name__}",
        in_doubt=operation if status < HTTPStatus.MULTIPLE_CHOICES else "",
    )


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
    if not is_id(user_id) or not isinstance(email, str):
        return None
    try:
        return Account(
            user_id=user_id, email=normalised_email(email), status=str(status)[:LONGEST_STATUS]
        )
    except ValueError:
        return None


def _user(body: Any) -> dict[str, Any]:
    """Return the user of an answer, which has it under `user` or is it."""
    user = body.get("user", body) if isinstance(body, dict) else None
    return user if isinstance(user, dict) else {}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _excerpt(data: bytes, key: str) -> str:
    """Return the start of an answer for the log, without secrets and personal data."""
    text = data.replace(key.encode(), b"***")[: LOGGED_BODY * 4].decode("utf-8", "replace")
    return PRIVATE.sub("…", text)[:LOGGED_BODY]
