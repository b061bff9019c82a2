"""
What the local pages draw of AWS's own metrics is counted on the wire to MiniStack.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from infra.dashboard_view import aws_metrics
from infra.dashboard_view.wire_tap import TAPPED
from infra.local.ministack import MiniStack, ministack
from infra.local.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE, GROUP = "tokens", "/aws/lambda/token-vendor"
TOKEN = {"pk": {"S": "sandbox#tenant#a@example.com"}, "sk": {"S": "TOKEN"}}
RING = {"pk": {"S": "sandbox#tenant"}, "sk": {"S": "RING"}}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    folder = tmp_path_factory.mktemp("ministack")
    with ministack(port=free_port(), log=folder / "log", scratch=folder) as stack:
        stack.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )
        stack.client("logs").create_log_group(logGroupName=GROUP)
        yield stack


@pytest.fixture(scope="module")
def api_id(aws: MiniStack) -> str:
    created = aws.client("apigatewayv2").create_api(Name="tokens", ProtocolType="HTTP")
    return str(created["ApiId"])


def counted(aws: MiniStack, api_id: str) -> Counter[tuple[str, ...]]:
    """Return the sum of each metric, by its name and its dimensions' values."""
    outputs = {
        "FunctionName": "f",
        "ApiId": api_id,
        "TableName": TABLE,
        "LogGroupName": GROUP,
    }
    passages = urllib3.request("GET", f"{aws.url}{TAPPED}", retries=False).json()
    sums: Counter[tuple[str, ...]] = Counter()
    for line in aws_metrics.lines(outputs, reports=(), logged=(), passages=passages):
        [directive] = line["_aws"]["CloudWatchMetrics"]
        [names] = directive["Dimensions"]
        for metric in directive["Metrics"]:
            sums[metric["Name"], *(line[name] for name in names)] += line[metric["Name"]]
    return sums


def test_calls_to_the_table_are_counted(aws: MiniStack, api_id: str) -> None:
    dynamodb = aws.client("dynamodb")
    before = counted(aws, api_id)
    update: dict[str, Any] = {
        "TableName": TABLE,
        "UpdateExpression": "SET version = :one",
        "ConditionExpression": "attribute_not_exists(version)",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    dynamodb.update_item(Key=TOKEN, **update)
    dynamodb.update_item(Key=RING, **update)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.update_item(Key=TOKEN, **update)
    dynamodb.get_item(TableName=TABLE, Key=TOKEN)
    dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [TOKEN, RING]}})
    puts = [{"PutRequest": {"Item": key}} for key in (TOKEN, RING)]
    dynamodb.batch_write_item(RequestItems={TABLE: puts})
    dynamodb.scan(TableName=TABLE)
    seen = counted(aws, api_id) - before
    latencies = {name for name in seen if name[0] == "SuccessfulRequestLatency"}
    operations = ("UpdateItem", "GetItem", "BatchGetItem", "BatchWriteItem", "Scan")
    assert latencies == {("SuccessfulRequestLatency", TABLE, each) for each in operations}
    assert {name: value for name, value in seen.items() if name not in latencies} == {
        ("ConsumedReadCapacityUnits", TABLE): 1 + 2 + 1,
        # A condition that does not hold costs its write, too.
        ("ConsumedWriteCapacityUnits", TABLE): 2 + 1 + 2 + 2,
        ("ConditionalCheckFailedRequests", TABLE): 1,
    }


def test_requests_to_the_api_are_counted(aws: MiniStack, api_id: str) -> None:
    """Also those that no function has seen; a browser's preflight is none."""
    before = counted(aws, api_id)
    url = f"{aws.url}/_aws/execute-api/{api_id}/token"
    assert urllib3.request("POST", url, retries=False).status == 404
    urllib3.request("OPTIONS", url, retries=False)
    urllib3.request("POST", url.replace(api_id, "another"), retries=False)
    seen = counted(aws, api_id) - before
    assert seen.pop(("Latency", api_id)) > 0
    assert seen == {("Count", api_id): 1, ("4xx", api_id): 1}


def test_page_in_a_browser_does_not_see_it(aws: MiniStack) -> None:
    origin = {"Origin": "https://example.com"}
    answer = urllib3.request("GET", f"{aws.url}{TAPPED}", headers=origin, retries=False)
    assert answer.status == 403
