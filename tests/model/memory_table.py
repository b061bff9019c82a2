"""
A table in memory with DynamoDB's semantics, as far as our items use them.

One call is one atomic step, conditions see the item before the write, a comparison with an
absent attribute, or one of another type, is false.
"""

import json
import operator
import re
from collections.abc import Callable
from email.utils import formatdate
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import OperationModel

NAME = "tokens"
CLAUSE = re.compile(r"\b(SET|REMOVE|ADD)\b")
ASSIGNMENT = re.compile(r"(#?\w+) = (?:if_not_exists\((\w+), (:\w+)\)|(:\w+))")
TEST = re.compile(r"attribute_not_exists\((\w+)\)|(\w+) (<=|<|=) (:?\w+)")
COMPARISONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le}


class ConditionalCheckFailedException(ClientError):  # noqa: N818 - DynamoDB's own name.
    """The condition did not hold."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")


class _Exceptions:
    ConditionalCheckFailedException = ConditionalCheckFailedException


class MemoryTable:
    """
    Hold one item per key; `step` is called before each operation.

    It stands in for a client, or at the wire for what every client sends (`answer`).
    """

    exceptions: ClassVar = _Exceptions

    def __init__(
        self, step: Callable[[str], None], clock: Callable[[], float] | None = None
    ) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self._step = step
        self._clock = clock

    def answer(self, model: OperationModel, params: dict[str, Any], **_: Any) -> Any:
        """Answer a botocore client, as a handler of `before-call`."""
        body = json.loads(params["body"])
        if NAME not in body.get("RequestItems", {body.get("TableName")}):
            return SimpleNamespace(status_code=400), {
                "Error": {"Code": "ResourceNotFoundException"}
            }
        try:
            return SimpleNamespace(status_code=200), getattr(self, xform_name(model.name))(**body)
        except ConditionalCheckFailedException as failed:
            return SimpleNamespace(status_code=400), failed.response

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        self._step("read")
        item = self.items.get(_key(Key))
        return ({"Item": Key | item} if item else {}) | self._metadata()

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
        ProjectionExpression: str = "",  # noqa: N803
        ExpressionAttributeValues: dict[str, Any] | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        self._step("read")
        names = ProjectionExpression.split(", ")
        values = ExpressionAttributeValues or {}
        sk, prefix = (values.get(name, {}).get("S", "") for name in (":sk", ":prefix"))
        whole = [
            {"pk": {"S": pk}, "sk": {"S": its}} | item
            for (pk, its), item in self.items.items()
            if sk in {"", its} and pk.startswith(prefix)
        ]
        if ProjectionExpression:
            whole = [{name: each[name] for name in names if name in each} for each in whole]
        return {"Items": whole} | self._metadata()

    def query(self, *, ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """Return all items of a partition."""
        [pk] = ExpressionAttributeValues.values()
        return {"Items": [item for item in self.scan()["Items"] if item["pk"] == pk]}

    def put_item(self, *, Item: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        attributes = {name: value for name, value in Item.items() if name not in {"pk", "sk"}}
        self.items[_key(Item)] = attributes
        return {}

    def delete_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"Attributes": Key | self.items.pop(_key(Key), {})}

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        self._step("write")
        [requests] = RequestItems.values()
        for request in requests:
            self.put_item(**request["PutRequest"])
        return self._metadata()

    def update_item(
        self,
        *,
        Key: dict[str, Any],  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str = "",  # noqa: N803
        ExpressionAttributeNames: dict[str, str] | None = None,  # noqa: N803
        ExpressionAttributeValues: dict[str, Any] | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        self._step("write")
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        old = self.items.get(_key(Key), {})
        if ConditionExpression and not holds(ConditionExpression, old, values):
            raise ConditionalCheckFailedException
        new = dict(old)
        for clause, body in _clauses(UpdateExpression):
            if clause == "SET":
                for name, kept, default, value in ASSIGNMENT.findall(body):
                    given = values[value or default]
                    new[names.get(name, name)] = old.get(kept, given)
            elif clause == "REMOVE":
                for name in body.split(","):
                    new.pop(name.strip(), None)
            else:
                for name, value in map(str.split, body.split(",")):
                    added = _value(values[value]) + _value(old.get(name, {"N": "0"}))
                    new[name] = {"N": str(int(added))}
        self.items[_key(Key)] = new
        return {"Attributes": dict(old)} | self._metadata()

    def _metadata(self) -> dict[str, Any]:
        """Return what boto3 adds; DynamoDB tells its time in whole seconds."""
        headers = {"date": _date(int(self._clock()))} if self._clock else {}
        return {"ResponseMetadata": {"HTTPHeaders": headers}}


def holds(condition: str, item: dict[str, Any], values: dict[str, Any]) -> bool:
    """Evaluate comparisons and `attribute_not_exists`, with AND, OR and parentheses."""

    def tested(match: re.Match[str]) -> str:
        absent, name, compare, other = match.groups()
        if absent:
            return str(absent not in item)
        mine, other = item.get(name), values.get(other) or item.get(other)
        if mine is None or other is None or mine.keys() != other.keys():
            return "False"
        return str(COMPARISONS[compare](_value(mine), _value(other)))

    plain = TEST.sub(tested, condition).replace("AND", "and").replace("OR", "or")
    return _truth(plain)


@cache
def _truth(plain: str) -> bool:
    return bool(eval(plain))  # noqa: S307 - nothing but True, False, and, or, ( and ).


@cache
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _key(key: dict[str, Any]) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]


def _value(wrapped: dict[str, Any]) -> Any:
    return float(wrapped["N"]) if "N" in wrapped else next(iter(wrapped.values()))


@cache
def _clauses(expression: str) -> list[tuple[str, str]]:
    parts = CLAUSE.split(expression)[1:]
    return list(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
