"""
A table in memory with DynamoDB's semantics, as far as our items use them.

One call is one atomic step, conditions see the item before the write, a comparison with an
absent attribute, or one of another type, is false.
"""

from __future__ import annotations

import operator
import re
from email.utils import formatdate
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

CLAUSE = re.compile(r"\b(SET|REMOVE|ADD)\b")
TOKEN = re.compile(r"<=|>=|[<>=()]|:?\w+")
COMPARISONS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ASSIGNMENT = re.compile(r"(#?\w+) = (?:if_not_exists\((\w+), (:\w+)\)|(:\w+))")


class ConditionalCheckFailedException(ClientError):  # noqa: N818 - DynamoDB's own name.
    """The condition did not hold."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")


class _Exceptions:
    ConditionalCheckFailedException = ConditionalCheckFailedException


class MemoryTable:
    """Hold one item per key; `step` is called before each operation, `changed` after a write."""

    exceptions: ClassVar = _Exceptions

    def __init__(
        self, step: Callable[[str], None], clock: Callable[[], float] | None = None
    ) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self._step = step
        self._clock = clock

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        self._step("read")
        item = self.items.get(_key(Key))
        return ({"Item": dict(item)} if item else {}) | self._metadata()

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        self._step("read")
        [(table, asked)] = RequestItems.items()
        found = [
            dict(key) | item for key in asked["Keys"] if (item := self.items.get(_key(key), {}))
        ]
        return {"Responses": {table: found}} | self._metadata()

    def scan(
        self,
        *,
        ProjectionExpression: str,  # noqa: N803
        ExpressionAttributeValues: dict[str, Any],  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        self._step("read")
        names = ProjectionExpression.split(", ")
        sk = ExpressionAttributeValues[":sk"]["S"]
        prefix = ExpressionAttributeValues[":prefix"]["S"]
        found = [
            {name: value for name, value in ({"pk": {"S": pk}} | item).items() if name in names}
            for (pk, its), item in self.items.items()
            if its == sk and pk.startswith(prefix)
        ]
        return {"Items": found} | self._metadata()

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        self._step("write")
        [requests] = RequestItems.values()
        for request in requests:
            item = dict(request["PutRequest"]["Item"])
            key = {name: item.pop(name) for name in ("pk", "sk")}
            self.items[_key(key)] = item
        return self._metadata()

    def update_item(
        self,
        *,
        Key: dict[str, Any],  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str = "",  # noqa: N803
        ExpressionAttributeValues: dict[str, Any] | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        self._step("write")
        ExpressionAttributeValues = ExpressionAttributeValues or {}  # noqa: N806
        old = self.items.get(_key(Key), {})
        condition = Condition(ConditionExpression, old, ExpressionAttributeValues)
        if ConditionExpression and not condition.holds():
            raise ConditionalCheckFailedException
        new = dict(old)
        for clause, body in _clauses(UpdateExpression):
            if clause == "SET":
                for name, kept, default, value in ASSIGNMENT.findall(body):
                    given = ExpressionAttributeValues[value or default]
                    new[name] = old.get(kept, given) if kept else given
            elif clause == "REMOVE":
                for name in body.split(","):
                    new.pop(name.strip(), None)
            else:
                for name, value in map(str.split, body.split(",")):
                    added = _value(ExpressionAttributeValues[value])
                    new[name] = {"N": str(int(added + _value(old.get(name, {"N": "0"}))))}
        self.items[_key(Key)] = new
        return {"Attributes": dict(old)} | self._metadata()

    def _metadata(self) -> dict[str, Any]:
        """Return what boto3 adds; DynamoDB tells its time in whole seconds."""
        headers = {"date": formatdate(self._clock(), usegmt=True)} if self._clock else {}
        return {"ResponseMetadata": {"HTTPHeaders": headers}}


def _key(key: dict[str, Any]) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]


def _value(wrapped: dict[str, Any]) -> Any:
    return float(wrapped["N"]) if "N" in wrapped else next(iter(wrapped.values()))


@cache
def _clauses(expression: str) -> list[tuple[str, str]]:
    parts = CLAUSE.split(expression)[1:]
    return list(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


@cache
def _tokens(expression: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(expression))


class Condition:
    """A condition on one item: comparisons and `attribute_(not_)exists`, with AND, OR and ( )."""

    def __init__(self, expression: str, item: dict[str, Any], values: dict[str, Any]) -> None:
        self._left = list(reversed(_tokens(expression)))
        self._item = item
        self._values = values

    def holds(self) -> bool:
        return self._either()

    def _either(self) -> bool:
        result = self._both()
        while self._left and self._left[-1] == "OR":
            self._left.pop()
            # Both sides are read, whatever the first says.
            result |= self._both()
        return result

    def _both(self) -> bool:
        result = self._one()
        while self._left and self._left[-1] == "AND":
            self._left.pop()
            result &= self._one()
        return result

    def _one(self) -> bool:
        word = self._left.pop()
        if word == "(":
            result = self._either()
            self._left.pop()
            return result
        if word.startswith("attribute_"):
            _, name, _ = (self._left.pop() for _ in range(3))
            return (name in self._item) is (word == "attribute_exists")
        compare, other = COMPARISONS[self._left.pop()], self._operand(self._left.pop())
        mine = self._operand(word)
        if mine is None or other is None or isinstance(mine, str) is not isinstance(other, str):
            return False
        return bool(compare(mine, other))

    def _operand(self, name: str) -> Any:
        found = (self._values if name.startswith(":") else self._item).get(name)
        return None if found is None else _value(found)
