"""
Why one person gets in or does not, by what a request of that person would come upon.

What a request reads is read here, and decided in its order: blocked, then the state of the TOKEN
item, then what stands in the way of a new token.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from token_vendor.control import Control, Switch, Switches
from token_vendor.directory import ACTIVE_ROW, OTHER_ROW
from token_vendor.models import TokenRequest
from token_vendor.problems import (
    AuroraBusyError,
    AuroraKeyRejectedError,
    GeneratingStoppedError,
    InvitationPendingError,
    TooManyRenewalsError,
    UserNotEligibleError,
)
from token_vendor.settings import Settings
from token_vendor.token_item import State, TokenItem

from infra.operator.deployed import Deployed
from infra.operator.tokens import duration, table

ACTIVE = "active"
DOCTOR = "token-vendor doctor --stage {stage}"
REFUSED = {
    InvitationPendingError.slug: (
        "Refused{until}: invited, and the invitation is not accepted yet.",
        "the person accepts Aurora's e-mail; a new SDK User would not have to (invite_level)",
    ),
    AuroraKeyRejectedError.slug: (
        "Gets no new token{until}, and nobody does: Aurora rejects the API key.",
        f"{DOCTOR}; then token-vendor set-api-key --stage {{stage}}",
    ),
    AuroraBusyError.slug: ("Aurora has too many requests: comes back{until} by itself.", ""),
    GeneratingStoppedError.slug: (
        "Was refused while generating was stopped; gets a token again.",
        "",
    ),
    TooManyRenewalsError.slug: (
        "Asked for more new tokens in an hour than renewals_per_hour.",
        "look why the page says that its tokens fail",
    ),
}
"""What a person hears and what to do about it, by the last problem."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the table holds of a person, without the JWT; `verdict` says what follows from it."""

    verdict: str
    fix: str
    token: dict[str, Any]
    account: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a request of `email` reads at `now`, and how the last one ended (a problem's slug)."""

    stage: str
    email: str
    settings: Settings
    item: TokenItem
    control: Control
    account: Mapping[str, Any]
    refused: str
    now: float

    def verdict(self) -> tuple[str, str]:  # noqa: PLR0911 - one for each situation.
        """Say whether the next request gets a token and why not; and what to do."""
        if self.control.blocks(self.email):
            return self._switched(Switch.BLOCK, "Blocked")
        item = self.item
        known = item.subjects[-1] if item.subjects else ""
        wanted = TokenRequest(subject=known, margin=self.settings.refresh_margin)
        match state := item.state(self.now, wanted):
            case State.GOOD | State.UNCONFIRMED:
                left = duration(item.expires_at - self.now)
                return f"Gets the stored token, which is good for {left} more.", ""
            case State.LEASED:
                end = duration(item.lease_until - self.now)
                return f"A token is being generated: it is there, or has failed, in {end}.", ""
            case State.COOLING_DOWN:
                return self._refused(item.failure, f" until {self._clock(item.failed_until)}")
            case State.QUEUED:
                return f"In the queue, turn at {self._clock(item.turn_at)}.", ""
        if self.control.stops_generating():
            return self._switched(Switch.STOP_GENERATING, "Gets no new token: generating stopped")
        if self.refused or (self.account and self.account["account_status"] != ACTIVE):
            return self._refused(self.refused or UserNotEligibleError.slug, "")
        if item.is_marked:
            return "Gets a new token at the next request: the last one was lost on its way.", ""
        if state is State.STALE:
            left = duration(item.expires_at - self.now)
            return f"Gets a new token at the next request; the stored one ends in {left}.", ""
        return "Gets a new token at the next request.", ""

    def _clock(self, moment: float) -> str:
        now, then = (datetime.fromtimestamp(each, UTC) for each in (self.now, moment))
        return f"{then:%H:%M:%S} UTC" if then.date() == now.date() else f"{then:%d %b %H:%M} UTC"

    def _switched(self, switch: Switch, what: str) -> tuple[str, str]:
        named = {"", self.email, self.email.rpartition("@")[2]}
        entry = next(
            each for each in self.control.entries if each.switch is switch and each.value in named
        )
        name = f"{switch} {entry.value}".strip()
        clear = f"token-vendor switch {name} --clear --reason … --stage {self.stage}"
        return f"{what} until {self._clock(entry.until)} by {entry.by} ({entry.reason}).", clear

    def _refused(self, slug: str, until: str) -> tuple[str, str]:
        if slug == UserNotEligibleError.slug:
            return self._not_eligible(until)
        said, fix = REFUSED.get(slug, ("Gets no new token{until}: {slug}.", DOCTOR))
        return said.format(until=until, slug=slug), fix.format(stage=self.stage)

    def _not_eligible(self, until: str) -> tuple[str, str]:
        status = self.account.get("account_status")
        if status and status != ACTIVE:
            said = "deactivated" if status == "inactive" else f"account_status is {status}"
            return (
                f"Refused by Aurora{until}: {said}.",
                (
                    "an Aurora administrator activates the account; it counts "
                    f"{self.settings.directory_ttl:.0f} s later at the latest"
                ),
            )
        if status:
            return (
                f"Refused by Aurora{until}: it generates nothing for this active account.",
                "look at the account in Aurora's console",
            )
        domain, allowed = self.email.rpartition("@")[2], self.settings.invite_domains
        if not self.settings.invitations:
            return (
                f"Refused{until}: has no account in Aurora, and invitations are off.",
                "an Aurora administrator invites the person, or set invitations in cdk.json",
            )
        if allowed and domain not in allowed:
            return (
                f"Refused{until}: has no account in Aurora, and {domain} is not invited.",
                "an Aurora administrator invites the person, or add the domain to invite_domains",
            )
        return (
            f"Refused by Aurora{until}: it took no invitation of this person.",
            "look whether the address is active in another Aurora tenant",
        )


def look(deployed: Deployed, email: str, events: Sequence[Mapping[str, Any]]) -> Known | None:
    """
    Return what the table holds of a person and what follows; None where nothing is known.

    `events` are those of the person in the log, oldest first.
    """
    now = time.time()
    stage = table(deployed)
    item, control = Switches(stage).beside(TokenItem, email)
    rows = stage.get_all([(sk, email) for sk in (ACTIVE_ROW, OTHER_ROW)])
    account = max(filter(None, rows.values()), key=lambda row: row["seen_at"], default={})
    asked = [each for each in events if "status" in each]
    if not (item.version or account or asked or control.blocks(email)):
        return None
    shown = asdict(item)
    shown["has_token"] = bool(shown.pop("jwt"))
    if not shown["has_token"]:
        # It outlives a sign-out, for the hourly cap alone.
        del shown["expires_at"], shown["lifetime"]
    verdict, fix = Look(
        stage=deployed.stage,
        email=email,
        settings=deployed.settings,
        item=item,
        control=control,
        account=account,
        refused=str(asked[-1].get("problem", "")) if asked else "",
        now=now,
    ).verdict()
    return Known(
        verdict=verdict, fix=fix, token=shown if item.version else {}, account=dict(account)
    )
