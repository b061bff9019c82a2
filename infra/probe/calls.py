"""
The calls of a probe, in their order.

What people do with Aurora is left alone: tokens are generated only for the throw-away person.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from token_vendor.access_token import is_address
from token_vendor.models import GENERATE, INVITE, LIST, RETRIEVE

from infra.operator.key_rights import NOBODY
from infra.probe.exchange import Exchange, usable_id
from infra.probe.line import Line
from infra.probe.pacing import HaltedError
from infra.probe.tabs import Sessions

READING_CALLS, ALL_CALLS = 6, 13
"""The most calls of a probe that only reads, and of one with a throw-away person."""
NO_VERSION = "1900-01-01"
LEVEL = "SDK User"
NAMES = {"first_name": "Throw-away", "last_name": "Person"}


@dataclass(kw_only=True)
class Person:
    """The throw-away person of a probe, if it has one."""

    address: str = ""
    left_behind: str = ""
    """Whether the person "exists" in Aurora, or "may exist" after an answer that was lost."""
    id: str = ""
    """Aurora's id."""


def make_calls(
    line: Line,
    person: Person,
    *,
    use_known: Callable[[str], bool],
    sessions: Sessions | None = None,
) -> str:
    """
    Make every call; return why the probe ended early, or an empty string.

    `use_known` tells whether a token may be generated for an address that Aurora knows already.
    `sessions` has somebody look at what becomes of them.
    """
    try:
        _read(line)
        if person.address:
            _invite(line, person, use_known)
        # Next to the list that it is compared with, and before anybody can be invited twice.
        line.ask("page-2", "GET users?page=2", LIST, "?page=2")
        if person.id:
            _generate(line, person, sessions)
        _read_version(line)
    except HaltedError as halted:
        return str(halted)
    return ""


def row_of(listed: Exchange | None, address: str, user_id: str = "") -> Mapping[str, Any]:
    """Return the row of a person, by id where that is known; an empty one where there is none."""
    for row in listed.people if listed else ():
        if row.get("id") == user_id if user_id else is_address(row.get("email"), address):
            return row
    return {}


def version_header(line: Line) -> tuple[str, str]:
    """Return the header that may pin the version, and a version that is good: ("", "") for none."""
    if line.settings.aurora_version_header:
        return line.settings.aurora_version_header, line.settings.aurora_version
    listed = line.exchanges.get("list")
    named = [
        (name, value)
        for name, value in (listed.headers.items() if listed else ())
        if "version" in name.lower()
    ]
    return named[0] if len(named) == 1 else ("", "")


def _read(line: Line) -> None:
    listed = line.ask("list", "GET users", LIST)
    if not listed.ok:
        raise HaltedError(f"Aurora answered {listed.status} to the list of users")
    if listed.ids:
        line.ask("retrieve", "GET users/{id}", RETRIEVE, f"/{listed.ids[0]}")
    line.ask("unknown-user", "GET users/{unknown id}", RETRIEVE, f"/{NOBODY}")


def _read_version(line: Line) -> None:
    name, version = version_header(line)
    if name:
        call = f"GET users, {name}: {NO_VERSION}"
        unknown = line.ask("version-unknown", call, LIST, headers={name: NO_VERSION})
        if unknown.refused:
            call = f"GET users, {name} as it was told"
            line.ask("version-known", call, LIST, headers={name: version})


def _invite(line: Line, person: Person, use_known: Callable[[str], bool]) -> None:
    if row := row_of(line.exchanges["list"], person.address):
        if use_known(person.address):
            person.id = usable_id(row.get("id"))
        return
    # Noted before the call: an operator who stops the probe meanwhile has to know of the person.
    person.left_behind = "may exist"
    try:
        answer = line.ask("invite", "POST users/invite", INVITE, "/invite", body=_body(person))
    except HaltedError:
        if "invite" not in line.exchanges or line.exchanges["invite"].status:
            # Not sent, or refused with 429.
            person.left_behind = ""
        raise
    if answer.ok:
        person.left_behind = "exists"
        person.id = usable_id(answer.user.get("id"))
    elif answer.status < 500:  # noqa: PLR2004 - HTTP's own number.
        person.left_behind = ""
        return
    row = row_of(line.ask("list-after", "GET users", LIST), person.address, person.id)
    person.id = person.id or usable_id(row.get("id"))
    retrieved = line.exchanges.get("retrieve")
    if not row and person.id and retrieved and retrieved.ok:
        line.ask("retrieve-invited", "GET users/{invited id}", RETRIEVE, f"/{person.id}")


def _generate(line: Line, person: Person, sessions: Sessions | None) -> None:
    path = f"/{person.id}/generate_token"
    call = "POST users/{throw-away id}/generate_token"
    if not (first := line.ask("generate", call, GENERATE, path)).ok:
        return
    if sessions and first.jwt:
        sessions.first(first.jwt)
    again = line.ask("generate-again", call, GENERATE, path)
    # The same token again tells nothing of two.
    if sessions and first.jwt and again.jwt and first.jwt != again.jwt:
        sessions.second(again.jwt)
    if person.left_behind:
        # Aurora gives the address of somebody who is not active to a second person.
        call = "POST users/invite, the same again"
        line.ask("invite-again", call, INVITE, "/invite", body=_body(person))


def _body(person: Person) -> dict[str, Any]:
    return {"user": NAMES | {"email": person.address, "user_level": LEVEL}}
