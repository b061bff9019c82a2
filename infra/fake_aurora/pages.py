"""The fake Aurora's list of users as an answer: whole, or one page in any of the usual forms."""

from http import HTTPStatus
from typing import Any

from infra.fake_aurora.behaviour import Behaviour
from infra.fake_aurora.replies import RefusedError, Reply

Rows = list[dict[str, Any]]


def listing(rows: Rows, query: dict[str, str], behaviour: Behaviour) -> Reply:
    """Answer a request for the list with `rows`, or with those of the page that the query names."""
    total = len(rows) + behaviour.unlisted
    if first := behaviour.empty_page * behaviour.page_size:
        # Places without a row, as many as a page has, where that page begins.
        first -= behaviour.page_size
        rows = rows[:first] + [{}] * behaviour.page_size + rows[first:]
    numbered = behaviour.page_form in {"page", "page_total"}
    if behaviour.page_size and not numbered:
        return _named(rows, total, query, behaviour)
    if behaviour.page_size:
        rows = _numbered(rows, query, behaviour)
    elif "page" in query and behaviour.unpaged_page == "refused":
        raise RefusedError(HTTPStatus.BAD_REQUEST, "Unknown parameter: page.")
    meta = {"meta": {"total": total}} if behaviour.page_form == "page_total" else {}
    return Reply(HTTPStatus.OK, {"users": rows} | meta)


def _numbered(rows: Rows, query: dict[str, str], behaviour: Behaviour) -> Rows:
    text, size = query.get("page", "1"), behaviour.page_size
    if not text.isdecimal() or int(text) < 1:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "page is a positive number.")
    number, pages = int(text), max(1, -(-len(rows) // size))
    if number > pages and behaviour.past_end == "refused":
        raise RefusedError(HTTPStatus.BAD_REQUEST, "No such page.")
    if number > pages:
        past = {"empty": number, "last": pages, "wraps": (number - 1) % pages + 1}
        number = past[behaviour.past_end]
    return [row for row in rows[(number - 1) * size : number * size] if row]


def _named(rows: Rows, total: int, query: dict[str, str], behaviour: Behaviour) -> Reply:
    """Answer with the page that `query` names in the configured form; ignore the rest."""
    form, size = behaviour.page_form, behaviour.page_size
    parameter = PARAMETERS[form]
    given = query.get(parameter, "")
    if given and behaviour.cursors == "refused":
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{parameter} is not valid any more.")
    match form:
        case "after_id":
            ids = [row.get("id") for row in rows]
            start = ids.index(given) + 1 if given in ids else 0
        case "next_page":
            start = (int(given or 1) - 1) * size
        case _:
            start = int(given or 0)
    end = start + size
    page, more = [row for row in rows[start:end] if row], end < len(rows)
    if behaviour.cursors == "loop" and not more:
        end, more = 0, True
    address = f"https://api.aurorasolar.com/users?limit={size}&{parameter}={end}"
    members: dict[str, dict[str, Any]] = {
        "cursor": {"next_cursor": str(end) if more else None},
        "token": {"nextPageToken": str(end) if more else ""},
        "links": {"links": {"self": "…", "next": {"href": address} if more else None}},
        "next_page": {"meta": {"next_page": end // size + 1 if more else None}},
        "offset": {"meta": {"total_count": total, "offset": start}},
        "after_id": {"has_more": more},
        "total": {"total": total},
    }
    link = f'<https://api.aurorasolar.com/users>; rel="first", <{address}>; rel="next"'
    headers = {"Link": link} if form == "link" and more else {}
    return Reply(HTTPStatus.OK, {"users": page} | members.get(form, {}), headers)


# The parameter by which each form asks for the page that it named.
PARAMETERS = {
    "cursor": "cursor",
    "token": "pageToken",
    "link": "after",
    "links": "page[offset]",
    "next_page": "page",
    "after_id": "starting_after",
    "offset": "offset",
    "total": "skip",
}
