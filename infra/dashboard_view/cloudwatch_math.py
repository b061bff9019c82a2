"""
CloudWatch's arithmetic on EMF lines: statistics by period, and the metric math of our dashboards.

MiniStack keeps the lines that the function logs but makes no metrics of them; this does, so that
dashboards and alarms can be seen, and tested, before anything is deployed.
"""

import ast
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any

Name = tuple[str, str, frozenset[tuple[str, str]]]
Values = Mapping[int, float]
"""Values by the number of their period; periods without a value are left out."""
OPERATORS: dict[type[ast.operator | ast.cmpop], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


SEARCH = re.compile(
    r"SEARCH\('\{(?P<schema>[^}]+)\} (?P<terms>[^']+)', '(?P<statistic>\w+)', \d+\)"
)
TERM = re.compile(r'(NOT )?(\w+)="([^"]*)"')
PROPERTY = re.compile(r"\$\{PROP\('Dim\.(?P<dimension>\w+)'\)\}")


@dataclass(frozen=True, kw_only=True)
class Query:
    """One line of a widget or alarm: a metric with its statistic, or an expression over others."""

    id: str = ""
    label: str = ""
    metric: Name | None = None
    statistic: str = ""
    expression: str = ""
    shown: bool = True
    right: bool = False
    color: str = ""


class Samples:
    """What the function emitted, by series and by period of `period` seconds."""

    def __init__(self, lines: Iterable[Mapping[str, Any]], *, period: int = 60) -> None:
        self.period = period
        self._samples: dict[Name, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for line in lines:
            self._add(line)
        periods = [at for series in self._samples.values() for at in series]
        self.periods = range(min(periods), max(periods) + 1) if periods else range(0)

    def _add(self, line: Mapping[str, Any]) -> None:
        meta = line.get("_aws", {})
        for directive in meta.get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                dimensions = frozenset((name, str(line[name])) for name in names)
                for metric in directive["Metrics"]:
                    value = line[metric["Name"]]
                    series = self._samples[directive["Namespace"], metric["Name"], dimensions]
                    period = int(meta["Timestamp"] / 1000 // self.period)
                    series[period] += value if isinstance(value, list) else [value]

    def found(self, queries: Sequence[Query]) -> list[Query]:
        """Return the queries with one in place of each search for every series that it finds."""
        found = []
        for query in queries:
            if search := SEARCH.fullmatch(query.expression):
                found += [
                    replace(
                        query,
                        metric=name,
                        expression="",
                        statistic=search["statistic"],
                        label=PROPERTY.sub(partial(_property, name), query.label),
                    )
                    for name in sorted(self._samples, key=repr)
                    if _matches(search, name)
                ]
            else:
                found.append(query)
        return found

    def values(self, queries: Sequence[Query], wanted: Query) -> Values:
        """Return the values of one query; `queries` are those that its expression may name."""
        if wanted.metric:
            series = self._samples.get(wanted.metric, {})
            return {at: statistic(wanted.statistic, found) for at, found in series.items()}
        tree = ast.parse(wanted.expression.replace(" AND ", " and "), mode="eval").body
        named = {each.id: each for each in queries if each.id}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(named)
        inputs = {name: self.values(queries, named[name]) for name in used}
        results = {}
        for at in self.periods:
            moment = datetime.fromtimestamp(at * self.period, UTC)
            result = _Math(moment, {name: each.get(at) for name, each in inputs.items()}).of(tree)
            if result is not None:
                results[at] = result
        return results


def _matches(search: re.Match[str], name: Name) -> bool:
    namespace, *dimensions = search["schema"].split(",")
    pairs = dict(name[2])
    terms = TERM.findall(search["terms"])
    return (
        name[0] == namespace
        and set(pairs) == set(dimensions)
        and all(
            ((pairs | {"MetricName": name[1]}).get(key) == value) != bool(negated)
            for negated, key, value in terms
        )
    )


def _property(name: Name, found: re.Match[str]) -> str:
    return dict(name[2])[found["dimension"]]


def statistic(name: str, samples: list[float]) -> float:
    match name:
        case "Sum":
            return sum(samples)
        case "SampleCount":
            return len(samples)
        case "Minimum":
            return min(samples)
        case "Maximum":
            return max(samples)
    share = float(name.removeprefix("p")) / 100
    return sorted(samples)[max(0, ceil(share * len(samples)) - 1)]


class _Math:
    """The part of metric math that we use, at one moment; None is no data."""

    def __init__(self, moment: datetime, values: Mapping[str, float | None]) -> None:
        self._moment = moment
        self._values = values

    def of(self, node: ast.expr) -> float | None:  # noqa: PLR0911 - one for each form.
        match node:
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.Name(id=name):
                return self._values[name]
            case ast.Call(func=ast.Name(id="SUM"), args=[ast.List(elts=parts)]):
                found = [value for value in map(self.of, parts) if value is not None]
                return sum(found) if found else None
            case ast.Call(func=ast.Name(id="TIME_SERIES"), args=[value]):
                return self.of(value)
            case ast.Call(func=ast.Name(id="IF"), args=[test, then, other]):
                holds = self.of(test)
                return None if holds is None else self.of(then if holds else other)
            case ast.Call(func=ast.Name(id=("HOUR" | "DAY") as part)):
                return self._moment.hour if part == "HOUR" else self._moment.isoweekday()
            case ast.BoolOp(values=parts):
                return float(all(self.of(part) for part in parts))
            case ast.BinOp(left=left, op=op, right=right):
                return self._both(type(op), left, right)
            case ast.Compare(left=left, ops=[compare], comparators=[right]):
                return self._both(type(compare), left, right)
        raise ValueError(f"no such metric math here: {ast.unparse(node)}")

    def _both(
        self, op: type[ast.operator | ast.cmpop], left: ast.expr, right: ast.expr
    ) -> float | None:
        values = self.of(left), self.of(right)
        if None in values or (op is ast.Div and values[1] == 0):
            return None
        return OPERATORS[op](*values)  # type: ignore[arg-type]  # Neither is None, see above.


def widget_queries(rows: Sequence[Sequence[Any]]) -> list[Query]:
    queries = []
    for row in rows:
        options = row[-1] if isinstance(row[-1], dict) else {}
        names = [part for part in row if isinstance(part, str)]
        metric = None
        if names:
            pairs = frozenset(zip(names[2::2], names[3::2], strict=True))
            metric = (names[0], names[1], pairs)
        queries.append(
            Query(
                id=options.get("id", ""),
                label=options.get("label", names[1] if names else ""),
                metric=metric,
                statistic=options.get("stat", "Average"),
                expression=options.get("expression", ""),
                shown=options.get("visible", True),
                right=options.get("yAxis") == "right",
                color=options.get("color", ""),
            )
        )
    return queries


def alarm_queries(alarm: Mapping[str, Any]) -> tuple[list[Query], Query]:
    """Read the metrics of an alarm; the second value is the one that it watches."""
    if "MetricName" in alarm:
        watched = Query(
            metric=_name(alarm),
            statistic=alarm.get("Statistic") or alarm["ExtendedStatistic"],
        )
        return [watched], watched
    queries = []
    for each in alarm["Metrics"]:
        stat = each.get("MetricStat", {})
        queries.append(
            Query(
                id=each["Id"],
                metric=_name(stat["Metric"]) if stat else None,
                statistic=stat.get("Stat", ""),
                expression=each.get("Expression", ""),
                shown=each.get("ReturnData", True) in {True, "true"},
            )
        )
    (watched,) = [query for query in queries if query.shown]
    return queries, watched


def alarm_periods(alarm: Mapping[str, Any], samples: Samples) -> set[int]:
    """Return the periods at whose end the alarm is on; no data does not breach."""
    queries, watched = alarm_queries(alarm)
    values = samples.values(queries, watched)
    threshold = float(alarm["Threshold"])
    below = alarm["ComparisonOperator"] == "LessThanThreshold"
    breaching = {
        at for at, value in values.items() if (value < threshold if below else value >= threshold)
    }
    needed, window = int(alarm["DatapointsToAlarm"]), int(alarm["EvaluationPeriods"])
    return {
        at
        for at in samples.periods
        if len(breaching & set(range(at - window + 1, at + 1))) >= needed
    }


def _name(metric: Mapping[str, Any]) -> Name:
    pairs = frozenset((each["Name"], str(each["Value"])) for each in metric.get("Dimensions", []))
    return metric["Namespace"], metric["MetricName"], pairs
