"""What is answered of one user and to unknown ids, and what becomes of invited people."""

from http import HTTPStatus

from infra.probe.calls import row_of
from infra.probe.exchange import Exchange, plain
from infra.probe.questions import Found, Record, is_seen, question

INVITATIONS = ("invite", "invite-minimal", "invite-complete")


@question("retrieve", "The key retrieves one user.")
def _retrieve(record: Record) -> Found:
    one = record["retrieve"]
    if one.ok:
        same = [one.user.get("id")] == record["list"].ids[:1]
        return same, "answered" if same else "answered without the id", one
    if one.refused:
        why = "the key's right, or this API has no such call"
        return False, f"answered {one.status}: {why}", one
    return None, "the answer does not tell", one


@question("unknown-user", "Retrieve User answers 404 to an unknown id.")
def _unknown_user(record: Record) -> Found:
    return _not_found(record["unknown-user"], permitted=is_seen("retrieve", record))


@question("generate-unknown", "Generate answers 404 to an unknown id.")
def _generate_unknown(record: Record) -> Found:
    return _not_found(record["generate-unknown"], permitted=is_seen("generate", record))


@question("invite", "The key invites an SDK User.")
def _invite(record: Record) -> Found:
    asked = [record[name] for name in INVITATIONS if record[name].status]
    if accepted := _accepted(record):
        return True, "accepted", accepted
    if not asked:
        return None, "nobody was invited", record["invite"]
    if all(each.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND} for each in asked):
        return False, f"answered {asked[0].status}", *asked
    return None, "refused: the addresses may be in use elsewhere", *asked


@question("invite-id", "The answer to an invitation has the new user's id.")
def _invite_id(record: Record) -> Found:
    if not (accepted := _accepted(record)):
        return None, "no invitation was accepted", record["invite"]
    named = "id" in accepted.user
    where = "in id" if accepted.user is accepted.body else "in user.id"
    return named, where if named else "it names none", accepted


@question("invite-minimal", "An e-mail and a level are enough for an invitation.")
def _invite_minimal(record: Record) -> Found:
    short, complete = record["invite-minimal"], record["invite-complete"]
    if short.ok:
        return True, "accepted without names", short
    if short.refused and complete.ok:
        return False, f"answered {short.status} without names", short, complete
    return None, "no such invitation tells", short


@question("invite-again", "A second invitation of an address is answered 422.")
def _invite_again(record: Record) -> Found:
    again = record["invite-again"]
    if again.ok or again.refused or again.status == HTTPStatus.CONFLICT:
        expected = again.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return expected, f"answered {again.status}", again
    return None, "the answer does not tell", again


@question("invite-active", "A new SDK User is active at once.")
def _invite_active(record: Record) -> Found:
    retrieved = ("retrieve-first", "retrieve-second")
    for address, name in zip(record.people.addresses, retrieved, strict=False):
        if address not in record.people.left_behind:
            continue
        by = record["list-after"]
        row = row_of(by, address, record.people.ids.get(address, ""))
        if not row and record[name].ok:
            by = record[name]
            row = by.user
        if row:
            status = str(row.get("account_status"))
            return status == "active", f"account_status {plain(status)}", by
    return None, "no invited person was seen", record["list-after"]


def _accepted(record: Record) -> Exchange | None:
    return next((record[name] for name in INVITATIONS if record[name].ok), None)


def _not_found(asked: Exchange, *, permitted: bool) -> Found:
    """Look whether 404 was answered; a key without the right may be refused for that."""
    if not permitted:
        return None, "the key may lack the right", asked
    if asked.refused or asked.ok:
        return asked.status == HTTPStatus.NOT_FOUND, f"answered {asked.status}", asked
    return None, "the answer does not tell", asked
