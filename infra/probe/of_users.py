"""
What is answered of one user, and to ids that nobody has.
"""

from collections.abc import Mapping
from http import HTTPStatus

from infra.probe.calls import user_of
from infra.probe.exchange import Exchange
from infra.probe.of_lists import READERS as OF_LISTS
from infra.probe.record import (
    Found,
    Reader,
    Record,
    contradicted,
    seen,
    undetermined,
)


def _retrieve(record: Record) -> Found:
    one = record["retrieve"]
    if one.ok:
        same = [user_of(one.body).get("id")] == record["list"].ids[:1]
        return seen("answered", one) if same else contradicted("answered without the id", one)
    if one.refused:
        why = "the key's right, or this API has no such call"
        return contradicted(f"answered {one.status}: {why}", one)
    return undetermined("the answer does not tell", one)


def _retrieve_shape(record: Record) -> Found:
    if _retrieve(record).verdict != "seen":
        return undetermined("no user was retrieved", record["retrieve"])
    if "user" in record["retrieve"].body:
        return seen("in user", record["retrieve"])
    return contradicted("the user is the answer itself", record["retrieve"])


def not_found(asked: Exchange, control: Found) -> Found:
    """
    Look whether 404 was answered; without a `control` it may be the key's right that is missing.
    """
    if control.verdict != "seen":
        return undetermined("the key may lack the right", asked)
    if asked.status == HTTPStatus.NOT_FOUND:
        return seen("answered 404", asked)
    if asked.refused or asked.ok:
        return contradicted(f"answered {asked.status}", asked)
    return undetermined("the answer does not tell", asked)


def _unknown_user(record: Record) -> Found:
    return not_found(record["unknown-user"], _retrieve(record))


def _other_tenant(record: Record) -> Found:
    asked = record["other-tenant"]
    if asked.status == HTTPStatus.UNAUTHORIZED:
        return contradicted("answered 401", asked)
    return not_found(asked, OF_LISTS["list"](record))


READERS: Mapping[str, Reader] = {
    "retrieve": _retrieve,
    "retrieve-shape": _retrieve_shape,
    "unknown-user": _unknown_user,
    "other-tenant": _other_tenant,
}
