"""
What AWS itself would publish about function, API and table, from what the local stack shows.

MiniStack writes Lambda's reports, and makes no metrics. Requests to the API and calls to the table
are those that `wire_tap.py` has seen pass.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

REPORT = re.compile(r"REPORT RequestId: \S+\s+Duration: ([\d.]+) ms")
CLIENT_ERROR, SERVER_ERROR = 400, 500
THROTTLED = {"ThrottlingException", "ProvisionedThroughputExceededException"}
NOTES = {
    "AWS/Lambda": "Locally: invocations and durations, from Lambda's reports in the log.",
    "AWS/ApiGateway": "Locally: counted on the wire; the function's part is from its log.",
    "AWS/DynamoDB": "Locally: counted on the wire.",
    "ConsumedReadCapacityUnits": "Locally: counted on the wire. A unit for each item read or "
    "written, two for writing one with a JWT.",
}
"""What a widget shows on the local page, by its first metric's name or namespace."""


def lines(
    outputs: Mapping[str, str],
    *,
    reports: Iterable[tuple[int, str]],
    logged: Iterable[Mapping[str, Any]],
    passages: Iterable[Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """
    Yield EMF lines: one for each invocation, request to the API, and call to the table.

    `reports` are Lambda's, each with its milliseconds; `passages` are what `wire_tap.py` has seen.
    """
    function = {"FunctionName": outputs["FunctionName"]}
    for timestamp, message in reports:
        if report := REPORT.match(message):
            values = {"Invocations": 1, "Duration": float(report[1])}
            yield _line("AWS/Lambda", timestamp, function, values)
    api = {"ApiId": outputs["ApiId"]}
    for line in logged:
        if line.get("message") == "audit" and "status" in line["audit"]:
            values = {"IntegrationLatency": line["audit"]["duration_ms"]}
            yield _line("AWS/ApiGateway", int(line["@timestamp"] * 1000), api, values)
    for passage in passages:
        if passage.get("api") == outputs["ApiId"]:
            yield _request(passage, api)
        if passage.get("table") == outputs["TableName"]:
            yield from _call(passage)


def _request(passage: Mapping[str, Any], api: Mapping[str, str]) -> dict[str, Any]:
    status = passage["status"]
    values = {
        "Count": 1,
        "4xx": int(CLIENT_ERROR <= status < SERVER_ERROR),
        "5xx": int(status >= SERVER_ERROR),
        "Latency": passage["ms"],
    }
    return _line("AWS/ApiGateway", int(passage["at"] * 1000), api, values)


def _call(passage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    at, table = int(passage["at"] * 1000), {"TableName": passage["table"]}
    units = {
        "ConsumedReadCapacityUnits": passage["reads"],
        "ConsumedWriteCapacityUnits": passage["writes"],
        "ConditionalCheckFailedRequests": passage["error"] == "ConditionalCheckFailedException",
    }
    yield _line("AWS/DynamoDB", at, table, units)
    of_operation = {
        "ThrottledRequests": passage["error"] in THROTTLED,
        "SystemErrors": passage["status"] >= SERVER_ERROR,
    }
    if passage["status"] < CLIENT_ERROR:
        of_operation["SuccessfulRequestLatency"] = passage["ms"]
    yield _line("AWS/DynamoDB", at, table | {"Operation": passage["operation"]}, of_operation)


def _line(
    namespace: str, timestamp: int, dimensions: Mapping[str, str], values: Mapping[str, float]
) -> dict[str, Any]:
    directive = {
        "Namespace": namespace,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name} for name in values],
    }
    meta = {"Timestamp": timestamp, "CloudWatchMetrics": [directive]}
    return {"_aws": meta, **dimensions, **values}
