"""From a caller's e-mail to an Aurora account: stored mapping, directory, invitation."""

from collections.abc import Callable
from dataclasses import dataclass

from token_vendor.aurora import AuroraClient
from token_vendor.directory import Directory
from token_vendor.models import ACTIVE, Account, Caller
from token_vendor.observability import Metric, recorder
from token_vendor.problems import InvitationPendingError, UserNotEligibleError
from token_vendor.request_budget import Allowance
from token_vendor.table import Table
from token_vendor.token_store import KEPT_FOR

SDK_USER = "SDK User"
"""The one level that needs no accepted invitation: Aurora's "Access Token" page."""
INVITATION = "INVITATION"


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

    def find(self, caller: Caller, allowance: Allowance, *, not_before: float = 0) -> Account:
        """
        Return the caller's active account.

        With `not_before` only what Aurora said after that moment counts: for a mapping that
        proved wrong.

        Raises:
            UserNotEligibleError: Deactivated, or absent and not to be invited.
            InvitationPendingError: Invited at a level that must accept an e-mail first.
            ProblemError: Whatever asking Aurora raises.

        """
        account = (
            self._directory.seen(caller.email, since=not_before)
            or self._directory.look_up(caller.email, allowance, not_before=not_before)
            or self._invite(caller, allowance)
        )
        if account.active:
            return account
        if self._table.get(INVITATION, caller.email):
            raise InvitationPendingError(cause=f"invited; account_status {account.status!r}")
        # An administrator switched this account off. We never invite or activate it again.
        raise UserNotEligibleError(cause=f"account_status is {account.status!r}")

    def _invite(self, caller: Caller, allowance: Allowance) -> Account:
        """Invite the caller; where no id comes back, the directory decides what happened."""
        if refusal := self._invitations.refusal(caller):
            raise UserNotEligibleError(cause=refusal)
        level = self._invitations.level_of(caller)
        allowance.reserve(2)  # The invitation and the generate after it.
        asked_at = self._clock()
        user_id = self._aurora.invite_user(
            caller, level=level, partner_ids=self._invitations.partner_ids, allowance=allowance
        )
        recorder.count(Metric.INVITED)
        if level != SDK_USER:
            now = self._clock()
            item = {"user_level": level, "seen_at": now, "ttl": int(now) + KEPT_FOR}
            self._table.put_all({(INVITATION, caller.email): item})
        if user_id:
            # Every other level has to accept an e-mailed invitation before it is active.
            status = ACTIVE if level == SDK_USER else "invited"
            account = Account(user_id=user_id, email=caller.email, status=status)
            self._directory.remember([account])
            return account
        found = self._directory.look_up(caller.email, allowance, not_before=asked_at)
        if found is None:
            # Active in another tenant, or not acceptable to Aurora: its list will never show it.
            raise UserNotEligibleError(cause="Aurora refused the invitation, and lists no account")
        return found
