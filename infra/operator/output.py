"""What commands found, put into words: an `Answer` for each kind of value."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from token_vendor.control import Entry
from token_vendor.forecast import AHEAD
from token_vendor.table import KEPT_FOR

from infra.operator.burst_simulation import Burst
from infra.operator.doctor import Finding
from infra.operator.exits import FAILED
from infra.operator.person import Known
from infra.operator.prewarm_plan import Forecast
from infra.operator.seats import Erased, Unused
from infra.operator.tokens import Holder, duration
from infra.operator.vend import Vend
from infra.terminal import Answer, Table

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
BAR = 60
OK = 200
UNKNOWN = "Nobody of this address has come: neither the table nor the log of these hours knows it."


def when(moment: float) -> str:
    """Return a moment in UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds")[:19]


def findings(found: Sequence[Finding]) -> Answer:
    said: list[Any] = []
    for each in found:
        said.append((MARKS[each.state], f"{each.check}: {each.found}"))
        if each.fix:
            said.append((" ", "→", each.fix))
    counts = Counter[str](each.state for each in found)
    said += ["", ", ".join(f"{counts[state]} {state}" for state in MARKS)]
    return Answer(data=found, said=said, code=FAILED if counts["fail"] else 0)


def holders(found: Sequence[Holder]) -> Answer:
    rows = [(each.email, when(each.since), when(each.until), each.jti) for each in found]
    table = Table(columns=("E-mail", "Since (UTC)", "Until (UTC)", "jti"), rows=rows)
    return Answer(data=found, said=[table, "", f"{len(found)} hold a token"])


def switched(found: Sequence[Entry]) -> Answer:
    rows = [(each.switch, each.value, when(each.until), each.reason, each.by) for each in found]
    table = Table(columns=("Switch", "Value", "Until (UTC)", "Why", "By"), rows=rows)
    return Answer(data=found, said=[table] if found else ["Nothing is switched."])


def seats(found: Unused) -> Answer:
    rows = [
        (each.email, each.user_id, when(each.last_generate) if each.last_generate else "")
        for each in found.seats
    ]
    beside = (
        f"{len(found.seats)} of {found.active} active accounts in Aurora's list of "
        f"{when(found.read_at)} UTC. An SDK User works only with tokens of this service; at "
        "a level that can use Aurora's web application, absence here proves nothing. A token is "
        "vended for up to 12 hours after its generate. A person whose e-mail changed has a seat "
        "under each of the two addresses."
    )
    if found.days * 86_400 > KEPT_FOR:
        beside += (
            f" Whole only where kept_days has been {found.days} or more for {found.days} days: "
            "what the table had forgotten before looks like a seat that was never used."
        )
    table = Table(columns=("E-mail", "Aurora's id", "Last generate (UTC)"), rows=rows)
    return Answer(data=found, said=[table, ""], beside=beside)


def exported(found: Mapping[str, Any]) -> Answer:
    return Answer(data=found, said=[json.dumps(found, indent=2, ensure_ascii=False)])


def erased(found: Erased) -> Answer:
    said = [
        (
            f"{found.deleted} items deleted; a scan of all {found.scanned} others finds the person "
            f"in {len(found.left)}. The log holds the SHA-256 of the e-mail until its retention "
            "ends; Aurora's account is as it was."
        )
    ]
    if found.left:
        said.append(f"Left or written since: {', '.join(found.left)}. Do it again.")
    return Answer(data=found, said=said, code=FAILED if found.left else 0)


def forecast(found: Forecast, covered: Mapping[int, Mapping[int, int]], *, noted: bool) -> Answer:
    said: list[str | Table] = []
    if found.planned:
        rows = [
            (when(each.generate_at), when(each.arrives_at), each.email) for each in found.planned
        ]
        columns = ("Generate at (UTC)", "Expected at (UTC)", "E-mail")
        said += [Table(columns=columns, rows=rows), ""]
    hours = f"the {AHEAD // 3600} hours from {when(found.begins_at)} UTC on"
    said.append(f"{len(found.planned)} people without a token are expected in {hours}.")
    past = [f"{count} {day} days before" for day, count in found.came.items() if count]
    said.append(f"In these hours came: {', '.join(past)}." if past else "Nobody is known to come.")
    if not noted:
        said.append("Comings are noted only where `prewarm` is true in cdk.json.")
    margins = next(iter(covered.values()))
    table = Table(
        columns=("Shift", *(f"refresh_margin {margin} min" for margin in margins)),
        rows=[
            (f"{shift} h", *(f"{people:,}" for people in row.values()))
            for shift, row in covered.items()
        ],
    )
    said += ["", "People whose tokens can be there before they come, and last for a shift:", table]
    data: dict[str, Any] = {
        "begins_at": found.begins_at,
        "planned": found.planned,
        "came": found.came,
    }
    return Answer(data=data | {"noted": noted, "covers": covered}, said=said)


def person(
    known: Known | None, history: Sequence[Mapping[str, Any]], *, caller: str, raw: bool
) -> Answer:
    said: list[Any] = [known.verdict if known else UNKNOWN]
    if known and known.fix:
        said.append(("→", known.fix))
    said.append("")
    if known and raw:
        for name, part in (("Token", known.token), ("Account", known.account)):
            rows = [(key, _readable(key, value)) for key, value in part.items()]
            said += [Table(columns=(name, ""), rows=rows), ""] if rows else []
    said += _history(history)
    if raw:
        said.append(f"The log's name for this person is {caller}.")
    data: dict[str, Any] = {"caller": caller, "state": known or {}, "events": history}
    return Answer(data=data, said=said, code=0 if known or history else FAILED)


def _readable(name: str, value: Any) -> str:
    """Return an attribute for people: times in UTC, and a dash for what is not there."""
    if isinstance(value, list | tuple):
        return ", ".join(map(when if name == "renewals" else str, value)) or "-"
    if name == "ttl" or name.endswith(("_at", "_until")):
        return when(float(value)) if float(value) else "-"
    return str(value) if value not in {"", 0} else "-"


def _history(found: Sequence[Mapping[str, Any]]) -> list[str | Table]:
    columns = ("When (UTC)", "Outcome", "Status", "Aurora calls", "ms", "Request")
    rows = [
        (
            when(each["at"]),
            str(each.get("source") or each.get("problem") or each.get("outcome", "")),
            str(each.get("status", "")),
            str(each.get("aurora_calls", "")),
            f"{each.get('duration_ms', 0):.0f}",
            str(each.get("request_id", "")),
        )
        for each in found
    ]
    if not rows:
        return ["No event in the log of these hours."]
    return [Table(columns=columns, rows=rows), "", f"{len(found)} event{'s' * (len(rows) > 1)}"]


def smoke(done: Vend) -> Answer:
    """Tell what was vended, without the JWT, and where the time went."""
    body = {name: value for name, value in done.body.items() if name != "token"}
    if token := done.body.get("token"):
        body["token"] = {name: value for name, value in token.items() if name != "jwt"}
    what = body.get("source") or body.get("detail") or "no answer of this service"
    said: list[str | Table] = [
        f"{done.status}  {what}  in {done.seconds * 1000:.0f} ms, seen from here"
    ]
    if done.event is None:
        said.append("The log does not have the request's audit event (yet).")
    else:
        # `account` holds Aurora's part in it, which `aurora` counts too.
        phases, whole = done.event.get("phases_ms", {}), done.event["duration_ms"]
        times = [*phases.items()]
        times += [("function, all of it", whole), ("around it", done.seconds * 1000 - whole)]
        rows = [(name, f"{ms:.1f}") for name, ms in times]
        said.append(Table(columns=("Where the time went", "ms"), rows=rows))
    data: dict[str, Any] = {
        "status": done.status,
        "seconds": round(done.seconds, 3),
        "answer": body,
    }
    code = 0 if done.status == OK else FAILED
    return Answer(data=data | {"event": done.event}, said=said, code=code)


def addresses(found: Mapping[str, str]) -> Answer:
    return Answer(data=found, said=[f"{name}  {address}" for name, address in found.items()])


def burst(mornings: Mapping[str, Burst]) -> Answer:
    said: list[Any] = []
    data: dict[str, Any] = {}
    for name, each in mornings.items():
        if said:
            said += ["", f"{name.capitalize()}:"]
        said += _drawn(each)
        data |= {"prewarm": asdict(each)} if data else asdict(each)
    return Answer(data=data, said=said)


def _drawn(morning: Burst) -> list[Any]:
    said: list[Any] = [
        (
            f"The last caller waits {duration(morning.longest_wait)}, one in two less than "
            f"{duration(morning.median_wait)}, 95 % less than {duration(morning.p95_wait)}."
        )
    ]
    if morning.turned_away:
        said.append(f"{morning.turned_away} requests find the queue full and come back as told.")
    said += [f"Aurora's fullest minute holds {morning.fullest_minute} calls:", ""]
    # What `prewarm` does lies before the first minute.
    before = [(-minute, calls) for minute, calls in morning.ahead_by_minute]
    by_minute = [*before, *enumerate(morning.calls_by_minute)]
    most = max(1, *(calls for _, calls in by_minute))
    for minute, calls in by_minute:
        bar = "█" * round(BAR * calls / most)
        said.append((f"{minute:4} min", (bar, "blue"), str(calls)))
    return said
