"""
A fake Aurora for tests and for people.

    python -m infra.local.fake_aurora --port 9400        # as a program
    with FakeAurora.running() as aurora: ...             # in a test: aurora.url and direct access

It plays the three calls of Aurora's "Access Token" page and nothing else: an unknown path is 501, so
that a product that calls anything more is found out. It models what Aurora's documentation says or
leaves open (see `Behaviour`); where a choice had to be made, its reason stands beside it.
"""

from __future__ import annotations

import argparse
import email.utils
import math
import os
import secrets
import signal
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from infra.local.aurora_behaviour import OPERATIONS, Behaviour, Fault
from infra.local.aurora_calls import Call, Calls
from infra.local.aurora_replies import Reply
from infra.local.aurora_server import AuroraServer
from infra.local.aurora_tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TENANT_ID = "7d3c2f10-5717-4562-b3fc-2c963f66afa6"
MOST_PER_PAGE = 250
DEFAULT_PER_PAGE = 100
PREFIXES = {"sk_sand_": "sandbox", "rk_sand_": "sandbox", "sk_prod_": "production"}
PREFIXES["rk_prod_"] = "production"

JESSICA = {
    "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "first_name": "Jessica",
    "last_name": "Smith",
    "email": "jessica.smith@aurorasolar.com",
}
ROBERT = {
    "id": "4bc45f64-5717-4562-b3fc-2c963f66afa6",
    "first_name": "Robert",
    "last_name": "Johnson",
    "email": "robert.johnson@aurorasolar.com",
}


@dataclass(kw_only=True)
class User:
    """
    Aurora's record of a person, in one of its tenants.
    """

    email: str
    first_name: str = "Sample"
    last_name: str = "Person"
    # Only "active" is documented; the fake calls the others "pending" and "inactive".
    account_status: str = "active"
    user_level: str = "SDK User"
    tenant_id: str = TENANT_ID
    phone: str = ""
    partner_ids: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def listed(self) -> dict[str, str]:
        """
        Give the five members that the page's sample shows.
        """
        names = ("id", "first_name", "last_name", "email", "account_status")
        return {name: getattr(self, name) for name in names}


class _RefusedError(Exception):
    """
    An answer other than success.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        # Bodies of errors are JSON of unknown shape, and their texts may change.
        self.reply = Reply(status, {"error": {"message": message}}, headers or {})


class FakeAurora:
    """
    Aurora's state and rules, without HTTP; every public method may be called from any thread.
    """

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
        self.url = ""
        self._clock = clock
        self._lock = threading.RLock()
        keys = tuple(api_keys) or (f"sk_sand_{secrets.token_hex(16)}",)
        self._start = Behaviour.from_json(behaviour | {"api_keys": keys})
        self._start_users = list(users)
        self._server: AuroraServer | None = None
        self.reset()

    @classmethod
    @contextmanager
    def running(cls, *, port: int = 0, **arguments: Any) -> Iterator[Self]:
        """
        Serve a new fake on loopback until the block ends; port 0 picks a free one.
        """
        aurora = cls(**arguments)
        aurora.start(port)
        try:
            yield aurora
        finally:
            aurora.stop()

    def start(self, port: int = 0) -> None:
        """
        Serve on loopback; raises OSError where the port is taken.
        """
        self._server = AuroraServer(self, port)
        self.url = self._server.url

    def stop(self) -> None:
        """
        Close the port and every open connection, as an Aurora that is down; the state stays.
        """
        if self._server is not None:
            self._server.stop()
            self._server = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """
        Refuse connections during the block, then serve at the same address again.
        """
        port = int(self.url.rpartition(":")[2])
        self.stop()
        try:
            yield
        finally:
            self.start(port)

    # What tests and people set ---------------------------------------------------------------

    @property
    def api_key(self) -> str:
        """
        The first of the valid keys.
        """
        return self.behaviour.api_keys[0]

    def reset(self) -> None:
        """
        Forget calls, tokens, sessions, faults, users and behaviour: as when it started.
        """
        with self._lock:
            self.behaviour = self._start
            self._faults: list[Fault] = []
            self._calls = Calls()
            self._tokens = Tokens()
            self.set_users(self._start_users)

    def behave(self, **members: Any) -> Behaviour:
        """
        Change some members of the behaviour; the others stay.
        """
        with self._lock:
            self.behaviour = Behaviour.from_json(members, self.behaviour)
            return self.behaviour

    def fail(self, *faults: dict[str, Any]) -> None:
        """
        Replace the faults that are still to come; none means that nothing fails any more.
        """
        read = [Fault.from_json(fault) for fault in faults]
        with self._lock:
            self._faults = read

    def set_users(self, users: Iterable[dict[str, Any]]) -> None:
        """
        Replace everybody, in every tenant.
        """
        with self._lock:
            self._users: dict[str, User] = {}
            self._by_email: dict[str, list[User]] = {}
            self.add_users(users)

    def add_users(self, users: Iterable[dict[str, Any]]) -> None:
        """
        Add people, or change those whose `id` is known.
        """
        with self._lock:
            for data in users:
                known = self._users.get(data.get("id", ""))
                self._keep(
                    User(**(asdict(known) if known else {"tenant_id": self.tenant_id}) | data)
                )

    # What tests and people read --------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """
        Count calls, double generates, and the fullest minute.
        """
        with self._lock:
            stats = self._calls.stats(self.behaviour.rate_window)
            return stats | {"double_generates": self._tokens.double_generates}

    def calls(self) -> list[dict[str, Any]]:
        """
        Give every call with its time.
        """
        with self._lock:
            return self._calls.to_json()

    def users(self) -> list[dict[str, Any]]:
        """
        Give every person with what the invitation said.
        """
        with self._lock:
            return [asdict(user) for user in self._users.values()]

    def token_state(self, jti: str) -> str:
        """
        Say `live`, or why the token does not load.
        """
        with self._lock:
            return self._tokens.state(jti, self._clock())

    def load(self, jwt: str) -> tuple[str | None, str]:
        """
        Load the Client SDK with a JWT: a session's id and `live`, or None and the reason.
        """
        with self._lock:
            return self._tokens.load(jwt, self.behaviour, self._clock())

    def session_state(self, session_id: str) -> str:
        """
        Say `live`, or why the session is over.
        """
        with self._lock:
            return self._tokens.session(session_id, self._clock())

    def close_session(self, session_id: str) -> None:
        """
        End a session from its own side.
        """
        with self._lock:
            self._tokens.close(session_id)

    # The three calls, as the server makes them ------------------------------------------------

    def begin(self, operation: str, about: str) -> tuple[Call, Fault | None]:
        """
        Count a call on arrival and take the fault that it is to suffer.
        """
        with self._lock:
            call = self._calls.add(operation, self._clock(), about)
            for index, fault in enumerate(self._faults):
                if fault.operation == operation:
                    left = fault.times - 1
                    spent = [] if left < 1 else [Fault.from_json({"times": left}, fault)]
                    self._faults[index : index + 1] = spent
                    return call, fault
            return call, None

    def answer(
        self, operation: str, tenant_id: str, key: str, argument: Any, fault: Fault | None = None
    ) -> Reply:
        """
        Carry out one call: its query, its JSON body, or the user's id is the argument.
        """
        with self._lock:
            try:
                self._admit(operation, tenant_id, key)
                match operation:
                    case "list_users":
                        return Reply(HTTPStatus.OK, self._list(argument))
                    case "invite_user":
                        return Reply(self.behaviour.invite_status, self._invite(argument))
                    case _:
                        return Reply(HTTPStatus.OK, self._generate(argument, fault))
            except _RefusedError as refused:
                return refused.reply

    def _admit(self, operation: str, tenant_id: str, key: str) -> None:
        # The order is that of any API gateway: who is it, how often, may it, does it exist.
        self._authenticate(key)
        self._limit(key)
        if operation in self.behaviour.forbidden:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "The key does not allow this action.")
        if tenant_id != self.tenant_id:
            # "404: does not exist, or belongs to another tenant."
            raise _RefusedError(HTTPStatus.NOT_FOUND, "No such tenant.")

    def _authenticate(self, key: str) -> None:
        belongs = next((env for prefix, env in PREFIXES.items() if key.startswith(prefix)), None)
        # A key of the other environment is simply unknown to this one's host.
        foreign = belongs is not None and belongs != self.behaviour.environment
        if foreign or key not in self.behaviour.api_keys:
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "The API key is not valid.")

    def _limit(self, key: str) -> None:
        now = self._clock()
        wait = self._calls.wait(key, self.behaviour, now)
        if wait is None:
            return
        forms = {
            "seconds": str(math.ceil(wait)),
            "float": f"{wait:.3f}",
            # HTTP dates have whole seconds; rounded up, so that waiting for it is enough.
            "http_date": email.utils.formatdate(math.ceil(now + wait), usegmt=True),
        }
        form = forms.get(self.behaviour.retry_after)
        headers = {} if form is None else {"Retry-After": form}
        raise _RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.", headers)

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        rows = [user.listed() for user in self._users.values() if user.tenant_id == self.tenant_id]
        if self.behaviour.order == "shuffled":
            # Any fixed order that has nothing to do with insertion: pages must still be disjoint.
            rows.sort(key=lambda row: uuid.uuid5(uuid.NAMESPACE_OID, row["id"]).int)
        if self.behaviour.page_size:
            page, per_page = _number(query, "page", 1), _number(query, "per_page", DEFAULT_PER_PAGE)
            if "per_page" not in query:
                per_page = self.behaviour.page_size
            per_page = min(per_page, MOST_PER_PAGE)
            rows = rows[(page - 1) * per_page : page * per_page]
        elif "page" in query and self.behaviour.unpaged_page == "refused":
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "Unknown parameter: page.")
        if self.behaviour.unknown_members:
            rows = [row | {"last_seen_on": "moon"} for row in rows]
            return {"users": rows, "meta": {"count": len(rows)}}
        return {"users": rows}

    def _invite(self, body: Any) -> dict[str, Any]:
        data = body.get("user") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "The body has no user.")
        missing = [name for name in self.behaviour.invite_required if not data.get(name)]
        if missing or "@" not in str(data.get("email")):
            raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Missing or invalid input.")
        # "E-mail is unique across tenants among active users", and "emails of non-active users
        # can be reused": so only an active row is in the way, in whichever tenant it is.
        rows = self._by_email.get(data["email"].casefold(), [])
        if any(row.account_status == "active" for row in rows):
            raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "The e-mail is taken.")
        names = ("email", "first_name", "last_name", "user_level", "phone", "partner_ids")
        user = User(tenant_id=self.tenant_id, **{n: data[n] for n in names if data.get(n)})
        # "Newly created SDK User accounts don't have to accept an emailed invitation"; all others
        # do.
        user.account_status = "active" if user.user_level == "SDK User" else "pending"
        self._keep(user)
        return {"user": user.listed()} if self.behaviour.invite_answer == "with_id" else {}

    def _generate(self, user_id: str, fault: Fault | None) -> dict[str, Any]:
        user = self._users.get(user_id)
        if user is None or user.tenant_id != self.tenant_id:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "No such user.")
        if user.account_status != "active":
            raise _RefusedError(self.behaviour.inactive_status, "The account is not active.")
        now = self._clock()
        jwt = self._tokens.generate(user.id, user.email, self.behaviour, now)
        if fault is not None and fault.kind.endswith("_jwt"):
            jwt = self._tokens.distort(jwt, fault.kind, now)
        return {"token": {"jwt": jwt}}

    def _keep(self, user: User) -> None:
        rows = self._by_email.setdefault(user.email.casefold(), [])
        rows[:] = [row for row in rows if row.id != user.id] + [user]
        self._users[user.id] = user


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name} is a positive number.")
    return int(text)


def main() -> None:
    """
    Serve until Ctrl-C; the keys come from AURORA_API_KEY (comma-separated) or are made up.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9400, help="0 picks a free one")
    port = parser.parse_args().port
    keys = [key for key in os.environ.get("AURORA_API_KEY", "").split(",") if key]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with FakeAurora.running(port=port, api_keys=keys) as aurora:
            print(aurora.url, flush=True)
            print(f"tenant {aurora.tenant_id}, operations {', '.join(OPERATIONS)}", flush=True)
            if not keys:
                print(f"API key {aurora.api_key}", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
