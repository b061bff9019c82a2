"""
Aurora's user list, read once for everybody.

Aurora has no documented look-up by e-mail. Finding one person means reading the whole list. One
reading therefore writes the mapping of every person, one execution environment reads at a time,
and the next one goes on where it stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

from token_vendor.aurora import FULL_PAGE, AuroraClient
from token_vendor.models import Account
from token_vendor.observability import Metric, recorder
from token_vendor.problems import AuroraBusyError, ProblemError
from token_vendor.request_budget import Allowance
from token_vendor.table import Table
from token_vendor.token_store import KEPT_FOR

DIRECTORY, ACTIVE_ROW, OTHER_ROW = "DIRECTORY", "ACCOUNT", "INACTIVE"
LONGEST_READING = 3600
"""Seconds after which an unfinished reading begins anew: in a queue, each page waits for a turn."""
READER_NEEDS = 4.0
"""Seconds that a reader needs for one more page; with less, the next one goes on from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
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


ATTRIBUTES = frozenset(field.name for field in fields(Reading))


class Directory:
    """Find people in the user list, reading it where the last reading is too old."""

    def __init__(
        self, table: Table, aurora: AuroraClient, *, ttl: float, clock: Callable[[], float]
    ) -> None:
        self._table = table
        self._aurora = aurora
        self._ttl = ttl
        self._clock = clock

    def look_up(self, email: str, allowance: Allowance, *, not_before: float) -> Account | None:
        """Return what the list, read recently and after `not_before`, says of a person."""
        while True:
            reading = self._reading()
            now = self._clock()
            since = reading.read_since
            if since > not_before and reading.read_at > now - self._ttl:
                return self.seen(email, since=since) or self._row(OTHER_ROW, email, since=since)
            if reading.lease_until <= now:
                self._read(reading, not_before, allowance)
            elif not allowance.deadline.poll():
                raise AuroraBusyError(
                    "The list of Aurora's users is being read. Try again then.",
                    cause="the reading of the directory outlasts this request",
                    retry_at=reading.lease_until,
                )

    def seen(self, email: str, *, since: float) -> Account | None:
        """Return the active account that Aurora named at `since` or later, without asking it."""
        return self._row(ACTIVE_ROW, email, since=since)

    def remember(self, accounts: list[Account]) -> None:
        """
        Write the mappings of `accounts`.

        Several rows may have one e-mail, at most one of them active (Aurora's page on
        activating users). The others go to another item: their order does not matter.
        """
        now = self._clock()
        self._table.put_all(
            {
                (ACTIVE_ROW if account.active else OTHER_ROW, account.email): {
                    "user_id": account.user_id,
                    "account_status": account.status,
                    "seen_at": now,
                    "ttl": int(now) + KEPT_FOR,
                }
                for account in accounts
                if account.email
            }
        )

    def _read(self, reading: Reading, not_before: float, allowance: Allowance) -> None:
        """
        Read the user list from where the last reader stopped, unless somebody else does.

        Paging is not documented: the first request goes without parameters, and a further page is
        asked for until one brings no new id.
        """
        now = self._clock()
        oldest = max(not_before, now - LONGEST_READING)
        resumed = reading.reading_since > oldest and reading.next_page > 1
        page = reading.next_page if resumed else 1
        since = reading.reading_since if resumed else now
        lease_id = str(uuid4())
        if not self._write(
            assign={
                "lease_id": lease_id,
                "lease_until": allowance.deadline.lease_until,
                "reading_since": since,
                "next_page": page,
            },
            condition="attribute_not_exists(lease_until) OR lease_until <= :now",
            values={"now": now},
        ):
            return
        seen: set[str] = set()
        try:
            while True:
                rows = self._aurora.list_users(page, allowance)
                new = [row for row in rows if row.user_id not in seen]
                self.remember(new)
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
            self._release(lease_id, assign={"next_page": page})
            raise
        recorder.count(Metric.DIRECTORY_READ)
        self._release(
            lease_id,
            assign={"read_since": since, "read_at": self._clock()},
            remove=("reading_since", "next_page"),
        )

    def _release(self, lease_id: str, *, assign: Any, remove: tuple[str, ...] = ()) -> None:
        self._write(
            assign=assign,
            remove=("lease_id", "lease_until", *remove),
            condition="lease_id = :lease",
            values={"lease": lease_id},
        )

    def _write(self, **clauses: Any) -> bool:
        return self._table.update(DIRECTORY, **clauses) is not None

    def _reading(self) -> Reading:
        item = self._table.get(DIRECTORY)
        return Reading(**{name: value for name, value in item.items() if name in ATTRIBUTES})

    def _row(self, sk: str, email: str, *, since: float) -> Account | None:
        item = self._table.get(sk, email)
        if item.get("seen_at", -1) < since:
            return None
        return Account(user_id=item["user_id"], email=email, status=item["account_status"])
