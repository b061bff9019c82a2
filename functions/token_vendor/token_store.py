"""
Write the TOKEN item of `token_item.py`: lease and mark, store, release, forget.

Every write adds one to `version`. A lease is taken on the condition that the version is still the
one that was read: a decision about an item holds only if nobody has written since. The holder's
writes are fenced by `lease_id`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any
from uuid import uuid4

from token_vendor.control import CONTROL, Control
from token_vendor.models import AccessToken
from token_vendor.table import Item, Table
from token_vendor.token_item import Lease, Outcome, TokenItem

KEPT_FOR = 30 * 86_400
"""Seconds that an item outlives its last write: what is in it spares a look-up."""
MOST_SUBJECTS = 8
CAME_KEPT = 8 * 86_400
"""Seconds: this day of the last week, and a day more."""
ONE_SHIFT = 8 * 3600
"""Seconds from a coming in which its owner is there: what is generated then is no other coming."""
MOST_COMINGS = 16
"""A shift in the morning and one in the evening, on each of the days that are kept."""
EXPECTED_BY = ("came", "expires_at")
"""The attributes that say when an owner is expected; the JWT is not read for that."""
TOKEN = "TOKEN"  # noqa: S105 - The name of an item.
ATTRIBUTES = frozenset(field.name for field in fields(TokenItem))


class TokenStore:
    """
    Read and write TOKEN items.

    Every method raises `TokenStoreUnavailableError` when DynamoDB does not do its part.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Callable[[], float],
        kept_for: float = KEPT_FOR,
        notes_comings: bool = False,
    ) -> None:
        self._table = table
        self._clock = clock
        self._kept_for = kept_for
        self._notes_comings = notes_comings

    def read(self, email: str) -> TokenItem:
        """Return the caller's item with one strongly consistent read."""
        return token_item(self._table.get(TOKEN, email))

    def read_with_control(self, email: str) -> tuple[TokenItem, Control]:
        """
        Return the caller's item and what is switched, with one strongly consistent read of both.

        If DynamoDB returns the first but not the second, nothing is switched.
        """
        mine, control = (TOKEN, email), (CONTROL, "")
        found = self._table.get_all([mine, control], spared=[control])
        switched = Control.of(found.get(control, {}), now=self._clock())
        return token_item(found.get(mine, {})), switched

    def read_control(self) -> Control:
        """Return what is switched, for work that has no caller."""
        return Control.of(self._table.get(CONTROL), now=self._clock())

    def everybody(self) -> Iterator[tuple[str, TokenItem]]:
        """Yield each caller's e-mail, and the part of the item that says when it is expected."""
        return ((email, token_item(item)) for email, item in self._table.scan(TOKEN, EXPECTED_BY))

    def take_lease(
        self,
        email: str,
        item: TokenItem,
        *,
        until: float,
        renewals: tuple[float, ...],
    ) -> Lease | TokenItem:
        """
        Take the lease, if nobody has written since `item` was read.

        The possible generate is marked in the same write; a mark that is already there keeps its
        time. If somebody was faster, the item is returned as it is now.
        """
        lease_id = str(uuid4())
        if not self._update(
            email,
            assign={"lease_id": lease_id, "lease_until": until, "renewals": renewals},
            assign_once={"generating_since": self._clock()},
            remove=("turn_at", "turn_slots", "failed_until", "failure"),
            condition="attribute_not_exists(version) OR version = :seen",
            values={"seen": item.version},
        ):
            current = self.read(email)
            # A write whose answer was lost is sent again by botocore and then fails on itself.
            if current.lease_id != lease_id:
                return current
        return Lease(id=lease_id, until=until, item=item, email=email)

    def store(self, lease: Lease, token: AccessToken, subject: str) -> bool:
        """
        Store what the holder generated, and release; False when the lease is lost.

        It is also False when a former holder has stored a later token since the lease was taken: of
        two that were generated at the same time, the later `exp` stays. The replaced token is
        ignored, even if it expires later. And it is False when the caller has signed out since
        then.

        Without a `subject`, the token was generated ahead, and waits for its owner.
        """
        known = lease.item.subjects if lease.item.user_id == token.user_id else ()
        coming = self._coming(lease.item) if subject else {"ahead": 1}
        ended = ("lease_id", "lease_until", "generating_since", "failed_until", "failure")
        return self._update(
            lease.email,
            assign={**self._token_attributes(token), "subjects": _with(known, subject), **coming},
            remove=(*ended, "ahead") if subject else ended,
            condition="lease_id = :lease AND (attribute_not_exists(expires_at) "
            "OR expires_at <= :expires_at OR expires_at = :seen) "
            "AND (attribute_not_exists(forgets) OR forgets = :forgets)",
            values={
                "lease": lease.id,
                "seen": lease.item.expires_at,
                "forgets": lease.item.forgets,
            },
        )

    def store_if_newer(self, email: str, token: AccessToken, subject: str) -> bool:
        """
        Store a token whose lease was lost, if it outlives the one that is there.

        Aurora's clock decides: the later `exp` was generated later.  Lease and mark of
        another holder stay.
        """
        return self._update(
            email,
            assign={**self._token_attributes(token), "subjects": _with((), subject)},
            condition="attribute_not_exists(expires_at) OR expires_at < :expires_at",
        )

    def release(self, lease: Lease, outcome: Outcome) -> bool:
        """
        Give the lease back without a token; False when it is lost.

        Where a generate certainly did not happen, the renewal does not count, and the mark that
        this holder set is cleared. A mark that it found stays: a predecessor may have generated.
        """
        assign: dict[str, Any] = {}
        remove = ["lease_id", "lease_until"]
        if not outcome.may_have_generated:
            assign["renewals"] = lease.item.renewals
            if not lease.item.is_marked:
                remove.append("generating_since")
        if outcome.failure:
            assign |= {"failed_until": outcome.until, "failure": outcome.failure}
        if turn := outcome.turn:
            assign |= {"turn_at": turn.at, "turn_slots": turn.slots}
        return self._update(
            lease.email,
            assign=assign,
            remove=remove,
            condition="lease_id = :lease",
            values={"lease": lease.id},
        )

    def release_forgotten(self, lease: Lease, token: AccessToken) -> bool:
        """
        Give the lease back after a sign-out during it; False when it is lost.

        The JWT is dropped. Its expiry stays, as after any sign-out: the next generate counts
        against the hourly cap.
        """
        return self._update(
            lease.email,
            assign=self._life_of(token),
            remove=("lease_id", "lease_until", "generating_since", "jwt", "jti"),
            condition="lease_id = :lease",
            values={"lease": lease.id},
        )

    def admit(self, email: str, token: AccessToken, item: TokenItem, subject: str) -> None:
        """Note that a stored token may be vended to one more identity of its owner."""
        self._update(
            email,
            assign={"subjects": _with(item.subjects, subject), **self._coming(item)},
            remove=("ahead",),
            condition="jti = :jti",
            values={"jti": token.jti},
        )

    def note_coming(self, email: str, token: AccessToken, item: TokenItem) -> None:
        """Note that the owner of a token that was generated ahead has come."""
        self._update(
            email,
            assign=self._coming(item),
            remove=("ahead",),
            condition="jti = :jti",
            values={"jti": token.jti},
        )

    def forget(self, email: str) -> bool:
        """Drop the stored JWT, and what a holder is about to store; False when there was none."""
        return self._update(
            email,
            remove=("jwt", "jti"),
            add={"forgets": 1},
            condition="attribute_exists(jwt) OR attribute_exists(lease_id)",
        )

    def _coming(self, item: TokenItem) -> dict[str, Any]:
        if not self._notes_comings:
            return {}
        now = int(self._clock())
        kept = tuple(at for at in item.came if at > now - CAME_KEPT)
        if not kept or now - kept[-1] >= ONE_SHIFT:
            kept += (now,)
        return {"came": kept[-MOST_COMINGS:]}

    def _token_attributes(self, token: AccessToken) -> dict[str, Any]:
        return {"jwt": token.jwt, "jti": token.jti, **self._life_of(token)}

    def _life_of(self, token: AccessToken) -> dict[str, Any]:
        return {
            "expires_at": token.expires_at,
            "lifetime": max(1, int(token.expires_at - self._clock())),
            "user_id": token.user_id,
        }

    def _update(  # noqa: PLR0913 - as `Table.update`.
        self,
        email: str,
        *,
        condition: str,
        assign: Mapping[str, Any] = {},
        assign_once: Mapping[str, Any] = {},
        add: Mapping[str, float] = {},
        remove: Iterable[str] = (),
        values: Mapping[str, Any] = {},
    ) -> bool:
        """Write under `condition`, adding to `version`; False when it does not hold."""
        before = self._table.update(
            TOKEN,
            email,
            assign={"ttl": int(self._clock() + self._kept_for), **assign},
            assign_once=assign_once,
            remove=remove,
            add={"version": 1, **add},
            condition=condition,
            values=values,
        )
        return before is not None


def token_item(item: Item) -> TokenItem:
    """Return the value of an item as the table holds it."""
    return TokenItem(**{name: value for name, value in item.items() if name in ATTRIBUTES})


def _with(subjects: tuple[str, ...], subject: str) -> tuple[str, ...]:
    others = tuple(each for each in subjects if each != subject)
    return (*others, subject)[-MOST_SUBJECTS:] if subject else others
