"""
What Lambda would publish about the function, from the report that ends each invocation's log.

MiniStack writes the reports as Lambda does, but makes no metrics of invocations that come through
the API.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.operator import audit_log
from infra.operator.deployed import Deployed

REPORT = re.compile(r"REPORT RequestId: \S+\s+Duration: ([\d.]+) ms")


def lines(deployed: Deployed, *, since: float) -> Iterator[dict[str, Any]]:
    """
    Yield one EMF line for each invocation: that there was one, and its duration in milliseconds.
    """
    directive = {
        "Namespace": "AWS/Lambda",
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": "Invocations"}, {"Name": "Duration"}],
    }
    for timestamp, message in audit_log.messages(
        deployed, since=since, containing="REPORT RequestId"
    ):
        if report := REPORT.match(message):
            yield {
                "_aws": {"Timestamp": timestamp, "CloudWatchMetrics": [directive]},
                "FunctionName": deployed.outputs["FunctionName"],
                "Invocations": 1,
                "Duration": float(report[1]),
            }
