"""
The TOKEN item of one caller: its states, and every change of it as a pure function.

A transition is a method that takes what happened and returns the item after it. Where it does not
apply any more, it returns the item unchanged. `table.py` writes the difference, on the condition
that nobody has written since, and otherwise applies the transition to what is there by then.

The *mark* is `generating_since`: Aurora may have generated a token that is not stored, and the
stored one may be dead. A marked token is never GOOD; any other state may carry the mark.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from token_vendor.models import GENERATE, AccessToken, Shared, TokenRequest, Turn
from token_vendor.problems import ProblemError, TokenStoreUnavailableError

MOST_SUBJECTS = 8
MOST_STRANGERS = 4
CAME_KEPT = 8 * 86_400
"""Seconds: this day of the last week, and a day more."""
ONE_SHIFT = 8 * 3600
"""Seconds from an arrival in which its owner is there: what is generated then is no other one."""
MOST_ARRIVALS = 16
"""A shift in the morning and one in the evening, on each of the days that are kept."""
HOUR = 3600
GROWTH = 0.9
"""Below 1, so that somebody who asks every minute waits through no whole minute more."""
LONGEST_COOL_DOWN = 900
"""Seconds; only a refused account may cool down for longer."""


class State(StrEnum):
    """What a request finds: the first of these that applies."""

    GOOD = "good"
    """The stored token satisfies the request, and was vended to this identity before."""
    LEASED = "leased"
    """Somebody asks Aurora for this caller."""
    COOLING_DOWN = "cooling down"
    """The last attempt failed a moment ago."""
    QUEUED = "queued"
    """The caller has a turn that has not come yet."""
    UNCONFIRMED = "unconfirmed"
    """The stored token is good, but this identity was never vended it."""
    STALE = "stale"
    """A stored token is alive, but does not satisfy the request."""
    EMPTY = "empty"
    """No stored token is alive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenItem(Shared):
    """What the table holds for one caller. Times are seconds since the epoch, 0 for none."""

    sk: ClassVar[str] = "TOKEN"

    user_id: str = ""  # The account of the stored token.
    jwt: str = field(default="", repr=False)
    jti: str = ""
    expires_at: int = 0  # Stays after a sign-out: a token that is still alive was given up.
    lifetime: int = 0  # Seconds that the token had left when it was stored.
    generating_since: float = 0  # The mark.
    renewals: tuple[float, ...] = ()  # When tokens that were alive were replaced: an hourly cap.
    subjects: tuple[str, ...] = ()  # Digests of the identities that the token was vended to.
    strangers: tuple[tuple[str, float], ...] = ()  # Those that it was not, and when first seen.
    forgets: int = 0  # Sign-outs; one during a lease wins over the store that ends it.
    came: tuple[float, ...] = ()  # With `prewarm`: when the owner arrived, once a shift.
    ahead: int = 0  # 1 while a token that was generated ahead waits for its owner.

    @property
    def token(self) -> AccessToken | None:
        """Return the stored token, whatever its remaining life, or None."""
        if not self.jwt:
            return None
        return AccessToken(
            jwt=self.jwt, jti=self.jti, expires_at=self.expires_at, user_id=self.user_id
        )

    @property
    def is_marked(self) -> bool:
        """Tell whether a generate may have happened whose token is not stored."""
        return self.generating_since > 0

    def is_surely_empty(self, now: float) -> bool:
        """
        Tell whether no token of the owner can be alive, and nobody is getting one.

        Stricter than EMPTY: a token that was forgotten may live on in another tab, and a mark means
        that there may be one which is not stored.
        """
        return (
            self.state(now, TokenRequest()) is State.EMPTY
            and self.expires_at <= now
            and not self.is_marked
            and self.version > 0
        )

    def is_renewal(self, now: float) -> bool:
        """
        Tell whether a generate replaces a token that has not expired, forgotten or not.

        A mark means that the token may be dead by our own fault: replacing it does not count.
        """
        return not self.is_marked and self.expires_at > now

    def capped_until(self, now: float, cap: int) -> float | None:
        """Return when the next renewal may begin, if `cap` of them were begun in the last hour."""
        recent = self._recent_renewals(now)
        return recent[-cap] + HOUR if self.is_renewal(now) and len(recent) >= cap else None

    def first_seen(self, subject: str) -> float:
        """Return when an identity was first seen that the token was not vended to, or 0."""
        return dict(self.strangers).get(subject, 0)

    def state(self, now: float, request: TokenRequest) -> State:
        """
        Return what a request finds at `now`.

        Aurora decides how long tokens live: the margin is never more than a quarter of that.
        """
        token = self.token
        margin = min(request.margin, self.lifetime / 4) if self.lifetime else request.margin
        good = (
            token is not None
            and token.jti != request.replace
            and not self.is_marked
            and self.expires_at - now > max(margin, request.min_ttl)
        )
        if good and request.subject in self.subjects:
            return State.GOOD
        if self.lease_until > now:
            return State.LEASED
        if self.failed_until > now:
            return State.COOLING_DOWN
        if self.turn_at > now:
            return State.QUEUED
        if good:
            return State.UNCONFIRMED
        return State.STALE if token and self.expires_at > now else State.EMPTY

    # Transitions ------------------------------------------------------------------------------

    def leased(self, lease: "Lease") -> "TokenItem":
        """
        Take the lease, if nobody has written since the item was read.

        A holder that will generate sets the mark in the same write. A mark that is already there
        keeps its time.
        """
        if self.version != lease.item.version:
            return self
        after = self.taken(lease.id, lease.until)
        if not lease.generates:
            if self.first_seen(lease.subject):
                return after
            strangers = (*self.strangers, (lease.subject, lease.at))
            return replace(after, strangers=strangers[-MOST_STRANGERS:])
        renewals = self._recent_renewals(lease.at)
        return replace(
            after,
            generating_since=self.generating_since or lease.at,
            renewals=(*renewals, lease.at) if self.is_renewal(lease.at) else renewals,
        )

    def stored(
        self, lease: "Lease", token: AccessToken, *, now: float, notes_arrivals: bool
    ) -> "TokenItem":
        """
        Keep what the holder generated, as far as nothing that happened meanwhile forbids it.

        - Nobody else's news: the token is stored, and lease and mark end.
        - The caller signed out meanwhile: the life of the token is kept, the JWT is not.
        - A former holder, which was slow, has stored a token that expires later: that one stays.
          The token that was there before the lease is ignored, even if it expires later.
        - This holder was slow, and another one has the lease now: of both tokens the one that
          expires later stays, and the other holder's lease and mark.

        Without a subject the token was generated ahead, and waits for its owner.
        """
        mine = self.lease_id == lease.id
        signed_out = self.forgets != lease.item.forgets
        if not mine and (self.jti == token.jti or signed_out):
            return self
        news = not mine or self.expires_at != lease.item.expires_at
        if news and self.expires_at >= token.expires_at:
            return self._ended() if mine else self
        after = replace(
            self._ended() if mine else self,
            user_id=token.user_id,
            expires_at=token.expires_at,
            lifetime=max(1, int(token.expires_at - now)),
        )
        if signed_out:
            return replace(after, jwt="", jti="")
        after = replace(
            after,
            jwt=token.jwt,
            jti=token.jti,
            subjects=self.subjects if self.user_id == token.user_id else (),
            strangers=(),
            ahead=1,
        )
        if not lease.subject:
            return after
        return after.met(lease.subject, now=now, notes_arrivals=notes_arrivals)

    def released(
        self,
        lease: "Lease",
        problem: ProblemError,
        *,
        now: float,
        pause: float,
        unspent: Turn | None = None,
    ) -> "TokenItem":
        """
        Give the lease back without a token, and leave to the next caller what the problem means.

        Where a generate certainly did not happen, the renewal does not count, and the mark that
        this holder set is cleared. A mark that it found stays: a predecessor may have generated.

        A problem that names no moment lasts for `pause`. Generates whose tokens are lost are cooled
        down from for as long as they have lasted: what Aurora answers to one reload, it may answer
        to all of them. If the table failed, the caller keeps the calls that are `unspent`.
        """
        after, before = self._given_back(lease), lease.item
        if after is self:
            return self
        may_have_generated = problem.in_doubt == GENERATE
        if lease.generates and not may_have_generated:
            after = replace(
                after, renewals=before.renewals, generating_since=before.generating_since
            )
        table_failed = isinstance(problem, TokenStoreUnavailableError)
        if turn := unspent if table_failed else problem.turn:
            return after.queued(turn)
        if table_failed:
            return after
        if pause and may_have_generated and before.is_marked:
            lasted = now - before.generating_since
            pause = max(pause, min(GROWTH * lasted, LONGEST_COOL_DOWN))
        return replace(after, failed_until=problem.retry_at or now + pause, failure=problem.slug)

    def admitted(
        self, subject: str, lease: "Lease | None", *, jti: str, now: float, notes_arrivals: bool
    ) -> "TokenItem":
        """End the question whose token `jti` is: it may be vended to this identity, too."""
        base = self._given_back(lease) if lease else self
        if self.jti != jti:
            return base
        return base.met(subject, now=now, notes_arrivals=notes_arrivals)

    def disowned(self, lease: "Lease") -> "TokenItem":
        """End the question whose token it is: it belongs to a former owner of the address."""
        after = self._given_back(lease)
        if self.jti != lease.item.jti:
            return after
        return replace(after, jwt="", jti="", expires_at=0, lifetime=0, strangers=())

    def met(self, subject: str, *, now: float, notes_arrivals: bool) -> "TokenItem":
        """Record an identity of the owner that the token is vended to."""
        others = tuple(each for each in self.subjects if each != subject)
        strangers = tuple(each for each in self.strangers if each[0] != subject)
        met = replace(
            self, subjects=(*others, subject)[-MOST_SUBJECTS:], strangers=strangers, ahead=0
        )
        return met.arrived(now=now) if notes_arrivals else met

    def arrived(self, *, now: float) -> "TokenItem":
        """Record that the owner arrived, once in a shift."""
        kept = tuple(at for at in self.came if at > now - CAME_KEPT)
        if not kept or now - kept[-1] >= ONE_SHIFT:
            kept += (int(now),)
        return replace(self, came=kept[-MOST_ARRIVALS:], ahead=0)

    def forgotten(self) -> "TokenItem":
        """Drop the stored JWT, and what a holder is about to store."""
        if not self.jwt and not self.lease_id:
            return self
        return replace(self, jwt="", jti="", forgets=self.forgets + 1)

    def _recent_renewals(self, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.renewals if at > now - HOUR)

    def _given_back(self, lease: "Lease") -> "TokenItem":
        mine = self.lease_id == lease.id
        return replace(self, lease_id="", lease_until=0) if mine else self

    def _ended(self) -> "TokenItem":
        """Release after a generate whose token is known: no mark, no cool-down."""
        return replace(
            self, lease_id="", lease_until=0, generating_since=0, failed_until=0, failure=""
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to ask Aurora for one caller, from `at` until `until`."""

    id: str
    at: float
    until: float
    item: TokenItem  # Before it.
    held: TokenItem = field(default_factory=TokenItem)  # With it.
    subject: str = ""  # The identity that asks.
    generates: bool = True  # Sets the mark; otherwise we only ask whose token is stored.
