"""
The TOKEN item of one caller: stored JWT, lease, fence, mark, cool-down, turn, renewals.

Nobody else knows its attribute names.  Every write adds one to `version`, and the lease is
taken with the condition that the version is still the one that was read: what a request
decided about an item holds exactly if nobody has written since.  Writes after that are
fenced by `lease_id`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from token_vendor.models import AccessToken
from token_vendor.problems import TokenStoreUnavailableError

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

KEPT_FOR = 30 * 86_400
"""Seconds that an item outlives its last write: the user id in it spares a look-up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenItem:
    """
    What the store holds for one caller.  Times are seconds since the epoch, 0 for none.

    `marked_at` (attribute `generating_since`) says that a generate may have happened whose
    token is not stored: until the next store the stored token may be dead.
    `expires_at` outlives a forgotten `jwt`, so that signing out and in is seen as a renewal.
    """

    version: int = 0
    user_id: str = ""
    jwt: str = field(default="", repr=False)
    jti: str = ""
    expires_at: int = 0
    lease_id: str = ""
    lease_until: float = 0
    marked_at: float = 0
    failed_until: float = 0
    failure: str = ""
    turn_at: float = 0
    turn_calls: int = 0
    turn_delay: float = 0
    renewals: tuple[float, ...] = ()

    @property
    def token(self) -> AccessToken | None:
        """Return the stored token, whatever its remaining life, or None."""
        if not self.jwt:
            return None
        return AccessToken(
            jwt=self.jwt, jti=self.jti, expires_at=self.expires_at, user_id=self.user_id
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to generate for one caller, until `until`; `item` is what stood there before."""

    id: str
    until: float
    item: TokenItem
    email: str

    @property
    def inherited_mark(self) -> bool:
        """Tell whether somebody before this holder may have generated and never stored."""
        return self.item.marked_at > 0


class TokenStore:
    """
    Read and write TOKEN items.

    Every method raises `TokenStoreUnavailableError` when DynamoDB does not do its part.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        *,
        table_name: str,
        partition: str,
        clock: Callable[[], float],
    ) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name
        self._partition = partition
        self._clock = clock

    def read(self, email: str) -> TokenItem:
        """Return the caller's item with one strongly consistent GetItem."""
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table_name, Key=self._key(email), ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise unavailable("read the token", error) from error
        return _from_item(answer.get("Item", {}))

    def take_lease(
        self,
        email: str,
        item: TokenItem,
        *,
        until: float,
        renewals: tuple[float, ...],
        mark: bool,
    ) -> Lease | TokenItem:
        """
        Become the one who generates, if nobody has written since `item` was read.

        With `mark` the possible generate is marked in the same write; a mark that is already
        there keeps its time.  Returns the item as it stands now when somebody was faster.
        """
        lease_id = str(uuid4())
        assignments = ["lease_id = :lease", "lease_until = :until", "renewals = :renewals"]
        values: dict[str, Any] = {
            ":lease": {"S": lease_id},
            ":until": number(until),
            ":renewals": {"L": [number(at) for at in renewals]},
            ":seen": number(item.version),
        }
        if mark:
            assignments.append("generating_since = if_not_exists(generating_since, :now)")
            values[":now"] = number(self._clock())
        written = self._update(
            email,
            f"SET {', '.join(assignments)} "
            "REMOVE turn_at, turn_calls, turn_delay, failed_until, failure",
            condition="attribute_not_exists(version) OR version = :seen",
            values=values,
        )
        if not written:
            standing = self.read(email)
            # A write whose answer was lost is sent again by botocore and then fails on itself.
            if standing.lease_id != lease_id:
                return standing
        return Lease(id=lease_id, until=until, item=item, email=email)

    def mark(self, lease: Lease) -> bool:
        """Say that a generate may happen from now on; False when the lease is lost."""
        return self._update(
            lease.email,
            "SET generating_since = if_not_exists(generating_since, :now)",
            condition="lease_id = :lease",
            values={":lease": {"S": lease.id}, ":now": number(self._clock())},
        )

    def store(self, lease: Lease, token: AccessToken) -> bool:
        """
        Store what the holder generated, and release; False when the lease is lost.

        Or when somebody who had lost theirs has stored a later token since it was taken: of two
        that were generated at the same time, the later `exp` stays. What stood there before has no
        say, however late its own `exp`: it was replaced.
        """
        return self._put_token(
            lease.email,
            token,
            extra=" REMOVE lease_id, lease_until, generating_since, failed_until, failure",
            condition="lease_id = :lease AND (attribute_not_exists(expires_at) "
            "OR expires_at <= :expires_at OR expires_at = :seen)",
            values={":lease": {"S": lease.id}, ":seen": number(lease.item.expires_at)},
        )

    def store_if_newer(self, email: str, token: AccessToken) -> bool:
        """
        Store a token whose lease was lost, if it outlives the one that is there.

        Aurora's clock decides: the later `exp` was generated later.  Lease and mark of
        another holder stay.
        """
        return self._put_token(
            email,
            token,
            extra="",
            condition="attribute_not_exists(expires_at) OR expires_at < :expires_at",
            values={},
        )

    def release(  # noqa: PLR0913 - the outcome of a lease has this many parts.
        self,
        lease: Lease,
        *,
        generated_maybe: bool,
        failed_until: float = 0,
        failure: str = "",
        turn_at: float = 0,
        turn_calls: int = 0,
        turn_delay: float = 0,
    ) -> bool:
        """
        Give the lease back without a token.

        Where a generate certainly did not happen, the mark that this holder set is cleared and the
        renewal does not count; a mark that it found stays, because a predecessor's generate may
        have happened.
        """
        removals = ["lease_id", "lease_until"]
        assignments: list[str] = []
        values: dict[str, Any] = {":lease": {"S": lease.id}}
        if not generated_maybe:
            assignments.append("renewals = :renewals")
            values[":renewals"] = {"L": [number(at) for at in lease.item.renewals]}
            if not lease.inherited_mark:
                removals.append("generating_since")
        if failure:
            assignments += ["failed_until = :failed_until", "failure = :failure"]
            values |= {":failed_until": number(failed_until), ":failure": {"S": failure}}
        if turn_at:
            assignments += [
                "turn_at = :turn_at",
                "turn_calls = :turn_calls",
                "turn_delay = :turn_delay",
            ]
            values |= {
                ":turn_at": number(turn_at),
                ":turn_calls": number(turn_calls),
                ":turn_delay": number(turn_delay),
            }
        setting = f"SET {', '.join(assignments)} " if assignments else ""
        return self._update(
            lease.email,
            f"{setting}REMOVE {', '.join(removals)}",
            condition="lease_id = :lease",
            values=values,
        )

    def forget(self, email: str) -> bool:
        """Drop the stored JWT; False when there was none."""
        return self._update(email, "REMOVE jwt, jti", condition="attribute_exists(jwt)", values={})

    def _key(self, email: str) -> dict[str, Any]:
        return {"pk": {"S": f"{self._partition}#{email}"}, "sk": {"S": "TOKEN"}}

    def _put_token(
        self, email: str, token: AccessToken, *, extra: str, condition: str, values: dict[str, Any]
    ) -> bool:
        return self._update(
            email,
            "SET jwt = :jwt, jti = :jti, expires_at = :expires_at, user_id = :user_id" + extra,
            condition=condition,
            values=values
            | {
                ":jwt": {"S": token.jwt},
                ":jti": {"S": token.jti},
                ":expires_at": number(token.expires_at),
                ":user_id": {"S": token.user_id},
            },
        )

    def _update(
        self, email: str, expression: str, *, condition: str, values: dict[str, Any]
    ) -> bool:
        """Write under `condition`, adding to `version`; False when it does not hold."""
        try:
            self._dynamodb.update_item(
                TableName=self._table_name,
                Key=self._key(email),
                UpdateExpression=_with_ttl(expression) + " ADD version :one",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#ttl": "ttl"},  # A reserved word of DynamoDB.
                ExpressionAttributeValues=values
                | {":one": number(1), ":ttl": number(int(self._clock()) + KEPT_FOR)},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise unavailable("write the token", error) from error
        return True


def number(value: float) -> dict[str, str]:
    """Return `value` as a DynamoDB number; fractions of a second keep their milliseconds."""
    return {"N": str(value) if isinstance(value, int) else f"{value:.3f}"}


def unavailable(what: str, error: Exception) -> TokenStoreUnavailableError:
    """Say which DynamoDB call failed; AWS's own text goes to the log only."""
    return TokenStoreUnavailableError(cause=f"could not {what}: {error}")


def _with_ttl(expression: str) -> str:
    if expression.startswith("SET "):
        return expression.replace("SET ", "SET #ttl = :ttl, ", 1)
    return f"SET #ttl = :ttl {expression}"


def _from_item(item: dict[str, Any]) -> TokenItem:
    def text(name: str) -> str:
        return str(item[name]["S"]) if name in item else ""

    def seconds(name: str) -> float:
        return float(item[name]["N"]) if name in item else 0

    return TokenItem(
        version=int(seconds("version")),
        user_id=text("user_id"),
        jwt=text("jwt"),
        jti=text("jti"),
        expires_at=int(seconds("expires_at")),
        lease_id=text("lease_id"),
        lease_until=seconds("lease_until"),
        marked_at=seconds("generating_since"),
        failed_until=seconds("failed_until"),
        failure=text("failure"),
        turn_at=seconds("turn_at"),
        turn_calls=int(seconds("turn_calls")),
        turn_delay=seconds("turn_delay"),
        renewals=tuple(float(at["N"]) for at in item["renewals"]["L"])
        if "renewals" in item
        else (),
    )
