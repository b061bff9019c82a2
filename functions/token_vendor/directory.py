"""
Aurora's user list, read for everybody at once.

Aurora has no documented look-up by e-mail. Finding one person means reading the whole list. A
reading writes the mapping of every person. One execution environment reads at a time, and the
next one goes on where it stopped: a reading always ends, and is never begun anew half-way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

from token_vendor.aurora import AuroraClient
from token_vendor.models import Account, Deadline
from token_vendor.observability import Metric, recorder
from token_vendor.paging import Page
from token_vendor.problems import AuroraBusyError, AuroraInvalidResponseError, ProblemError
from token_vendor.request_budget import Allowance
from token_vendor.settings import MINUTE
from token_vendor.table import Item, Table
from token_vendor.token_store import KEPT_FOR

DIRECTORY, ACTIVE_ROW, OTHER_ROW = "DIRECTORY", "ACCOUNT", "INACTIVE"
SHARE = 20
"""A reading may take one in so many calls: a long list is kept longer than `ttl`."""
ABANDONED = 3600
"""Seconds after its last page at which an unfinished reading begins anew."""
READER_NEEDS = 4.0
"""Seconds that a reader needs for one more page; with less, the next one goes on from there."""
SAMPLE = 20
"""Rows of a page that are looked up to tell whether it was read before."""
LARGEST_PAGE = 250
"""Rows; Aurora's lists are known to take at most this `per_page`. More is a list without pages."""
MOST_PAGES = 5000
CHUNK = 500
"""Rows that are written between two looks at the deadline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """
    The DIRECTORY item; times are seconds since the epoch.

    `read_since`, `read_at` and `pages` are when the last whole reading began and ended, and what
    it cost. `reading_since`, `next_page`, `next_query`, `promised` and `after_id` are how far an
    unfinished one has come. `doubted_at` is when a reading last began because somebody's account
    was refused.
    """

    read_since: float = 0
    read_at: float = 0
    pages: int = 0
    lease_id: str = ""
    lease_until: float = 0
    reading_since: float = 0
    next_page: int = 0
    next_query: str = ""
    promised: int = 0
    after_id: str = ""
    doubted_at: float = 0

    def place(self) -> "Place":
        """Return how far an unfinished reading has come."""
        page = Page(number=self.next_page, named=self.next_query, promised=bool(self.promised))
        return Place(page=page, after_id=self.after_id)


ATTRIBUTES = frozenset(field.name for field in fields(Reading))


@dataclass(kw_only=True, slots=True)
class Place:
    """How far a reading has come: the page that it is at, and the last row of it written."""

    page: Page = Page()  # noqa: RUF009 - frozen.
    after_id: str = ""

    def attributes(self) -> dict[str, Any]:
        """Return the place as the DIRECTORY item keeps it."""
        return {
            "next_page": self.page.number,
            "next_query": self.page.named,
            "promised": int(self.page.promised),
            "after_id": self.after_id,
        }


class Directory:
    """Find people in the user list, reading it where the last reading is too old."""

    def __init__(
        self,
        table: Table,
        aurora: AuroraClient,
        *,
        ttl: float,
        rate: float,
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._aurora = aurora
        self._ttl = ttl
        self._rate = rate
        self._clock = clock

    def look_up(
        self, email: str, allowance: Allowance, *, not_before: float = 0, doubt: bool = False
    ) -> Account | None:
        """
        Return what the list says of a person, read recently and after `not_before`.

        Args:
            email: The person's normalised address.
            allowance: Pays for a reading.
            not_before: A stored moment. One that each request took anew would never be reached by
                a reading that is longer than a request.
            doubt: The moment is that of a refused account. Such readings are rationed, since a key
                that loses a right makes everybody's account look wrong: within the list's age, the
                second one is answered from the list as it is.

        Raises:
            AuroraBusyError: The reading outlasts this request.

        """
        while True:
            reading, now = self._reading(), self._clock()
            age = self._age(reading)
            fresh = reading.read_at > now - age
            rationed = (
                doubt and reading.doubted_at > now - age and reading.reading_since <= not_before
            )
            if fresh and (reading.read_since > not_before or rationed):
                return self.known(email, since=reading.read_since)
            if reading.lease_until <= now:
                self._read(reading, allowance, doubted_at=now if doubt else 0)
            elif not allowance.deadline.poll():
                raise AuroraBusyError(
                    "The list of Aurora's users is being read. Try again then.",
                    cause="the reading of the directory outlasts this request",
                    retry_at=reading.lease_until,
                )

    def refresh(self, begun: float, allowance: Allowance) -> None:
        """
        Read the list whole, or go on with that, unless a reading has ended since `begun`.

        Raises:
            AuroraBusyError: Not ended in time, or somebody else reads.

        """
        reading, now = self._reading(), self._clock()
        if reading.read_at > begun:
            return
        if reading.lease_until > now:
            raise AuroraBusyError(cause="somebody else reads", retry_at=reading.lease_until)
        self._read(reading, allowance, doubted_at=0)

    def mapping(self, email: str) -> Account | None:
        """Return the active account that Aurora named last and has not refused since."""
        item = self._table.get(ACTIVE_ROW, email)
        if not item or "doubted_at" in item:
            return None
        return Account(
            user_id=item["user_id"],
            email=email,
            status=item["account_status"],
            seen_at=item["seen_at"],
        )

    def known(self, email: str, *, since: float = 0) -> Account | None:
        """Return the newest that Aurora said of a person at `since` or later, without asking it."""
        return max(
            (
                Account(
                    user_id=item["user_id"],
                    email=email,
                    status=item["account_status"],
                    seen_at=item["seen_at"],
                    doubted_at=item.get("doubted_at", 0),
                )
                for item in self._table.get_all([(ACTIVE_ROW, email), (OTHER_ROW, email)]).values()
                if item["seen_at"] >= since
            ),
            # Several rows may bear one address, at most one of them active.
            key=lambda account: (account.seen_at, account.active),
            default=None,
        )

    def remember(self, accounts: Sequence[Account], *, seen_at: float) -> None:
        """
        Write the mappings of `accounts`, as Aurora named them at `seen_at`.

        Several rows may have one e-mail, at most one of them active (Aurora's page on
        activating users). The others go to another item: their order does not matter.
        """
        self._table.put_all({_key(account): self._row(account, seen_at) for account in accounts})

    def doubt(self, account: Account) -> float:
        """Note that Aurora refused an account; return the moment of the first doubt about it."""
        now = self._clock()
        before = self._table.update(
            ACTIVE_ROW,
            account.email,
            assign_once={"doubted_at": now},
            condition="user_id = :id",
            values={"id": account.user_id},
        )
        return float((before or {}).get("doubted_at", now))

    def _age(self, reading: Reading) -> float:
        return max(self._ttl, SHARE * reading.pages * MINUTE / self._rate)

    def _read(self, reading: Reading, allowance: Allowance, *, doubted_at: float) -> None:
        """Read the list from where the last reader stopped, unless somebody else does."""
        now = self._clock()
        # A reader that was killed left no word of how far it came. Going on from where it began
        # would take its own rows for those of a list that repeats itself.
        stopped = reading.next_page and not reading.lease_id
        if stopped and reading.lease_until > now - ABANDONED:
            since, place = reading.reading_since, reading.place()
        else:
            # As the table keeps it: rows of this reading are told by it.
            since, place = round(now, 3), Place()
        lease_id = str(uuid4())
        begin = {"reading_since": since, **place.attributes()}
        if doubted_at and place.page.number == 1:
            begin["doubted_at"] = doubted_at
        if not self._write(
            assign={
                "lease_id": lease_id,
                "lease_until": allowance.deadline.lease_until(now),
                **begin,
            },
            condition="attribute_not_exists(lease_until) OR lease_until <= :now",
            values={"now": now},
        ):
            return
        try:
            self._read_pages(place, since, allowance)
        except ProblemError:
            self._release(lease_id, assign=place.attributes())
            raise
        recorder.count(Metric.DIRECTORY_READ)
        self._release(
            lease_id,
            assign={"read_since": since, "read_at": self._clock(), "pages": place.page.number},
            remove=("reading_since", *place.attributes()),
        )

    def _read_pages(self, place: Place, since: float, allowance: Allowance) -> None:
        """
        Read and write pages until the last one; `place` says how far it came.

        Where Aurora names no pages, the list ends at a page that is empty, refused, or was read
        before: a list that knows no pages answers `page=2` with the same rows, or refuses it.
        """
        while True:
            page = place.page
            listing = self._aurora.list_users(page, allowance)
            rows = sorted(
                (row for row in listing.accounts if row.user_id > place.after_id),
                key=lambda row: row.user_id,
            )
            repeated = page.number > 1 and self._was_read(rows, since)
            if page.promised and (listing.refused or repeated):
                # A cursor that is over, or a form that is read wrongly. The people on the pages
                # that follow would be taken for new, and invited.
                place.page, place.after_id = Page(), ""
                raise AuroraInvalidResponseError(
                    cause=f"list_users: page {page.number}, which the answer before it named, "
                    + ("was refused" if listing.refused else "has the rows of one before")
                )
            if not repeated or len(rows) <= LARGEST_PAGE:
                self._write_rows(rows, place, since, allowance.deadline)
            unusable = page.number > 1 and not listing.accounts
            following = listing.following
            ended = repeated or unusable or not listing.rows or page.number == MOST_PAGES
            if ended or not following:
                return
            place.page, place.after_id = following, ""
            _check_time(allowance.deadline, following.number, self._clock())

    def _was_read(self, rows: Sequence[Account], since: float) -> bool:
        """
        Tell whether most rows were written by this very reading, be it by another environment.

        Not all: people are added while a list is read.
        """
        sample = rows[:: max(1, len(rows) // SAMPLE)]
        items = self._table.get_all({_key(row) for row in sample})
        read = [row for row in sample if items.get(_key(row), {}).get("seen_at") == since]
        return len(read) * 2 > len(sample)

    def _write_rows(
        self, rows: Sequence[Account], place: Place, since: float, deadline: Deadline
    ) -> None:
        for start in range(0, len(rows), CHUNK):
            if start:
                _check_time(deadline, place.page.number, self._clock())
            chunk = rows[start : start + CHUNK]
            self.remember(chunk, seen_at=since)
            place.after_id = chunk[-1].user_id

    def _row(self, account: Account, seen_at: float) -> Item:
        return {
            "user_id": account.user_id,
            "account_status": account.status,
            "seen_at": seen_at,
            "ttl": int(self._clock()) + KEPT_FOR,
        }

    def _release(self, lease_id: str, *, assign: Any, remove: tuple[str, ...] = ()) -> None:
        self._write(
            # The end of the lease stays: it tells when the reading last went on.
            assign=assign | {"lease_until": self._clock()},
            remove=("lease_id", *remove),
            condition="lease_id = :lease",
            values={"lease": lease_id},
        )

    def _write(self, **clauses: Any) -> bool:
        return self._table.update(DIRECTORY, **clauses) is not None

    def _reading(self) -> Reading:
        item = self._table.get(DIRECTORY)
        return Reading(**{name: value for name, value in item.items() if name in ATTRIBUTES})


def _key(account: Account) -> tuple[str, str]:
    return (ACTIVE_ROW if account.active else OTHER_ROW, account.email)


def _check_time(deadline: Deadline, page: int, now: float) -> None:
    if deadline.remaining() < READER_NEEDS:
        raise AuroraBusyError(
            "The list of Aurora's users is long. Try again now.",
            cause=f"the directory goes on at page {page}",
            retry_at=now + 1,
        )
