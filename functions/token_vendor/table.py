"""
The one way to DynamoDB: load a value, change it, count in it; read and write many.

Python values go in and come out; DynamoDB's types and exceptions end here. TOKEN, INVITATION and
DIRECTORY are versioned values, which pure functions change.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from email.utils import parsedate_to_datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from token_vendor.models import Item, Value
from token_vendor.problems import TokenStoreUnavailableError

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

BATCH = 25
"""The most items that BatchWriteItem takes."""
BATCH_ATTEMPTS = 5
SPARED_ATTEMPTS = 3
"""How often DynamoDB is asked for an item that can be done without."""
FIRST_PAUSE = 0.060
"""Seconds before items that DynamoDB left unprocessed are sent again; doubled each time."""
RESERVED = {"ttl": "#ttl"}
"""Our attribute names that are reserved words of DynamoDB."""
KEPT_FOR = 30 * 86_400
"""Seconds that an item about a person outlives its last write: it spares a look-up."""
MOST_CONFLICTS = 20
"""Writers who may come between a value and its change; each of them wrote."""
ASK_AGAIN = 5
"""Seconds until a caller may come back after DynamoDB did not do its part."""


@dataclass(eq=False)
class Table:
    """
    The items of one Aurora tenant.

    An item is named by its sort key `sk`, and by the e-mail of the person whom it is about, if any.
    Every method raises `TokenStoreUnavailableError` when DynamoDB does not do its part.
    """

    dynamodb: "DynamoDBClient"
    _: KW_ONLY
    name: str
    partition: str
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    kept_for: float = KEPT_FOR
    agreed: bool = field(default=False, init=False)
    """Whether DynamoDB has told the time that all agree on."""
    _told: tuple[str, float, float] | None = field(default=None, init=False)
    _offset: float = field(default=0.0, init=False)

    def now(self) -> float:
        """
        Return the time in seconds since the epoch, on which all who use the table agree to 1 s.

        It is our clock, kept within the second that the `Date` of DynamoDB's last answer names.
        """
        if self._told:
            date, asked_at, heard_at = self._told
            self._told = None
            told = parsedate_to_datetime(date).timestamp()
            self._offset = min(max(self._offset, told - heard_at), told + 1 - asked_at)
        return self.clock() + self._offset

    def ttl(self) -> int:
        """Return until when DynamoDB keeps an item about a person that is written now."""
        return int(self.now() + self.kept_for)

    def load[V: Value](self, kind: type[V], email: str = "") -> V:
        """Return a value with one strongly consistent read; an absent one has its defaults."""
        return kind.of(self.get(kind.sk, email))

    def change[V: Value](self, seen: V, transition: Callable[[V], V], email: str = "") -> V:
        """
        Apply a pure transition to a value that was read, write the difference, return the result.

        If somebody has written since, the transition is applied to the value as it is then. Where
        it no longer applies, it returns its argument. Applied to its own result, it changes
        nothing: a write whose answer was lost is sent again by botocore, and fails on itself.
        """
        for _ in range(MOST_CONFLICTS):
            after = transition(seen)
            if after is seen or after == seen:
                return seen
            after = replace(after, version=seen.version + 1)
            if self._write(seen, after, email):
                return after
            seen = self.load(type(seen), email)
        raise self._unavailable(f"change {seen.sk}", f"{MOST_CONFLICTS} others wrote it")

    def _write(self, seen: Value, after: Value, email: str) -> bool:
        before, wanted = seen.attributes(), after.attributes()
        assign = {name: value for name, value in wanted.items() if before.get(name) != value}
        written = self.update(
            after.sk,
            email,
            assign=assign | ({"ttl": self.ttl()} if email else {}),
            remove=before.keys() - wanted.keys(),
            condition="version = :seen" if seen.version else "attribute_not_exists(version)",
            values={"seen": seen.version} if seen.version else {},
        )
        return written is not None

    def get(self, sk: str, email: str = "") -> Item:
        """Return an item with one strongly consistent read; an absent one is empty."""
        answer = self._ask(
            f"read {sk}",
            self.dynamodb.get_item,
            TableName=self.name,
            Key=self._key(sk, email),
            ConsistentRead=True,
        )
        return _from_wire(answer.get("Item", {}))

    def update(  # noqa: PLR0913 - the clauses of DynamoDB's expression.
        self,
        sk: str,
        email: str = "",
        *,
        assign: Mapping[str, Any] = {},
        assign_once: Mapping[str, Any] = {},
        add: Mapping[str, float] = {},
        remove: Iterable[str] = (),
        condition: str = "",
        values: Mapping[str, Any] = {},
    ) -> Item | None:
        """
        Write attributes of an item; return the item as it was, or None where `condition` fails.

        `assign_once` does not change an attribute that exists. The condition may name every value
        that is written, and those of `values`, as `:name`.
        """
        setting = [f"{RESERVED.get(name, name)} = :{name}" for name in assign]
        setting += [f"{name} = if_not_exists({name}, :{name})" for name in assign_once]
        clauses = {
            "SET": setting,
            "REMOVE": list(remove),
            "ADD": [f"{name} :{name}" for name in add],
        }
        arguments: dict[str, Any] = {
            "UpdateExpression": " ".join(
                f"{clause} {', '.join(parts)}" for clause, parts in clauses.items() if parts
            ),
        }
        if given := {**assign, **assign_once, **add, **values}:
            arguments["ExpressionAttributeValues"] = _to_wire(given, ":")
        if condition:
            arguments["ConditionExpression"] = condition
        if names := {alias: name for name, alias in RESERVED.items() if name in assign}:
            arguments["ExpressionAttributeNames"] = names
        answer = self._ask(
            f"write {sk}",
            self.dynamodb.update_item,
            TableName=self.name,
            Key=self._key(sk, email),
            ReturnValues="ALL_OLD",
            **arguments,
        )
        return None if answer is None else _from_wire(answer.get("Attributes", {}))

    def get_all(
        self, keys: Iterable[tuple[str, str]], *, spared: Collection[tuple[str, str]] = ()
    ) -> dict[tuple[str, str], Item]:
        """
        Return the items of up to 100 keys (sk, e-mail), read consistently.

        One that does not exist is empty. One of `spared` is missing if DynamoDB leaves it out.
        """
        wanted = [self._key(*key) for key in keys]
        asked = {self.name: {"Keys": wanted, "ConsistentRead": True}}
        found: dict[tuple[str, str], Item] = {self._key_of(key): {} for key in wanted}
        answers = self._batch(self.dynamodb.batch_get_item, asked, "UnprocessedKeys")
        for attempt, (answer, left) in enumerate(answers, start=1):
            for item in answer["Responses"].get(self.name, []):
                key = self._key_of(item)
                found[key] = _from_wire(
                    {name: value for name, value in item.items() if name not in {"pk", "sk"}}
                )
            missing = {self._key_of(key) for key in left[self.name]["Keys"]} if left else set()
            if attempt == SPARED_ATTEMPTS and missing <= set(spared):
                break
        return {key: item for key, item in found.items() if key not in missing}

    def scan(self, sk: str, names: Iterable[str]) -> Iterator[tuple[str, Item]]:
        """
        Yield the e-mail, and some attributes of the item, of everybody who has one of this `sk`.

        The read is not consistent: some items are as they were a moment ago.
        """
        prefix = f"{self.partition}#"
        start: dict[str, Any] = {}
        while True:
            answer = self._ask(
                f"scan {sk}",
                self.dynamodb.scan,
                TableName=self.name,
                ProjectionExpression=", ".join(("pk", *names)),
                FilterExpression="sk = :sk AND begins_with(pk, :prefix)",
                ExpressionAttributeValues={":sk": {"S": sk}, ":prefix": {"S": prefix}},
                **start,
            )
            for item in answer["Items"]:
                yield item.pop("pk")["S"].removeprefix(prefix), _from_wire(item)
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def put_all(self, items: Mapping[tuple[str, str], Item]) -> None:
        """Write whole items by (sk, e-mail), as many in a call as DynamoDB takes."""
        requests = [
            {"PutRequest": {"Item": self._key(*key) | _to_wire(item)}}
            for key, item in items.items()
        ]
        for batch in batched(requests, BATCH, strict=False):
            asked = {self.name: list(batch)}
            list(self._batch(self.dynamodb.batch_write_item, asked, "UnprocessedItems"))

    def _batch(
        self, operation: Callable[..., Any], asked: Any, left: str
    ) -> Iterator[tuple[Any, Any]]:
        """Yield answers, each with what it leaves to be asked for again, until that is nothing."""
        for attempt in range(BATCH_ATTEMPTS):
            if attempt:
                self.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            answer = self._ask(operation.__name__, operation, RequestItems=asked)
            asked = answer.get(left)
            yield answer, asked
            if not asked:
                return
        raise self._unavailable(operation.__name__, left)

    def _ask(self, what: str, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Call DynamoDB, and hear which time it is; None says that the condition failed."""
        asked_at = self.clock()
        try:
            answer = operation(**arguments)
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        except (ClientError, BotoCoreError) as exc:
            raise self._unavailable(what, exc) from exc
        if date := answer["ResponseMetadata"]["HTTPHeaders"].get("date"):
            self._told = (date, asked_at, self.clock())
            self.agreed = True
        return answer

    def _unavailable(self, what: str, error: Any) -> TokenStoreUnavailableError:
        """AWS's own text goes to the log only."""
        return TokenStoreUnavailableError(
            cause=f"could not {what}: {error}", retry_at=self.clock() + ASK_AGAIN
        )

    def _key(self, sk: str, email: str) -> dict[str, Any]:
        pk = f"{self.partition}#{email}" if email else self.partition
        return {"pk": {"S": pk}, "sk": {"S": sk}}

    def _key_of(self, item: Mapping[str, Any]) -> tuple[str, str]:
        """Return the (sk, e-mail) of an item as DynamoDB writes it."""
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        return sk, pk.removeprefix(self.partition).removeprefix("#")


def _to_wire(item: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    return {prefix + name: _wrapped(value) for name, value in item.items()}


def _wrapped(value: Any) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case float():
            return {"N": f"{value:.3f}"}  # Moments are kept to the millisecond.
        case _:
            return {"L": [_wrapped(each) for each in value]}


def _from_wire(item: Mapping[str, Any]) -> Item:
    return {name: _unwrapped(value) for name, value in item.items()}


def _unwrapped(value: Mapping[str, Any]) -> Any:
    [(kind, inner)] = value.items()
    match kind:
        case "N":
            return float(inner) if "." in inner or "E" in inner else int(inner)
        case "L":
            return tuple(_unwrapped(each) for each in inner)
        case _:
            return inner
