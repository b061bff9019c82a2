"""
What one request leaves behind: one audit event, and as few EMF lines as CloudWatch can read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from token_vendor.observability import Metric, Recorder

from infra.dashboard_view.cloudwatch_math import Samples
from infra.stack.metrics import NAMESPACE

if TYPE_CHECKING:
    from tests.support.clock import Clock

SERVICE = ("service", "token-vendor-test")


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    """
    Give the record of a request that has just begun.
    """
    recorder = Recorder(clock)
    recorder.start("request-1")
    return recorder


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str], recorder: Recorder) -> Any:
    """
    Give what ends the request and returns its EMF lines.
    """

    def flush() -> list[dict[str, Any]]:
        recorder.flush()
        out = capsys.readouterr().out.splitlines()
        return [json.loads(line) for line in out if '"_aws"' in line]

    return flush


def series(lines: list[dict[str, Any]]) -> dict[tuple[str, frozenset[tuple[str, str]]], list[Any]]:
    """
    Read the lines as CloudWatch does: the values of each name and set of dimensions.
    """
    found: dict[tuple[str, frozenset[tuple[str, str]]], list[Any]] = {}
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            assert directive["Namespace"] == NAMESPACE
            (names,) = directive["Dimensions"]
            for metric in directive["Metrics"]:
                key = metric["Name"], frozenset((name, line[name]) for name in names)
                found.setdefault(key, []).extend(line[metric["Name"]])
    assert set(found) == {(name, pairs) for _, name, pairs in Samples(lines).names()}
    return found


def test_stored_token_is_one_line(recorder: Recorder, emitted: Any, clock: Clock) -> None:
    recorder.count(Metric.VENDED, source="stored")
    clock.advance(0.25)
    lines = emitted()
    assert len(lines) == 1
    assert series(lines) == {
        ("Vended", frozenset({SERVICE, ("source", "stored")})): [1],
        ("Latency", frozenset({SERVICE})): [250],
        ("ColdStart", frozenset({SERVICE})): [1],
    }


def test_values_that_one_line_cannot_hold_get_another(recorder: Recorder, emitted: Any) -> None:
    """
    A line has one value for each dimension: two operations are two lines, and nothing is lost.
    """
    for operation, outcome in (
        *(("list_users", "503"), ("list_users", "ok")),
        *(("generate_token", "ok"), ("generate_token", "ok")),
    ):
        recorder.count(Metric.AURORA_CALL, operation=operation, outcome=outcome)
        recorder.count(Metric.AURORA_LATENCY, 7, operation=operation)
    found = series(emitted())
    listed, generated = (("operation", name) for name in ("list_users", "generate_token"))
    assert found["AuroraCall", frozenset({SERVICE, listed, ("outcome", "503")})] == [1]
    assert found["AuroraCall", frozenset({SERVICE, listed, ("outcome", "ok")})] == [1]
    assert found["AuroraCall", frozenset({SERVICE, generated, ("outcome", "ok")})] == [1, 1]
    assert found["AuroraLatency", frozenset({SERVICE, listed})] == [7, 7]
    assert found["AuroraLatency", frozenset({SERVICE, generated})] == [7, 7]


def test_nothing_is_emitted_twice(recorder: Recorder, emitted: Any) -> None:
    recorder.count(Metric.VENDED, source="stored")
    emitted()
    recorder.start("request-2")
    assert set(series(emitted())) == {("Latency", frozenset({SERVICE}))}


@pytest.mark.parametrize("dimensions", [{}, {"source": "stored", "caller": "x"}, {"problem": "x"}])
def test_other_dimensions_are_refused(recorder: Recorder, dimensions: dict[str, str]) -> None:
    """
    CloudWatch would take them for another series, which no dashboard shows.
    """
    with pytest.raises(ValueError, match="source"):
        recorder.count(Metric.VENDED, **dimensions)
