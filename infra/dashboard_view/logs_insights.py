"""
The part of CloudWatch Logs Insights that our saved queries use, on lines that a stack has logged.

MiniStack does not run the queries of a dashboard; this does. A form that is not ours is an error:
a query that grows has to be seen here before it is deployed.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = dict[str, Any]
CALL = re.compile(r"(\w+)\((.*)\)")
REDUCERS: dict[str, Callable[[list[Any]], Any]] = {"count": len, "sum": sum, "max": max}


def run(query: str, lines: Iterable[Mapping[str, Any]]) -> list[Row]:
    """
    Return the rows that a query finds, each value under the name of its column.

    A form of query that is not read here raises `ValueError`.
    """
    # The first part names the log group.
    commands = [part.strip() for part in re.split(r"\s\| ", query)][1:]
    rows: list[Row] = [dict(line) for line in lines]
    for command in commands:
        verb, _, rest = command.partition(" ")
        match verb:
            case "filter":
                rows = [row for row in rows if _holds(rest, row)]
            case "stats":
                rows = _grouped(rest, rows)
            case "sort":
                name, _, order = rest.partition(" ")
                rows.sort(key=lambda row: _value(name, row) or 0, reverse=order == "desc")
            case "display":
                rows = [{name: _value(name, row) for name in _split(rest)} for row in rows]
            case "limit":
                rows = rows[: int(rest)]
            case _:
                raise ValueError(f"no such command here: {command}")
    return rows


def _holds(condition: str, row: Row) -> bool:
    return all(_term(term, row) for term in condition.split(" and "))


def _term(term: str, row: Row) -> bool:
    if call := CALL.fullmatch(term):
        return call[1] == "ispresent" and _value(call[2], row) is not None
    name, equals, text = term.partition(" = ")
    if not equals:
        raise ValueError(f"no such condition here: {term}")
    return bool(_value(name, row) == text.strip('"'))


def _grouped(clause: str, rows: list[Row]) -> list[Row]:
    sums, _, keys = clause.partition(" by ")
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    names = [_named(key) for key in _split(keys)]
    for row in rows:
        groups[tuple(_value(expression, row) for expression, _ in names)].append(row)
    found = []
    for values, members in groups.items():
        found.append(dict(zip([name for _, name in names], values, strict=True)))
        for expression, name in map(_named, _split(sums)):
            if not (call := CALL.fullmatch(expression)):
                raise ValueError(f"no such statistic here: {expression}")
            each = [1 if call[2] == "*" else _value(call[2], member) for member in members]
            found[-1][name] = REDUCERS[call[1]]([value for value in each if value is not None])
    return found


def _named(column: str) -> tuple[str, str]:
    expression, _, name = column.partition(" as ")
    return expression, name or expression


def _split(columns: str) -> list[str]:
    """Split at the commas outside of parentheses."""
    return re.split(r", (?![^(]*\))", columns)


def _value(name: str, row: Mapping[str, Any]) -> Any:
    """Return a field by its path, or the first of a `coalesce(...)` that is there."""
    if name.startswith("coalesce("):
        found = (_value(each, row) for each in _split(name[len("coalesce(") : -1]))
        return next((value for value in found if value is not None), None)
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
