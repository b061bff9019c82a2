"""
What invitations are answered, and what becomes of the invited people.
"""

from collections.abc import Mapping
from http import HTTPStatus

from infra.probe.calls import row_of, user_of
from infra.probe.exchange import Exchange, plain
from infra.probe.record import (
    Found,
    Reader,
    Record,
    contradicted,
    seen,
    undetermined,
)

DOCUMENTED_CODES = {200, 202, 204}
INVITATIONS = ("invite", "invite-minimal", "invite-complete")


def _accepted(record: Record) -> Exchange | None:
    return next((record[name] for name in INVITATIONS if record[name].ok), None)


def _invite(record: Record) -> Found:
    asked = [record[name] for name in INVITATIONS if record[name].status]
    if accepted := _accepted(record):
        return seen("accepted", accepted)
    if not asked:
        return undetermined("nobody was invited", record["invite"])
    if all(each.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND} for each in asked):
        return contradicted(f"answered {asked[0].status}", *asked)
    return undetermined("refused: the addresses may be in use elsewhere", *asked)


def _invite_status(record: Record) -> Found:
    if not (accepted := _accepted(record)):
        return undetermined("no invitation was accepted", record["invite"])
    fits = accepted.status in DOCUMENTED_CODES
    return (seen if fits else contradicted)(f"answered {accepted.status}", accepted)


def _invite_id(record: Record) -> Found:
    if not (accepted := _accepted(record)):
        return undetermined("no invitation was accepted", record["invite"])
    body = accepted.body if isinstance(accepted.body, dict) else {}
    if isinstance(body.get("user"), dict) and "id" in body["user"]:
        return seen("in user.id", accepted)
    if "id" in body:
        return seen("in id", accepted)
    return contradicted("it names none", accepted)


def _invite_minimal(record: Record) -> Found:
    short, complete = record["invite-minimal"], record["invite-complete"]
    if short.ok:
        return seen("accepted without names", short)
    if short.refused and complete.ok:
        return contradicted(f"answered {short.status} without names", short, complete)
    return undetermined("no such invitation tells", short)


def _invite_again(record: Record) -> Found:
    again = record["invite-again"]
    if again.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return seen("answered 422", again)
    if again.ok or again.refused or again.status == HTTPStatus.CONFLICT:
        return contradicted(f"answered {again.status}", again)
    return undetermined("the answer does not tell", again)


def _invite_active(record: Record) -> Found:
    for address, name in zip(
        record.people.addresses, ("retrieve-first", "retrieve-second"), strict=False
    ):
        if address not in record.people.left_behind:
            continue
        user_id = record.people.ids.get(address, "")
        row = row_of(record["list-after"], address, user_id)
        by = record["list-after"]
        if not row and record[name].ok:
            row, by = user_of(record[name].body), record[name]
        if row:
            status = str(row.get("account_status"))
            active = status == "active"
            return (seen if active else contradicted)(f"account_status {plain(status)}", by)
    return undetermined("no invited person was seen", record["list-after"])


READERS: Mapping[str, Reader] = {
    "invite": _invite,
    "invite-status": _invite_status,
    "invite-id": _invite_id,
    "invite-minimal": _invite_minimal,
    "invite-again": _invite_again,
    "invite-active": _invite_active,
}
