"""
Calls and bytes of one request, counted between the environment and AWS.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.benchmarks.cost import Counted
from tests.support import token_event
from tests.support.wire import Wire

if TYPE_CHECKING:
    from tests.support import Harness

READS = {"GetItem"}
TIMEOUT = 25


def count(harness: Harness, email: str) -> dict[str, list[str] | Counted]:
    """
    Vend to a known caller twice on a warm environment: generated, then stored.
    """
    counted: dict[str, list[str] | Counted] = {}
    with Wire(harness.ministack.url) as aws:
        environment = harness.start_environment(AWS_ENDPOINT_URL=aws.url)
        # The first request reads the key and opens the connections; a warm one is counted.
        for kind in ("first", "generated", "stored"):
            if kind != "stored":
                expire(harness, email)
            aws.passages.clear()
            logged = harness.log.stat().st_size
            started = time.perf_counter()
            environment.invoke(token_event(email), timeout=TIMEOUT)
            spent = (time.perf_counter() - started) * 1000
            operations = aws.operations()
            reads = sum(operation in READS for operation in operations)
            counted[f"{kind}_calls"] = operations
            counted[kind] = Counted(
                reads=reads,
                writes=len(operations) - reads,
                log_bytes=harness.log.stat().st_size - logged,
                milliseconds=spent,
            )
        environment.stop()
    return counted


def expire(harness: Harness, email: str) -> None:
    """
    Let the caller's stored token be past its time.
    """
    harness.dynamodb.update_item(
        TableName="tokens",
        Key=harness.key(email),
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
