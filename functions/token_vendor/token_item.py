"""
The TOKEN item of one caller as a state machine.

| attribute | set by | cleared by | why |
| --- | --- | --- | --- |
| `version` | every write, plus one | never | a lease is taken on the version that was read |
| `user_id` | store, release after a sign-out | never | the account of the stored token, which the answer names |
| `jwt`, `jti` | store | forget | the stored token |
| `lifetime` | store, release after a sign-out | never | seconds that the token had left when it was stored; bounds the refresh margin |
| `expires_at` | store, release after a sign-out | never | after a forget, it shows that a good token was given up |
| `lease_id`, `lease_until` | take_lease | store, release | one holder generates at a time |
| `generating_since` (the mark) | take_lease | store; release after a sign-out; release by the holder that set it, if it surely did not generate | until the next store, the stored token may be dead |
| `failed_until`, `failure` | release after a failure | take_lease, store | the cool-down: callers get the same problem without asking Aurora |
| `turn_at`, `turn_slots` | release with a turn | take_lease | the caller's place in the queue for Aurora |
| `subjects` | store, admit | store of another account's token | digests of the identities that the token was vended to |
| `forgets` | forget, plus one | never | a sign-out during a lease wins over the store that ends it |
| `renewals` | take_lease | release, if it surely did not generate | the hourly cap of generates over a good token |
| `came` | store, admit, note_coming; with `prewarm` alone | those older than `CAME_KEPT` | when the owner came, once a shift: whom to generate for ahead |
| `ahead` | store for nobody yet (`prewarm`) | store, admit, note_coming | the token waits for its owner, whose coming is noted once |
| `ttl` | every write | DynamoDB, at that time | an item outlives its last write by `kept_days` |

A marked token is never GOOD; any other state may carry the mark.
"""  # noqa: E501 - A row of a table is one line.

from dataclasses import dataclass, field
from enum import StrEnum

from token_vendor.models import AccessToken, Turn


class State(StrEnum):
    """What a request finds: the first of these that applies."""

    GOOD = "good"
    """The stored token satisfies the request."""
    LEASED = "leased"
    """Somebody is getting a token for this caller."""
    COOLING_DOWN = "cooling down"
    """The last attempt failed a moment ago."""
    QUEUED = "queued"
    """The caller has a turn that has not come yet."""
    STALE = "stale"
    """A stored token is alive, but does not satisfy the request."""
    EMPTY = "empty"
    """No stored token is alive."""


TRANSITIONS: dict[str, dict[State, set[State]]] = {
    "take lease": {
        State.GOOD: {State.LEASED},  # With `replace` or `min_ttl`.
        State.STALE: {State.LEASED},
        State.EMPTY: {State.LEASED},
    },
    "store": {State.LEASED: {State.GOOD}},
    "release": {
        # GOOD, STALE and EMPTY: what was there before, where nothing is worth remembering.
        State.LEASED: {State.COOLING_DOWN, State.QUEUED, State.GOOD, State.STALE, State.EMPTY}
    },
    "forget": {
        # A good token hides a cool-down or a turn of a moment ago.
        State.GOOD: {State.EMPTY, State.COOLING_DOWN, State.QUEUED},
        State.STALE: {State.EMPTY},
    },
    "time passes": {
        # Its margin is reached while a cool-down or a turn of a moment ago lies beneath.
        State.GOOD: {State.STALE, State.COOLING_DOWN, State.QUEUED},
        State.STALE: {State.EMPTY},
        State.LEASED: {State.STALE, State.EMPTY},  # The holder was killed.
        State.COOLING_DOWN: {State.STALE, State.EMPTY},
        State.QUEUED: {State.STALE, State.EMPTY},
    },
}
"""Every change of state, as a request without options sees it; `docs/protocol.md` draws it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenItem:
    """What the store holds for one caller.  Times are seconds since the epoch, 0 for none."""

    version: int = 0
    user_id: str = ""
    jwt: str = field(default="", repr=False)
    jti: str = ""
    expires_at: int = 0
    lifetime: int = 0
    lease_id: str = ""
    lease_until: float = 0
    generating_since: float = 0
    failed_until: float = 0
    failure: str = ""
    turn_at: float = 0
    turn_slots: tuple[tuple[int, int], ...] = ()
    renewals: tuple[float, ...] = ()
    subjects: tuple[str, ...] = ()
    forgets: int = 0
    came: tuple[float, ...] = ()
    ahead: int = 0

    @property
    def token(self) -> AccessToken | None:
        """Return the stored token, whatever its remaining life, or None."""
        if not self.jwt:
            return None
        return AccessToken(
            jwt=self.jwt, jti=self.jti, expires_at=self.expires_at, user_id=self.user_id
        )

    @property
    def turn(self) -> Turn | None:
        """Return the caller's place in the queue for Aurora, whenever it is, or None."""
        return Turn(at=self.turn_at, slots=self.turn_slots) if self.turn_slots else None

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
            self.state(now, margin=0) is State.EMPTY
            and self.expires_at <= now
            and not self.is_marked
            and self.version > 0
        )

    def state(
        self, now: float, *, margin: float, min_ttl: float = 0, replace: str | None = None
    ) -> State:
        """
        Return what a request finds.

        Args:
            now: Seconds since the epoch.
            margin: The least remaining life, in seconds, that makes a token good. Aurora decides
                how long tokens live: the margin is never more than a quarter of that.
            min_ttl: The least remaining life that the caller accepts.
            replace: The `jti` of a token that is not good, because it failed.

        """
        token = self.token
        wanted = token is not None and token.jti != replace and not self.is_marked
        if self.lifetime:
            margin = min(margin, self.lifetime / 4)
        if wanted and self.expires_at - now > max(margin, min_ttl):
            return State.GOOD
        if self.lease_until > now:
            return State.LEASED
        if self.failed_until > now:
            return State.COOLING_DOWN
        if self.turn_at > now:
            return State.QUEUED
        return State.STALE if token and self.expires_at > now else State.EMPTY


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to generate for one caller, until `until`; `item` is the item before it."""

    id: str
    until: float
    item: TokenItem
    email: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """
    How a lease ended without a token.

    At most one of `turn` and `failure` is given: a place in the queue, or the slug of the problem
    that lasts `until`. With neither, the next caller tries at once.
    """

    may_have_generated: bool
    turn: Turn | None = None
    failure: str = ""
    until: float = 0
