"""
What operators switch without a deployment: the CONTROL item of a tenant.

An execution environment reads it together with a caller's TOKEN item, and keeps it for `KEPT`.
`entries` is a list of (switch, value, until, reason, by), each with an end that the code checks: a
forgotten switch ends. `token-vendor switch` writes it, on the version that it read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from token_vendor.models import Item, Value
from token_vendor.observability import Metric, recorder
from token_vendor.problems import GeneratingStoppedError, ProblemError, UserNotEligibleError
from token_vendor.table import Table

CONTROL = "CONTROL"
KEPT = 2.0
"""Seconds for which an execution environment does not ask again: a switch is effective then."""
LOOK_AGAIN = 300
"""Seconds after which a caller asks again for what is stopped: operators may end it early."""
LEAST_RATE, LEAST_BURST = 0.1, 1
ENDLESS = 9_999_999_999
"""When a switch ends whose own end cannot be read."""


class Switch(StrEnum):
    """What can be switched; the value of an entry says for whom, or to what."""

    STOP_GENERATING = "stop-generating"
    """Stored tokens go on."""
    STOP_INVITING = "stop-inviting"
    BLOCK = "block"
    """A person's normalised e-mail, or a domain; also where a token is stored."""
    RATE = "rate"
    """Requests a minute; only ever fewer than the stage's `request_rate`."""
    BURST = "burst"
    """Requests at once; only ever fewer than the stage's `request_burst`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One switch that is set until `until` (seconds since the epoch), by whom and why."""

    switch: Switch
    value: str
    until: float
    reason: str = ""
    by: str = ""

    @classmethod
    def of(cls, row: Any) -> Self | None:
        """
        Return a row of the item as a value, or None where it names no switch that we know.

        Whatever else is unreadable, the switch is in force: a block that fails open lets people in.
        """
        match row:
            case (str(switch), str(value), *rest) if switch in Switch:
                until, reason, by = (*rest, None, None, None)[:3]
                return cls(
                    switch=Switch(switch),
                    value=value,
                    until=until if isinstance(until, int | float) else ENDLESS,
                    reason=reason if isinstance(reason, str) else "",
                    by=by if isinstance(by, str) else "",
                )
        return None

    @property
    def row(self) -> tuple[str, str, int, str, str]:
        """Return the entry as the item holds it."""
        return self.switch.value, self.value, int(self.until), self.reason, self.by


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """The entries that are in force at `now`, in seconds since the epoch."""

    entries: tuple[Entry, ...] = ()
    now: float = 0

    @classmethod
    def of(cls, item: Mapping[str, Any], *, now: float) -> Self:
        """Return what is in force of a CONTROL item, whatever that item holds."""
        rows = item.get("entries")
        entries = map(Entry.of, rows) if isinstance(rows, tuple) else ()
        return cls(entries=tuple(each for each in entries if each and each.until > now), now=now)

    def admit(self, email: str) -> None:
        """Refuse a caller who is blocked, alone or with the domain of the address."""
        if self.blocks(email):
            _count_refusal(Switch.BLOCK)
            raise UserNotEligibleError(
                "The operators of this service have blocked your access. Ask them.",
                cause="blocked by a switch",
            )

    def blocks(self, email: str) -> bool:
        """Tell whether a person, or the domain of the address, is blocked."""
        blocked = {entry.value for entry in self._set(Switch.BLOCK)}
        return not blocked.isdisjoint((email, email.rpartition("@")[2]))

    def stops_generating(self) -> bool:
        """Tell whether generating is stopped."""
        return bool(self._set(Switch.STOP_GENERATING))

    def generating_stopped(self) -> ProblemError | None:
        """Return the problem of a caller who needs a generated token while that is stopped."""
        stops = self._set(Switch.STOP_GENERATING)
        if not stops:
            return None
        _count_refusal(Switch.STOP_GENERATING)
        return GeneratingStoppedError(
            cause="generating is stopped by a switch",
            retry_at=min(stops[0].until, self.now + LOOK_AGAIN),
        )

    def inviting_stopped(self) -> str:
        """Say that inviting is stopped, or return an empty string."""
        if not self._set(Switch.STOP_INVITING):
            return ""
        _count_refusal(Switch.STOP_INVITING)
        return "inviting is stopped by a switch"

    def lowered(self, rate: float, burst: int) -> tuple[float, int]:
        """Return the stage's rate and burst, or what they are lowered to."""
        rates = [_number(entry.value, LEAST_RATE) for entry in self._set(Switch.RATE)]
        bursts = [_number(entry.value, LEAST_BURST) for entry in self._set(Switch.BURST)]
        return min(rate, *filter(None, rates), rate), int(min(burst, *filter(None, bursts), burst))

    def _set(self, switch: Switch) -> list[Entry]:
        return [entry for entry in self.entries if entry.switch is switch]


def _number(text: str, least: float) -> float | None:
    """Return the number in a text, or None where it is none or too small to be meant."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number >= least else None


def _count_refusal(switch: Switch) -> None:
    recorder.count(Metric.SWITCHED_OFF, switch=switch.value)
    recorder.event["switch"] = switch.value


class Switches:
    """
    What is switched, as this execution environment last read it.

    DynamoDB leaves the one CONTROL item out when too many read it. A new environment waits for it,
    since a blocked person must not get in; any other one goes on with what it read last.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._item: Item | None = None
        self._read_at = 0.0

    @recorder.phase("store")
    def beside[V: Value](self, kind: type[V], email: str) -> tuple[V, Control]:
        """Return a person's value, read consistently, and what is switched."""
        mine, control = (kind.sk, email), (CONTROL, "")
        now = self._table.now()
        if self._item is not None and now - self._read_at < KEPT:
            return kind.of(self._table.get(*mine)), Control.of(self._item, now=now)
        spared = [] if self._item is None else [control]
        found = self._table.get_all([mine, control], spared=spared)
        self._item, self._read_at = found.get(control, self._item), now
        return kind.of(found[mine]), Control.of(self._item or {}, now=now)

    def now(self) -> Control:
        """Return what is switched, for work that has no caller."""
        return Control.of(self._table.get(CONTROL), now=self._table.now())
