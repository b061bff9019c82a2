"""
What the fake Aurora does, without HTTP.

It plays the three calls of Aurora's "Access Token" page, and Retrieve User of its partners page.
It models what Aurora's documentation says or leaves open (see `Behaviour`). Where a choice had to
be made, its reason is beside it.
"""

import email.utils
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from infra.fake_aurora import pages
from infra.fake_aurora.behaviour import NO_FAULT, Behaviour, Fault
from infra.fake_aurora.calls import Call, Calls
from infra.fake_aurora.replies import RefusedError, Reply
from infra.fake_aurora.tokens import Tokens
from infra.fake_aurora.users import JESSICA, ROBERT, TENANT_ID, Users

PREFIXES = {"sk_sand_": "sandbox", "rk_sand_": "sandbox", "sk_prod_": "production"}
PREFIXES["rk_prod_"] = "production"


class Rules:
    """Aurora's state and rules, without HTTP; every public method may be called from any thread."""

    def __init__(
        self,
        *,
        api_keys: Iterable[str] = (),
        tenant_id: str = TENANT_ID,
        users: Iterable[dict[str, Any]] = (JESSICA, ROBERT),
        clock: Callable[[], float] = time.time,
        **behaviour: Any,
    ) -> None:
        self.tenant_id = tenant_id
        self._clock = clock
        self._lock = threading.RLock()
        keys = tuple(api_keys) or (f"sk_sand_{secrets.token_hex(16)}",)
        self._start = Behaviour.from_json(behaviour | {"api_keys": keys})
        self._start_users = list(users)
        self.reset()

    # What tests and people set ---------------------------------------------------------------

    @property
    def api_key(self) -> str:
        """The first of the valid keys."""
        return self.behaviour.api_keys[0]

    def reset(self) -> None:
        """Forget calls, tokens, sessions, faults, users and behaviour: as when it started."""
        with self._lock:
            self.behaviour = self._start
            self._faults: list[Fault] = []
            self._calls = Calls()
            self._tokens = Tokens()
            self.set_users(self._start_users)

    def behave(self, **members: Any) -> Behaviour:
        with self._lock:
            self.behaviour = Behaviour.from_json(members, self.behaviour)
            return self.behaviour

    def fail(self, *faults: dict[str, Any]) -> None:
        """Replace the faults that are still to come; none means that nothing fails any more."""
        read = [Fault.from_json(fault) for fault in faults]
        with self._lock:
            self._faults = read

    def set_users(self, users: Iterable[dict[str, Any]]) -> None:
        with self._lock:
            self._users = Users(self.tenant_id)
            self._users.add(users)

    def add_users(self, users: Iterable[dict[str, Any]]) -> None:
        """Add people, or change those whose `id` is known."""
        with self._lock:
            self._users.add(users)

    # What tests and people read --------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        with self._lock:
            stats = self._calls.stats(self.behaviour.rate_window)
            return stats | {"double_generates": self._tokens.double_generates}

    def calls(self) -> list[dict[str, Any]]:
        with self._lock:
            return self._calls.to_json()

    def users(self) -> list[dict[str, Any]]:
        with self._lock:
            return self._users.to_json()

    def token_state(self, jti: str) -> str:
        """Say `live`, or why the token does not load."""
        with self._lock:
            return self._tokens.state(jti, self._clock())

    def load(self, jwt: str) -> tuple[str | None, str]:
        """Load the Client SDK with a JWT: a session's id and `live`, or None and the reason."""
        with self._lock:
            return self._tokens.load(jwt, self.behaviour, self._clock())

    def session_state(self, session_id: str) -> str:
        """Say `live`, or why the session is over."""
        with self._lock:
            return self._tokens.session(session_id, self._clock())

    def close_session(self, session_id: str) -> None:
        with self._lock:
            self._tokens.close(session_id)

    def headers(self, operation: str) -> dict[str, str]:
        behaviour = self.behaviour
        own = behaviour.generate_limit if operation == "generate_token" else 0
        limit, window = own or behaviour.rate_limit, round(behaviour.rate_window)
        forms = {
            # As in the IETF's draft "RateLimit header fields for HTTP", and as before it.
            "policy": {"RateLimit-Policy": f'"default";q={limit};w={window}'},
            "bare": {"X-RateLimit-Limit": str(limit)},
        }
        named = {behaviour.version_header: behaviour.version} if behaviour.version_header else {}
        return forms.get(behaviour.limit_headers, {}) | named

    # The three calls, as the server makes them ------------------------------------------------

    def begin(self, operation: str, about: str) -> tuple[Call, Fault]:
        """Count a call on arrival and take the fault that it is to suffer."""
        with self._lock:
            call = self._calls.add(operation, self._clock(), about)
            for index, fault in enumerate(self._faults):
                if fault.operation == operation:
                    left = fault.times - 1
                    spent = [] if left < 1 else [Fault.from_json({"times": left}, fault)]
                    self._faults[index : index + 1] = spent
                    return call, fault
            return call, NO_FAULT

    def answer(  # noqa: PLR0913 - one request has this many parts.
        self,
        operation: str,
        tenant_id: str,
        key: str,
        argument: Any,
        *,
        fault: Fault = NO_FAULT,
        version: str | None = None,
    ) -> Reply:
        """Carry out one call: its query, its JSON body, or the user's id is the argument."""
        with self._lock:
            try:
                self._admit(operation, tenant_id, key)
                if version is not None and version != self.behaviour.version:
                    raise RefusedError(HTTPStatus.BAD_REQUEST, "No such version.")  # noqa: TRY301
                match operation:
                    case "list_users":
                        rows = self._users.listed(self.behaviour, self._clock())
                        return pages.listing(rows, argument, self.behaviour)
                    case "invite_user":
                        user = self._users.invite(argument, self.behaviour, self._clock())
                        form = self.behaviour.invite_answer
                        body = self._users.answer_to_invitation(user, form)
                        return Reply(self.behaviour.invite_status, body)
                    case "retrieve_user":
                        return self._retrieve(argument)
                    case _:
                        return Reply(HTTPStatus.OK, self._generate(argument, fault))
            except RefusedError as refused:
                return refused.reply

    def _admit(self, operation: str, tenant_id: str, key: str) -> None:
        # The order is that of any API gateway: who is it, how often, may it, does it exist.
        self._authenticate(key)
        if operation == "generate_token":
            self._limit(f"{key} {operation}", self.behaviour.generate_limit)
        self._limit(key, self.behaviour.rate_limit)
        if operation in self.behaviour.forbidden:
            raise RefusedError(HTTPStatus.FORBIDDEN, "The key does not allow this action.")
        if tenant_id != self.tenant_id:
            # What belongs to another tenant is answered as if it did not exist.
            raise RefusedError(HTTPStatus.NOT_FOUND, "No such tenant.")

    def _authenticate(self, key: str) -> None:
        belongs = next((env for prefix, env in PREFIXES.items() if key.startswith(prefix)), None)
        # A key of the other environment is simply unknown to this one's host.
        foreign = belongs is not None and belongs != self.behaviour.environment
        if foreign or key not in self.behaviour.api_keys:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "The API key is not valid.")

    def _limit(self, key: str, limit: int) -> None:
        now = self._clock()
        wait = self._calls.wait(key, self.behaviour.rate_window, now, limit=limit)
        if wait is None:
            return
        forms = {
            "seconds": str(math.ceil(wait)),
            "float": f"{wait:.3f}",
            # HTTP dates have whole seconds; rounded up: waiting for it is enough.
            "http_date": email.utils.formatdate(math.ceil(now + wait), usegmt=True),
        }
        form = forms.get(self.behaviour.retry_after)
        headers = {} if form is None else {"Retry-After": form}
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.", headers)

    def _retrieve(self, user_id: str) -> Reply:
        status: int = self.behaviour.retrieve_status
        if status != HTTPStatus.OK:
            raise RefusedError(status, "No.")
        user = self._users.retrieve(user_id, self.behaviour, self._clock())
        return Reply(HTTPStatus.OK, {"user": user.listed()})

    def _generate(self, user_id: str, fault: Fault) -> dict[str, Any]:
        user = self._users.get(user_id, self.behaviour)
        now = self._clock()
        if now < user.invited_at + self.behaviour.usable_after:
            raise RefusedError(self.behaviour.early_status, "Not yet.")
        if user.account_status != "active":
            raise RefusedError(self.behaviour.inactive_status, "The account is not active.")
        jwt = self._tokens.generate(user.id, user.email, self.behaviour, now)
        if fault.kind.endswith("_jwt"):
            jwt = self._tokens.distort(jwt, fault.kind, now)
        return {"token": {"jwt": jwt}}
