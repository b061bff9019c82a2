"""
What AWS itself would publish about the function and the API, from what the local stack has logged.

MiniStack writes Lambda's reports, but makes no metrics of invocations that come through the API,
and none of the API. What the gateway answers without the function, 401 and 429, shows nowhere.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.operator import audit_log
from infra.operator.deployed import Deployed

REPORT = re.compile(r"REPORT RequestId: \S+\s+Duration: ([\d.]+) ms")
CLIENT_ERROR, SERVER_ERROR = 400, 500


def lines(deployed: Deployed, *, since: float) -> Iterator[dict[str, Any]]:
    """
    Yield EMF lines: one for each invocation, and one for each request to the API.
    """
    function = {"FunctionName": deployed.outputs["FunctionName"]}
    for timestamp, message in audit_log.messages(
        deployed, since=since, containing="REPORT RequestId"
    ):
        if report := REPORT.match(message):
            values = {"Invocations": 1, "Duration": float(report[1])}
            yield _line("AWS/Lambda", timestamp, function, values)
    api = {"ApiId": deployed.outputs["ApiId"]}
    for line in audit_log.lines(deployed, since=since, containing="audit"):
        if line.get("message") == "audit":
            event = line["audit"]
            values = {
                "Count": 1,
                "4xx": int(CLIENT_ERROR <= event["status"] < SERVER_ERROR),
                "5xx": int(event["status"] >= SERVER_ERROR),
                # The gateway's own part is left out: on loopback it says nothing about AWS.
                "Latency": event["duration_ms"],
                "IntegrationLatency": event["duration_ms"],
            }
            yield _line("AWS/ApiGateway", int(line["@timestamp"] * 1000), api, values)


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
