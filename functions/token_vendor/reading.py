"""The DIRECTORY item: when Aurora's list was last read, and how far an unfinished reading is."""

from dataclasses import dataclass, replace
from typing import ClassVar

from token_vendor.models import EARLY, Shared
from token_vendor.paging import Page
from token_vendor.problems import AuroraBusyError, ProblemError, problem_of
from token_vendor.settings import MINUTE

SHARE = 20
"""A reading may take one in so many calls: a long list is kept longer than `directory_ttl`."""
ABANDONED = 3600
"""Seconds after its last page at which an unfinished reading begins anew."""
LONGEST_FAILURE = 300
"""Seconds; the pause after a failed reading doubles with each failure in a row, up to this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading(Shared):
    """The DIRECTORY item; times are seconds since the epoch."""

    sk: ClassVar[str] = "DIRECTORY"

    read_since: float = 0  # When the last whole reading began.
    read_at: float = 0  # When it ended.
    pages: int = 0  # What it cost.
    reading_since: float = 0  # When the unfinished reading began, or 0 for none.
    next_page: int = 0  # Where it is.
    next_query: str = ""
    promised: int = 0
    rows_read: int = 0
    after_id: str = ""  # The last row of that page that was written.
    failures: int = 0  # In a row.
    rested_at: float = 0  # When readings have rested for as long as they cost.
    questions: int = 0  # About single people.
    questions_before: int = 0  # How many there were when the last reading began.

    @property
    def page(self) -> Page:
        """Return the page that an unfinished reading is at."""
        return Page(
            number=self.next_page or 1,
            named=self.next_query,
            promised=bool(self.promised),
            read=self.rows_read,
        )

    def rest(self, rate: float) -> float:
        """Return for how many seconds readings rest so that they take their share of the calls."""
        return SHARE * self.pages * MINUTE / rate

    def obstacle(self, now: float, rate: float) -> ProblemError | None:
        """Return why nobody may read now, or None."""
        if self.failed_until > now:
            return problem_of(self.failure, retry_at=self.failed_until)
        if self.turn_at - now > EARLY:
            return AuroraBusyError(cause="the reading waits for its turn", retry_at=self.turn_at)
        # Two readings in a row are borne: one finds nobody, the next one the person just invited.
        begins = self.rested_at - self.rest(rate)
        if begins > now and not self.reading_since:
            return AuroraBusyError(
                "The list of Aurora's users was read a moment ago. Try again then.",
                cause="readings rest",
                retry_at=begins,
            )
        return None

    # Transitions ------------------------------------------------------------------------------

    def leased(self, lease_id: str, *, now: float, until: float) -> "Reading":
        """Take the right to read, where nobody has it; begin a reading, or go on with one."""
        if self.lease_until > now:
            return self
        mine = self.taken(lease_id, until)
        # A killed reader saved no position. Going on from where it began would take its own rows
        # for those of a list that repeats itself.
        stopped = self.reading_since and not self.lease_id
        if stopped and self.lease_until > now - ABANDONED:
            return mine
        # Rounded as the table keeps it: rows of this reading are told by it.
        begun = mine.at(Page())
        return replace(begun, reading_since=round(now, 3), questions_before=self.questions)

    def at(self, page: Page, after_id: str = "") -> "Reading":
        """Note the page that a reading is at, and the last row of it that was written."""
        return replace(
            self,
            next_page=page.number,
            next_query=page.named,
            promised=int(page.promised),
            rows_read=page.read,
            after_id=after_id,
        )

    def stopped(
        self, come: "Reading", problem: ProblemError, *, now: float, cool_down: float
    ) -> "Reading":
        """Give the right to read back; keep how far the reading has come, and why it stopped."""
        if self.lease_id != come.lease_id:
            return self
        # The end of the lease stays: it tells when the reading last went on.
        after = replace(
            self.at(come.page, come.after_id),
            lease_id="",
            lease_until=now,
            reading_since=come.reading_since,
        )
        if problem.turn:
            return after.queued(problem.turn)
        if problem.ours:
            return after
        failures = self.failures + 1
        pause = min(cool_down * 2 ** (failures - 1), max(cool_down, LONGEST_FAILURE))
        return replace(after, failures=failures, failed_until=now + pause, failure=problem.slug)

    def finished(self, come: "Reading", *, now: float, rate: float) -> "Reading":
        """Give the right to read back after the last page."""
        if self.lease_id != come.lease_id:
            return self
        done = replace(
            self.at(Page(number=0)),  # No unfinished reading.
            lease_id="",
            lease_until=now,
            read_since=come.reading_since,
            read_at=now,
            pages=come.page.number,
            reading_since=0,
            failures=0,
            failed_until=0,
        )
        return replace(done, rested_at=max(now, self.rested_at) + done.rest(rate))
