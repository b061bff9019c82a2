"""
API Gateway event in, HTTP response out: two routes, the one error renderer, the wiring.

The dispatch is plain: a routing library would lengthen every cold start for the sake of two routes.
"""

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any, cast

import botocore
from botocore.config import Config
from botocore.session import get_session

from token_vendor.accounts import Accounts, InvitationPolicy
from token_vendor.api_key import ApiKey
from token_vendor.aurora import AuroraClient
from token_vendor.aurora_http import AuroraHTTP
from token_vendor.caller import ClaimNames, identify
from token_vendor.directory import Directory
from token_vendor.models import Caller, Deadline, Vended
from token_vendor.observability import Metric, digest, logger, recorder
from token_vendor.problems import (
    URN,
    CallerNotIdentifiedError,
    InternalError,
    InvalidRequestError,
    ProblemError,
)
from token_vendor.request_body import parse_body
from token_vendor.request_budget import RequestBudget
from token_vendor.settings import RESERVE, Settings
from token_vendor.table import Table
from token_vendor.token_store import TokenStore
from token_vendor.vendor import Policy, TokenVendor

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


class Endpoint:
    """The two routes, over the wired parts of one execution environment."""

    def __init__(
        self,
        vendor: TokenVendor,
        settings: Settings,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._vendor = vendor
        self._settings = settings
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._claims = ClaimNames(
            email=settings.claim_email,
            email_verified=settings.claim_email_verified,
            given_name=settings.claim_given_name,
            family_name=settings.claim_family_name,
            name=settings.claim_name,
            phone=settings.claim_phone,
            groups=settings.claim_groups,
        )

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Answer one event of payload format 2.0; nothing is raised, everything is answered."""
        gateway = event.get("requestContext")
        request_id = str(
            (gateway.get("requestId") if isinstance(gateway, dict) else "")
            or context.aws_request_id
        )
        recorder.start(request_id)
        try:
            response = self._route(event, context)
        except ProblemError as problem:
            response = self._problem(problem, request_id)
        except Exception as error:  # noqa: BLE001 - Nothing may leave without an answer.
            logger.exception("unforeseen failure")
            response = self._problem(InternalError(cause=repr(error)), request_id)
        try:
            recorder.event["status"] = response["statusCode"]
            recorder.flush()
        except Exception:  # noqa: BLE001 - A failure to record an answer must not change it.
            with suppress(Exception):
                logger.exception("the request could not be recorded")
        return response

    def _route(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        route = event.get("routeKey")
        recorder.event["route"] = route
        match route:
            case "POST /token":
                request, profile = parse_body(event)
                remaining = context.get_remaining_time_in_millis() / 1000 - RESERVE
                deadline = Deadline(self._clock() + remaining, self._clock, self._sleep)
                caller = self._caller(event, profile)
                return self._token(self._vendor.vend(caller, request, deadline))
            case "DELETE /token":
                self._vendor.forget(self._caller(event, {}))
                recorder.event["outcome"] = "forgotten"
                return {"statusCode": 204, "headers": {"cache-control": "no-store"}}
            case _:
                raise InvalidRequestError(
                    "There is no such route: POST or DELETE /token.", cause=f"route {route!r}"
                )

    def _caller(self, event: Mapping[str, Any], profile: Mapping[str, str]) -> Caller:
        try:
            claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
        except (KeyError, TypeError) as error:
            raise CallerNotIdentifiedError(cause="the event has no claims") from error
        caller = identify(
            claims if isinstance(claims, dict) else {},
            profile,
            names=self._claims,
            require_verified_email=self._settings.require_verified_email,
        )
        recorder.event["caller"] = digest(caller.email)
        if self._settings.log_email:
            recorder.event["email"] = caller.email
        return caller

    def _token(self, vended: Vended) -> dict[str, Any]:
        token = vended.token
        recorder.event |= {
            "outcome": "vended",
            "source": vended.source,
            "jti": token.jti,
            "jwt_sha256": digest(token.jwt),
            "expires_at": token.expires_at,
        }
        return _response(
            200,
            {
                "token": {
                    "jwt": token.jwt,
                    "jti": token.jti,
                    "expires_at": _rfc3339(token.expires_at, "seconds"),
                    "expires_in": max(0, int(token.expires_at - self._now())),
                },
                "user": {"id": token.user_id, "email": vended.email},
                "source": vended.source,
            },
        )

    def _problem(self, problem: ProblemError, request_id: str) -> dict[str, Any]:
        recorder.count(Metric.PROBLEM, problem=problem.slug)
        recorder.event |= {"outcome": "problem", "problem": problem.slug}
        log = logger.error if problem.status >= 500 else logger.warning  # noqa: PLR2004
        with suppress(Exception):
            told = {"problem": problem.slug, "cause": problem.cause or problem.detail}
            log("problem", extra=told)
        body: dict[str, Any] = {
            "type": URN + problem.slug,
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "instance": request_id,
        }
        headers = {"content-type": "application/problem+json"}
        if problem.retry_at is not None:
            body["retry_at"] = _rfc3339(problem.retry_at, "milliseconds")
            headers["retry-after"] = str(max(1, ceil(problem.retry_at - self._now())))
        return _response(problem.status, body, headers)


def _response(
    status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "cache-control": "no-store"}
        | (headers or {}),
        "body": json.dumps(body),
    }


def _rfc3339(moment: float, precision: str) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec=precision)
    return text.replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What is wired once for an execution environment; `now` is the time that all agree on."""

    vendor: TokenVendor
    store: TokenStore
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
) -> Endpoint:
    """Build the endpoint from the settings; tests call it with others."""
    parts = wire_parts(settings, clock=clock, sleep=sleep)
    return Endpoint(parts.vendor, settings, now=parts.now, clock=clock, sleep=sleep)


def wire_parts(
    settings: Settings, *, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Parts:
    """Build the parts from the settings."""
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
    )
    # Stored moments are compared on the time that all environments agree on.
    now = table.now
    api_key = ApiKey(
        lambda: cast(
            "SecretsManagerClient",
            session.create_client("secretsmanager", config=SECRETS_MANAGER),
        ),
        secret_arn=settings.aurora_secret_arn,
        environment=settings.aurora_environment,
        kept_for=settings.api_key_ttl,
        clock=clock,
    )
    aurora = AuroraClient(AuroraHTTP(settings, api_key, clock=now, sleep=sleep), clock=now)
    directory = Directory(
        table, aurora, ttl=settings.directory_ttl, rate=settings.request_rate, clock=now
    )
    budget = RequestBudget(
        table,
        rate=settings.request_rate,
        burst=settings.request_burst,
        grace=settings.turn_grace,
        patience=settings.patience,
        queue_horizon=settings.queue_horizon,
        sleep=sleep,
    )
    store = TokenStore(
        table,
        clock=now,
        kept_for=settings.kept_days * 86_400,
        notes_comings=settings.prewarm,
    )
    vendor = TokenVendor(
        store=store,
        accounts=Accounts(
            table,
            directory,
            aurora,
            invitations=InvitationPolicy(
                enabled=settings.invitations,
                domains=settings.invite_domains,
                level=settings.invite_level,
                levels_by_group=settings.invite_levels_by_group,
                partner_ids=settings.invite_partner_ids,
            ),
            clock=now,
        ),
        budget=budget,
        aurora=aurora,
        policy=Policy(
            refresh_margin=settings.refresh_margin,
            patience=settings.patience,
            cool_down=settings.cool_down,
            refused_for=settings.directory_ttl,
            renewals_per_hour=settings.renewals_per_hour,
        ),
        clock=now,
    )
    return Parts(
        vendor=vendor,
        store=store,
        directory=directory,
        budget=budget,
        now=now,
        clock=clock,
        sleep=sleep,
    )


handler = wire(Settings.from_environment(os.environ)).answer

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # A part of Lambda's own runtime. Without this, all copies of a snapshot would draw the same
    # random pauses. No connection has to be renewed: none is opened before the first request.
    import snapshot_restore_py  # type: ignore[import-untyped]  # It ships no types.

    snapshot_restore_py.register_after_restore(random.seed)
