"""
From a caller's e-mail to an Aurora account: stored mapping, directory, invitation.

Aurora has no documented look-up by e-mail, so that finding one person means reading the whole
user list.  One reading therefore serves everybody: it writes every person's mapping, one
environment reads at a time, and who is not in a list read just now is invited without another.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from token_vendor.aurora import FULL_PAGE, AuroraClient
from token_vendor.models import ACTIVE, Account, Caller
from token_vendor.observability import Metric, recorder
from token_vendor.problems import (
    AuroraBusyError,
    InvitationPendingError,
    ProblemError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance
from token_vendor.token_store import KEPT_FOR, number, unavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

SDK_USER = "SDK User"
"""The one level that needs no accepted invitation: Aurora's "Access Token" page."""
BATCH = 25
"""The most items that BatchWriteItem takes."""
BATCH_ATTEMPTS = 5
POLL_FROM, POLL_TO = 0.060, 0.250
"""Seconds between two looks at a directory that somebody else reads, with jitter in between."""
LONGEST_READING = 3600
"""Seconds after which an unfinished reading begins anew: in a queue, each page waits for a turn."""
READER_NEEDS = 4.0
"""Seconds that a reader needs for one more page; with less, the next one goes on from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InvitationPolicy:
    """Whom to invite, and at which level."""

    enabled: bool = True
    domains: tuple[str, ...] = ()
    level: str = SDK_USER
    levels_by_group: tuple[tuple[str, str], ...] = ()
    partner_ids: tuple[str, ...] = ()

    def refusal(self, caller: Caller) -> str:
        """Say why the caller is not invited, or return an empty string."""
        if not self.enabled:
            return "invitations are switched off"
        if self.domains and caller.email.rpartition("@")[2] not in self.domains:
            return "the e-mail's domain is not among those that are invited"
        return ""

    def level_of(self, caller: Caller) -> str:
        """Return the level of the first group, in the order configured, that the caller is in."""
        for group, level in self.levels_by_group:
            if group in caller.groups:
                return level
        return self.level


@dataclass(frozen=True, kw_only=True, slots=True)
class _Directory:
    """
    The DIRECTORY item; times are seconds since the epoch.

    `read_since` and `read_at` are when the last whole reading began and ended; `reading_since`
    and `next_page` are how far an unfinished one has come.
    """

    read_since: float = 0
    read_at: float = 0
    lease_until: float = 0
    reading_since: float = 0
    next_page: int = 0


class Accounts:
    """Find a caller's account, inviting where the policy says so."""

    def __init__(  # noqa: PLR0913 - what it is wired from.
        self,
        dynamodb: "DynamoDBClient",
        aurora: AuroraClient,
        *,
        table_name: str,
        partition: str,
        invitations: InvitationPolicy,
        directory_ttl: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._dynamodb = dynamodb
        self._aurora = aurora
        self._table_name = table_name
        self._partition = partition
        self._invitations = invitations
        self._directory_ttl = directory_ttl
        self._clock = clock
        self._sleep = sleep

    def find(self, caller: Caller, allowance: Allowance, *, not_before: float = 0) -> Account:
        """
        Return the caller's active account.

        With `not_before` only what Aurora said after that moment counts: for a mapping that
        proved wrong.

        Raises:
            UserNotEligibleError: Deactivated, or absent and not to be invited.
            InvitationPendingError: Invited at a level that must accept an e-mail first.
            ProblemError: Whatever asking Aurora raises.

        """
        account = self._seen(caller.email, "ACCOUNT", since=not_before)
        if account is None:
            account = self._look_up(caller, allowance, not_before) or self._invite(
                caller, allowance
            )
        if account.active:
            return account
        if self._get(f"{self._partition}#{caller.email}", "INVITATION"):
            raise InvitationPendingError(cause=f"invited; account_status {account.status!r}")
        # Switched off by an administrator: never invited or activated again by us.
        raise UserNotEligibleError(cause=f"account_status is {account.status!r}")

    def _look_up(self, caller: Caller, allowance: Allowance, not_before: float) -> Account | None:
        """Return what a directory read recently, and after `not_before`, says of the caller."""
        deadline = allowance.deadline
        while True:
            directory = self._directory()
            now = self._clock()
            since = directory.read_since
            if since > not_before and directory.read_at > now - self._directory_ttl:
                return self._seen(caller.email, "ACCOUNT", since=since) or self._seen(
                    caller.email, "INACTIVE", since=since
                )
            if directory.lease_until <= now:
                self._read_directory(directory, not_before, allowance)
                continue
            pause = random.uniform(POLL_FROM, POLL_TO)  # noqa: S311 - jitter is no secret.
            if deadline.remaining() <= pause:
                raise AuroraBusyError(
                    "The list of Aurora's users is being read. Try again then.",
                    cause="the reading of the directory outlasts this request",
                    retry_at=directory.lease_until,
                )
            self._sleep(pause)

    def _read_directory(
        self, directory: _Directory, not_before: float, allowance: Allowance
    ) -> None:
        """
        Read the user list from where the last reader stopped, if nobody else does.

        Paging is not documented: the first request goes without parameters, and a further page is
        asked for until one brings no new id.
        """
        now = self._clock()
        oldest = max(not_before, now - LONGEST_READING)
        resumed = directory.reading_since > oldest and directory.next_page > 1
        page = directory.next_page if resumed else 1
        since = directory.reading_since if resumed else now
        lease_id = str(uuid4())
        if not self._write_directory(
            "SET lease_id = :lease, lease_until = :until, reading_since = :since, "
            "next_page = :page",
            "attribute_not_exists(lease_until) OR lease_until <= :now",
            lease_id,
            {
                ":until": allowance.deadline.lease_until,
                ":since": since,
                ":page": page,
                ":now": now,
            },
        ):
            return
        seen: set[str] = set()
        try:
            while True:
                rows = self._aurora.list_users(page, allowance)
                new = [row for row in rows if row.user_id not in seen]
                self._remember(new)
                seen |= {row.user_id for row in new}
                # Fewer than 100 rows on the first page cannot be a page of a longer list.
                if not new or (page == 1 and len(rows) < FULL_PAGE):
                    break
                page += 1
                if allowance.deadline.remaining() < READER_NEEDS:
                    raise AuroraBusyError(
                        "The list of Aurora's users is long. Try again now.",
                        cause=f"the directory goes on at page {page}",
                        retry_at=self._clock() + 1,
                    )
        except ProblemError:
            self._write_directory(
                "SET next_page = :page REMOVE lease_id, lease_until",
                "lease_id = :lease",
                lease_id,
                {":page": page},
            )
            raise
        recorder.count(Metric.DIRECTORY_READ)
        self._write_directory(
            "SET read_since = :since, read_at = :now "
            "REMOVE lease_id, lease_until, reading_since, next_page",
            "lease_id = :lease",
            lease_id,
            {":since": since, ":now": self._clock()},
        )

    def _invite(self, caller: Caller, allowance: Allowance) -> Account:
        """Invite the caller; where no id comes back, the directory decides what happened."""
        if refusal := self._invitations.refusal(caller):
            raise UserNotEligibleError(cause=refusal)
        level = self._invitations.level_of(caller)
        allowance.reserve(2)  # The invitation and the generate after it.
        asked_at = self._clock()
        user_id = self._aurora.invite_user(
            caller, level=level, partner_ids=self._invitations.partner_ids, allowance=allowance
        )
        recorder.count(Metric.INVITED)
        if level != SDK_USER:
            self._put(caller.email, "INVITATION", user_level=level)
        if user_id:
            # Every other level has to accept an e-mailed invitation before it is active.
            status = ACTIVE if level == SDK_USER else "invited"
            account = Account(user_id=user_id, email=caller.email, status=status)
            self._remember([account])
            return account
        found = self._look_up(caller, allowance, asked_at)
        if found is None:
            # Active in another tenant, or not acceptable to Aurora: its list will never show it.
            raise UserNotEligibleError(cause="Aurora refused the invitation, and lists no account")
        return found

    def _remember(self, accounts: list[Account]) -> None:
        """
        Write the mappings of `accounts`.

        Several rows may bear one e-mail, at most one of them active (Aurora's page on
        activating users); the others go to an item of their own, so that order does not matter.
        """
        now = self._clock()
        latest = {
            (account.email, "ACCOUNT" if account.active else "INACTIVE"): account
            for account in accounts
            if account.email
        }
        requests = [
            {
                "PutRequest": {
                    "Item": self._key(email, sk)
                    | {
                        "user_id": {"S": account.user_id},
                        "account_status": {"S": account.status},
                        "seen_at": number(now),
                        "ttl": number(int(now) + KEPT_FOR),
                    }
                }
            }
            for (email, sk), account in latest.items()
        ]
        for batch in batched(requests, BATCH, strict=False):
            pending: dict[str, Any] = {self._table_name: list(batch)}
            for attempt in range(BATCH_ATTEMPTS):
                answer = self._call("batch_write_item", RequestItems=pending)
                pending = answer.get("UnprocessedItems") or {}
                if not pending:
                    break
                self._sleep(POLL_FROM * 2**attempt)
            else:
                raise unavailable("write the directory", RuntimeError("items left unprocessed"))

    def _seen(self, email: str, sk: str, *, since: float) -> Account | None:
        """Return the mapping under `sk` if Aurora said so at `since` or later."""
        item = self._get(f"{self._partition}#{email}", sk)
        if not item or float(item["seen_at"]["N"]) < since:
            return None
        return Account(
            user_id=item["user_id"]["S"], email=email, status=item["account_status"]["S"]
        )

    def _put(self, email: str, sk: str, **attributes: str) -> None:
        now = self._clock()
        item = self._key(email, sk) | {name: {"S": text} for name, text in attributes.items()}
        item |= {"seen_at": number(now), "ttl": number(int(now) + KEPT_FOR)}
        self._call("put_item", TableName=self._table_name, Item=item)

    def _directory(self) -> _Directory:
        item = self._get(self._partition, "DIRECTORY")

        def value(name: str) -> float:
            return float(item[name]["N"]) if name in item else 0

        return _Directory(
            read_since=value("read_since"),
            read_at=value("read_at"),
            lease_until=value("lease_until"),
            reading_since=value("reading_since"),
            next_page=int(value("next_page")),
        )

    def _write_directory(
        self, expression: str, condition: str, lease_id: str, values: dict[str, float]
    ) -> bool:
        try:
            self._call(
                "update_item",
                TableName=self._table_name,
                Key={"pk": {"S": self._partition}, "sk": {"S": "DIRECTORY"}},
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues={":lease": {"S": lease_id}}
                | {name: number(value) for name, value in values.items()},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _get(self, pk: str, sk: str) -> dict[str, Any]:
        answer = self._call(
            "get_item",
            TableName=self._table_name,
            Key={"pk": {"S": pk}, "sk": {"S": sk}},
            ConsistentRead=True,
        )
        return dict(answer.get("Item", {}))

    def _key(self, email: str, sk: str) -> dict[str, Any]:
        return {"pk": {"S": f"{self._partition}#{email}"}, "sk": {"S": sk}}

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            return dict(getattr(self._dynamodb, operation)(**arguments))
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            raise
        except (ClientError, BotoCoreError) as error:
            raise unavailable(f"{operation} for an account", error) from error
