"""The fake Aurora's user accounts: listing them page by page, and inviting."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any

from infra.fake_aurora.behaviour import Behaviour
from infra.fake_aurora.replies import RefusedError

TENANT_ID = "7d3c2f10-5717-4562-b3fc-2c963f66afa6"
REQUIRED = ("first_name", "last_name", "email", "user_level")
"""What an invitation has to have. Nothing says so; the page's sample has the phone number, too."""

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
    email: str
    tenant_id: str
    first_name: str = "Sample"
    last_name: str = "Person"
    # Only "active" is documented; the fake calls the others "pending" and "inactive".
    account_status: str = "active"
    user_level: str = "SDK User"
    phone: str = ""
    partner_ids: list[str] = field(default_factory=list)
    # When, on the fake's clock; 0 for those who were there from the start.
    invited_at: float = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def listed(self) -> dict[str, str]:
        names = ("id", "first_name", "last_name", "email", "account_status")
        return {name: getattr(self, name) for name in names}


class Users:
    """
    The accounts of all tenants, as seen from one of them.

    Not thread-safe: `FakeAurora` holds its lock around each call.
    """

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._users: dict[str, User] = {}
        self._by_email: dict[str, dict[str, User]] = {}

    def add(self, users: Iterable[dict[str, Any]]) -> None:
        for data in users:
            known = self._users.get(data.get("id", ""))
            self._keep(User(**(asdict(known) if known else {"tenant_id": self._tenant_id}) | data))

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(user) for user in self._users.values()]

    def get(self, user_id: str, behaviour: Behaviour) -> User:
        """Find a user of this tenant; those of another are answered as if they did not exist."""
        user = self._users.get(user_id)
        if user is None or user.tenant_id != self._tenant_id:
            raise RefusedError(behaviour.unknown_status, "No such user.")
        return user

    def retrieve(self, user_id: str, behaviour: Behaviour, now: float) -> User:
        """Find a user as Retrieve User does, which may see an invited one late."""
        user = self.get(user_id, behaviour)
        if now < user.invited_at + behaviour.listed_after:
            raise RefusedError(behaviour.unknown_status, "No such user.")
        return user

    def listed(self, behaviour: Behaviour, now: float) -> list[dict[str, Any]]:
        rows = [
            each.listed()
            for each in self._users.values()
            if each.tenant_id == self._tenant_id
            and (behaviour.listed == "all" or each.account_status == "active")
            and now >= each.invited_at + behaviour.listed_after
        ]
        if behaviour.order == "shuffled":
            # Any order that has nothing to do with insertion; a fixed one keeps pages disjoint.
            rows.sort(key=lambda row: uuid.uuid5(uuid.NAMESPACE_OID, row["id"]).int)
        match behaviour.row_form:
            case "integer_ids":
                return [row | {"id": number} for number, row in enumerate(rows, 1)]
            case "other_names":
                return [{f"user_{name}": value for name, value in row.items()} for row in rows]
        return rows

    def invite(self, body: Any, behaviour: Behaviour, now: float) -> User:
        data = body.get("user") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The body has no user.")
        missing = [name for name in REQUIRED if not data.get(name)]
        if missing or "@" not in str(data.get("email")):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Missing or invalid input.")
        # An e-mail is unique across tenants among active users, and those of non-active users can
        # be used again: so only an active account is in the way, in whichever tenant it is.
        rows = self._by_email.get(str(data["email"]).casefold(), {}).values()
        if any(row.account_status == "active" for row in rows):
            raise RefusedError(behaviour.taken_status, "The e-mail is taken.")
        names = ("email", "first_name", "last_name", "user_level", "phone", "partner_ids")
        given = {name: data[name] for name in names if data.get(name)}
        user = User(tenant_id=self._tenant_id, invited_at=now, **given)
        # Only an "SDK User" need not accept an e-mailed invitation first.
        at_once = user.user_level == "SDK User"
        user.account_status = behaviour.invited_status if at_once else "pending"
        self._keep(user)
        return user

    def answer_to_invitation(self, user: User, form: str) -> Any:
        """Return the body that tells who was invited, or somebody else."""
        mine = (each for each in self._users.values() if each.tenant_id == self._tenant_id)
        other = next((each for each in mine if each is not user), user)
        answers: dict[str, Any] = {
            "with_id": {"user": user.listed()},
            "top_level": user.listed(),
            "without_id": {},
            "nothing": b"",
            "other_id": {"user": user.listed() | {"id": other.id}},
            "other_email": {"user": user.listed() | {"email": other.email}},
            "other_user": {"user": other.listed()},
        }
        return answers[form]

    def _keep(self, user: User) -> None:
        if known := self._users.get(user.id):
            del self._by_email[known.email.casefold()][user.id]
        self._by_email.setdefault(user.email.casefold(), {})[user.id] = user
        self._users[user.id] = user
