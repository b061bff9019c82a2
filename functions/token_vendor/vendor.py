"""
The protocol: one generate at a time for each caller, inside Aurora's limits.

Generating can end a user's live session. We generate only when no stored token will do, one lease
holder at a time, and mark the item first.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from token_vendor.accounts import Accounts
from token_vendor.aurora import GENERATE, AuroraClient
from token_vendor.models import AccessToken, Caller, Deadline, TokenRequest, Turn, Vended
from token_vendor.observability import Metric, logger, recorder
from token_vendor.problems import (
    CATALOGUE,
    AuroraBusyError,
    GeneratingStoppedError,
    InternalError,
    InvitationPendingError,
    ProblemError,
    TokenStoreUnavailableError,
    TooManyRenewalsError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance, RequestBudget
from token_vendor.token_item import Lease, Outcome, State, TokenItem
from token_vendor.token_store import TokenStore

HOUR = 3600
EARLY = 1.0
"""Seconds that a caller may come before its turn, since clocks differ; the request sleeps them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How the vendor decides; seconds, but for `renewals_per_hour`."""

    refresh_margin: float
    patience: float
    cool_down: float
    refused_for: float
    renewals_per_hour: int


PERMANENT = (UserNotEligibleError, InvitationPendingError)
"""Problems that waiting does not solve. They cool down too: repeats do not ask Aurora."""


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
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._budget = budget
        self._aurora = aurora
        self._policy = policy
        self._clock = clock

    def vend(self, caller: Caller, request: TokenRequest, deadline: Deadline) -> Vended:
        """
        Return a token that is good for the caller, stored or generated.

        Raises:
            ProblemError: One of the catalogue. A caller who waits for another request's generate
                gets its problem, just as it would get its token.

        """
        with recorder.phase("store"):
            item, control = self._store.read_with_control(caller.email)
        control.admit(caller.email)
        allowance = self._budget.allowance(deadline, control)
        while True:
            now = self._clock()
            match state := self._state(item, request, now):
                case State.GOOD if token := item.token:
                    if self._may_have(caller, item, token, allowance):
                        return self._vended(caller, token, "stored")
                    request = dataclasses.replace(request, replace=token.jti)
                case State.LEASED:
                    item = self._wait_for_holder(caller, item, request, deadline)
                case State.QUEUED if item.turn_at - now < EARLY:
                    self._budget.sleep(item.turn_at - now)
                case State.COOLING_DOWN | State.QUEUED:
                    return self._stale_or_raise(caller, item, request, _inherited(item, state))
                case State.STALE | State.EMPTY:
                    done = self._generate_first(caller, item, request, allowance)
                    if isinstance(done, Vended):
                        return done
                    item = done

    def vend_ahead(self, email: str, deadline: Deadline) -> bool:
        """
        Generate and store for a person who is expected; False where that could do harm.

        It ends no session, invites nobody, and takes no call that somebody waits for.

        Raises:
            AuroraBusyError: People use the calls; nothing was done.
            ProblemError: As `vend`.

        """
        item, control = self._store.read_with_control(email)
        unwanted = control.blocks(email) or control.stops_generating()
        if unwanted or not item.is_surely_empty(self._clock()):
            return False
        if not self._accounts.is_known(email):
            return False
        allowance = self._budget.allowance(deadline, control, queueing=False)
        allowance.reserve(1)
        caller = Caller(email=email)
        lease = self._take_lease(caller, item, deadline)
        if not isinstance(lease, Lease):
            return False
        self._generated(caller, TokenRequest(), lease, allowance)
        recorder.count(Metric.PREWARMED)
        return True

    def forget(self, caller: Caller) -> None:
        """Drop the caller's stored JWT. Aurora is not told, because it has no call for that."""
        if self._store.forget(caller.email):
            recorder.count(Metric.FORGOTTEN)

    def _may_have(
        self, caller: Caller, item: TokenItem, token: AccessToken, allowance: Allowance
    ) -> bool:
        """
        Tell whether a stored token is the caller's, and not a former owner's of the address.

        For an identity that it was not vended to before, Aurora is asked who owns the account.
        Generating instead would end the sessions of a person who signs in by two providers.
        """
        if caller.subject in item.subjects:
            if item.ahead:
                self._note_coming(caller, token, item)
            return True
        with recorder.phase("account"):
            if not self._accounts.confirm(caller.email, token.user_id, allowance):
                recorder.count(Metric.WRONG_ACCOUNT)
                logger.warning("the stored token belongs to a former owner of the address")
                return False
        with recorder.phase("store"):
            self._store.admit(caller.email, token, item, caller.subject)
        return True

    def _note_coming(self, caller: Caller, token: AccessToken, item: TokenItem) -> None:
        try:
            with recorder.phase("store"):
                self._store.note_coming(caller.email, token, item)
        except TokenStoreUnavailableError as exc:
            # The person has a token all the same; only the next plan does not count on them.
            logger.warning("a coming could not be noted", extra={"cause": exc.cause})

    def _state(self, item: TokenItem, request: TokenRequest, now: float) -> State:
        return item.state(
            now,
            margin=self._policy.refresh_margin,
            min_ttl=request.min_ttl,
            replace=request.replace,
        )

    def _wait_for_holder(
        self, caller: Caller, item: TokenItem, request: TokenRequest, deadline: Deadline
    ) -> TokenItem:
        """
        Look again until the lease has ended; return the item as it is then.

        Nobody waits for longer than `patience`: a page that calls in a loop would occupy an
        execution environment with each request.
        """
        since = now = self._clock()
        with recorder.phase("lease"):
            while self._state(item, request, now) is State.LEASED:
                if now - since >= self._policy.patience or not deadline.poll():
                    raise AuroraBusyError(
                        "Another request of yours is already getting a token. Try again then.",
                        cause="the lease outlasts this request",
                        retry_at=min(item.lease_until, now + self._policy.patience),
                    )
                item = self._store.read(caller.email)
                now = self._clock()
        recorder.count(Metric.LEASE_WAITED)
        recorder.count(Metric.LEASE_WAIT, (now - since) * 1000)
        return item

    def _generate_first(
        self, caller: Caller, item: TokenItem, request: TokenRequest, allowance: Allowance
    ) -> Vended | TokenItem:
        """Generate, unless somebody else was faster; then return the item as it is now."""
        try:
            allowance.control.admit_generate()
            taken = self._take_lease(caller, item, allowance.deadline)
        except (GeneratingStoppedError, TooManyRenewalsError) as problem:
            return self._stale_or_raise(caller, item, request, problem)
        if isinstance(taken, Lease):
            return self._generate(caller, request, taken, allowance)
        return taken

    def _take_lease(self, caller: Caller, item: TokenItem, deadline: Deadline) -> Lease | TokenItem:
        now = self._clock()
        renewals = tuple(at for at in item.renewals if at > now - HOUR)
        if self._is_renewal(item, now):
            if len(renewals) >= self._policy.renewals_per_hour:
                raise TooManyRenewalsError(
                    cause=f"{len(renewals)} renewals within the hour",
                    retry_at=renewals[-self._policy.renewals_per_hour] + HOUR,
                )
            renewals += (now,)
        with recorder.phase("lease"):
            return self._store.take_lease(
                caller.email,
                item,
                until=deadline.lease_until(now),
                renewals=renewals,
            )

    def _is_renewal(self, item: TokenItem, now: float) -> bool:
        """
        Tell whether a generate replaces a token that has not expired, forgotten or not.

        A mark means that the token may be dead by our own fault: replacing it does not count.
        """
        return not item.is_marked and item.expires_at > now

    def _generate(
        self, caller: Caller, request: TokenRequest, lease: Lease, allowance: Allowance
    ) -> Vended:
        """Vend what is generated under the lease, or a stale token where that fails."""
        try:
            token = self._generated(caller, request, lease, allowance)
        except ProblemError as problem:
            return self._stale_or_raise(caller, lease.item, request, problem)
        return self._vended(caller, token, "generated")

    def _generated(
        self, caller: Caller, request: TokenRequest, lease: Lease, allowance: Allowance
    ) -> AccessToken:
        """Generate and store under the lease, or release it and raise the problem."""
        now = self._clock()
        try:
            if turn := lease.item.turn:
                allowance.redeem(turn)
            token = self._ask_aurora(caller, allowance)
        except ProblemError as problem:
            # In most cases it is the same problem.
            raise self._release(lease, problem, allowance.turn) from None
        except Exception as exc:
            # Aurora may have generated.
            self._release(lease, InternalError(cause=repr(exc), in_doubt=GENERATE))
            raise
        recorder.count(Metric.GENERATED)
        asked = request.replace or request.min_ttl or not lease.item.jwt
        if asked and self._is_renewal(lease.item, now):
            recorder.count(Metric.RENEWED)
        return self._keep(caller, lease, token)

    def _ask_aurora(self, caller: Caller, allowance: Allowance) -> AccessToken:
        """Find the account and generate; an account that Aurora refuses is looked up once more."""
        with recorder.phase("account"):
            account = self._accounts.find(caller, allowance)
        try:
            return self._aurora.generate_token(account, allowance)
        except UserNotEligibleError as refusal:
            with recorder.phase("account"):
                account = self._accounts.after_refusal(account, refusal, allowance)
        return self._aurora.generate_token(account, allowance)

    def _release(
        self, lease: Lease, problem: ProblemError, turn: Turn | None = None
    ) -> ProblemError:
        """Give the lease back; return the problem, with `retry_at` where waiting helps."""
        problem, outcome = self._outcome(problem, turn)
        if outcome.turn:
            recorder.count(Metric.TURN_GIVEN)
        try:
            with recorder.phase("store"):
                self._store.release(lease, outcome)
        except TokenStoreUnavailableError as exc:
            # The lease ends by itself.
            logger.warning("the lease could not be released", extra={"cause": exc.cause})
        return problem

    def _outcome(self, problem: ProblemError, turn: Turn | None) -> tuple[ProblemError, Outcome]:
        """Return what a problem means for the next caller, and the problem as this one sees it."""
        generated = problem.in_doubt == GENERATE
        if isinstance(problem, AuroraBusyError) and problem.turn:
            return problem, Outcome(may_have_generated=generated, turn=problem.turn)
        if isinstance(problem, TokenStoreUnavailableError):
            # The table failed, not the queue: the caller keeps its place.
            return problem, Outcome(may_have_generated=generated, turn=turn)
        # A refused caller stays refused until the user list is read again: asking sooner would cost
        # the others their calls.
        refused = isinstance(problem, UserNotEligibleError)
        pause = self._policy.refused_for if refused else self._policy.cool_down
        until = problem.retry_at or self._clock() + pause
        if not isinstance(problem, PERMANENT):
            problem = problem.ending_at(until)
        return problem, Outcome(may_have_generated=generated, failure=problem.slug, until=until)

    def _keep(self, caller: Caller, lease: Lease, token: AccessToken) -> AccessToken:
        """
        Store the token and return the one that survives.

        A store that fails for good does not lose the JWT: the caller gets it, the mark stays, and
        the next caller generates anew after the lease.
        """
        try:
            with recorder.phase("store"):
                if self._store.store(lease, token, caller.subject):
                    return token
                item = self._store.read(caller.email)
                survivor = item.token
                if item.forgets != lease.item.forgets:
                    # The caller signed out meanwhile: the token is not kept.
                    self._store.release_forgotten(lease, token)
                    return token
                if survivor and survivor.jti == token.jti:
                    # The first write succeeded and its answer was lost: the retry found it there.
                    return token
                if self._store.store_if_newer(caller.email, token, caller.subject):
                    survivor = token
                else:
                    survivor = self._store.read(caller.email).token
        except TokenStoreUnavailableError as exc:
            recorder.count(Metric.STORE_FAILED)
            logger.error("the generated token could not be stored", extra={"cause": exc.cause})
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
            or caller.subject not in item.subjects
            or item.is_marked
            or problem.in_doubt == GENERATE
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


def _inherited(item: TokenItem, state: State) -> ProblemError:
    """Return the cool-down's problem, or the turn that a caller came too early for."""
    if state is State.QUEUED:
        return AuroraBusyError(cause="came before its turn", retry_at=item.turn_at)
    problem = CATALOGUE.get(item.failure, InternalError)
    retry_at = None if issubclass(problem, PERMANENT) else item.failed_until
    return problem(cause="inherited from the cool-down", retry_at=retry_at)
