"""From a caller's e-mail to an Aurora account: stored mapping, directory, invitation."""

from collections.abc import Callable
from dataclasses import dataclass

from token_vendor.aurora import AuroraClient
from token_vendor.directory import Directory
from token_vendor.models import ACTIVE, INVITE, Account, Caller
from token_vendor.observability import Metric, recorder
from token_vendor.problems import (
    AuroraBusyError,
    InvitationPendingError,
    ProblemError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance
from token_vendor.table import Table
from token_vendor.token_store import KEPT_FOR

SDK_USER = "SDK User"
"""The one level that needs no accepted invitation: Aurora's "Access Token" page."""
INVITATION = "INVITATION"
"""
The item of an invitation. `answer` is what Aurora said, and `asked_at` is when. Until there is an
answer, `asked_at` is the end of the request that sent the invitation.
"""
ACCEPTED, REFUSED = "accepted", "refused"
"""What Aurora answered to an invitation; without an answer, nobody knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InvitationPolicy:
    """Whom to invite, and at which level."""

    enabled: bool = True
    domains: tuple[str, ...] = ()
    level: str = SDK_USER
    levels_by_group: tuple[tuple[str, str], ...] = ()
    partner_ids: tuple[str, ...] = ()

    def refusal(self, caller: Caller) -> str:
        """Say why the caller is not invited, or return an empty string."""
        if not self.enabled:
            return "invitations are switched off"
        if self.domains and caller.email.rpartition("@")[2] not in self.domains:
            return "the e-mail's domain is not among those that are invited"
        return ""

    def level_of(self, caller: Caller) -> str:
        """Return the level of the first group, in the order configured, that the caller is in."""
        for group, level in self.levels_by_group:
            if group in caller.groups:
                return level
        return self.level


class Accounts:
    """Find a caller's account, inviting where the policy says so."""

    def __init__(
        self,
        table: Table,
        directory: Directory,
        aurora: AuroraClient,
        *,
        invitations: InvitationPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._directory = directory
        self._aurora = aurora
        self._invitations = invitations
        self._clock = clock

    def is_known(self, email: str) -> bool:
        """Tell whether `find` needs no call to Aurora for a person."""
        return self._directory.mapping(email) is not None

    def find(self, caller: Caller, allowance: Allowance) -> Account:
        """
        Return the caller's active account.

        Raises:
            UserNotEligibleError: Deactivated, gone, or absent and not to be invited.
            InvitationPendingError: Invited at a level that must accept an e-mail first.
            ProblemError: Whatever asking Aurora raises.

        """
        if mapping := self._directory.mapping(caller.email):
            return mapping
        known = self._directory.known(caller.email)
        doubted_at = known.doubted_at if known else 0
        account = self._directory.look_up(
            caller.email, allowance, not_before=doubted_at, doubt=bool(doubted_at)
        )
        # A person who was deactivated or refused, and is no longer listed, is not new: an
        # invitation must not undo what an administrator did.
        account = account or known or self._invited(caller, allowance)
        if account.active and not account.doubted_at:
            return account
        if not account.doubted_at and self._table.get(INVITATION, caller.email):
            raise InvitationPendingError(cause=f"invited; account_status {account.status!r}")
        gone = "; Aurora refused it since" if account.doubted_at else ""
        raise UserNotEligibleError(cause=f"account_status is {account.status!r}{gone}")

    def confirm(self, email: str, user_id: str, allowance: Allowance) -> bool:
        """
        Ask Aurora whether an id still is the active account of an address.

        If Retrieve User says nothing, the directory decides, as old as it may be.
        """
        current = self._aurora.retrieve_user(user_id, allowance)
        current = current or self._directory.look_up(email, allowance)
        if current and (current.user_id, current.email) == (user_id, email) and current.active:
            return True
        self._directory.doubt(Account(user_id=user_id, email=email, status=ACTIVE))
        return False

    def after_refusal(
        self, account: Account, refusal: UserNotEligibleError, allowance: Allowance
    ) -> Account:
        """
        Return the account that took the place of one that Aurora refused.

        Raises:
            UserNotEligibleError: There is none.

        """
        doubted_at = self._directory.doubt(account)
        now = self._clock()
        current = self._aurora.retrieve_user(account.user_id, allowance)
        if current and current.email == account.email:
            # It exists: deactivated, or refused for another reason.
            self._directory.remember([current], seen_at=now)
            raise refusal
        found = self._directory.look_up(account.email, allowance, not_before=doubted_at, doubt=True)
        if found and found.active and found.user_id != account.user_id:
            return found
        raise refusal

    def _invited(self, caller: Caller, allowance: Allowance) -> Account:
        """
        Invite the caller; if that was done before, find out what came of it.

        An invitation is marked before it is sent. While its outcome is unknown, nobody invites that
        person again: a reading of the list that began later decides.
        """
        if refusal := self._invitations.refusal(caller) or allowance.control.inviting_stopped():
            raise UserNotEligibleError(cause=refusal)
        begun = self._table.get(INVITATION, caller.email)
        # Items of version 0.1 have the moment under another name, and were accepted.
        asked_at: float = begun.get("asked_at", 0.0) or begun.get("seen_at", 0.0)
        answer: str = begun.get("answer", ACCEPTED if "seen_at" in begun else "")
        if asked_at > self._clock():
            raise AuroraBusyError(
                cause="an invitation of this person may still be under way", retry_at=asked_at
            )
        if asked_at:
            found = self._directory.look_up(
                caller.email, allowance, not_before=asked_at, doubt=answer == REFUSED
            )
            if found:
                return found
            if answer == ACCEPTED:
                raise _absent(answer)
        return self._invite(caller, allowance, before=asked_at)

    def _invite(self, caller: Caller, allowance: Allowance, *, before: float) -> Account:
        level = self._invitations.level_of(caller)
        allowance.reserve(2)  # The invitation and the generate after it.
        # The invitation may reach Aurora until then, even if this request is killed. A list that
        # was read earlier decides nothing.
        over_at = allowance.deadline.lease_until(self._clock())
        if not self._mark(caller, level, over_at, before=before):
            raise AuroraBusyError(cause="somebody else invites this person", retry_at=over_at)
        try:
            accepted, user_id = self._aurora.invite_user(
                caller, level=level, partner_ids=self._invitations.partner_ids, allowance=allowance
            )
        except ProblemError as problem:
            if problem.in_doubt != INVITE:
                self._table.update(INVITATION, caller.email, remove=("asked_at", "answer"))
            raise
        answer, asked_at = ACCEPTED if accepted else REFUSED, self._clock()
        self._table.update(
            INVITATION,
            caller.email,
            assign={"answer": answer, "asked_at": asked_at, "ttl": int(asked_at) + KEPT_FOR},
        )
        if accepted:
            recorder.count(Metric.INVITED)
        if user_id:
            # Every other level has to accept an e-mailed invitation before it is active.
            status = ACTIVE if level == SDK_USER else "invited"
            account = Account(user_id=user_id, email=caller.email, status=status)
            self._directory.remember([account], seen_at=asked_at)
            return account
        found = self._directory.look_up(
            caller.email, allowance, not_before=asked_at, doubt=not accepted
        )
        if found is None:
            raise _absent(answer)
        return found

    def _mark(self, caller: Caller, level: str, asked_at: float, *, before: float) -> bool:
        marked = self._table.update(
            INVITATION,
            caller.email,
            assign={"asked_at": asked_at, "user_level": level, "ttl": int(asked_at) + KEPT_FOR},
            remove=("answer", "seen_at"),
            condition="attribute_not_exists(asked_at) OR asked_at = :before",
            values={"before": before},
        )
        return marked is not None


def _absent(answer: str) -> ProblemError:
    """Return the problem of a person whom Aurora does not list after an invitation."""
    if answer == ACCEPTED:
        return InvitationPendingError(cause="invited, and not yet in Aurora's list")
    # Active in another tenant, or not acceptable to Aurora: its list will never show it.
    return UserNotEligibleError(
        cause="Aurora refused the invitation, and lists no account: active in another tenant? If "
        "many people get it, the list is perhaps not read to its end: `token-vendor probe` tells"
    )
