"""From a caller's e-mail to an Aurora account: stored mapping, directory, invitation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from token_vendor.aurora import AuroraClient
from token_vendor.directory import Directory
from token_vendor.models import ACTIVE, INVITE, Account, Caller, Value
from token_vendor.observability import Metric, recorder
from token_vendor.problems import (
    AuroraBusyError,
    AuroraInvalidResponseError,
    AuroraTimeoutError,
    AuroraUnavailableError,
    InvitationPendingError,
    ProblemError,
    UserNotEligibleError,
)
from token_vendor.request_budget import Allowance
from token_vendor.settings import Settings
from token_vendor.table import Table

SDK_USER = "SDK User"
"""The one level that needs no accepted invitation: Aurora's "Access Token" page."""
ACCEPTED, REFUSED = "accepted", "refused"
"""What Aurora answered to an invitation; without an answer, nobody knows."""
SETTLING = 120
"""Seconds in which an account that was just invited may not be known to all of Aurora."""
SETTLES_IN = (3, 30)
"""Least and most seconds until such an account is tried again; in between, as long as its age."""
FIRST_LOOK = 5
"""Seconds after which a person is looked for who was invited and not listed; doubled each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation(Value):
    """
    The INVITATION item of a person; it is marked before it is sent, as a generate is.

    `answer` is what Aurora said, and `asked_at` is when. Until there is an answer, `asked_at` is
    the end of the request that sent the invitation.
    """

    sk: ClassVar[str] = "INVITATION"

    asked_at: float = 0
    answer: str = ""
    user_level: str = ""

    @property
    def accepted(self) -> bool:
        """Tell whether Aurora accepted it; the person may have to do so, too."""
        return self.asked_at > 0 and self.answer == ACCEPTED

    def settles_at(self, now: float) -> float | None:
        """Return when to try an account again that is too new for Aurora; None if it is not."""
        age = now - self.asked_at
        if not self.accepted or age > SETTLING:
            return None
        least, most = SETTLES_IN
        return now + min(max(age, least), most)

    def looks(self, now: float) -> tuple[float, float]:
        """
        Return the last and the next moment at which the list is to be read for the person.

        The moments follow from the stored one: each request finds the same.
        """
        last, after = 0, FIRST_LOOK
        while self.asked_at + after <= now:
            last, after = after, after * 2
        return self.asked_at + last, self.asked_at + after

    # Transitions ------------------------------------------------------------------------------

    def begun(self, seen: "Invitation", *, over_at: float, level: str) -> "Invitation":
        """Mark it before it is sent, if nobody has done so since it was read."""
        if self.version != seen.version:
            return self
        return replace(self, asked_at=over_at, answer="", user_level=level)

    def answered(self, *, accepted: bool, at: float) -> "Invitation":
        """Note what Aurora said."""
        return replace(self, asked_at=at, answer=ACCEPTED if accepted else REFUSED)

    def withdrawn(self) -> "Invitation":
        """Note that it certainly was not sent."""
        return replace(self, asked_at=0, answer="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accounts:
    """Find a caller's account, inviting where the settings say so."""

    table: Table
    directory: Directory
    aurora: AuroraClient
    settings: Settings
    clock: Callable[[], float]

    def known_id(self, email: str) -> str:
        """Return the id of the account that `find` returns without a call to Aurora, or ""."""
        mapping = self.directory.mapping(email)
        return mapping.user_id if mapping else ""

    @recorder.phase("account")
    def find(self, caller: Caller, allowance: Allowance) -> Account:
        """Return the caller's active account, or raise a `ProblemError`."""
        if mapping := self.directory.mapping(caller.email):
            return mapping
        known = self.directory.known(caller.email)
        doubted_at = known.doubted_at if known else 0
        account = self.directory.look_up(caller.email, allowance, not_before=doubted_at)
        # A person who was deactivated or refused, and is no longer listed, is not new: an
        # invitation must not undo what an administrator did.
        account = account or known or self._invited(caller, allowance)
        if account.active and not account.doubted_at:
            return account
        if not account.doubted_at and self._invitation(caller.email).accepted:
            raise InvitationPendingError(cause=f"invited; account_status {account.status!r}")
        gone = "; Aurora refused it since" if account.doubted_at else ""
        raise UserNotEligibleError(cause=f"account_status is {account.status!r}{gone}")

    @recorder.phase("account")
    def confirm(self, email: str, user_id: str, allowance: Allowance, *, since: float) -> bool:
        """Tell whether an id is the active account of an address, as Aurora said after `since`."""
        account = Account(user_id=user_id, email=email, status=ACTIVE)
        current = self._ask(account, allowance, since)
        if current and current.active and current.user_id == user_id:
            return True
        if not current:
            self._wait_while_new(email)
        self.directory.doubt(account)
        return False

    @recorder.phase("account")
    def after_refusal(
        self, account: Account, refusal: UserNotEligibleError, allowance: Allowance
    ) -> Account:
        """
        Return the refused account's replacement, or raise the refusal if there is none.

        If Aurora says that the account is active, the fault is not the person's: another problem.
        """
        now = self.clock()
        if refusal.if_active:
            self._wait_while_new(account.email)
        doubted_at = self.directory.doubt(account)
        current = self._ask(account, allowance, doubted_at)
        if not current or not current.active:
            raise refusal
        if current.user_id != account.user_id:
            return current
        self.directory.remember([current], seen_at=now)
        raise refusal.if_active or refusal

    def _ask(self, account: Account, allowance: Allowance, since: float) -> Account | None:
        """
        Return who has the address of an account, as Aurora said after `since`.

        One person costs a call of Retrieve User, if a place is free; several in doubt at the same
        time cost one reading of the list. It decides, too, where Retrieve User says nothing.
        """
        if self.directory.may_ask_alone(since):
            now = self.clock()
            try:
                current = self.aurora.retrieve_user(
                    account.user_id, allowance.apart(queueing=False)
                )
            except (
                AuroraBusyError,
                AuroraInvalidResponseError,
                AuroraTimeoutError,
                AuroraUnavailableError,
            ) as problem:
                recorder.event["retrieve_user"] = problem.slug
                current = None
            if current and current.email == account.email:
                if not current.active:
                    self.directory.remember([current], seen_at=now)
                return current
        return self.directory.look_up(account.email, allowance, not_before=since)

    def _wait_while_new(self, email: str) -> None:
        """Raise a passing problem if the account may be too new for all of Aurora to know it."""
        if settles_at := self._invitation(email).settles_at(self.clock()):
            raise AuroraUnavailableError(
                "Your account at Aurora is new. Try again in a few seconds.",
                cause="the account was invited a moment ago",
                retry_at=settles_at,
            )

    def _invitation(self, email: str) -> Invitation:
        return self.table.load(Invitation, email)

    def _invited(self, caller: Caller, allowance: Allowance) -> Account:
        """
        Invite the caller; if that was done before, find out what came of it.

        While the outcome of an invitation is unknown, nobody invites that person again: a reading
        of the list that began later decides.
        """
        if refusal := self._refusal(caller) or allowance.control.inviting_stopped():
            raise UserNotEligibleError(cause=refusal)
        begun, now = self._invitation(caller.email), self.clock()
        if begun.asked_at > now:
            raise AuroraBusyError(
                cause="an invitation of this person may still be under way",
                retry_at=begun.asked_at,
            )
        if begun.asked_at:
            if found := self._listed(caller, begun, allowance):
                return found
            if begun.accepted:
                raise self._absent(begun)
        return self._invite(caller, begun, allowance)

    def _listed(
        self, caller: Caller, invitation: Invitation, allowance: Allowance
    ) -> Account | None:
        """Return an invited person's row of the list, read after the last moment to look."""
        last, _ = invitation.looks(self.clock())
        not_before = last if invitation.accepted else invitation.asked_at
        try:
            return self.directory.look_up(caller.email, allowance, not_before=not_before)
        except AuroraBusyError as problem:
            if not invitation.accepted:
                raise
            raise self._absent(invitation, retry_at=problem.retry_at) from problem

    def _invite(self, caller: Caller, seen: Invitation, allowance: Allowance) -> Account:
        level = self._level_of(caller)
        allowance.reserve(2)  # The invitation and the generate after it.
        # The invitation may reach Aurora until then, even if this request is killed. A list that
        # was read earlier decides nothing.
        over_at = round(allowance.deadline.lease_until(self.clock()), 3)
        mark = self.table.change(
            seen, lambda it: it.begun(seen, over_at=over_at, level=level), caller.email
        )
        if mark.asked_at != over_at:
            raise AuroraBusyError(cause="somebody else invites this person", retry_at=over_at)
        try:
            accepted, user_id = self.aurora.invite_user(
                caller,
                level=level,
                partner_ids=self.settings.invite_partner_ids,
                allowance=allowance,
            )
        except ProblemError as problem:
            if problem.in_doubt != INVITE:
                self.table.change(mark, Invitation.withdrawn, caller.email)
            raise
        asked_at = self.clock()
        answered = self.table.change(
            mark, lambda it: it.answered(accepted=accepted, at=asked_at), caller.email
        )
        if accepted:
            recorder.count(Metric.INVITED)
        if user_id:
            # Every other level has to accept an e-mailed invitation before it is active.
            status = ACTIVE if level == SDK_USER else "invited"
            account = Account(user_id=user_id, email=caller.email, status=status)
            self.directory.remember([account], seen_at=asked_at)
            return account
        if found := self._listed(caller, answered, allowance):
            return found
        raise self._absent(answered)

    def _refusal(self, caller: Caller) -> str:
        """Say why the caller is not invited, or return an empty string."""
        domains = self.settings.invite_domains
        if not self.settings.invitations:
            return "invitations are switched off"
        if domains and caller.email.rpartition("@")[2] not in domains:
            return "the e-mail's domain is not among those that are invited"
        return ""

    def _level_of(self, caller: Caller) -> str:
        """Return the level of the first group, in the order configured, that the caller is in."""
        for group, level in self.settings.invite_levels_by_group:
            if group in caller.groups:
                return level
        return self.settings.invite_level

    def _absent(self, invitation: Invitation, *, retry_at: float | None = None) -> ProblemError:
        """Return the problem of a person whom Aurora does not list after an invitation."""
        if invitation.accepted:
            _, next_look = invitation.looks(self.clock())
            return InvitationPendingError(
                "Aurora has invited you, and does not list you yet. Try again then.",
                cause="invited, and not yet in Aurora's list",
                retry_at=max(next_look, retry_at or 0),
            )
        # Active in another tenant, or not acceptable to Aurora: its list will never show it.
        return UserNotEligibleError(
            cause="Aurora refused the invitation, and lists no account: active in another tenant? "
            "If many people get it, the list is perhaps not read to its end: `token-vendor probe` "
            "tells"
        )
