"""
What Aurora's four calls mean, and their failures as problems.

Paths and bodies are those of Aurora's pages "Access Token" and, for Retrieve User, "Partners". We
branch on statuses alone, because Aurora says that texts may change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from token_vendor.access_token import access_token, is_address, is_same_id
from token_vendor.aurora_http import Answer, AuroraHTTP
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
from token_vendor.paging import Page
from token_vendor.problems import (
    AuroraInvalidResponseError,
    AuroraKeyRejectedError,
    AuroraUnavailableError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance

LONGEST_STATUS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A page of the user list: how many rows it had, those that can be used, and what follows."""

    rows: int = 0
    accounts: tuple[Account, ...] = ()
    following: Page | None = None
    refused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AuroraClient:
    """
    List and retrieve users, invite a user, generate a token.

    Every method takes the `Allowance` that pays for its attempts, and raises an `Aurora…Error`.
    """

    http: AuroraHTTP
    clock: Callable[[], float]

    def list_users(self, page: Page, allowance: Allowance) -> Listing:
        """
        Return one page of the tenant's user list; e-mails normalised.

        A 4xx on a later page is returned as refused: the list ends before it, or is not paged. But
        where pages came before, a 403 is no end.
        """
        query = f"?{page.query_string}" if page.query_string else ""
        answer = self.http.call(LIST, query, allowance)
        status, body = answer.status, answer.json()
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
        users = body.get("users") if isinstance(body, dict) and answer.ok else None
        if not isinstance(users, list):
            raise _unexpected(LIST, answer)
        accounts = tuple(account for row in users if (account := _account(row)))
        following = page.after(body, answer.headers.get("Link", ""))
        return Listing(rows=len(users), accounts=accounts, following=following)

    def retrieve_user(self, user_id: str, allowance: Allowance) -> Account | None:
        """
        Return one user, or None where Aurora does not say.

        The answer is not documented, and a key may lack the right: a 4xx says nothing of the user.
        """
        answer = self.http.call(RETRIEVE, f"/{user_id}", allowance)
        account = _account(_user(answer)) if answer.ok else None
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
        answer = self.http.call(INVITE, "/invite", allowance, {"user": user})
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return False, ""
        if answer.status in {403, 404}:
            raise AuroraKeyRejectedError(cause=f"Aurora answered {answer.status} to the invitation")
        if not answer.ok:
            raise _unexpected(INVITE, answer)
        invited = _user(answer)
        user_id, email = invited.get("id"), invited.get("email")
        # An answer about somebody else names no account of the caller's: the list does.
        theirs = email is None or is_address(email, caller.email)
        return True, user_id if theirs and is_id(user_id) else ""

    def generate_token(self, account: Account, allowance: Allowance) -> AccessToken:
        """
        Generate a JWT for the account. This may invalidate the current token.

        Raises `UserNotEligibleError` where Aurora refuses the account, or names another person.
        """
        answer = self.http.call(GENERATE, f"/{account.user_id}/generate_token", allowance)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            forbidden = answer.status == HTTPStatus.FORBIDDEN
            kind = AuroraKeyRejectedError if forbidden else AuroraUnavailableError
            cause = f"Aurora answered {answer.status} to generate_token"
            raise UserNotEligibleError(
                cause=f"{cause}; the account is not active, or not the caller's",
                if_active=kind(
                    cause=f"{cause}, and says that the account is active. Does the key include "
                    "access to the Platform API?"
                ),
            )
        if not answer.ok:
            raise _unexpected(GENERATE, answer)
        body = answer.json()
        token = body.get("token") if isinstance(body, dict) else None
        encoded = token.get("jwt") if isinstance(token, dict) else None
        return access_token(encoded, account, self.clock())


def _unexpected(operation: str, answer: Answer) -> AuroraInvalidResponseError:
    # A 2xx says that Aurora has acted; a redirect or a refusal, that it has not.
    return AuroraInvalidResponseError(
        cause=f"{operation}: {answer.status} with an unexpected body of {len(answer.data)} bytes",
        in_doubt=operation if answer.ok else "",
    )


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


def _user(answer: Answer) -> dict[str, Any]:
    """Return the user of an answer, which has it under `user` or is it."""
    body = answer.json()
    user = body.get("user", body) if isinstance(body, dict) else None
    return user if isinstance(user, dict) else {}
