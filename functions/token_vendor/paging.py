"""
Which page of Aurora's user list comes after another one.

Aurora documents paging for no list of users. Follow a named next page, in one of the usual forms.
After an answer that names none, pages go by number, as in Aurora's list of projects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

LINK = re.compile(r'<([^<>]*)>[^<>]*?;\s*rel="?next\b', re.IGNORECASE)
"""A Link header's next page: RFC 8288."""
NEXT = re.compile(r"next_?(page|cursor|token|link|url|page_?token|)", re.IGNORECASE)
MORE = re.compile(r"has_?(more|next|next_?page)", re.IGNORECASE)
TOTAL = re.compile(r"total(_?(count|rows|users))?", re.IGNORECASE)
"""Members by which answers of other lists name the next page, say that there is one, and count."""
PARAMETERS = {"": "cursor", "link": "cursor", "url": "cursor", "PageToken": "pageToken"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """
    A page of the list, the first one by default.

    `named` is the query under which Aurora named it. It is `promised` where Aurora said that
    there is such a page: one that is refused, or brings what was read before, is no end then.
    `counted` is a promise by a total alone. `read` is how many rows the pages before it had.
    """

    number: int = 1
    named: str = ""
    promised: bool = False
    counted: bool = False
    read: int = 0

    @property
    def query_string(self) -> str:
        """Return the query of the request; the first page is asked for without one."""
        return self.named or (f"page={self.number}" if self.number > 1 else "")

    def after(self, body: dict[str, Any], link: str) -> "Page | None":
        """Return the page after this one, or None at the end of pages that Aurora named."""
        named = _named(body, link)
        if self.named and not named:
            return None
        read = self.read + len(body["users"])
        more = any(MORE.fullmatch(name) and value is True for name, value in _members(body))
        said, counted = bool(named) or more, _total(body) > read
        return Page(
            number=self.number + 1,
            named=named,
            promised=said or counted,
            counted=counted and not said,
            read=read,
        )


def _named(body: dict[str, Any], link: str) -> str:
    """Return the query of the page that an answer names, or an empty string."""
    if found := LINK.search(link):
        return _query(found[1])
    for name, value in _members(body):
        if (match := NEXT.fullmatch(name)) and (text := _text(value)):
            parameter = PARAMETERS.get(match[1], match[1].lower())
            return _query(text) if "?" in text else f"{parameter}={quote(text)}"
    offset = dict(_members(body)).get("offset")
    if isinstance(offset, int) and _total(body) > (end := offset + len(body["users"])):
        return f"offset={end}"
    return ""


def _query(address: str) -> str:
    """Return an address's query alone: the API key goes to no other host or path."""
    return address.partition("?")[2].partition("#")[0]


def _text(value: Any) -> str:
    """Return a named page as text: JSON:API and HAL put an address under `href`."""
    value = value.get("href") if isinstance(value, dict) else value
    named = value and isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if named else ""


def _total(body: dict[str, Any]) -> int:
    """Return how many rows the list has, as far as an answer says it."""
    counts = (value for name, value in _members(body) if TOTAL.fullmatch(name))
    return max((value for value in counts if isinstance(value, int)), default=0)


def _members(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members of an answer and of its objects, such as `meta` and `links`."""
    yield from body.items()
    for value in body.values():
        if isinstance(value, dict):
            yield from value.items()
