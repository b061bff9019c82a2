"""
The fake Aurora's control API: how tests and people set it up and look into it over HTTP.

    GET  /_control/stats       counts by operation and answer, double generates, the fullest minute
    GET  /_control/calls       every call with its time
    GET, PUT, POST /_control/users      {"users": [{"email": ...}]}; PUT replaces, POST adds
    GET, PUT /_control/behaviour        members of `Behaviour`; those left out stay
    PUT  /_control/faults      {"faults": [{"operation", "kind", "times", ...}]}, see `Fault`
    POST /_control/reset       as when it started
    GET  /_control/tokens/JTI  {"state": "live"}, or why the token does not load
    POST /_control/sessions    {"jwt"}: load the Client SDK; 201 {"session"}, or 401 {"state"}
    GET, DELETE /_control/sessions/ID   is it live, and if not, why; close it
"""

import json
from http import HTTPStatus
from typing import Any

from infra.fake_aurora.behaviour import UnknownBehaviourError
from infra.fake_aurora.replies import Reply
from infra.fake_aurora.rules import Rules


def parsed(body: bytes) -> Any:
    """Read JSON; what is none counts as no body."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def control(aurora: Rules, method: str, path: str, data: Any) -> Reply:
    """Answer one request; what makes no sense is 400 and says why."""
    _, _, name, *which = path.split("/", 3)
    try:
        if method == "GET":
            return _read(aurora, name, which[0] if which else "")
        return _changed(aurora, method, name, which[0] if which else data)
    except (UnknownBehaviourError, TypeError, KeyError) as exc:
        return Reply(HTTPStatus.BAD_REQUEST, {"error": str(exc)})


def _read(aurora: Rules, name: str, which: str) -> Reply:
    readers: dict[str, Any] = {
        "stats": aurora.stats,
        "calls": lambda: {"calls": aurora.calls()},
        "users": lambda: {"users": aurora.users()},
        "behaviour": aurora.behaviour.to_json,
        "tokens": lambda: {"state": aurora.token_state(which)},
        "sessions": lambda: {"state": aurora.session_state(which)},
    }
    if name not in readers:
        return Reply(HTTPStatus.NOT_FOUND, {"error": f"nothing to read at {name}"})
    return Reply(HTTPStatus.OK, readers[name]())


def _changed(aurora: Rules, method: str, name: str, data: Any) -> Reply:
    match method, name:
        case "PUT", "users":
            aurora.set_users(data["users"])
        case "POST", "users":
            aurora.add_users(data["users"])
        case "PUT", "behaviour":
            aurora.behave(**data)
        case "PUT", "faults":
            aurora.fail(*data["faults"])
        case "POST", "reset":
            aurora.reset()
        case "POST", "sessions":
            session, state = aurora.load(data["jwt"])
            status = HTTPStatus.CREATED if session else HTTPStatus.UNAUTHORIZED
            return Reply(status, {"session": session, "state": state})
        case "DELETE", "sessions":
            aurora.close_session(data)
        case _:
            return Reply(HTTPStatus.NOT_FOUND, {"error": f"no {method} of {name}"})
    return Reply(HTTPStatus.NO_CONTENT)
