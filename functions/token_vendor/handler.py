"""
API Gateway event in, HTTP response out: two routes, the one error renderer, the wiring.

A plain dispatch instead of a routing library: two routes do not earn its share of a cold start.
"""

import base64
import binascii
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.session import get_session

from token_vendor.accounts import Accounts, InvitationPolicy
from token_vendor.api_key import ApiKey
from token_vendor.aurora import AuroraClient
from token_vendor.caller import ClaimNames, identify
from token_vendor.models import Caller, Deadline, TokenRequest, Vended
from token_vendor.observability import Metric, digest, logger, recorder
from token_vendor.problems import (
    URN,
    CallerNotIdentifiedError,
    InternalError,
    InvalidRequestError,
    ProblemError,
)
from token_vendor.request_budget import Gcra, RequestBudget
from token_vendor.settings import RESERVE, Settings
from token_vendor.token_store import TokenStore
from token_vendor.vendor import Policy, TokenVendor

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_secretsmanager.client import SecretsManagerClient

BODY_LIMIT = 4096
"""Bytes: three short members and a profile fit many times over."""
LONGEST_MIN_TTL = 39_600
LONGEST_TEXT = 200
DYNAMODB = Config(
    connect_timeout=1,
    read_timeout=2,
    # Its first pause for DynamoDB is 50 ms; the standard mode's is up to a second.
    retries={"mode": "legacy", "total_max_attempts": 3},
    tcp_keepalive=True,
    # DynamoDB checks the requests itself; doing it here too takes 3 % of a stored token's CPU.
    parameter_validation=False,
)
SECRETS_MANAGER = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)


class Service:
    """The wired parts of one execution environment."""

    def __init__(self, vendor: TokenVendor, settings: Settings, clock: Callable[[], float]) -> None:
        self._vendor = vendor
        self._settings = settings
        self._clock = clock
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
        recorder.event["status"] = response["statusCode"]
        recorder.flush()
        return response

    def _route(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        route = event.get("routeKey")
        recorder.event["route"] = route
        body = _body(event) if route == "POST /token" else {}
        caller = self._caller(event, body.get("profile", {}))
        match route:
            case "POST /token":
                now = self._clock()
                remaining = context.get_remaining_time_in_millis() / 1000 - RESERVE
                vended = self._vendor.vend(
                    caller,
                    TokenRequest(replace=body.get("replace"), min_ttl=body.get("min_ttl", 0)),
                    Deadline(now + remaining, self._clock),
                )
                return self._token(vended)
            case "DELETE /token":
                self._vendor.forget(caller)
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
                    "expires_in": max(0, int(token.expires_at - self._clock())),
                },
                "user": {"id": token.user_id, "email": vended.email},
                "source": vended.source,
            },
        )

    def _problem(self, problem: ProblemError, request_id: str) -> dict[str, Any]:
        recorder.count(Metric.PROBLEM, problem=problem.slug)
        recorder.event |= {"outcome": "problem", "problem": problem.slug}
        log = logger.error if problem.status >= 500 else logger.warning  # noqa: PLR2004
        log("problem", extra={"problem": problem.slug, "cause": problem.cause or problem.detail})
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
            headers["retry-after"] = str(max(1, ceil(problem.retry_at - self._clock())))
        return _response(problem.status, body, headers)


def _json_object(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a POST as an object; an absent one is an empty object."""
    text = event.get("body") or ""
    try:
        data = text.encode() if isinstance(text, str) else b"?"
        if event.get("isBase64Encoded"):
            data = base64.b64decode(data, validate=True)
        if len(data) > BODY_LIMIT:
            raise InvalidRequestError(f"The body is larger than {BODY_LIMIT} bytes.")
        if not data.strip():
            return {}
        body = json.loads(data, object_pairs_hook=_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, binascii.Error) as error:
        raise InvalidRequestError("The body is not JSON.", cause=type(error).__name__) from error
    if not isinstance(body, dict):
        raise InvalidRequestError("The body is not a JSON object.")
    return body


def _body(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a POST, each checked."""
    body = _json_object(event)
    _only(body, {"replace", "min_ttl", "profile"}, "")
    replace = body.get("replace")
    if "replace" in body and not (isinstance(replace, str) and 0 < len(replace) <= LONGEST_TEXT):
        raise InvalidRequestError("replace must be the jti of the token that failed.")
    min_ttl = body.get("min_ttl", 0)
    if type(min_ttl) is not int or not 0 <= min_ttl <= LONGEST_MIN_TTL:
        raise InvalidRequestError(f"min_ttl must be whole seconds from 0 to {LONGEST_MIN_TTL}.")
    profile = body.get("profile", {})
    if not isinstance(profile, dict):
        raise InvalidRequestError("profile must be an object.")
    _only(profile, {"first_name", "last_name", "phone"}, "profile.")
    for name, value in profile.items():
        if not (isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()):
            raise InvalidRequestError(f"profile.{name} must be a short text on one line.")
    return body


def _only(members: dict[str, Any], allowed: set[str], prefix: str) -> None:
    if unknown := sorted(set(members) - allowed):
        raise InvalidRequestError(
            # As ASCII: half a surrogate pair would cost the log line that quotes it.
            f"Unknown member {prefix + unknown[0][:40]!a}: allowed are "
            f"{', '.join(prefix + name for name in sorted(allowed))}."
        )


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a name that stands twice: parsers differ in which one counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidRequestError("A member stands twice in the body.")
    return members


def _refuse_constant(name: str) -> None:
    raise InvalidRequestError(f"{name} is not JSON.")


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


def wire(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Service:
    """Build the parts from the settings; tests call it with others."""
    # botocore's session is what boto3 makes its clients with; importing boto3 itself would load
    # the whole of S3's transfer manager at every cold start.
    session = get_session()
    dynamodb = cast("DynamoDBClient", session.create_client("dynamodb", config=DYNAMODB))
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
    version = (settings.aurora_version_header, settings.aurora_version)
    aurora = AuroraClient(
        api_key,
        url=settings.aurora_url.rstrip("/"),
        tenant_id=settings.aurora_tenant_id,
        version_header=version if all(version) else None,
        connect_timeout=settings.aurora_connect_timeout,
        read_timeout=settings.aurora_read_timeout,
        clock=clock,
        sleep=sleep,
    )
    vendor = TokenVendor(
        store=TokenStore(
            dynamodb, table_name=settings.table_name, partition=settings.partition, clock=clock
        ),
        accounts=Accounts(
            dynamodb,
            aurora,
            table_name=settings.table_name,
            partition=settings.partition,
            clock=clock,
            invitations=InvitationPolicy(
                enabled=settings.invitations,
                domains=settings.invite_domains,
                level=settings.invite_level,
                levels_by_group=settings.invite_levels_by_group,
                partner_ids=settings.invite_partner_ids,
            ),
            directory_ttl=settings.directory_ttl,
            sleep=sleep,
        ),
        budget=RequestBudget(
            dynamodb,
            table_name=settings.table_name,
            partition=settings.partition,
            clock=clock,
            gcra=Gcra(rate=settings.request_rate, burst=settings.request_burst),
            patience=settings.patience,
            queue_horizon=settings.queue_horizon,
            sleep=sleep,
        ),
        aurora=aurora,
        policy=Policy(
            refresh_margin=settings.refresh_margin,
            cool_down=settings.cool_down,
            refused_for=settings.directory_ttl,
            turn_grace=settings.turn_grace,
            renewals_per_hour=settings.renewals_per_hour,
        ),
        clock=clock,
        sleep=sleep,
    )
    return Service(vendor, settings, clock)


handler = wire(Settings.from_environment(os.environ)).answer

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # A part of Lambda's own runtime. All copies of a snapshot would go on with the same `random`,
    # and wait in step. Connections need no renewal: none is opened before the first request.
    import snapshot_restore_py  # type: ignore[import-untyped]  # It ships no types.

    snapshot_restore_py.register_after_restore(random.seed)
