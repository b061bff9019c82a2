"""
How the command line says things: tables for people, JSON for scripts.
"""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from token_vendor.control import Entry
from token_vendor.forecast import AHEAD
from token_vendor.token_store import KEPT_FOR

from infra.operator.burst_simulation import Burst
from infra.operator.doctor import Finding
from infra.operator.people import Erased, Unused
from infra.operator.prewarm_plan import Forecast
from infra.operator.tokens import Holder, duration
from infra.probe.report import Outcome

MARKS = {
    "ok": Text("✓ ok", "green"),
    "warn": Text("! warn", "yellow"),
    "fail": Text("✗ fail", "red"),
}
COLOURS = {"+": "green", "-": "red"}
VERDICTS = {
    "seen": Text("✓ seen", "green"),
    "contradicted": Text("≠ contradicted", "yellow"),
    "undetermined": Text("? undetermined", "dim"),
}
BAR = 60
WIDEST = 10_000
SHOWN_PHASES = ("store", "lease", "account", "budget", "aurora")


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    # Made at each use, because tests replace stdout. What is printed comes from tables, logs and
    # AWS, where `[/b]` and `:key:` mean themselves: colour is given by Text alone.
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def failure(text: str) -> None:
    """
    Say on stderr why there is no result.
    """
    _console(stderr=True).print(Text("✗", "red"), text, soft_wrap=True)


def done(text: str) -> None:
    """
    Say what was done.
    """
    _console().print(Text("✓", "green"), text)


def noted(text: str) -> None:
    """
    Say on stderr what was done beside the result.
    """
    _console(stderr=True).print(Text("✓", "green"), text, soft_wrap=True)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def _table(*columns: str, rows: Iterable[Iterable[str | Text]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    filled = [list(row) for row in rows]
    for row in filled:
        table.add_row(*row)
    console = _console()
    needed = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    if needed <= console.width or not console.is_terminal:
        # Into a pipe or a file whole lines go, however long.
        _console(width=needed).print(table)
        return
    # A name or an id that is cut into pieces cannot be copied: a block for each row instead.
    for row in filled:
        for column, cell in zip(columns, row, strict=False):
            if cell:
                console.print(*([f"{column}:"] if column else []), cell, soft_wrap=True)
        console.print()


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds")[:19]


def findings(found: list[Finding], *, as_json: bool) -> None:
    """
    Print the doctor's findings and how many of each kind there are.
    """
    if as_json:
        _print_json([asdict(each) for each in found])
        return
    _table(
        *("", "Check", "Found", "What to do"),
        rows=[(MARKS[each.state], each.check, each.found, each.fix) for each in found],
    )
    counts = [f"{sum(each.state == state for each in found)} {state}" for state in MARKS]
    _console().print(f"\n{', '.join(counts)}")


def holders(found: list[Holder], *, as_json: bool) -> None:
    """
    Print who holds a token.
    """
    if as_json:
        _print_json([asdict(each) for each in found])
        return
    _table(
        *("E-mail", "Since (UTC)", "Until (UTC)", "jti"),
        rows=[(each.email, _when(each.since), _when(each.until), each.jti) for each in found],
    )
    _console().print(f"\n{len(found)} hold a token")


def switched(found: Sequence[Entry], *, as_json: bool) -> None:
    """
    Print what is switched, until when, why and by whom.
    """
    if as_json:
        _print_json([asdict(each) for each in found])
        return
    if not found:
        _console().print("Nothing is switched.")
        return
    _table(
        *("Switch", "Value", "Until (UTC)", "Why", "By"),
        rows=[(each.switch, each.value, _when(each.until), each.reason, each.by) for each in found],
    )


def seats(found: Unused, *, as_csv: bool, as_json: bool) -> None:
    """
    Print who has a seat and does not use this service, and what that does not prove.
    """
    columns = ("E-mail", "Aurora's id", "Last generate (UTC)")
    rows = [
        (each.email, each.user_id, _when(each.last_generate) if each.last_generate else "")
        for each in found.seats
    ]
    if as_json:
        _print_json(asdict(found))
    elif as_csv:
        csv.writer(sys.stdout).writerows([columns, *map(_as_text, rows)])
    else:
        _table(*columns, rows=rows)
    beside = _console(stderr=as_csv or as_json)
    beside.print(
        f"\n{len(found.seats)} of {found.active} active accounts in Aurora's list of "
        f"{_when(found.read_at)} UTC. An SDK User works only with tokens of this service; at "
        "a level that can use Aurora's web application, absence here proves nothing. A token is "
        "vended for up to 12 hours after its generate."
    )
    if found.days * 86_400 > KEPT_FOR:
        beside.print(
            f"Whole only where kept_days has been {found.days} or more for {found.days} days: what "
            "the table had forgotten before looks like a seat that was never used."
        )


def _as_text(row: Sequence[str]) -> list[str]:
    """
    Return a row that no spreadsheet takes for a formula.
    """
    return [f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in row]


def exported(found: dict[str, dict[str, Any]]) -> None:
    """
    Print all items of a person.
    """
    _print_json(found)


def erased(found: Erased, *, as_json: bool) -> None:
    """
    Print how much was deleted, and what the scan found.
    """
    if as_json:
        _print_json(asdict(found))
        return
    _console().print(
        f"{found.deleted} items deleted; a scan of all {found.scanned} others finds the person in "
        f"{len(found.left)}. The log holds the SHA-256 of the e-mail until its retention ends; "
        "Aurora's account is as it was."
    )


def forecast(found: Forecast, *, noted: bool, as_json: bool) -> None:
    """
    Print whom `prewarm` would serve, and how many came in these hours of the last week.
    """
    if as_json:
        _print_json(asdict(found) | {"noted": noted})
        return
    if found.planned:
        _table(
            *("Generate at (UTC)", "Expected at (UTC)", "E-mail"),
            rows=[
                (_when(each.generate_at), _when(each.arrives_at), each.email)
                for each in found.planned
            ],
        )
        _console().print()
    past = ", ".join(f"{count} {day} d ago" for day, count in found.came.items())
    _console().print(f"{len(found.planned)} expected in the {AHEAD // 3600} hours from", end=" ")
    _console().print(f"{_when(found.begins_at)} UTC on without a token; came in them: {past}.")
    if not noted:
        _console().print("Comings are noted only where `prewarm` is true in cdk.json.")


def coverage(found: dict[int, dict[int, int]], *, as_json: bool) -> None:
    """
    Print how many people's tokens last for a shift, by the refresh margin.
    """
    if as_json:
        _print_json(found)
        return
    margins = list(next(iter(found.values())))
    _table(
        "Shift",
        *(f"refresh_margin {margin} min" for margin in margins),
        rows=[
            (f"{shift} h", *(f"{row[margin]:,}" for margin in margins))
            for shift, row in found.items()
        ],
    )


def person(state: dict[str, Any], history: list[dict[str, Any]], *, as_json: bool) -> None:
    """
    Print the items of a person, and what happened to it.
    """
    if as_json:
        _print_json({"state": state, "events": history})
        return
    _console().print(state.get("verdict") or "The table holds nothing of this person.")
    _console().print()
    for name in ("token", "account"):
        if part := state.get(name):
            rows = [(key, _readable(key, value)) for key, value in part.items()]
            _table(name.capitalize(), "", rows=rows)
            _console().print()
    _history(history)


def _readable(name: str, value: Any) -> str:
    """
    Return an attribute for people: times in UTC, and a dash for what is not there.
    """
    if isinstance(value, list | tuple):
        said = map(_when if name == "renewals" else str, value)
        return ", ".join(said) or "-"
    if name == "ttl" or name.endswith(("_at", "_until")):
        return _when(float(value)) if float(value) else "-"
    return str(value) if value not in {"", 0} else "-"


def events(found: list[dict[str, Any]], *, caller: str, as_json: bool) -> None:
    """
    Print a caller's audit events.
    """
    if as_json:
        _print_json(found)
        return
    _console().print(f"caller {caller}\n", soft_wrap=True)
    _history(found)


def _history(found: list[dict[str, Any]]) -> None:
    _table(
        *("When (UTC)", "Outcome", "Status", "Aurora calls", "ms", "Request"),
        rows=[
            (
                _when(each["at"]),
                str(each.get("source") or each.get("problem") or each.get("outcome", "")),
                str(each.get("status", "")),
                str(each.get("aurora_calls", "")),
                f"{each.get('duration_ms', 0):.0f}",
                str(each.get("request_id", "")),
            )
            for each in found
        ],
    )
    _console().print(f"\n{len(found)} request{'' if len(found) == 1 else 's'}")


def smoke(
    status: int,
    body: dict[str, Any],
    seconds: float,
    event: dict[str, Any] | None,
    *,
    as_json: bool,
) -> None:
    """
    Print what was vended, without the JWT, and where the time went.
    """
    body = body | {"token": {k: v for k, v in body.get("token", {}).items() if k != "jwt"}}
    phases = (event or {}).get("phases_ms", {})
    if as_json:
        _print_json(
            {"status": status, "seconds": round(seconds, 3), "answer": body, "event": event}
        )
        return
    what = body.get("source") or body.get("detail") or "no answer of this service"
    _console().print(f"{status}  {what}  in {seconds * 1000:.0f} ms, seen from here")
    if event is None:
        _console().print("The log does not have the request's audit event (yet).")
        return
    # `account` holds Aurora's part in it, which `aurora` counts too.
    duration = event["duration_ms"]
    rows = [(name, phases[name]) for name in SHOWN_PHASES if name in phases]
    rows += [(name, ms) for name, ms in phases.items() if name not in SHOWN_PHASES]
    rows += [("function, all of it", duration), ("around it", seconds * 1000 - duration)]
    _table("Where the time went", "ms", rows=[(name, f"{ms:.1f}") for name, ms in rows])


def addresses(found: dict[str, str], *, as_json: bool) -> None:
    """
    Print where each dashboard is.
    """
    if as_json:
        _print_json(found)
        return
    for name, address in found.items():
        _console().print(f"{name}  {address}", soft_wrap=True)


def burst(result: Burst, ahead: Burst | None, *, as_json: bool) -> None:
    """
    Print how long people waited, and draw what Aurora saw; with `prewarm` too, where asked.
    """
    if as_json:
        with_prewarm = {"prewarm": _burst_as_json(ahead)} if ahead else {}
        _print_json(_burst_as_json(result) | with_prewarm)
        return
    _draw(result)
    if ahead:
        _console().print("\nWith prewarm:\n")
        _draw(ahead)


def _burst_as_json(result: Burst) -> dict[str, Any]:
    ahead = {"ahead_by_minute": result.ahead_by_minute} if result.ahead_by_minute else {}
    return {
        "longest_wait": round(result.longest, 1),
        "median_wait": round(result.percentile(0.5), 1),
        "p95_wait": round(result.percentile(0.95), 1),
        "turned_away": result.turned_away,
        "fullest_minute": result.fullest_minute,
        "calls_by_minute": result.calls_by_minute,
    } | ahead


def _draw(result: Burst) -> None:
    console = _console()
    console.print(f"The last caller waits {duration(result.longest)}, one in two less than")
    console.print(
        f"{duration(result.percentile(0.5))}, 95 % less than {duration(result.percentile(0.95))}."
    )
    if result.turned_away:
        console.print(f"{result.turned_away} find the queue full and are told when to ask again.")
    console.print(f"Aurora's fullest minute holds {result.fullest_minute} calls:\n")
    before = [(-minute, calls) for minute, calls in result.ahead_by_minute]
    by_minute = [*before, *enumerate(result.calls_by_minute)]
    most = max(1, *(calls for _, calls in by_minute))
    for minute, calls in by_minute:
        bar = Text("█" * round(BAR * calls / most), "blue")
        console.print(f"{minute:4} min", bar, str(calls))


def probe(outcome: Outcome, *, as_json: bool) -> None:
    """
    Print what a probe found, and what follows from it for cdk.json.
    """
    if as_json:
        _print_json(outcome.to_json() | {"diff": outcome.diff})
        return
    _table(
        *("", "Statement", "Found"),
        rows=[
            (VERDICTS[each.verdict], each.statement, each.found or "-") for each in outcome.answers
        ],
    )
    counts = [f"{sum(a.verdict == name for a in outcome.answers)} {name}" for name in VERDICTS]
    console = _console()
    console.print(f"\n{', '.join(counts)}, by {outcome.calls} calls")
    if outcome.halted:
        console.print(f"It ended early: {outcome.halted}.")
    if outcome.diff:
        console.print("\nWhat follows for cdk.json:\n")
        for line in outcome.diff.splitlines():
            console.print(Text(line, COLOURS.get(line[:1], "")), soft_wrap=True)


def left_behind(people: Mapping[str, str]) -> None:
    """
    Say on stderr which throw-away people are in Aurora.
    """
    for address, state in people.items():
        _console(stderr=True).print(
            f"{address}: throw-away person, {state} in Aurora until an admin removes it.",
            soft_wrap=True,
        )
