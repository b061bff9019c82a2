"""
What the fake Aurora can be told to do: its behaviour, and faults for the next calls.

Every answer that Aurora's documentation leaves open is a member of `Behaviour`: the product
can be tested under each of them; the defaults are the sandbox as documented and, where nothing is
documented, the answer that is hardest on the product.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args, get_origin

Operation = Literal["list_users", "invite_user", "generate_token", "retrieve_user"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)

FaultKind = Literal[
    "none",  # Nothing: lets some calls pass before a fault that comes after it in the list.
    "status",  # Answer `status` without doing anything.
    "status_after",  # Do it, then answer `status`: a gateway that failed on the way back.
    "delay",  # Wait `seconds`, then do it: the late generate that a killed caller leaves behind.
    "delay_after",  # Do it, then wait `seconds`: the lost answer.
    "drop",  # Close the connection without doing anything.
    "drop_after",  # Do it, then close the connection without an answer.
    "not_json",
    "truncated_json",
    "huge_body",  # `size` bytes of valid JSON.
    "gzip_bomb",  # `size` bytes once they are inflated.
    "missing_fields",  # A JSON object that lacks everything the product reads.
    "slow_drip",  # One byte every `seconds`: each read succeeds, the answer never ends in time.
    "redirect",  # To `location`.
    "corrupt_jwt",  # Like the page's own second sample, whose header does not decode.
    "expired_jwt",
    "distant_jwt",  # `exp` in a hundred years.
    "other_user_jwt",  # A JWT for somebody else.
]


class UnknownBehaviourError(ValueError):
    """Say which member or value the fake Aurora does not know."""


@dataclass(frozen=True, kw_only=True)
class _FromJson:
    """Merge JSON into a frozen value, refusing what does not exist: a typo must not pass a test."""

    def __post_init__(self) -> None:
        for each in fields(self):
            allowed, value = get_args(each.type), getattr(self, each.name)
            if get_origin(each.type) is Literal and value not in allowed:
                raise UnknownBehaviourError(f"{each.name} is one of {allowed}, not {value!r}")

    @classmethod
    def from_json(cls, data: object, base: Self | None = None) -> Self:
        """Read a value from parsed JSON; members left out keep their value of `base`."""
        if not isinstance(data, dict):
            raise UnknownBehaviourError(f"{cls.__name__} is a JSON object, not {data!r}")
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise UnknownBehaviourError(f"{cls.__name__} has no {', '.join(unknown)}")
        kept = {} if base is None else {name: getattr(base, name) for name in known}
        given = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
        return cls(**kept | given)


@dataclass(frozen=True, kw_only=True)
class Behaviour(_FromJson):
    """How this Aurora answers. Times are seconds."""

    environment: Literal["sandbox", "production"] = "sandbox"
    # Several keys may be valid at once, because nothing says whether a rotation has an overlap.
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    # A restricted key lacks some actions, and production keys may lack generate: 403, not 401.
    forbidden: tuple[str, ...] = ()

    # 0 is "not paged"; otherwise the rows of a page when the caller names no number.
    page_size: int = 0
    # What an unpaged list makes of `page=2` is unknown: the whole list again, or 400.
    unpaged_page: Literal["ignored", "refused"] = "ignored"
    # What a page after the last one holds is unknown: nothing, the last page again, the first, or
    # a refusal.
    past_end: Literal["empty", "last", "wraps", "refused"] = "empty"
    # Nor is it said that pages have numbers, or whether a total stands beside them. The other usual
    # forms: `next_cursor`, `nextPageToken`, an address in a Link header (RFC 8288) or in
    # `links.next` (JSON:API), `meta.next_page`, `meta.offset` with a total; and two that name no
    # next page: `has_more` for `starting_after`, and a total alone.
    page_form: Literal[
        "page",
        "page_total",
        "cursor",
        "token",
        "link",
        "links",
        "next_page",
        "offset",
        "after_id",
        "total",
    ] = "page"
    # A page that was named may be refused later: cursors of some services are over after minutes.
    # Or the last page names the first one again, without end.
    cursors: Literal["kept", "refused", "loop"] = "kept"
    # A filter that is applied after a page was cut leaves it empty, although others follow. This
    # page is empty, and its rows come on the next one; 0 for none.
    empty_page: int = 0
    # A total may count people whom the list does not show.
    unlisted: int = 0
    # Another version of the API may write rows in another way: ids as numbers, or members by other
    # names.
    row_form: Literal["documented", "integer_ids", "other_names"] = "documented"
    # Whether the list shows people who are not active is unknown.
    listed: Literal["all", "active"] = "all"
    # Aurora's partners page has Retrieve User; a key may lack the right, or this API the call.
    retrieve_status: Literal[200, 403, 404, 405] = 200
    # Aurora documents 404 for an id that does not exist; other services answer 403 or 422.
    unknown_status: int = 404
    # Aurora says that arrays have no guaranteed order.
    order: Literal["inserted", "shuffled"] = "inserted"

    # Success code and answer are unknown; sibling endpoints answer the created object, wrapped or
    # not, and Aurora's page on status codes has 200, 202 and 204. The last three forms are a faulty
    # Aurora's: the id, the e-mail or the whole record of somebody else in the tenant.
    invite_status: int = 201
    invite_answer: Literal[
        "with_id", "top_level", "without_id", "nothing", "other_id", "other_email", "other_user"
    ] = "with_id"
    # The page says that an "SDK User" is usable at once; what the list calls one is not shown.
    invited_status: str = "active"
    # An account may be seconds old where it is read: the list and Retrieve User show it this long
    # after the invitation, and until `usable_after` generate answers `early_status`.
    listed_after: float = 0
    usable_after: float = 0
    early_status: int = 404
    # What an invitation of an address that is in use is answered.
    taken_status: int = 422

    # "Generates if an active account exists"; what happens otherwise is unknown.
    inactive_status: int = 403
    token_lifetime: float = 12 * 3600
    # The claims are those of two samples; their types are said nowhere. Without a readable `exp`,
    # the fake's own clock still ends the token.
    exp_claim: Literal["seconds", "milliseconds", "text", "absent"] = "seconds"
    email_claim: Literal["given", "null", "absent"] = "given"
    id_claim: Literal["given", "capitals"] = "given"
    # Whether Aurora generates anew while a token lives, or gives that one again, is unknown.
    second_generate: Literal["new", "same"] = "new"
    # Unknown, and the product must treat every generate as destructive.
    kill: Literal["at_once", "when_loaded", "never"] = "at_once"
    # "One Client SDK session at a time": which of two loses is unknown.
    second_session: Literal["takes_over", "refused"] = "takes_over"

    # Requests per sliding window and key, 0 for no limit.
    rate_limit: int = 90
    rate_window: float = 60
    # "Individual endpoints may have their own rate limits": of generate alone, 0 for none.
    generate_limit: int = 0
    # The header's form is unknown.
    retry_after: Literal["seconds", "float", "http_date", "absent"] = "seconds"
    # Whether answers tell the limit is unknown: with its window (a policy), or as a bare number.
    limit_headers: Literal["none", "policy", "bare"] = "none"
    # The header that pins the API's version, "" for none; other values are refused.
    version_header: str = ""
    version: str = "2024-06-01"

    # How long Aurora works on each call.
    latency: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(self.forbidden) - set(OPERATIONS):
            raise UnknownBehaviourError(f"forbidden names operations, not {sorted(unknown)}")

    def to_json(self) -> dict[str, Any]:
        """Give every member but the keys, which no answer needs to repeat."""
        return {name: value for name, value in asdict(self).items() if name != "api_keys"}


@dataclass(frozen=True, kw_only=True)
class Fault(_FromJson):
    """What goes wrong with the next `times` calls of one operation."""

    operation: Operation
    kind: FaultKind
    times: int = 1
    status: int = 500
    seconds: float = 0.2
    size: int = 10_000_000
    location: str = "http://127.0.0.1:9/"
    # Members such as Retry-After for the answer of a `status` fault.
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind.endswith("_jwt") and self.operation != "generate_token":
            raise UnknownBehaviourError(f"{self.kind} is a fault of generate_token only")


NO_FAULT = Fault(operation="list_users", kind="none")
