"""
The calls of a probe, in their order.

What people do with Aurora is left alone: tokens are generated only for the throw-away people.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from token_vendor.models import GENERATE, INVITE, LIST, RETRIEVE, normalised_email

from infra.operator.key_rights import NOBODY
from infra.probe.exchange import Exchange, usable_id
from infra.probe.line import Line
from infra.probe.pacing import HaltedError
from infra.probe.tabs import Sessions

READING_CALLS, ALL_CALLS = 8, 23
"""The most calls of a probe that only reads, and of one with throw-away people."""
NO_VERSION = "1900-01-01"
LEVEL = "SDK User"
NAMES = {"first_name": "Throw-away", "last_name": "Person"}


@dataclass(kw_only=True)
class People:
    """The throw-away people of a probe: their addresses, and which of them are in Aurora by now."""

    addresses: tuple[str, ...] = ()
    left_behind: dict[str, str] = field(default_factory=dict)
    """"exists", or "may exist" after an answer that was lost, by address."""
    ids: dict[str, str] = field(default_factory=dict)
    """Aurora's ids, by address."""


def make_calls(
    line: Line,
    people: People,
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
        if people.addresses:
            _invite(line, people, use_known)
        # Next to the list that they are compared with, and before anybody can be invited twice.
        _read_pages(line)
        if people.addresses:
            _generate(line, people, sessions)
        _read_version(line)
    except HaltedError as halted:
        return str(halted)
    return ""


def row_of(listed: Exchange | None, address: str, user_id: str = "") -> Mapping[str, Any]:
    """Return the row of a person, by id where that is known; an empty one where there is none."""
    for row in listed.people if listed else ():
        if row.get("id") == user_id if user_id else _same(row.get("email"), address):
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
    line.ask(
        "generate-unknown",
        "POST users/{unknown id}/generate_token",
        GENERATE,
        f"/{NOBODY}/generate_token",
    )


def _read_pages(line: Line) -> None:
    for name, query in (
        ("page-2", "page=2"),
        ("one-on-page-2", "per_page=1&page=2"),
    ):
        line.ask(name, f"GET users?{query}", LIST, f"?{query}")


def _read_version(line: Line) -> None:
    name, version = version_header(line)
    if name:
        call = f"GET users, {name}: {NO_VERSION}"
        unknown = line.ask("version-unknown", call, LIST, headers={name: NO_VERSION})
        if unknown.refused:
            call = f"GET users, {name} as it was told"
            line.ask("version-known", call, LIST, headers={name: version})


def _invite(line: Line, people: People, use_known: Callable[[str], bool]) -> None:
    first, second = people.addresses
    new = []
    for address in people.addresses:
        if row := row_of(line.exchanges["list"], address):
            if use_known(address):
                people.ids[address] = usable_id(row.get("id"))
        else:
            new.append(address)
    if first in new:
        _invited(line, people, "invite", first, complete=True)
    if second in new and not _invited(line, people, "invite-minimal", second, complete=False):
        _invited(line, people, "invite-complete", second, complete=True)
    retrieved = line.exchanges.get("retrieve")
    if people.left_behind:
        listed = line.ask("list-after", "GET users", LIST)
        for address in people.left_behind:
            row = row_of(listed, address, people.ids.get(address, ""))
            if not people.ids.get(address):
                people.ids[address] = usable_id(row.get("id"))
            if not row and people.ids[address] and retrieved and retrieved.ok:
                path = f"/{people.ids[address]}"
                name = "retrieve-first" if address == first else "retrieve-second"
                line.ask(name, "GET users/{invited id}", RETRIEVE, path)


def _invited(line: Line, people: People, name: str, address: str, *, complete: bool) -> bool:
    user = {"email": address, "user_level": LEVEL}
    if complete:
        user |= NAMES
    call = f"POST users/invite {'with names' if complete else 'without names'}"
    # Noted before the call: an operator who stops the probe meanwhile has to know of the person.
    people.left_behind[address] = "may exist"
    try:
        answer = line.ask(name, call, INVITE, "/invite", body={"user": user})
    except HaltedError:
        if name not in line.exchanges or line.exchanges[name].status:
            # Not sent, or refused with 429.
            del people.left_behind[address]
        raise
    if answer.ok:
        people.left_behind[address] = "exists"
        people.ids[address] = usable_id(answer.user.get("id"))
    elif answer.status < 500:  # noqa: PLR2004 - HTTP's own number.
        del people.left_behind[address]
    return answer.ok


def _generate(line: Line, people: People, sessions: Sessions | None) -> None:
    person = next((each for each in people.addresses if people.ids.get(each)), None)
    if not person:
        return
    path = f"/{people.ids[person]}/generate_token"
    call = "POST users/{throw-away id}/generate_token"
    if not (first := line.ask("generate", call, GENERATE, path)).ok:
        return
    if sessions and first.jwt:
        sessions.first(first.jwt)
    again = line.ask("generate-again", call, GENERATE, path)
    # The same token again tells nothing of two.
    if sessions and first.jwt and again.jwt and first.jwt != again.jwt:
        sessions.second(again.jwt)
    if person in people.left_behind:
        # Aurora gives the address of somebody who is not active to a second person.
        body = {"user": NAMES | {"email": person, "user_level": LEVEL}}
        line.ask("invite-again", "POST users/invite, the same again", INVITE, "/invite", body=body)


def _same(email: Any, address: str) -> bool:
    try:
        return normalised_email(str(email)) == address
    except ValueError:
        return False
