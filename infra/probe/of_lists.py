"""
What the list of users shows: its rows, and whether it has pages.
"""

from collections.abc import Mapping

from token_vendor.paging import Page

from infra.probe.exchange import Exchange
from infra.probe.record import (
    Found,
    Reader,
    Record,
    contradicted,
    member_names,
    seen,
    undetermined,
)

MEMBERS = {"id", "first_name", "last_name", "email", "account_status"}
PAGE_SIZE = 100
TWO = 2
PAGES = ("page-2", "one-on-page-2", "far-page")


def _list(record: Record) -> Found:
    listed = record["list"]
    if listed.rows is not None:
        return seen(f"{len(listed.rows)} people in the first answer", listed)
    if listed.refused:
        return contradicted(f"answered {listed.status}", listed)
    return undetermined("the answer is no list", listed)


def _list_members(record: Record) -> Found:
    rows = [row for row in record["list"].rows or () if isinstance(row, dict)]
    if not rows:
        return undetermined("nobody is listed", record["list"])
    missing = {name for name in MEMBERS if any(name not in row for row in rows)}
    if missing:
        return contradicted(f"without {member_names(missing)}", record["list"])
    more = {name for row in rows for name in row} - MEMBERS
    return seen(f"and {member_names(more)}" if more else "no other members", record["list"])


def _list_body(record: Record) -> Found:
    if record.whole.rows is None:
        return undetermined("the answer is no list", record.whole)
    more = set(record.whole.body) - {"users"}
    if more:
        return contradicted(f"it has {member_names(more)}, too", record.whole)
    return seen("users alone", record.whole)


def _list_inactive(record: Record) -> Found:
    every = [row for row in record["list"].rows or () if isinstance(row, dict)]
    others = {str(row["account_status"]) for row in every if "account_status" in row} - {"active"}
    if others:
        return seen(f"account_status {member_names(others)}", record["list"])
    return undetermined("all are active: there may be no others", record["list"])


def _paging(record: Record) -> Found:
    listed, calls = record.whole.ids, [record[name] for name in PAGES]
    second, small, far = calls
    if not listed:
        return undetermined("nobody is listed", record.whole)
    following = Page().after(record.whole.body, record.whole.header("Link") or "")
    if following and following.named:
        return contradicted("the answer names its next page; the service follows it", record.whole)
    others = second.ids and not set(second.ids) & set(listed)
    if following and following.promised and not others:
        return contradicted("there is more, and no answer names it", record.whole, second)
    again = [each.ids for each in (second, far) if each.ok]
    # The order may be another in each answer. Where it was not, this is the second person.
    in_order = len(listed) > TWO and again and all(ids == listed for ids in again)
    proofs = (
        (others, "page=2 brings other people"),
        ([] in (second.rows, far.rows), "a page after the last one is empty"),
        (far.refused and second.ok, "page=2 is accepted, one far after the end is not"),
        (
            second.refused and _one_of(listed, small),
            "with per_page=1 there is a page 2, without there is none",
        ),
        (in_order and small.ids == listed[1:TWO], "with per_page=1, page 2 is the second person"),
    )
    for holds, found in proofs:
        if holds:
            return seen(found, record.whole, *calls)
    return undetermined("no answer shows a second page", record.whole, *calls)


def _one_of(listed: list[str], small: Exchange) -> bool:
    return len(listed) > 1 and len(small.ids) == 1 and small.ids[0] in listed


def _page_size(record: Record) -> Found:
    listed, second = record.whole.ids, record["page-2"]
    if len(listed) > PAGE_SIZE:
        return contradicted(f"the first answer holds {len(listed)}", record.whole)
    if second.ids and not set(second.ids) & set(listed):
        held = f"it holds {len(listed)}"
        return (seen if len(listed) == PAGE_SIZE else contradicted)(held, record.whole, second)
    return undetermined("there is no second page to be seen", record.whole, second)


def _per_page(record: Record) -> Found:
    listed, second, small = record.whole.ids, record["page-2"], record["one-on-page-2"]
    if len(listed) < TWO:
        return undetermined("fewer than two people are listed", record.whole)
    if second.refused and _one_of(listed, small):
        return seen("with it there is a page 2, without there is none", second, small)
    if small.ids[1:]:
        return contradicted(f"per_page=1 brings {len(small.ids)}", second, small)
    if second.ok and small.refused:
        return contradicted(f"answered {small.status}", second, small)
    if second.ok and small.ok and (set(second.ids) != set(small.ids) or not small.rows):
        # Page 2 of one each holds somebody, since two people are listed.
        verdict = seen if small.ids else contradicted
        return verdict(f"per_page=1 brings {len(small.ids)}", second, small)
    return undetermined("the answers do not tell", second, small)


def _past_end(record: Record) -> Found:
    far = record["far-page"]
    if _paging(record).verdict != "seen":
        return undetermined("whether there are pages is not known", far)
    if far.rows == []:
        return seen("empty", far)
    if far.refused:
        return contradicted(f"answered {far.status}", far)
    if far.ids:
        return contradicted("it repeats people", far)
    return undetermined("the answer does not tell", far)


READERS: Mapping[str, Reader] = {
    "list": _list,
    "list-members": _list_members,
    "list-body": _list_body,
    "list-inactive": _list_inactive,
    "paging": _paging,
    "page-size": _page_size,
    "per-page": _per_page,
    "past-end": _past_end,
}
