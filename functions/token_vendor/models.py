"""The values that travel between the parts: frozen, and carrying their own rules."""

import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeGuard

from token_vendor.settings import RESERVE

type Item = dict[str, Any]
"""Texts, numbers (seconds since the epoch, counts) and tuples of them by attribute name."""

LIST, RETRIEVE = "list_users", "retrieve_user"
INVITE, GENERATE = "invite_user", "generate_token"
"""The operations at Aurora, as logs, metrics and `ProblemError.in_doubt` name them."""
LONGEST_EMAIL = 254
"""Characters: RFC 5321's limit on a path."""
LONGEST_ID = 128
ACTIVE = "active"
"""The one `account_status` that Aurora documents; every other value counts as not active."""
LEASE_OUTLASTS_HOLDER = 1.0
"""Seconds between the end of an invocation and that of its leases."""
EARLY = 1.0
"""Seconds that a caller may come before its turn, since clocks differ; the request sleeps them."""
POLL = (0.060, 0.250)
"""Least and most seconds between two looks at an item on which somebody else has a lease."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """
    An item as a value; the base of the versioned ones.

    An attribute that the item does not have has the field's default. One of another type, which
    another version of this program wrote, counts as absent. A default is not written.
    """

    sk: ClassVar[str] = ""
    """The sort key of the items."""

    version: int = 0
    """How often the item was written; 0 where there is none."""

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return the value of an item as the table holds it."""
        return cls(
            **{
                each.name: value
                for each in fields(cls)
                if (value := item.get(each.name)) is not None and _is_like(value, each.default)
            }
        )

    def attributes(self) -> Item:
        """Return what differs from the defaults."""
        return {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """
    Calls reserved in the queue for Aurora, from `at` on, in seconds since the epoch.

    Each slot is the number of a place, and the virtual microsecond from which on it may be used.
    """

    at: float
    slots: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared(Value):
    """
    An item for which one request at a time asks Aurora, under a lease.

    What came of it holds for everybody who comes later: the problem named `failure`, until
    `failed_until`, or the turn in the queue for Aurora.
    """

    lease_id: str = ""
    lease_until: float = 0
    failed_until: float = 0
    failure: str = ""
    turn_at: float = 0
    turn_slots: tuple[tuple[int, int], ...] = ()

    @property
    def turn(self) -> Turn | None:
        """Return the place in the queue for Aurora, whenever it is, or None."""
        return Turn(at=self.turn_at, slots=self.turn_slots) if self.turn_slots else None

    def taken(self, lease_id: str, until: float) -> Self:
        """Take the lease, and with it whatever the one before left behind."""
        return replace(
            self,
            lease_id=lease_id,
            lease_until=until,
            failed_until=0,
            failure="",
            turn_at=0,
            turn_slots=(),
        )

    def queued(self, turn: Turn) -> Self:
        """Keep a turn."""
        return replace(self, turn_at=turn.at, turn_slots=turn.slots)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """
    The verified person behind a request; `email` is normalised.

    `subject` is a digest of the sign-in's `iss` and `sub`: who the identity provider says it is.
    """

    email: str
    subject: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRequest:
    """
    What makes a stored token good for a request.

    `replace` names the `jti` of a token that failed. `min_ttl` is the least remaining life, in
    seconds, that the caller accepts, and `margin` what we want. `subject` is who asks.
    """

    replace: str | None = None
    min_ttl: int = 0
    margin: float = 0
    subject: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessToken:
    """
    An Aurora JWT and what is believed of it; `expires_at` in seconds since the epoch.

    It is not `storable` if nobody knows when it ends. `expires_at` then is when to ask again.
    """

    jwt: str = field(repr=False)
    jti: str
    expires_at: int
    user_id: str
    storable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Vended:
    """A token on its way to the caller; `source` is `stored` or `generated`."""

    token: AccessToken
    email: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """
    One record of Aurora's user list, and when Aurora said so (seconds since the epoch).

    `doubted_at` is when Aurora first refused the account since then, or 0.
    """

    user_id: str
    email: str
    status: str
    seen_at: float = 0
    doubted_at: float = 0

    @property
    def active(self) -> bool:
        """Only the documented status counts; new values may appear at any time."""
        return self.status == ACTIVE


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, in seconds since the epoch, at which a request must have been answered."""

    at: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def lease_until(self, now: float) -> float:
        """Return when the leases of this request end: just after Lambda kills their holder."""
        return now + self.remaining() + RESERVE + LEASE_OUTLASTS_HOLDER

    def remaining(self) -> float:
        """Return the seconds left; negative when it has passed."""
        return self.at - self.clock()

    def looks(self, patience: float) -> Iterator[bool]:
        """
        Pause before each further look at somebody else's work, for `patience` in all.

        Longer waits would let a page that calls in a loop occupy many execution environments.
        """
        since = self.clock()
        while self.clock() - since < patience:
            pause = random.uniform(*POLL)  # noqa: S311 - jitter is no secret.
            if self.remaining() <= pause:
                return
            self.sleep(pause)
            yield True


def _is_like(value: Any, default: Any) -> bool:
    """Tell whether a value has the type of a default; a number may be whole or not."""
    return isinstance(value, int | float if isinstance(default, int | float) else type(default))


def is_id(text: object) -> TypeGuard[str]:
    """Tell whether `text` can stand in a path; Aurora's ids are UUIDs."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= LONGEST_ID
        and all(c.isascii() and (c.isalnum() or c in "-_") for c in text)
    )


def normalised_email(text: str) -> str:
    """
    Return the one form in which an e-mail address is compared and used as a key.

    The address is stripped, in NFC and in lower case. A `+tag` stays, because Aurora itself advises
    tags to people with several accounts. It is not case-folded: that makes `ß` an `ss`, and the
    owner of straße.example would get the tokens of strasse.example. A sign that one of these steps
    would make an ASCII letter is refused for the same reason: the Kelvin sign is no k.

    Raises:
        ValueError: `text` is not an address.

    """
    text = text.strip()
    if any(not c.isascii() and _folded(c).isascii() for c in text):
        raise ValueError("a sign that would become another one")
    email = _folded(text)
    local, at, domain = email.rpartition("@")
    if (
        not (at and local and domain)
        or len(email) > LONGEST_EMAIL
        or "@" in local
        or "#" in domain
        or " " in email
        or not email.isprintable()
    ):
        raise ValueError("not an e-mail address")
    return email


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
