"""What is answered of one user and to unknown ids, and what becomes of an invited person."""

from http import HTTPStatus

from infra.probe.calls import row_of
from infra.probe.exchange import plain
from infra.probe.questions import Found, Record, is_seen, question


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
    asked = record["unknown-user"]
    if not is_seen("retrieve", record):
        return None, "the key may lack the right", asked
    if asked.refused or asked.ok:
        return asked.status == HTTPStatus.NOT_FOUND, f"answered {asked.status}", asked
    return None, "the answer does not tell", asked


@question("invite", "The key invites an SDK User.")
def _invite(record: Record) -> Found:
    asked = record["invite"]
    if asked.ok or asked.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        return asked.ok, f"answered {asked.status}", asked
    return None, "refused: the address may be in use elsewhere", asked


@question("invite-id", "The answer to an invitation has the new user's id.")
def _invite_id(record: Record) -> Found:
    asked = record["invite"]
    if not asked.ok:
        return None, "no invitation was accepted", asked
    named = "id" in asked.user
    where = "in id" if asked.user is asked.body else "in user.id"
    return named, where if named else "it names none", asked


@question("invite-again", "A second invitation of an address is answered 422.")
def _invite_again(record: Record) -> Found:
    again = record["invite-again"]
    if again.ok or again.refused or again.status == HTTPStatus.CONFLICT:
        expected = again.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return expected, f"answered {again.status}", again
    return None, "the answer does not tell", again


@question("invite-active", "A new SDK User is active at once.")
def _invite_active(record: Record) -> Found:
    by, retrieved = record["list-after"], record["retrieve-invited"]
    row = row_of(by, record.person.address, record.person.id)
    if not row and retrieved.ok:
        row, by = retrieved.user, retrieved
    if not row:
        return None, "the invited person was not seen", by
    status = str(row.get("account_status"))
    return status == "active", f"account_status {plain(status)}", by
