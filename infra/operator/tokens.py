"""Who holds a token; the JWT itself is never read."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from token_vendor.table import Table
from token_vendor.token_item import TokenItem

from infra.operator.deployed import Deployed

AURORA_LIFE = 12 * 3600
"""Seconds: what Aurora documents."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A person with a stored token; times are seconds since the epoch."""

    email: str
    user_id: str
    jti: str
    since: int
    until: int


def table(deployed: Deployed) -> Table:
    """Return the function's own view of the stage's table."""
    return Table(
        deployed.client("dynamodb"),
        name=deployed.outputs["TableName"],
        partition=deployed.settings.partition,
        clock=time.time,
        sleep=time.sleep,
        kept_for=deployed.settings.kept_days * 86_400,
    )


def holders(deployed: Deployed) -> Iterator[Holder]:
    """Yield everybody whose stored token has not expired."""
    now = time.time()
    # Everything but the JWT: an operator needs it no more than the log does.
    names = ("user_id", "jti", "expires_at", "lifetime")
    for email, found in table(deployed).scan(TokenItem.sk, names):
        item = TokenItem.of(found)
        if item.jti and item.expires_at > now:
            yield Holder(
                email=email,
                user_id=item.user_id,
                jti=item.jti,
                since=item.expires_at - (item.lifetime or AURORA_LIFE),
                until=item.expires_at,
            )


def forget(deployed: Deployed, email: str) -> bool:
    """Drop a person's stored token; tell whether there was one."""
    stage = table(deployed)
    item = stage.load(TokenItem, email)
    return stage.change(item, TokenItem.forgotten, email).forgets > item.forgets


def duration(seconds: float) -> str:
    """Return hours and minutes, or seconds where there are fewer than a minute's."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
