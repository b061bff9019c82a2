"""Calls and bytes of one request, counted between the environment and AWS."""

import time
from collections.abc import Mapping
from typing import Any

from token_vendor.control import KEPT

from tests.benchmarks.cost import Counted
from tests.support import Harness, token_event
from tests.support.wire import Wire

READS = {"GetItem": 1, "BatchGetItem": 2}
"""Items, each of which costs a read: the caller's own, and CONTROL if it was not read just now."""
TIMEOUT = 25


def count(harness: Harness, person: Mapping[str, Any]) -> dict[str, list[str] | Counted]:
    """Vend to a known caller twice on a warm environment: generated, then stored."""
    counted: dict[str, list[str] | Counted] = {}
    with Wire(harness.ministack.url) as aws:
        environment = harness.start_environment(AWS_ENDPOINT_URL=aws.url)
        # The first request reads the key and opens the connections; a warm one is counted.
        for kind in ("first", "generated", "stored"):
            if kind != "stored":
                expire(harness, person)
            time.sleep(KEPT)  # An environment seldom has two requests within that time.
            aws.passages.clear()
            logged = harness.log.stat().st_size
            environment.invoke(token_event(person["email"]), timeout=TIMEOUT)
            operations = aws.operations()
            reads = sum(READS.get(operation, 0) for operation in operations)
            written = [each for each in aws.passages if each.operation not in READS]
            log = harness.log.read_bytes()[logged:]
            counted[f"{kind}_calls"] = operations
            counted[kind] = Counted(
                calls=len(operations),
                read_units=reads,
                # An item with its JWT is between 1 and 2 KB; ticket and place are small.
                write_units=sum(1 + (b'"TOKEN"' in each.body) for each in written),
                log_bytes=len(log),
                log_lines=log.count(b"\n"),
            )
        environment.stop()
    return counted


def expire(harness: Harness, person: Mapping[str, Any]) -> None:
    """Leave the caller known, with a token that has expired."""
    harness.dynamodb.update_item(
        TableName="tokens",
        Key=harness.key(person["email"]),
        UpdateExpression="SET expires_at = :past, user_id = :id",
        ExpressionAttributeValues={":past": {"N": "1"}, ":id": {"S": person["id"]}},
    )
