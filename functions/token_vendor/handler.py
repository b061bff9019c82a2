"""
API Gateway event in, HTTP response out: two routes, the one error renderer.

The dispatch is plain: a routing library would lengthen every cold start for the sake of two routes.
"""

import gc

gc.disable()  # What a cold start makes, stays: looking through it for garbage finds none.

import json
import os
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import ceil
from typing import Any

from token_vendor.caller import identify
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
from token_vendor.settings import RESERVE, Settings
from token_vendor.wiring import Parts, wire


class Endpoint:
    """The two routes, over the wired parts of one execution environment."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Answer one event of payload format 2.0. Never raises."""
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
                clock = self._parts.clock
                deadline = Deadline(clock() + remaining, clock, self._parts.sleep)
                caller = self._caller(event, profile)
                return self._token(self._parts.vendor.vend(caller, request, deadline))
            case "DELETE /token":
                self._parts.vendor.forget(self._caller(event, {}))
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
            claims if isinstance(claims, dict) else {}, profile, settings=self._parts.settings
        )
        recorder.event["caller"] = digest(caller.email)
        if self._parts.settings.log_email:
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
                    "expires_in": max(0, int(token.expires_at - self._parts.now())),
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
            headers["retry-after"] = str(max(1, ceil(problem.retry_at - self._parts.now())))
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


handler = Endpoint(wire(Settings.from_environment(os.environ))).answer

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # A part of Lambda's own runtime. Without this, all copies of a snapshot would draw the same
    # random pauses. No connection has to be renewed: none is opened before the first request.
    import snapshot_restore_py  # type: ignore[import-untyped]  # It ships no types.

    snapshot_restore_py.register_after_restore(random.seed)

gc.freeze()
gc.enable()
