"""
What follows from the answers of a probe, and no more than that.

Where two behaviours of Aurora would have answered alike, the answer is *undetermined*.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from infra.operator.probe.calls import People, row_of, user_of, version_header
from infra.operator.probe.exchange import Exchange, plain
from infra.operator.probe.jwt_claims import Claims, claims_of
from infra.operator.probe.line import Line
from infra.operator.probe.questions import QUESTIONS, Answer, Verdict

MEMBERS = {"id", "first_name", "last_name", "email", "account_status"}
CLAIMS = {"id", "email", "exp", "jti"}
DOCUMENTED_CODES = {200, 202, 204}
PAGE_SIZE, MINUTE_LIMIT, TOKEN_LIFE = 100, 90, 43_200
CLOCKS = 60
"""
Seconds by which a life may seem off, since Aurora signs before it answers.
"""
MINUTE = 60
# The IETF's draft "RateLimit header fields for HTTP", in its newer form and the one before.
POLICIES = (re.compile(r"\bq=(\d+);\s*w=(\d+)"), re.compile(r"\b(\d+);\s*w=(\d+)"))
VERSION = re.compile(r"v?\d[\w.-]{0,30}")
TWO = 2
NOT_FOUND, FORBIDDEN, UNPROCESSABLE, TOO_MANY = 404, 403, 422, 429


@dataclass(frozen=True, kw_only=True)
class Record:
    """
    All that a probe has seen and heard; `said` are the operator's answers, None for none.
    """

    exchanges: Mapping[str, Exchange]
    people: People = field(default_factory=People)
    said: Mapping[str, bool | None] = field(default_factory=dict)
    version_header: tuple[str, str] = ("", "")
    halted: str = ""

    @classmethod
    def of(
        cls, line: Line, people: People, said: Mapping[str, bool | None], halted: str
    ) -> "Record":
        """
        Return the record of a probe that has ended.
        """
        return cls(
            exchanges=line.exchanges,
            people=people,
            said=said,
            version_header=version_header(line),
            halted=halted,
        )

    def __getitem__(self, name: str) -> Exchange:
        why = f"not asked: {self.halted}" if self.halted else "not asked"
        return self.exchanges.get(name, Exchange(call=name, failure=why))

    @property
    def whole(self) -> Exchange:
        """
        Return the last list without parameters: with it, what pages hold is compared.
        """
        after = self["list-after"]
        return after if after.rows is not None else self["list"]

    @property
    def person(self) -> str:
        """
        Return the address for which tokens were generated.
        """
        return next((each for each in self.people.addresses if self.people.ids.get(each)), "")

    @property
    def claims(self) -> Claims | None:
        """
        Return what the first JWT says, unverified, or None where none can be read.
        """
        return claims_of(self["generate"])


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    A verdict, and the calls that it rests on.
    """

    verdict: Verdict
    found: str
    by: tuple[Exchange, ...] = ()


def answers(record: Record) -> list[Answer]:
    """
    Answer every question.
    """
    result = []
    for question in QUESTIONS:
        said = READERS[question.name](record)
        # The reason why a call was not made says more than that nothing is known.
        missing = [each.failure for each in said.by if not each.status]
        found = missing[0] if said.verdict == "undetermined" and missing else said.found
        result.append(
            Answer(
                name=question.name,
                verdict=said.verdict,
                found=found,
                evidence=tuple(each.told for each in said.by if each.status),
            )
        )
    return result


def facts(record: Record) -> dict[str, Any]:
    """
    Return the numbers and names that options can be compared with.
    """
    found: dict[str, Any] = {}
    for name, call in (("requests_a_minute", "list"), ("generates_a_minute", "generate")):
        if limit := _limit(record[call]):
            found[name] = limit
    if life := _life(record):
        found["token_life"] = life
    header, version = record.version_header
    pins = READERS["version"](record).verdict == "seen"
    if pins and VERSION.fullmatch(version):
        found |= {"version_header": header, "version": version}
    return found


def _seen(found: str, *by: Exchange) -> Found:
    return Found(verdict="seen", found=found, by=by)


def _contradicted(found: str, *by: Exchange) -> Found:
    return Found(verdict="contradicted", found=found, by=by)


def _undetermined(found: str, *by: Exchange) -> Found:
    return Found(verdict="undetermined", found=found, by=by)


def _names(names: set[str] | list[str]) -> str:
    return ", ".join(sorted({plain(name) for name in names}))


# The list -----------------------------------------------------------------------------------


def _list(record: Record) -> Found:
    listed = record["list"]
    if listed.rows is not None:
        return _seen(f"{len(listed.rows)} people in the first answer", listed)
    if listed.refused:
        return _contradicted(f"answered {listed.status}", listed)
    return _undetermined("the answer is no list", listed)


def _list_members(record: Record) -> Found:
    rows = [row for row in record["list"].rows or () if isinstance(row, dict)]
    if not rows:
        return _undetermined("nobody is listed", record["list"])
    missing = {name for name in MEMBERS if any(name not in row for row in rows)}
    if missing:
        return _contradicted(f"without {_names(missing)}", record["list"])
    more = {name for row in rows for name in row} - MEMBERS
    return _seen(f"and {_names(more)}" if more else "no other members", record["list"])


def _list_body(record: Record) -> Found:
    if record.whole.rows is None:
        return _undetermined("the answer is no list", record.whole)
    more = set(record.whole.body) - {"users"}
    if more:
        return _contradicted(f"it has {_names(more)}, too", record.whole)
    return _seen("users alone", record.whole)


def _list_inactive(record: Record) -> Found:
    every = [row for row in record["list"].rows or () if isinstance(row, dict)]
    others = {str(row["account_status"]) for row in every if "account_status" in row} - {"active"}
    if others:
        return _seen(f"account_status {_names(others)}", record["list"])
    return _undetermined("all are active: there may be no others", record["list"])


def _paging(record: Record) -> Found:
    listed, calls = record.whole.ids, [record[name] for name in PAGES]
    second, small, far = calls
    if not listed:
        return _undetermined("nobody is listed", record.whole)
    if second.ids and not set(second.ids) & set(listed):
        return _seen(f"page=2 brings {len(second.ids)} others", record.whole, second)
    for each in (second, far):
        if each.rows == []:
            return _seen("a page after the last one is empty", record.whole, each)
    if far.refused and second.ok:
        return _seen("page=2 is accepted, one far after the end is not", second, far)
    if second.refused and _one_of(listed, small):
        return _seen("with per_page=1 there is a page 2, without there is none", second, small)
    whole = [each.ids for each in (second, far) if each.ok]
    if (
        len(listed) > TWO
        and small.ids == listed[1:TWO]
        # The order may be another in each answer. Where it was not, this is the second person.
        and whole
        and all(ids == listed for ids in whole)
    ):
        return _seen("with per_page=1, page 2 is the second person", record.whole, small)
    return _undetermined("no answer shows a second page", record.whole, *calls)


def _one_of(listed: list[str], small: Exchange) -> bool:
    return len(listed) > 1 and len(small.ids) == 1 and small.ids[0] in listed


def _page_size(record: Record) -> Found:
    listed, second = record.whole.ids, record["page-2"]
    if len(listed) > PAGE_SIZE:
        return _contradicted(f"the first answer holds {len(listed)}", record.whole)
    if second.ids and not set(second.ids) & set(listed):
        held = f"it holds {len(listed)}"
        return (_seen if len(listed) == PAGE_SIZE else _contradicted)(held, record.whole, second)
    return _undetermined("there is no second page to be seen", record.whole, second)


def _per_page(record: Record) -> Found:
    listed, second, small = record.whole.ids, record["page-2"], record["one-on-page-2"]
    if len(listed) < TWO:
        return _undetermined("fewer than two people are listed", record.whole)
    if len(small.ids) > 1:
        return _contradicted(f"per_page=1 brings {len(small.ids)}", small)
    if small.refused and second.ok:
        return _contradicted(f"answered {small.status}", second, small)
    if second.refused and _one_of(listed, small):
        return _seen("with it there is a page 2, without there is none", second, small)
    if small.ids and second.ok and set(second.ids) != set(small.ids):
        return _seen("per_page=1 brings one", second, small)
    if small.rows == [] and second.rows == []:
        return _contradicted("per_page=1 changes nothing: page 2 is as empty", second, small)
    return _undetermined("the answers do not tell", second, small)


def _past_end(record: Record) -> Found:
    far = record["far-page"]
    if _paging(record).verdict != "seen":
        return _undetermined("whether there are pages is not known", far)
    if far.rows == []:
        return _seen("empty", far)
    if far.refused:
        return _contradicted(f"answered {far.status}", far)
    if far.ids:
        return _contradicted("it repeats people", far)
    return _undetermined("the answer does not tell", far)


PAGES = ("page-2", "one-on-page-2", "far-page")


# One user, and ids that nobody has ----------------------------------------------------------


def _retrieve(record: Record) -> Found:
    one = record["retrieve"]
    if one.ok:
        same = user_of(one.body).get("id") == record["list"].ids[0]
        return _seen("answered", one) if same else _contradicted("answered without the id", one)
    if one.refused:
        why = "the key's right, or this API has no such call"
        return _contradicted(f"answered {one.status}: {why}", one)
    return _undetermined("the answer does not tell", one)


def _retrieve_shape(record: Record) -> Found:
    if _retrieve(record).verdict != "seen":
        return _undetermined("no user was retrieved", record["retrieve"])
    if "user" in record["retrieve"].body:
        return _seen("in user", record["retrieve"])
    return _contradicted("the user is the answer itself", record["retrieve"])


def _not_found(asked: Exchange, control: Found) -> Found:
    """
    Look whether 404 was answered; without a `control` it may be the key's right that is missing.
    """
    if control.verdict != "seen":
        return _undetermined("the key may lack the right", asked)
    if asked.status == NOT_FOUND:
        return _seen("answered 404", asked)
    if asked.refused or asked.ok:
        return _contradicted(f"answered {asked.status}", asked)
    return _undetermined("the answer does not tell", asked)


def _unknown_user(record: Record) -> Found:
    return _not_found(record["unknown-user"], _retrieve(record))


def _generate_unknown(record: Record) -> Found:
    return _not_found(record["generate-unknown"], _generate(record))


def _other_tenant(record: Record) -> Found:
    asked = record["other-tenant"]
    if asked.status == 401:  # noqa: PLR2004 - HTTP's own number.
        return _contradicted("answered 401", asked)
    return _not_found(asked, _list(record))


# Limits and versions ------------------------------------------------------------------------


def _limit(exchange: Exchange) -> int:
    """
    Return the calls a minute that an answer's headers name, or 0.
    """
    text = " ".join(
        value for name, value in exchange.headers.items() if "ratelimit" in name.lower()
    )
    for policy in POLICIES:
        if found := [int(calls) for calls, window in policy.findall(text) if int(window) == MINUTE]:
            return min(found)
    return 0


def _rate_limit(record: Record) -> Found:
    listed = record["list"]
    if limit := _limit(listed):
        return (_seen if limit == MINUTE_LIMIT else _contradicted)(f"{limit} a minute", listed)
    named = [name for name in listed.header_names if "ratelimit" in name.lower()]
    if named:
        return _undetermined(f"{', '.join(named)} names no minute", listed)
    return _undetermined("no header names a limit", listed)


def _generate_limit(record: Record) -> Found:
    for name in ("generate-unknown", "generate", "generate-again"):
        refused, after = record[name], record[f"after-429-to-{name}"]
        wait = _retry_seconds(refused)
        # A limit of the whole key would refuse every call until then; whole seconds round up.
        if refused.status == TOO_MANY and after.ok and after.ended - refused.ended + 1 < wait:
            found = "429 to generate alone: the list was answered meanwhile"
            return _contradicted(found, refused, after)
        own = _limit(refused)
        if own and _limit(record["list"]) and own != _limit(record["list"]):
            return _contradicted(f"{own} generates a minute", record["list"], refused)
    return _undetermined("no limit apart was met", record["generate"])


def _retry_after(record: Record) -> Found:
    refused = [each for each in record.exchanges.values() if each.status == TOO_MANY]
    if not refused:
        return _undetermined("no 429 was met")
    text = next((v for k, v in refused[0].headers.items() if k.lower() == "retry-after"), None)
    if text is None:
        return _contradicted("there is none", refused[0])
    if text.isdecimal():
        return _seen("whole seconds", refused[0])
    form = "another form"
    if re.fullmatch(r"\d+\.\d+", text):
        form = "seconds with a fraction"
    elif re.match(r"[A-Z][a-z]{2}, ", text):
        form = "an HTTP date"
    return _contradicted(form, refused[0])


def _retry_seconds(refused: Exchange) -> float:
    text = next((v for k, v in refused.headers.items() if k.lower() == "retry-after"), "")
    try:
        return float(text)
    except ValueError:
        try:
            return parsedate_to_datetime(text).timestamp() - refused.ended
        except ValueError:
            return 0


def _version(record: Record) -> Found:
    name, _ = record.version_header
    if not name:
        return _undetermined("no header of an answer names one version", record["list"])
    unknown, known = record["version-unknown"], record["version-known"]
    if unknown.refused and known.ok:
        return _seen(f"{name}: another version is refused with {unknown.status}", unknown, known)
    if unknown.ok:
        return _undetermined(f"{name} changes nothing that was looked at", unknown)
    return _undetermined(f"{name}: the answers do not tell", unknown, known)


# Invitations --------------------------------------------------------------------------------

INVITATIONS = ("invite", "invite-minimal", "invite-complete")


def _accepted(record: Record) -> Exchange | None:
    return next((record[name] for name in INVITATIONS if record[name].ok), None)


def _invite(record: Record) -> Found:
    asked = [record[name] for name in INVITATIONS if record[name].status]
    if accepted := _accepted(record):
        return _seen("accepted", accepted)
    if not asked:
        return _undetermined("nobody was invited", record["invite"])
    if all(each.status in {FORBIDDEN, NOT_FOUND} for each in asked):
        return _contradicted(f"answered {asked[0].status}", *asked)
    return _undetermined("refused: the addresses may be in use elsewhere", *asked)


def _invite_status(record: Record) -> Found:
    if not (accepted := _accepted(record)):
        return _undetermined("no invitation was accepted", record["invite"])
    fits = accepted.status in DOCUMENTED_CODES
    return (_seen if fits else _contradicted)(f"answered {accepted.status}", accepted)


def _invite_id(record: Record) -> Found:
    if not (accepted := _accepted(record)):
        return _undetermined("no invitation was accepted", record["invite"])
    body = accepted.body if isinstance(accepted.body, dict) else {}
    if isinstance(body.get("user"), dict) and "id" in body["user"]:
        return _seen("in user.id", accepted)
    if "id" in body:
        return _seen("in id", accepted)
    return _contradicted("it names none", accepted)


def _invite_minimal(record: Record) -> Found:
    short, complete = record["invite-minimal"], record["invite-complete"]
    if short.ok:
        return _seen("accepted without names", short)
    if short.refused and complete.ok:
        return _contradicted(f"answered {short.status} without names", short, complete)
    return _undetermined("no such invitation tells", short)


def _invite_again(record: Record) -> Found:
    again = record["invite-again"]
    if again.status == UNPROCESSABLE:
        return _seen("answered 422", again)
    if again.ok or again.refused or again.status == 409:  # noqa: PLR2004 - HTTP's own number.
        return _contradicted(f"answered {again.status}", again)
    return _undetermined("the answer does not tell", again)


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
            return (_seen if active else _contradicted)(f"account_status {plain(status)}", by)
    return _undetermined("no invited person was seen", record["list-after"])


# Tokens -------------------------------------------------------------------------------------


def _generate(record: Record) -> Found:
    done = record["generate"]
    if done.ok and record.claims:
        return _seen("generated", done)
    if done.ok:
        return _contradicted("the answer has no token.jwt that can be read", done)
    if done.refused and _invite_active(record).verdict == "seen":
        why = "the key's right, or its access to the Platform API"
        return _contradicted(f"answered {done.status}: {why}", done)
    return _undetermined("no token was asked for an active person", done)


def _generate_again(record: Record) -> Found:
    first, second = record["generate"], record["generate-again"]
    one, other = claims_of(first), claims_of(second)
    if not (one and other):
        return _undetermined("there are no two tokens", first, second)
    if one.encoded == other.encoded:
        return _contradicted("the same token came again", first, second)
    return _seen("another token", first, second)


def _of_claims(read: Callable[[Claims], tuple[bool, str]]) -> Callable[[Record], Found]:
    def reader(record: Record) -> Found:
        if not (claims := record.claims):
            return _undetermined("there is no token", record["generate"])
        fits, found = read(claims)
        return (_seen if fits else _contradicted)(found, record["generate"])

    return reader


def _claim_names(claims: Claims) -> tuple[bool, str]:
    missing = CLAIMS - set(claims.payload)
    if missing:
        return False, f"without {_names(missing)}"
    return True, f"it has {_names(list(claims.payload))}"


def _claim_environment(claims: Claims) -> tuple[bool, str]:
    named = [
        name for name, value in claims.payload.items() if value in {"sandbox", "production"}
    ] + [name for name in claims.payload if "env" in name.lower()]
    return bool(named), f"in {_names(named)}" if named else "no claim does"


def _algorithm(claims: Claims) -> tuple[bool, str]:
    named = str(claims.header.get("alg"))
    shown = named if re.fullmatch(r"[A-Za-z]{2,5}\d{0,4}", named) else "another one"
    return named == "HS256", shown


def _claim_id(record: Record) -> Found:
    if not (claims := record.claims):
        return _undetermined("there is no token", record["generate"])
    same = claims.payload.get("id") == record.people.ids.get(record.person)
    found = "it is" if same else "it is another one, or none"
    return (_seen if same else _contradicted)(found, record["generate"])


def _life(record: Record) -> int:
    """
    Return how many seconds a token lives, to the minute, or 0.
    """
    claims, generated = record.claims, record["generate"]
    end = claims.payload.get("exp") if claims else None
    if isinstance(end, bool) or not isinstance(end, int | float):
        return 0
    told = next((v for k, v in generated.headers.items() if k.lower() == "date"), "")
    try:
        now = parsedate_to_datetime(told).timestamp()
    except ValueError:
        now = generated.ended
    return round((end - now) / MINUTE) * MINUTE


def _token_life(record: Record) -> Found:
    life = _life(record)
    if not life:
        return _undetermined("there is no token with an end", record["generate"])
    fits = abs(life - TOKEN_LIFE) <= CLOCKS
    return (_seen if fits else _contradicted)(f"{life} s", record["generate"])


# What the operator saw ----------------------------------------------------------------------


def _said(name: str, *, if_not: Verdict = "contradicted") -> Callable[[Record], Found]:
    def reader(record: Record) -> Found:
        match record.said.get(name):
            case True:
                return _seen("the operator saw it")
            case False:
                verdict: Verdict = if_not
                return Found(verdict=verdict, found="the operator saw the contrary")
            case _:
                return _undetermined("the operator did not look")

    return reader


READERS: Mapping[str, Callable[[Record], Found]] = {
    "list": _list,
    "list-members": _list_members,
    "list-body": _list_body,
    "list-inactive": _list_inactive,
    "paging": _paging,
    "page-size": _page_size,
    "per-page": _per_page,
    "past-end": _past_end,
    "retrieve": _retrieve,
    "retrieve-shape": _retrieve_shape,
    "unknown-user": _unknown_user,
    "generate-unknown": _generate_unknown,
    "other-tenant": _other_tenant,
    "rate-limit": _rate_limit,
    "generate-limit": _generate_limit,
    "retry-after": _retry_after,
    "version": _version,
    "invite": _invite,
    "invite-status": _invite_status,
    "invite-id": _invite_id,
    "invite-minimal": _invite_minimal,
    "invite-again": _invite_again,
    "invite-active": _invite_active,
    "generate": _generate,
    "generate-again": _generate_again,
    "claims": _of_claims(_claim_names),
    "claim-id": _claim_id,
    "claim-environment": _of_claims(_claim_environment),
    "algorithm": _of_claims(_algorithm),
    "token-life": _token_life,
    # A loader that does not load may have another reason.
    "loader-option": _said("loader-option", if_not="undetermined"),
    "session-after-generate": _said("session-after-generate"),
    "second-session": _said("second-session"),
    "session-after-load": _said("session-after-load"),
    "first-token-again": _said("first-token-again"),
}
