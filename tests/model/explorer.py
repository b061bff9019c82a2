"""
Run callers of the real `TokenVendor` in every order, with crashes and faults at every step.

Each caller is a greenlet that stops before every effect: a DynamoDB call, the POST that reaches
Aurora, the answer that comes back, a pause. A schedule is a list of choices; it is replayed from
the start, and states that were seen before are not explored again.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from greenlet import GreenletExit, greenlet
from token_vendor import vendor as protocol
from token_vendor.control import Control, Switches
from token_vendor.models import GENERATE, AccessToken, Account, Caller, Deadline, TokenRequest
from token_vendor.observability import recorder
from token_vendor.problems import (
    AuroraBusyError,
    AuroraTimeoutError,
    AuroraUnavailableError,
    ProblemError,
)
from token_vendor.table import Table
from token_vendor.vendor import TokenVendor

from tests.model.memory_table import MemoryTable
from tests.support.settings import settings

INVOCATION = 24.0
HALF_A_DAY = 43_200
COOL_DOWN = 30.0
START = 1_000_000.0
SUBJECT = "who signed in"
EMAIL = "jessica.smith@aurorasolar.com"
KEY = (f"sandbox#tenant#{EMAIL}", "TOKEN")


class ViolationError(AssertionError):
    """An invariant does not hold; the message has the schedule that shows it."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How the world stands at the start, and how much may go wrong."""

    name: str
    callers: int
    stored: str = "none"
    """The stored token: `none`, `stale` (past its margin, alive), `good`, or `in doubt` (dead)."""
    replacing: int = 0
    """How many of the callers say that the stored token failed."""
    kill: str = "at_once"
    ahead: bool = False
    """Whether a scheduled run generates ahead at some moment."""
    signs_out: bool = False
    """Whether somebody signs the caller out at some moment."""
    strangers: int = 0
    """How many of the callers sign in by another way than the one that is known."""
    shrinking: bool = False
    """Whether each token ends sooner than the one that was generated before it."""
    faults: int = 1
    """How many crashes, lost answers, refusals and overdue holders a schedule may have."""


@dataclass
class Aurora:
    """The tokens of one user, and which of them are dead."""

    kill: str
    later: int = 1
    """Seconds by which each token ends later than the one before."""
    generated: int = 0
    live: set[str] = field(default_factory=set)

    def generate(self) -> AccessToken:
        self.generated += 1
        jti = f"t{self.generated}"
        if self.kill == "at_once":
            self.live.clear()
        self.live.add(jti)
        # Two generates are never at the same moment: the later one expires later.
        expires_at = int(START) + HALF_A_DAY + self.later * self.generated
        return AccessToken(jwt=f"jwt-{jti}", jti=jti, expires_at=expires_at, user_id="user")

    def load(self, jti: str) -> None:
        """Open a session with a token, which in one mode is what ends the others."""
        if self.kill == "when_loaded" and jti in self.live:
            self.live = {other for other in self.live if int(other[1:]) >= int(jti[1:])}


class _Crash(GreenletExit):
    pass


@dataclass
class Client:
    """One request: where it stands, what it has seen."""

    number: int
    request: TokenRequest
    strand: Any = None
    waits_for: str = "start"
    """The effect before which it stands; `done` and `crashed` are ends."""
    history: list[Any] = field(default_factory=list)
    outcome: Any = None
    read: str = ""
    """The jti in the item when it last looked, if that token was live then."""
    unstored: bool = False
    woken: bool = False
    signs_out: bool = False
    ahead: bool = False
    subject: str = SUBJECT
    leases: int = 0

    @property
    def lease(self) -> str:
        """The lease that it took last."""
        return f"lease {self.leases} of {self.number}"


class World:
    """One run of a scenario along a schedule."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now = START
        self.aurora = Aurora(scenario.kill, -1 if scenario.shrinking else 1)
        self.table = MemoryTable(self._step)
        self.extra = 0
        """Generates beyond the first that crashes, lost answers and overdue holders excuse."""
        self.asked = 0
        """Questions to Aurora whose token it is; one more is excused by each that failed."""
        self.faults_left = scenario.faults
        self.lease_of: dict[str, str] = {}
        """Under which lease each token was generated."""
        self.void_lease = ""
        """The lease that was held when the caller signed out: its token must not be stored."""
        self.running: Client | None = None
        self._directive = "go"
        item: dict[str, Any] = {"version": {"N": "1"}}
        if scenario.stored != "none":
            token = self.aurora.generate()
            life = 600 if scenario.stored == "stale" else HALF_A_DAY
            item |= {
                "jwt": {"S": token.jwt},
                "jti": {"S": token.jti},
                "user_id": {"S": token.user_id},
                "subjects": {"L": [{"S": SUBJECT}]},
                "expires_at": {"N": str(int(START) + life)},
            }
            if scenario.stored == "in doubt":
                # The answer to a generate was lost.
                self.aurora.live.clear()
                item["generating_since"] = {"N": str(int(START))}
            self.table.items[KEY] = item
        self.before = self.aurora.generated
        self.clients = [
            Client(
                n,
                TokenRequest(replace="t1" if n < scenario.replacing else None),
                subject=SUBJECT if n >= scenario.strangers else "another way to sign in",
            )
            for n in range(scenario.callers)
        ]
        if scenario.signs_out:
            self.clients.append(Client(scenario.callers, TokenRequest(), signs_out=True))
        if scenario.ahead:
            self.clients.append(Client(len(self.clients), TokenRequest(), ahead=True))
        for client in self.clients:
            client.strand = greenlet(lambda _, client=client: self._run(client))
            self._resume(client)

    def lease_id(self) -> str:
        """Name a lease after its holder, so that a replayed schedule leads to the same state."""
        client = self._client()
        client.leases += 1
        return client.lease

    # What the vendor is wired to --------------------------------------------------------------

    def clock(self) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        self._step("pause")

    def find(self, _caller: Caller, _allowance: Any, **_: Any) -> Account:
        return Account(user_id="user", email=EMAIL, status="active")

    def known_id(self, _email: str) -> str:
        return "user"

    def confirm(self, _email: str, _user_id: str, _allowance: Any, *, since: float) -> bool:
        """Answer whose token it is: Aurora is asked under the lease, and at most once."""
        assert since
        self.asked += 1
        directive = self._step("ask")
        if directive == "refuse":
            self.asked -= 1
            raise AuroraUnavailableError(cause="5xx")
        return True

    def allowance(self, *_: Any, **__: Any) -> "World":
        return self

    turn = None
    control = Control()

    def reserve(self, _calls: int) -> None:
        """Reserve nothing: other tests are about the budget."""

    def generate_token(self, _account: Account, _allowance: Any) -> AccessToken:
        client = self._client()
        if self._step("send") == "refuse":
            raise AuroraBusyError(cause="429", retry_at=self.now + COOL_DOWN)
        if client.ahead and self.aurora.live:
            raise ViolationError("prewarm generated while a token of that person was alive")
        token = self.aurora.generate()
        self.lease_of[token.jti] = client.lease
        client.unstored = True
        if self._step("answer") == "lose":
            raise AuroraTimeoutError(cause="lost answer", in_doubt=GENERATE)
        return token

    def _run(self, client: Client) -> None:
        self._step("start")
        parts: Any = self
        table = Table(
            parts.table,
            name="tokens",
            partition="sandbox#tenant",
            clock=self.clock,
            sleep=self.sleep,
        )
        vendor = TokenVendor(
            table=table,
            switches=Switches(table),
            accounts=parts,
            budget=parts,
            aurora=parts,
            settings=settings(cool_down=COOL_DOWN, directory_ttl=COOL_DOWN),
            now=self.clock,
        )
        deadline = Deadline(self.now + INVOCATION, self.clock, self.sleep)
        if client.ahead:
            try:
                client.outcome = vendor.vend_ahead(EMAIL, deadline)
            except ProblemError as problem:
                client.outcome = problem
            return
        if client.signs_out:
            vendor.forget(Caller(email=EMAIL))
            client.outcome = "signed out"
            return
        try:
            caller = Caller(email=EMAIL, subject=client.subject)
            vended = vendor.vend(caller, client.request, deadline)
        except ProblemError as problem:
            client.outcome = problem
            return
        client.outcome = vended
        jti = vended.token.jti
        if vended.source == "stored" and jti != client.read:
            raise ViolationError(f"caller {client.number} was served {jti}, dead when it looked")
        self.aurora.load(jti)

    # The scheduler ----------------------------------------------------------------------------

    def _client(self) -> Client:
        assert self.running
        return self.running

    def _step(self, effect: str) -> str:
        """Stop before an effect; go on when the schedule says so."""
        client = self._client()
        client.waits_for = effect
        parent = client.strand.parent
        directive: str = parent.switch()
        if effect == "read":
            item = self.table.items.get(KEY, {})
            jti = item.get("jti", {}).get("S", "") if "jwt" in item else ""
            client.read = jti if jti in self.aurora.live else ""
        return directive

    def _resume(self, client: Client, directive: str = "go") -> None:
        self.running = client
        client.strand.parent = greenlet.getcurrent()
        client.strand.switch(directive)
        if client.strand.dead:
            client.waits_for = "done"

    def choices(self) -> list[tuple[int, str]]:
        """Return what may happen next: (caller, directive), or (-1, "overdue")."""
        ways: list[tuple[int, str]] = []
        for client in self.clients:
            at = client.waits_for
            if at in {"done", "crashed"} or (at == "pause" and not client.woken):
                continue
            ways.append((client.number, "go"))
            if self.faults_left and at != "start":
                ways.append((client.number, "crash"))
                if at in {"send", "ask"}:
                    ways.append((client.number, "refuse"))
                if at == "answer":
                    ways.append((client.number, "lose"))
        standing = {client.waits_for for client in self.clients}
        # A holder that sends after its lease cannot be stopped by anybody: not explored.
        if self.faults_left and "answer" in standing and "send" not in standing:
            ways.append((-1, "overdue"))
        return ways

    def apply(self, choice: tuple[int, str]) -> None:  # noqa: C901, PLR0912 - one a kind of fault.
        """Let one thing happen, and check what must always hold."""
        number, directive = choice
        if directive != "go":
            self.faults_left -= 1
        if directive == "overdue":
            # A frozen holder wakes after its lease: what only the fence protects against. All
            # others that had begun are past their own deadline, and Lambda has ended them.
            self.now += INVOCATION + 2
            for client in self.clients:
                if client.waits_for == "answer":
                    self.extra += 1
                elif client.waits_for not in {"start", "done", "crashed"}:
                    self.extra += client.unstored
                    self._crash(client)
            return
        client = self.clients[number]
        before = self.table.items.get(KEY, {})
        if directive in {"crash", "lose"}:
            self.extra += client.unstored
        if directive == "crash" and client.waits_for == "ask":
            self.asked -= 1
        if directive == "crash":
            self._crash(client)
        else:
            client.woken = False
            self._resume(client, directive)
        after = self.table.items.get(KEY, {})
        client.history.append((directive, client.waits_for, repr(client.outcome), client.read))
        if after is not before:
            self._wake()
            if client.unstored and after.get("jti") != before.get("jti"):
                client.unstored = False
        if client.signs_out and after is not before:
            self.extra += 1
            self.void_lease = before.get("lease_id", {}).get("S", "")
        stored = after.get("jti", {}).get("S", "")
        if stored and self.void_lease and self.lease_of.get(stored) == self.void_lease:
            raise ViolationError(f"{stored} was stored although the caller had signed out")
        expires = [float(item.get("expires_at", {"N": "0"})["N"]) for item in (before, after)]
        if expires[1] < expires[0] and not self.scenario.shrinking:
            raise ViolationError("an older token overwrote a newer one")
        if self.aurora.generated - self.before > 1 + self.extra:
            raise ViolationError("a second generate that nothing forced")
        holder = after.get("lease_id", {}).get("S", "")
        if client.waits_for == "done" and holder == client.lease:
            raise ViolationError(f"caller {client.number} ended, and kept its lease")
        if self.asked > 1:
            raise ViolationError("Aurora was asked twice whose token it is")
        calm = not (self.scenario.replacing or self.scenario.signs_out)
        if self.scenario.strangers and calm and self.aurora.generated > 1:
            raise ViolationError("a new identity cost a generate")

    def _crash(self, client: Client) -> None:
        self.running = client
        client.strand.throw(_Crash)
        client.waits_for = "crashed"

    def _wake(self) -> None:
        for client in self.clients:
            client.woken = True

    def settle(self) -> None:  # noqa: C901 - one branch an invariant.
        """
        Let time pass until the callers that only wait have an answer; then ask once more.

        After any crash the next caller is served within one lease, with a token that is live.
        """
        for _ in range(100):
            waiting = [c for c in self.clients if c.waits_for not in {"done", "crashed"}]
            if not waiting:
                break
            if any(c.waits_for != "pause" or c.woken for c in waiting):
                return
            self.now += 1.0
            self._wake()
            for client in waiting:
                while client.waits_for not in {"done", "crashed"}:
                    self.apply((client.number, "go"))
                    if client.waits_for == "pause":
                        client.woken = False
                        break
        else:
            raise ViolationError("somebody waits for ever")
        self.now += INVOCATION + 2 + COOL_DOWN
        last = Client(len(self.clients), TokenRequest())
        last.strand = greenlet(lambda _: self._run(last))
        self.clients.append(last)
        self._resume(last)
        for _ in range(50):
            if last.waits_for == "done":
                break
            self.apply((last.number, "go"))
        token = getattr(last.outcome, "token", None)
        if token is None:
            raise ViolationError(f"the next caller was not served: {last.outcome!r}")
        if token.jti not in self.aurora.live:
            raise ViolationError(f"the next caller was served the dead {token.jti}")

    def state(self) -> Any:
        """Return what the future depends on; callers are interchangeable but for `replace`."""
        item = self.table.items.get(KEY, {})
        clients = sorted(
            (
                c.request.replace or f"{c.signs_out} {c.ahead} {c.subject}",
                c.waits_for,
                c.woken,
                c.unstored,
                *map(str, c.history),
            )
            for c in self.clients
        )
        return (
            self.now,
            self.faults_left,
            self.extra,
            self.asked,
            self.aurora.generated,
            tuple(sorted(self.aurora.live)),
            repr(sorted(item.items())),
            tuple(map(tuple, clients)),
        )

    def close(self) -> None:
        """End the strands that still stand somewhere."""
        for client in self.clients:
            if not client.strand.dead:
                self.running = client
                client.strand.throw(_Crash)


def explore(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> int:
    """
    Try every schedule of a scenario; return how many states there are.

    Raises:
        ViolationError: With the schedule that breaks an invariant.

    """
    seen: set[int] = set()
    pending: list[list[tuple[int, str]]] = [[]]
    while pending:
        schedule = pending.pop()
        recorder.start("model")
        world = World(scenario)
        monkeypatch.setattr(protocol, "uuid4", world.lease_id)
        try:
            for choice in schedule:
                world.apply(choice)
            while (state := hash(world.state())) not in seen:
                seen.add(state)
                choices = world.choices()
                if not any(directive == "go" for _, directive in choices):
                    pending += [[*schedule, choice] for choice in choices]
                    world.settle()
                    break
                # This world goes on with one of them; the others need a world from the start.
                *others, choice = choices
                pending += [[*schedule, other] for other in others]
                schedule = [*schedule, choice]
                world.apply(choice)
        except ViolationError as violation:
            raise ViolationError(f"{scenario.name}: {violation}: {schedule}") from None
        finally:
            world.close()
    return len(seen)
