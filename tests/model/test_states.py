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
EVENTS = (
    "take lease",
    "take lease",
    "store",
    "release",
    "queue",
    "fail",
    "forget",
    "time passes",
    "hours pass",
)


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
        before = self.state()
        name = {"queue": "release", "fail": "release", "hours pass": "time passes"}.get(
            event, event
        )
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
                name_of_token = f"t{self._tokens}"
                self.store.store(
                    self.lease,
                    AccessToken(
                        jwt=f"jwt-{name_of_token}",
                        jti=name_of_token,
                        expires_at=int(self.now) + LIFE,
                        user_id="user",
                    ),
                    "",
                )
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
            case "time passes" | "hours pass":
                self.now += LEASE + PAUSE if event == "time passes" else LIFE - MARGIN
                # Lambda has ended every holder by then.
                self.lease = None
        after = self.state()
        if after is not before:
            self.changes.add((name, before, after))


def test_changes_that_happen_are_those_declared() -> None:
    """Whatever happens in whatever order, the state changes as `TRANSITIONS` says, in each way."""
    chance = random.Random(1)  # noqa: S311 - a pattern, no secret.
    seen: set[Change] = set()
    for _ in range(300):
        history = History()
        for _ in range(40):
            history.apply(chance.choice(EVENTS), doubtful=chance.random() < 0.5)
        seen |= history.changes
    assert seen == DECLARED


def test_the_diagram_shows_the_declared_changes() -> None:
    """`docs/protocol.md` draws the states and changes of the code, no more and no fewer."""
    drawn = re.findall(r"^ +(\w+) --> (\w+): (.+)$", PROTOCOL.read_text(), re.MULTILINE)
    assert {(event, State[before], State[after]) for before, after, event in drawn} == DECLARED
    assert len(drawn) == len(DECLARED)
