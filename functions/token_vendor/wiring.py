"""Settings → the parts of one execution environment, once; without the HTTP endpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import botocore
from botocore.config import Config
from botocore.session import get_session

from token_vendor.accounts import Accounts
from token_vendor.api_key import ApiKey
from token_vendor.aurora import AuroraClient
from token_vendor.aurora_http import AuroraHTTP
from token_vendor.control import Switches
from token_vendor.directory import Directory
from token_vendor.request_budget import RequestBudget
from token_vendor.settings import Settings
from token_vendor.table import Table
from token_vendor.vendor import TokenVendor

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_secretsmanager.client import SecretsManagerClient

DYNAMODB = Config(
    connect_timeout=1,
    read_timeout=2,
    # Its first pause for DynamoDB is 50 ms; the standard mode's is up to a second.
    retries={"mode": "legacy", "total_max_attempts": 3},
    tcp_keepalive=True,
    # DynamoDB checks the requests itself; doing it here too takes 3 % of a stored token's CPU.
    parameter_validation=False,
    # botocore's own is composed anew, twice, for every call: 7 % of a stored token's CPU.
    user_agent=f"aurora-token-vendor Botocore/{botocore.__version__}",
)
SECRETS_MANAGER = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What is wired once for an execution environment; `now` is the time that all agree on."""

    settings: Settings
    table: Table
    switches: Switches
    vendor: TokenVendor
    directory: Directory
    budget: RequestBudget
    now: Callable[[], float]
    clock: Callable[[], float]
    sleep: Callable[[float], None]


def wire(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Parts:
    """Build the parts from the settings; tests call it with others."""
    # botocore's session is what boto3 makes its clients with; importing boto3 itself would load
    # the whole of S3's transfer manager at every cold start.
    session = get_session()
    dynamodb = cast("DynamoDBClient", session.create_client("dynamodb", config=DYNAMODB))
    table = Table(
        dynamodb,
        name=settings.table_name,
        partition=settings.partition,
        clock=clock,
        sleep=sleep,
        kept_for=settings.kept_days * 86_400,
    )
    # Stored moments are compared on the time that all environments agree on.
    now = table.now
    api_key = ApiKey(
        lambda: cast(
            "SecretsManagerClient",
            session.create_client("secretsmanager", config=SECRETS_MANAGER),
        ),
        settings,
        clock=clock,
    )
    aurora = AuroraClient(http=AuroraHTTP(settings, api_key, clock=now), clock=now)
    switches = Switches(table)
    directory = Directory(table=table, aurora=aurora, settings=settings, clock=now)
    accounts = Accounts(
        table=table, directory=directory, aurora=aurora, settings=settings, clock=now
    )
    budget = RequestBudget(table, settings)
    vendor = TokenVendor(
        table=table,
        switches=switches,
        accounts=accounts,
        budget=budget,
        aurora=aurora,
        settings=settings,
        now=now,
    )
    return Parts(
        settings=settings,
        table=table,
        switches=switches,
        vendor=vendor,
        directory=directory,
        budget=budget,
        now=now,
        clock=clock,
        sleep=sleep,
    )
