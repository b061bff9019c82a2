"""
The protocol: one generate per caller, inside Aurora's limits, whatever fails.

A generate may end the session that a caller is working in, so that it is done only where no stored
token will do, by one holder of a lease at a time, and marked before it is sent.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from token_vendor.accounts import Accounts
from token_vendor.aurora import AuroraClient
from token_vendor.models import AccessToken, Account, Caller, Deadline, TokenRequest, Vended
from token_vendor.observability import Metric, logger, recorder
from token_vendor.problems import (
    CATALOGUE,
    AuroraBusyError,
    AuroraUnavailableError,
    InternalError,
    InvitationPendingError,
    ProblemError,
    TokenStoreUnavailableError,
    TooManyRenewalsError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance, RequestBudget, Slot
from token_vendor.token_store import Lease, TokenItem, TokenStore

HOUR = 3600
POLL_FROM, POLL_TO = 0.060, 0.250
"""Seconds between two looks of a waiter at the item, with jitter in between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How the vendor decides; seconds, but for `renewals_per_hour`."""

    refresh_margin: float
    cool_down: float
    refused_for: float
    turn_grace: float
    renewals_per_hour: int


PERMANENT = (UserNotEligibleError, InvitationPendingError)
"""Problems that waiting does not mend; they still cool down, so that asking again costs no call."""


class TokenVendor:
    """Vend, renew and forget the access token of a caller."""

    def __init__(  # noqa: PLR0913 - the parts it is wired from.
        self,
        *,
        store: TokenStore,
        accounts: Accounts,
        budget: RequestBudget,
        aurora: AuroraClient,
        policy: Policy,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._budget = budget
        self._aurora = aurora
        self._policy = policy
        self._clock = clock
        self._sleep = sleep

    def vend(self, caller: Caller, request: TokenRequest, deadline: Deadline) -> Vended:
        """
        Return a token that is good for the caller, stored or generated.

        Raises:
            ProblemError: One of the catalogue; whoever waits for another's generate
                inherits its problem as it would inherit its token.

        """
        with recorder.phase("store"):
            item = self._store.read(caller.email)
        waited_since = 0.0
        while True:
            now = self._clock()
            if token := self._good_token(item, request, now):
                return self._vended(caller, token, "stored")
            if item.lease_until > now:
                waited_since = waited_since or now
                item = self._wait(caller, item, deadline)
                continue
            if waited_since:
                recorder.count(Metric.LEASE_WAITED)
                recorder.count(Metric.LEASE_WAIT, (now - waited_since) * 1000)
                waited_since = 0.0
            if problem := self._standing_problem(item, now):
                return self._stale_or_raise(caller, item, request, problem)
            taken = self._take_lease(caller, item, deadline)
            if isinstance(taken, Lease):
                return self._generate(caller, request, taken, deadline)
            item = taken

    def forget(self, caller: Caller) -> None:
        """Drop the caller's stored JWT; Aurora is not told, it knows no such call."""
        if self._store.forget(caller.email):
            recorder.count(Metric.FORGOTTEN)

    def _good_token(self, item: TokenItem, request: TokenRequest, now: float) -> AccessToken | None:
        token = item.token
        if token is None or item.marked_at or token.jti == request.replace:
            return None
        margin = max(self._policy.refresh_margin, request.min_ttl)
        return token if token.lives_longer_than(margin, now=now) else None

    def _standing_problem(self, item: TokenItem, now: float) -> ProblemError | None:
        """Return the cool-down's problem, or the turn that a caller came too early for."""
        if item.failed_until > now:
            problem = CATALOGUE.get(item.failure, InternalError)
            retry_at = None if issubclass(problem, PERMANENT) else item.failed_until
            return problem(cause="inherited from the cool-down", retry_at=retry_at)
        if item.turn_at > now:
            return AuroraBusyError(cause="came before its turn", retry_at=item.turn_at)
        return None

    def _wait(self, caller: Caller, item: TokenItem, deadline: Deadline) -> TokenItem:
        """Look again after a moment; give up when the lease outlasts this request."""
        pause = random.uniform(POLL_FROM, POLL_TO)  # noqa: S311 - jitter is no secret.
        if deadline.remaining() <= pause:
            raise AuroraBusyError(
                "Another request of yours is already getting a token. Try again then.",
                cause="the lease outlasts this request",
                retry_at=item.lease_until,
            )
        with recorder.phase("lease"):
            self._sleep(pause)
            return self._store.read(caller.email)

    def _take_lease(self, caller: Caller, item: TokenItem, deadline: Deadline) -> Lease | TokenItem:
        now = self._clock()
        renewals = tuple(at for at in item.renewals if at > now - HOUR)
        if self._is_renewal(item, now):
            if len(renewals) >= self._policy.renewals_per_hour:
                raise TooManyRenewalsError(
                    cause=f"{len(renewals)} renewals within the hour",
                    retry_at=renewals[0] + HOUR,
                )
            renewals += (now,)
        with recorder.phase("lease"):
            return self._store.take_lease(
                caller.email,
                item,
                until=deadline.lease_until,
                renewals=renewals,
                mark=bool(item.user_id),
            )

    def _is_renewal(self, item: TokenItem, now: float) -> bool:
        """
        Tell whether the caller gives up a token that was good: replaced, too short, or forgotten.

        A mark means that the token may be dead by our own fault, which the caller does not pay for.
        """
        return not item.marked_at and item.expires_at - now > self._policy.refresh_margin

    def _generate(
        self, caller: Caller, request: TokenRequest, lease: Lease, deadline: Deadline
    ) -> Vended:
        """Hold the lease: generate and store, or release and say why not."""
        now = self._clock()
        item = lease.item
        allowance = self._budget.allowance(deadline)
        try:
            if item.turn_calls:
                turn = Slot(at=item.turn_at, delay=item.turn_delay)
                allowance.redeem(turn, item.turn_calls, grace=self._policy.turn_grace)
            token = self._ask_aurora(caller, lease, allowance)
        except ProblemError as problem:
            self._release(lease, problem)
            return self._stale_or_raise(caller, item, request, problem)
        except Exception as error:
            unforeseen = InternalError(cause=repr(error))
            unforeseen.may_have_generated = True  # Nobody knows how far it came.
            self._release(lease, unforeseen)
            raise
        recorder.count(Metric.GENERATED)
        if self._is_renewal(item, now):
            recorder.count(Metric.RENEWED)
        return self._vended(caller, self._keep(caller, lease, token), "generated")

    def _ask_aurora(self, caller: Caller, lease: Lease, allowance: Allowance) -> AccessToken:
        """Find the account and generate; one that Aurora does not accept is looked up once more."""
        if lease.item.user_id:
            try:
                return self._generate_for(lease.item.user_id, lease, allowance, marked=True)
            except UserNotEligibleError:
                looked_up_at = self._clock()
        else:
            looked_up_at = 0.0
        account = self._find(caller, allowance, not_before=looked_up_at)
        asked_at = self._clock()
        try:
            return self._generate_for(account.user_id, lease, allowance, marked=bool(looked_up_at))
        except UserNotEligibleError:
            if looked_up_at:
                raise
        account = self._find(caller, allowance, not_before=asked_at)
        return self._generate_for(account.user_id, lease, allowance, marked=True)

    def _find(self, caller: Caller, allowance: Allowance, *, not_before: float) -> Account:
        with recorder.phase("account"):
            return self._accounts.find(caller, allowance, not_before=not_before)

    def _generate_for(
        self, user_id: str, lease: Lease, allowance: Allowance, *, marked: bool
    ) -> AccessToken:
        allowance.reserve(1)
        if not marked:
            with recorder.phase("store"):
                if not self._store.mark(lease):
                    raise AuroraUnavailableError(cause="the lease was lost before the generate")
        return self._aurora.generate_token(user_id, allowance)

    def _release(self, lease: Lease, problem: ProblemError) -> None:
        """Give the lease back; where even that fails, the lease ends by itself."""
        now = self._clock()
        turn_calls, turn_delay = (
            (problem.turn_calls, problem.turn_delay)
            if isinstance(problem, AuroraBusyError)
            else (0, 0.0)
        )
        cools_down = not (turn_calls or isinstance(problem, TokenStoreUnavailableError))
        if cools_down and problem.retry_at is None:
            # Who is refused stays so until the user list is read again: asking sooner costs the
            # others their calls.
            refused = isinstance(problem, UserNotEligibleError)
            pause = self._policy.refused_for if refused else self._policy.cool_down
            problem.retry_at = now + pause
        if turn_calls:
            recorder.count(Metric.TURN_GIVEN)
        try:
            with recorder.phase("store"):
                self._store.release(
                    lease,
                    generated_maybe=problem.may_have_generated,
                    failed_until=(problem.retry_at or 0) if cools_down else 0,
                    failure=problem.slug if cools_down else "",
                    turn_at=(problem.retry_at or 0) if turn_calls else 0,
                    turn_calls=turn_calls,
                    turn_delay=turn_delay,
                )
        except TokenStoreUnavailableError as error:
            logger.warning("the lease could not be released", extra={"cause": error.cause})
        if isinstance(problem, PERMANENT):
            problem.retry_at = None

    def _keep(self, caller: Caller, lease: Lease, token: AccessToken) -> AccessToken:
        """
        Store the token and return the one that survives.

        A store that fails for good does not lose the JWT: the caller gets it, the mark stays, and
        the next caller generates anew after the lease.
        """
        try:
            with recorder.phase("store"):
                if self._store.store(lease, token):
                    return token
                survivor = self._store.read(caller.email).token
                if survivor and survivor.jti == token.jti:
                    # A write whose answer was lost is sent again, and then fails on itself.
                    return token
                if self._store.store_if_newer(caller.email, token):
                    survivor = token
                else:
                    survivor = self._store.read(caller.email).token
        except TokenStoreUnavailableError as problem:
            recorder.count(Metric.STORE_FAILED)
            logger.error("the generated token could not be stored", extra={"cause": problem.cause})
            return token
        if survivor is None:
            survivor = token
        recorder.count(Metric.DOUBLE_GENERATE)
        logger.warning("two generates for one caller", extra={"kept_jti": survivor.jti})
        return survivor

    def _stale_or_raise(
        self, caller: Caller, item: TokenItem, request: TokenRequest, problem: ProblemError
    ) -> Vended:
        """Serve a token that is past its margin but alive rather than a passing problem."""
        token = item.token
        if (
            token is None
            or item.marked_at
            or problem.may_have_generated
            or isinstance(problem, PERMANENT)
            or token.jti == request.replace
            or not token.lives_longer_than(request.min_ttl, now=self._clock())
        ):
            raise problem
        recorder.count(Metric.STALE_VENDED)
        recorder.event["stale_because"] = problem.slug
        logger.warning(
            "vended a stale token", extra={"because": problem.slug, "cause": problem.cause}
        )
        return self._vended(caller, token, "stored")

    def _vended(self, caller: Caller, token: AccessToken, source: str) -> Vended:
        recorder.count(Metric.VENDED, source=source)
        return Vended(token=token, email=caller.email, source=source)
