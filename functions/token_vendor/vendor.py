"""
The protocol of one request: at most one call to Aurora at a time for each caller.

Generating can end a user's live session. We generate only when no stored token will do, one lease
holder at a time, and mark the item first. Whatever else a request asks Aurora, it asks under the
same lease, and leaves the same cool-down or turn to those who come after it.

A holder that is killed leaves lease and mark: the lease ends by itself just after Lambda's own
deadline, and the mark makes the next request generate anew. A sign-out, or another holder, may come
before a holder stores: `TokenItem.stored` decides then which token stays.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from token_vendor.accounts import Accounts
from token_vendor.aurora import AuroraClient
from token_vendor.control import Control, Switches
from token_vendor.models import EARLY, GENERATE, AccessToken, Caller, Deadline, TokenRequest, Vended
from token_vendor.observability import Metric, logger, recorder
from token_vendor.problems import (
    AuroraBusyError,
    AuroraInvalidResponseError,
    InternalError,
    ProblemError,
    TokenStoreUnavailableError,
    TooManyRenewalsError,
    UserNotEligibleError,
    problem_of,
)
from token_vendor.request_budget import Allowance, RequestBudget
from token_vendor.settings import Settings
from token_vendor.table import Table
from token_vendor.token_item import Lease, State, TokenItem


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenVendor:
    """Vend, renew and forget access tokens, with the parts of one execution environment."""

    table: Table
    switches: Switches
    accounts: Accounts
    budget: RequestBudget
    aurora: AuroraClient
    settings: Settings
    now: Callable[[], float]

    def vend(self, caller: Caller, request: TokenRequest, deadline: Deadline) -> Vended:
        """
        Return a token that is good for the caller, stored or generated; or raise a `ProblemError`.

        A waiting caller gets the holder's result.
        """
        item, control = self.switches.beside(TokenItem, caller.email)
        control.admit(caller.email)
        request = replace(request, subject=caller.subject, margin=self.settings.refresh_margin)
        return _Request(self, caller, request, deadline, control).vend(item)

    def vend_ahead(self, email: str, deadline: Deadline) -> bool:
        """
        Generate and store for a person who is expected; False if a token may be alive.

        It ends no session, invites nobody, and takes no call that somebody waits for. An
        `AuroraBusyError` says that people use the calls, and nothing was done.
        """
        item, control = self.switches.beside(TokenItem, email)
        unwanted = control.blocks(email) or control.stops_generating()
        if unwanted or not item.is_surely_empty(self.now()):
            return False
        if not self.accounts.known_id(email):
            return False
        request = _Request(self, Caller(email=email), TokenRequest(), deadline, control)
        allowance = self.budget.allowance(deadline, control, queueing=False)
        allowance.reserve(1)
        lease = request.lease(item)
        if not isinstance(lease, Lease):
            return False
        request.generate_under(lease, allowance)
        recorder.count(Metric.PREWARMED)
        return True

    def forget(self, caller: Caller) -> None:
        """Drop the caller's stored JWT. Aurora is not told, because it has no call for that."""
        item = self.table.load(TokenItem, caller.email)
        if self.table.change(item, TokenItem.forgotten, caller.email).forgets > item.forgets:
            recorder.count(Metric.FORGOTTEN)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request of one caller, and what was switched when it came."""

    vendor: TokenVendor
    caller: Caller
    request: TokenRequest
    deadline: Deadline
    control: Control

    def vend(self, item: TokenItem) -> Vended:
        """Return a token, going by the caller's item as it is, and as it becomes."""
        while True:
            now = self.vendor.now()
            match item.state(now, self.request):
                case State.GOOD if token := item.token:
                    if item.ahead:
                        self._admit(item, None)
                    return self._vended(token, "stored")
                case State.LEASED:
                    item = self._wait_for_holder(item)
                case State.COOLING_DOWN:
                    problem = problem_of(item.failure, retry_at=item.failed_until)
                    return self._stale_or_raise(item, problem)
                case State.QUEUED if item.turn_at - now < EARLY:
                    self.deadline.sleep(max(0, item.turn_at - now))
                case State.QUEUED:
                    early = AuroraBusyError(cause="came before its turn", retry_at=item.turn_at)
                    return self._stale_or_raise(item, early)
                case State.UNCONFIRMED:
                    item = self._confirm(item)
                case _:
                    done = self._generate(item)
                    if isinstance(done, Vended):
                        return done
                    item = done

    @recorder.phase("lease")
    def _wait_for_holder(self, item: TokenItem) -> TokenItem:
        """Look again until the lease has ended; return the item as it is then."""
        since, patience = self.vendor.now(), self.vendor.settings.patience
        for _ in self.deadline.looks(patience):
            item = self.vendor.table.load(TokenItem, self.caller.email)
            now = self.vendor.now()
            if item.state(now, self.request) is not State.LEASED:
                recorder.count(Metric.LEASE_WAITED)
                recorder.count(Metric.LEASE_WAIT, (now - since) * 1000)
                return item
        raise AuroraBusyError(
            "Another request of yours is already getting a token. Try again then.",
            cause="the lease outlasts this request",
            retry_at=min(item.lease_until, self.vendor.now() + patience),
        )

    @recorder.phase("lease")
    def lease(self, item: TokenItem, *, generates: bool = True) -> Lease | TokenItem:
        """Take the lease on the item that was read; or return the item as somebody wrote it."""
        now = self.vendor.now()
        lease = Lease(
            id=str(uuid4()),
            at=now,
            until=self.deadline.lease_until(now),
            item=item,
            subject=self.caller.subject,
            generates=generates,
        )
        after = self.vendor.table.change(item, lambda it: it.leased(lease), self.caller.email)
        return replace(lease, held=after) if after.lease_id == lease.id else after

    def _confirm(self, item: TokenItem) -> TokenItem:
        """
        Find out whether a stored token is this identity's, and not a former owner's.

        Generating instead would end the sessions of a person who signs in by two providers. An item
        that was never vended to anybody has no former owner: the mapping decides.
        """
        accounts, email = self.vendor.accounts, self.caller.email
        if not item.subjects and accounts.known_id(email) == item.user_id:
            return self._admit(item, None)
        lease = self.lease(item, generates=False)
        if not isinstance(lease, Lease):
            return lease
        allowance = self._allowance()
        since = lease.held.first_seen(self.caller.subject)
        with self._giving_back(lease, allowance):
            mine = accounts.confirm(email, item.user_id, allowance, since=since)
        if mine:
            return self._admit(lease.held, lease)
        recorder.count(Metric.WRONG_ACCOUNT)
        logger.warning("the stored token belongs to a former owner of the address")
        return self._change(lease.held, lambda it: it.disowned(lease))

    def _admit(self, item: TokenItem, lease: Lease | None) -> TokenItem:
        """Note that the token is this identity's; it is vended even if that cannot be noted."""
        now, notes = self.vendor.now(), self.vendor.settings.prewarm
        subject, jti = self.caller.subject, item.jti

        def admit(item: TokenItem) -> TokenItem:
            return item.admitted(subject, lease, jti=jti, now=now, notes_arrivals=notes)

        try:
            return self._change(item, admit)
        except TokenStoreUnavailableError as exc:
            logger.warning("a good token's item could not be written", extra={"cause": exc.cause})
            return admit(item)

    def _generate(self, item: TokenItem) -> Vended | TokenItem:
        """Generate, unless somebody else was faster; then return the item as it is now."""
        cap = self.vendor.settings.renewals_per_hour
        refusal = self.control.generating_stopped()
        if retry_at := item.capped_until(self.vendor.now(), cap):
            refusal = TooManyRenewalsError(cause=f"{cap} within the hour", retry_at=retry_at)
        if refusal:
            return self._stale_or_raise(item, refusal)
        lease = self.lease(item)
        if not isinstance(lease, Lease):
            return lease
        try:
            token = self.generate_under(lease, self._allowance())
        except ProblemError as problem:
            return self._stale_or_raise(item, problem)
        return self._vended(token, "generated")

    def generate_under(self, lease: Lease, allowance: Allowance) -> AccessToken:
        """Generate and store, or give the lease back and raise the problem."""
        with self._giving_back(lease, allowance):
            if turn := lease.item.turn:
                allowance.redeem(turn)
            token = self._ask_aurora(allowance)
        recorder.count(Metric.GENERATED)
        asked = self.request.replace or self.request.min_ttl or not lease.item.jwt
        if asked and lease.item.is_renewal(lease.at):
            recorder.count(Metric.RENEWED)
        if token.storable:
            return self._keep(lease, token)
        # Another generate would end the session that begins with this token.
        unknown_end = AuroraInvalidResponseError(
            cause="the JWT does not say when it ends", retry_at=token.expires_at, in_doubt=GENERATE
        )
        self._release(lease, unknown_end, allowance)
        return token

    def _ask_aurora(self, allowance: Allowance) -> AccessToken:
        """Generate; an account that Aurora refuses is looked up once more."""
        accounts, aurora = self.vendor.accounts, self.vendor.aurora
        account = accounts.find(self.caller, allowance)
        try:
            return aurora.generate_token(account, allowance)
        except UserNotEligibleError as refusal:
            account = accounts.after_refusal(account, refusal, allowance)
        return aurora.generate_token(account, allowance)

    @contextmanager
    def _giving_back(self, lease: Lease, allowance: Allowance) -> Iterator[None]:
        """Give the lease back if the block fails; raise what that means for this caller."""
        try:
            yield
        except ProblemError as problem:
            # In most cases it is the same problem.
            raise self._release(lease, problem, allowance) from None
        except Exception as exc:
            # Aurora may have generated.
            self._release(lease, InternalError(cause=repr(exc), in_doubt=GENERATE), allowance)
            raise

    def _release(self, lease: Lease, problem: ProblemError, allowance: Allowance) -> ProblemError:
        """Give the lease back; return the problem, with `retry_at` where waiting helps."""
        settings, now, unspent = self.vendor.settings, self.vendor.now(), allowance.turn
        pause = settings.directory_ttl if problem.permanent else settings.cool_down

        def release(item: TokenItem) -> TokenItem:
            return item.released(lease, problem, now=now, pause=pause, unspent=unspent)

        released = release(lease.held)
        if released.turn:
            recorder.count(Metric.TURN_GIVEN)
        try:
            self._change(lease.held, release)
        except TokenStoreUnavailableError as exc:
            # The lease ends by itself.
            logger.warning("the lease could not be released", extra={"cause": exc.cause})
        if released.failure and not problem.permanent:
            return problem.ending_at(released.failed_until)
        return problem

    def _keep(self, lease: Lease, token: AccessToken) -> AccessToken:
        """
        Store the token and return the one that survives.

        A store that fails for good does not lose the JWT: the caller gets it, the mark stays, and
        the next caller generates anew after the lease.
        """
        now, notes = self.vendor.now(), self.vendor.settings.prewarm
        lost = False

        def keep(item: TokenItem) -> TokenItem:
            nonlocal lost
            lost = item.lease_id != lease.id and item.jti != token.jti
            return item.stored(lease, token, now=now, notes_arrivals=notes)

        try:
            # After a sign-out the item has no token: this caller gets it all the same.
            survivor = self._change(lease.held, keep).token or token
        except TokenStoreUnavailableError as exc:
            recorder.count(Metric.STORE_FAILED)
            logger.error("the generated token could not be stored", extra={"cause": exc.cause})
            return token
        if lost or survivor.jti != token.jti:
            recorder.count(Metric.DOUBLE_GENERATE)
            logger.warning("two generates for one caller", extra={"kept_jti": survivor.jti})
        return survivor

    def _stale_or_raise(self, item: TokenItem, problem: ProblemError) -> Vended:
        """Serve a token that is past its margin but alive rather than a passing problem."""
        token = item.token
        if (
            token is None
            or self.caller.subject not in item.subjects
            or item.is_marked
            or problem.in_doubt == GENERATE
            or problem.permanent
            or token.jti == self.request.replace
            or token.expires_at - self.vendor.now() <= self.request.min_ttl
        ):
            raise problem
        recorder.count(Metric.STALE_VENDED)
        recorder.event["stale_because"] = problem.slug
        logger.warning(
            "vended a stale token", extra={"because": problem.slug, "cause": problem.cause}
        )
        return self._vended(token, "stored")

    def _allowance(self) -> Allowance:
        return self.vendor.budget.allowance(self.deadline, self.control)

    @recorder.phase("store")
    def _change(self, seen: TokenItem, transition: Callable[[TokenItem], TokenItem]) -> TokenItem:
        return self.vendor.table.change(seen, transition, self.caller.email)

    def _vended(self, token: AccessToken, source: str) -> Vended:
        recorder.count(Metric.VENDED, source=source)
        return Vended(token=token, email=self.caller.email, source=source)
