"""
Aurora's user list, read for everybody at once.

Aurora has no documented look-up by e-mail: finding one person means reading the whole list. One
execution environment reads at a time, and writes the mapping of every person. The next one goes on
where it stopped (`reading.py`): a reading always ends, and is never begun anew half-way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from token_vendor.aurora import AuroraClient, Listing
from token_vendor.models import Account, Deadline, Item
from token_vendor.observability import Metric, recorder
from token_vendor.paging import Page
from token_vendor.problems import AuroraBusyError, AuroraInvalidResponseError, ProblemError
from token_vendor.reading import Reading
from token_vendor.request_budget import Allowance
from token_vendor.settings import Settings
from token_vendor.table import Table

ACTIVE_ROW, OTHER_ROW = "ACCOUNT", "INACTIVE"
LONE_QUESTIONS = 10
"""Questions about single people between two readings, or as many as a reading costs calls."""
READER_NEEDS = 4.0
"""Seconds that a reader needs for one more page; with less, the next one goes on from there."""
SAMPLE = 20
"""Rows of a page that are looked up to tell whether it was read before."""
LARGEST_PAGE = 250
"""Rows; Aurora's lists are known to take at most this `per_page`. More is a list without pages."""
MOST_PAGES = 5000
MOST_EMPTY = 3
"""Pages in a row that have nobody, of a list that says that it goes on."""

CHUNK = 500
"""Rows per deadline check."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """Find people in the user list, reading it where the last reading is too old."""

    table: Table
    aurora: AuroraClient
    settings: Settings
    clock: Callable[[], float]

    def look_up(self, email: str, allowance: Allowance, *, not_before: float = 0) -> Account | None:
        """
        Return what the list says of a person, read recently, and begun after `not_before`.

        `not_before` is a stored moment: one that each request took anew would never be reached by a
        reading that is longer than a request. A `ProblemError` says that nobody can tell yet.
        """
        rate, patience = self.settings.request_rate, self.settings.patience
        looks = allowance.deadline.looks(patience)
        while True:
            reading, now = self.table.load(Reading), self.clock()
            oldest = now - max(self.settings.directory_ttl, reading.rest(rate))
            if reading.read_at > oldest and reading.read_since > not_before:
                return self.known(email, since=reading.read_since)
            if reading.lease_until > now:
                if not next(looks, False):
                    raise AuroraBusyError(
                        "The list of Aurora's users is being read. Try again then.",
                        cause="the reading of the directory outlasts this request",
                        retry_at=min(reading.lease_until, now + patience),
                    )
            elif obstacle := reading.obstacle(now, rate):
                raise obstacle
            else:
                self._read(reading, allowance)

    def refresh(self, begun: float, allowance: Allowance) -> None:
        """
        Read the list whole, or go on with that, unless a reading has ended since `begun`.

        An `AuroraBusyError` says that it has not ended yet.
        """
        reading, now = self.table.load(Reading), self.clock()
        if reading.read_at > begun:
            return
        if reading.lease_until > now:
            raise AuroraBusyError(cause="somebody else reads", retry_at=reading.lease_until)
        self._read(reading, allowance)

    def may_ask_alone(self, since: float) -> bool:
        """
        Count a question about one person; tell whether to ask Aurora about that person alone.

        Otherwise a reading serves this person and others: one that was begun after `since`, or the
        next one, after so many questions that it costs no more.
        """
        reading = Reading.of(self.table.update(Reading.sk, add={"questions": 1}) or {})
        asked = reading.questions - reading.questions_before
        return reading.read_since <= since and asked < max(LONE_QUESTIONS, reading.pages)

    def mapping(self, email: str) -> Account | None:
        """Return the active account that Aurora named last and has not refused since."""
        item = self.table.get(ACTIVE_ROW, email)
        return None if not item or "doubted_at" in item else _account(email, item)

    def known(self, email: str, *, since: float = 0) -> Account | None:
        """Return the newest that Aurora said of a person at `since` or later, without asking it."""
        rows = self.table.get_all([(ACTIVE_ROW, email), (OTHER_ROW, email)]).values()
        return max(
            (_account(email, row) for row in rows if row and row["seen_at"] >= since),
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
        rows: dict[tuple[str, str], Item] = {
            _key(account): {
                "user_id": account.user_id,
                "account_status": account.status,
                "seen_at": seen_at,
                "ttl": self.table.ttl(),
            }
            for account in accounts
        }
        self.table.put_all(rows)

    def doubt(self, account: Account) -> float:
        """Note that Aurora refused an account; return the moment of the first doubt about it."""
        now = self.clock()
        before = self.table.update(
            ACTIVE_ROW,
            account.email,
            assign_once={"doubted_at": now},
            condition="user_id = :id",
            values={"id": account.user_id},
        )
        return float((before or {}).get("doubted_at", now))

    def _read(self, seen: Reading, allowance: Allowance) -> None:
        """Read the list from where the last reader stopped, unless somebody else does."""
        now = self.clock()
        lease_id, until = str(uuid4()), allowance.deadline.lease_until(now)
        come = held = self.table.change(
            seen, lambda reading: reading.leased(lease_id, now=now, until=until)
        )
        if held.lease_id != lease_id:
            return
        # The reading pays for itself: a turn that it is given is everybody's, and kept with it.
        own = allowance.apart()
        try:
            if seen.turn:
                own.redeem(seen.turn)
            for step in self._pages(held, own):
                come = step
        except ProblemError as problem:
            now, cool_down, why = self.clock(), self.settings.cool_down, problem
            self.table.change(
                held, lambda reading: reading.stopped(come, why, now=now, cool_down=cool_down)
            )
            raise problem.ending_at(problem.retry_at) from None
        recorder.count(Metric.DIRECTORY_READ)
        now, rate = self.clock(), self.settings.request_rate
        self.table.change(held, lambda reading: reading.finished(come, now=now, rate=rate))

    def _pages(self, come: Reading, allowance: Allowance) -> Iterator[Reading]:
        """
        Read and write pages until the last one; yield how far the reading has come.

        Where Aurora names no pages, the list ends at a page that is empty, refused, or was read
        before: a list that knows no pages answers `page=2` with the same rows, or refuses it. A
        page without anybody is no end while Aurora says that others follow.
        """
        empty = 0
        while True:
            page = come.page
            listing = self.aurora.list_users(page, allowance)
            rows = sorted(
                (row for row in listing.accounts if row.user_id > come.after_id),
                key=lambda row: row.user_id,
            )
            repeated = page.number > 1 and self._was_read(rows, come.reading_since)
            empty = 0 if listing.accounts else empty + 1
            if fault := _fault(listing, page, repeated=repeated, empty=empty):
                # The people on the pages that follow would be taken for new, and invited.
                yield replace(come, reading_since=0)
                raise AuroraInvalidResponseError(cause=f"list_users: page {page.number} {fault}")
            if not repeated or len(rows) <= LARGEST_PAGE:
                for start in range(0, len(rows), CHUNK):
                    if start:
                        self._check_time(allowance.deadline, page.number)
                    chunk = rows[start : start + CHUNK]
                    self.remember(chunk, seen_at=come.reading_since)
                    come = come.at(page, after_id=chunk[-1].user_id)
                    yield come
            following = listing.following
            ended = repeated or empty == MOST_EMPTY or page.number == MOST_PAGES
            if ended or not following or (empty and not following.promised):
                return
            come = come.at(following)
            yield come
            self._check_time(allowance.deadline, following.number)

    def _was_read(self, rows: Sequence[Account], since: float) -> bool:
        """
        Tell whether most rows were written by this very reading, be it by another environment.

        Not all: people are added while a list is read.
        """
        sample = rows[:: max(1, len(rows) // SAMPLE)]
        if not sample:
            return False
        items = self.table.get_all({_key(row) for row in sample})
        read = [row for row in sample if items[_key(row)].get("seen_at") == since]
        return len(read) * 2 > len(sample)

    def _check_time(self, deadline: Deadline, page: int) -> None:
        if deadline.remaining() < READER_NEEDS:
            raise AuroraBusyError(
                "The list of Aurora's users is long. Try again now.",
                cause=f"the directory goes on at page {page}",
                retry_at=self.clock() + 1,
            )


def _fault(listing: Listing, page: Page, *, repeated: bool, empty: int) -> str:
    """Say why a list cannot be read to its end, or return an empty string."""
    if listing.rows and not listing.accounts and not page.read:
        return "has no row with a usable id and e-mail"
    if page.promised and (listing.refused or repeated):
        # A cursor that is over, or a form that is read wrongly.
        return "was promised, and " + ("refused" if listing.refused else "has the rows of another")
    following = listing.following
    if empty < MOST_EMPTY or not following or (following.counted and page.read):
        # A total alone may count people who are not listed.
        return ""
    return "is empty as those before it, and others are to follow" if following.promised else ""


def _key(account: Account) -> tuple[str, str]:
    return (ACTIVE_ROW if account.active else OTHER_ROW, account.email)


def _account(email: str, row: Item) -> Account:
    return Account(
        user_id=row["user_id"],
        email=email,
        status=row["account_status"],
        seen_at=row["seen_at"],
        doubted_at=row.get("doubted_at", 0),
    )
