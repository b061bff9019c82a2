"""Set and clear what is switched without a deployment: the CONTROL item of the stage's tenant."""

import json
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import inf
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from token_vendor.control import CONTROL, LEAST_BURST, LEAST_RATE, Control, Entry, Switch
from token_vendor.models import normalised_email
from token_vendor.observability import digest
from token_vendor.settings import is_domain

from infra.operator.audit_log import SWITCH_EVENT
from infra.operator.deployed import Deployed
from infra.operator.exits import OperatorError, UsageError
from infra.operator.tokens import table

LONGEST = 30 * 86_400
"""Seconds: what is to last for longer is an option of cdk.json, or a deactivation at Aurora."""
UNITS = {"m": 60, "h": 3600, "d": 86_400}
STREAM = "operators"
"""The log stream of what people switched, in the function's own log group."""
MOST_ENTRIES, LONGEST_REASON = 100, 200
LOWERED = {Switch.RATE: "request_rate", Switch.BURST: "request_burst"}


@dataclass(frozen=True, kw_only=True)
class Board:
    """What is in force, and which version of the item said so; None if none is usable."""

    entries: tuple[Entry, ...]
    version: Any = None


def board(deployed: Deployed) -> Board:
    item = table(deployed).get(CONTROL)
    return Board(entries=Control.of(item, now=time.time()).entries, version=item.get("version"))


def entry(name: str, value: str, *, until: str, reason: str, now: float) -> Entry:
    """
    Return what an operator wants to set, or raise `UsageError`.

    That a number lowers the stage's is seen when it is set.
    """
    named = _entry(name, reason=reason)
    return replace(
        named, value=_value(named.switch, value), until=moment(until, now, option="--until")
    )


def ended(name: str, value: str, *, reason: str) -> Entry:
    """
    Return what an operator wants to clear, or raise `UsageError`.

    Of rate and burst there is one each, whatever its value.
    """
    named = _entry(name, reason=reason)
    return replace(named, value=_blocked(value)) if named.switch is Switch.BLOCK else named


def set_(deployed: Deployed, wanted: Entry) -> None:
    """
    Set a switch in the place of the same one, and note it in the audit log.

    One that raises what it is to lower is a `UsageError`.
    """
    if option := LOWERED.get(wanted.switch):
        most = getattr(deployed.settings, option)
        if float(wanted.value) >= most:
            raise UsageError(f"{wanted.value!r}: a switch only lowers {option}, which is {most:g}")
    found, mine = board(deployed), _signed(deployed, wanted)
    others = tuple(each for each in found.entries if _name(each) != _name(mine))
    _write(deployed, found, (*others, mine))
    _tell(deployed, mine, "switched")


def clear(deployed: Deployed, wanted: Entry) -> None:
    """Clear a switch and note it in the audit log; raise `OperatorError` where it is not set."""
    found, mine = board(deployed), _signed(deployed, wanted)
    others = tuple(each for each in found.entries if _name(each) != _name(mine))
    if others == found.entries:
        raise OperatorError(f"{' '.join(_name(mine)).strip()} is not switched")
    _write(deployed, found, others)
    _tell(deployed, mine, "switch cleared")


def tidy(deployed: Deployed) -> None:
    """Write what is in force anew, without what has ended."""
    found = board(deployed)
    if found.version is not None:
        _write(deployed, found, found.entries)


def _signed(deployed: Deployed, wanted: Entry) -> Entry:
    """Return what is wanted with who wants it."""
    return replace(wanted, by=str(deployed.client("sts").get_caller_identity()["Arn"]))


def _entry(name: str, *, reason: str) -> Entry:
    if name not in Switch:
        raise UsageError(f"{name} is no switch: choose from {', '.join(Switch)}")
    if not reason.strip():
        raise UsageError("say why with --reason, for those who read the audit log")
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason: {LONGEST_REASON} characters at most")
    return Entry(switch=Switch(name), value="", until=0, reason=reason.strip(), by="")


def _name(each: Entry) -> tuple[str, str]:
    return each.switch.value, each.value if each.switch is Switch.BLOCK else ""


def _write(deployed: Deployed, found: Board, entries: tuple[Entry, ...]) -> None:
    if len(entries) > MOST_ENTRIES:
        # Every request reads the item.
        raise OperatorError(f"{MOST_ENTRIES} switches are set, which is the most: clear some")
    seen = found.version
    written = table(deployed).update(
        CONTROL,
        assign={
            "entries": tuple(each.row for each in entries),
            "version": seen + 1 if isinstance(seen, int) else 1,
            # An item without entries in force says nothing.
            "ttl": int(max((each.until for each in entries), default=time.time())) + LONGEST,
        },
        condition="attribute_not_exists(version)" if seen is None else "version = :seen",
        values={} if seen is None else {"seen": seen},
    )
    if written is None:
        raise OperatorError("somebody else has just switched something: look, and do it again")


def _tell(deployed: Deployed, done: Entry, outcome: str) -> None:
    """Write an event beside the audit events of requests; an e-mail stands there as its digest."""
    told: dict[str, Any] = asdict(done) | {
        "request_id": str(uuid4()),
        "route": "token-vendor switch",
        "outcome": outcome,
    }
    if "@" in done.value:
        told["caller"] = digest(done.value)
        if not deployed.settings.log_email:
            del told["value"]
    logs, group = deployed.client("logs"), deployed.outputs["LogGroupName"]
    now = time.time()
    line = {
        "level": "INFO",
        "message": SWITCH_EVENT,
        "timestamp": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S,%f}"[:-3] + "+0000",
        "service": f"token-vendor-{deployed.stage}",
        "audit": told,
    }
    try:
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=group, logStreamName=STREAM)
        answer = logs.put_log_events(
            logGroupName=group,
            logStreamName=STREAM,
            logEvents=[{"timestamp": int(now * 1000), "message": json.dumps(line)}],
        )
        why = answer.get("rejectedLogEventsInfo")
    except (ClientError, BotoCoreError) as error:
        why = error
    if why:
        raise OperatorError(f"{outcome}; but not written to the audit log, so note it: {why}")


def _value(switch: Switch, value: str) -> str:
    match switch:
        case Switch.STOP_GENERATING | Switch.STOP_INVITING:
            if value:
                raise UsageError(f"{switch} takes no value, and not {value}")
            return ""
        case Switch.BLOCK:
            return _blocked(value)
        case Switch.RATE:
            return _number(value, least=LEAST_RATE)
        case Switch.BURST:
            burst = _number(value, least=LEAST_BURST)
            if not burst.isdecimal():
                raise UsageError(f"{value}: burst takes a whole number")
            return burst


def _blocked(value: str) -> str:
    domain = value.removeprefix("@").lower()
    if is_domain(domain):
        return domain
    try:
        return normalised_email(value)
    except ValueError as error:
        raise UsageError(f"block takes an e-mail or a domain, and not {value!r}") from error


def _number(value: str, *, least: float) -> str:
    try:
        number = float(value)
    except ValueError:
        number = 0
    if not least <= number < inf:
        raise UsageError(f"{value!r}: at least {least:g}")
    return f"{number:g}"


def moment(text: str, now: float, *, option: str) -> float:
    """Read a moment ahead: in how long (30m, 24h, 7d), or when (RFC 3339)."""
    if counted := re.fullmatch(r"(\d{1,6})([mhd])", text):
        until = now + int(counted[1]) * UNITS[counted[2]]
    else:
        named = None
        with suppress(ValueError):
            named = datetime.fromisoformat(text)
        if named is None or named.tzinfo is None:
            form = "30m, 24h, 7d, or a moment such as 2026-01-31T18:00:00Z"
            raise UsageError(f"{option} {text}: write {form}")
        until = named.timestamp()
    if not now < until <= now + LONGEST:
        raise UsageError(f"{option} {text}: has to be ahead, by {LONGEST // 86_400} days at most")
    return until
