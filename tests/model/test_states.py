"""The TOKEN item's changes of state: those that happen, those in the code, those in the docs."""

from __future__ import annotations

import random
import re
from pathlib import Path

from token_vendor.models import AccessToken, Turn
from token_vendor.table import Table
from token_vendor.token_item import TRANSITIONS, Lease, Outcome, State
from token_vendor.token_store import TokenStore

from tests.model.memory_table import MemoryTable

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
EMAIL = "jessica.smith@aurorasolar.com"
LEASE, MARGIN, LIFE, PAUSE = 25.0, 3600.0, 43_200, 30.0
Change = tuple[str, State, State]
DECLARED: set[Change] = {
    (event, before, after)
    for event, changes in TRANSITIONS.items()
    for before, afters in changes.items()
    for after in afters
}
SECONDS = {
    "a moment": 15.0,
    "a minute": LEASE + PAUSE,
    "until just before the margin": LIFE - MARGIN - 10,
    "until the margin": LIFE - MARGIN,
}
HOLDING = ("store", "release", "queue", "fail", "forget", *SECONDS)
FREE = ("take lease", "take lease", "forget", *SECONDS)
RARE = ("take lease", "store", "until just before the margin", "take lease", "fail", "a moment")
"""A cool-down beneath a token that reaches its margin; chance hardly finds it."""


class History:
    """One item, written by the real store; every change of its state is kept."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0
        table = Table(
            MemoryTable(lambda _: None),  # type: ignore[arg-type] # As much of it as is used.
            name="tokens",
            partition="sandbox#tenant",
            clock=lambda: self.now,
            sleep=lambda _: None,
        )
        self.store = TokenStore(table, clock=lambda: self.now)
        self.lease: Lease | None = None
        self.changes: set[Change] = set()
        self._tokens = 0

    def state(self) -> State:
        return self.store.read(EMAIL).state(self.now, margin=MARGIN)

    def apply(self, event: str, *, doubtful: bool) -> None:
        """Let one thing happen, as the vendor would; what it would not do is left out."""
        self._pass_time(SECONDS.get(event, 0))
        before = self.state()
        name = "release" if event in {"queue", "fail"} else event
        match event:
            case "take lease" if before in {State.GOOD, State.STALE, State.EMPTY}:
                item = self.store.read(EMAIL)
                taken = self.store.take_lease(
                    EMAIL,
                    item,
                    until=self.now + LEASE,
                    renewals=(),
                )
                self.lease = taken if isinstance(taken, Lease) else None
            case "store" if self.lease:
                self._tokens += 1
                token = AccessToken(
                    jwt=f"jwt-{self._tokens}",
                    jti=f"t{self._tokens}",
                    expires_at=int(self.now) + LIFE,
                    user_id="user",
                )
                if not self.store.store(self.lease, token, ""):
                    name = "release"
                    self.store.release_forgotten(self.lease, token)
                self.lease = None
            case "release" | "queue" | "fail" if self.lease:
                queued, failed = event == "queue", event == "fail"
                self.store.release(
                    self.lease,
                    Outcome(
                        may_have_generated=doubtful and failed,
                        turn=Turn(at=self.now + PAUSE, slots=((0, 0),)) if queued else None,
                        failure="aurora-timeout" if failed else "",
                        until=self.now + PAUSE if failed else 0,
                    ),
                )
                self.lease = None
            case "forget":
                self.store.forget(EMAIL)
        self._note(name, before)

    def _pass_time(self, seconds: float) -> None:
        """Let time pass in steps that skip no state; Lambda ends a holder with its lease."""
        while seconds > 0:
            before, step = self.state(), min(seconds, MARGIN / 2)
            self.now += step
            seconds -= step
            if self.lease and self.lease.until <= self.now:
                self.lease = None
            self._note("time passes", before)

    def _note(self, event: str, before: State) -> None:
        if (after := self.state()) is not before:
            self.changes.add((event, before, after))


def test_changes_that_happen_are_those_declared() -> None:
    """Whatever happens in whatever order, the state changes as `TRANSITIONS` says, in each way."""
    chance = random.Random(1)  # noqa: S311 - a pattern, no secret.
    seen: set[Change] = set()
    for rare in (RARE, [event.replace("fail", "queue") for event in RARE], *[()] * 300):
        history = History()
        for event in rare:
            history.apply(event, doubtful=False)
        for _ in range(40):
            event = chance.choice(HOLDING if history.lease else FREE)
            history.apply(event, doubtful=chance.random() < 0.5)
        seen |= history.changes
    assert seen == DECLARED


def test_the_diagram_shows_the_declared_changes() -> None:
    """`docs/protocol.md` draws the states and changes of the code, no more and no fewer."""
    drawn = re.findall(r"^ +(\w+) --> (\w+): (.+)$", PROTOCOL.read_text(), re.MULTILINE)
    assert {(event, State[before], State[after]) for before, after, event in drawn} == DECLARED
    assert len(drawn) == len(DECLARED)
