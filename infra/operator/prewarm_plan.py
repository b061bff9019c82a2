"""What `prewarm` would do: whom it would serve and when, and how many people it covers."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from token_vendor.control import CONTROL, Control
from token_vendor.forecast import LEAD, SHARE, WEEK, Expected, Person, arrivals, plan
from token_vendor.places import Pace
from token_vendor.token_item import TokenItem

from infra.operator.deployed import Deployed
from infra.operator.tokens import AURORA_LIFE, table

SHIFTS = (8, 9, 10)
MARGINS = (5, 15, 60)
"""Hours of a working day, and minutes of refresh margin, that the table of `coverage` has."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The plan of the hours from `begins_at` on, and how many came in these hours of past days."""

    begins_at: float
    planned: tuple[Expected, ...]
    came: dict[int, int]


def forecast(deployed: Deployed, *, begins_at: float) -> Forecast:
    """Read who holds what, and plan as a run would that began then."""
    items = table(deployed).scan(TokenItem.sk, ("came", "expires_at"))
    people = [Person.of(email, TokenItem.of(item)) for email, item in items]
    settings = deployed.settings
    zone = ZoneInfo(settings.time_zone)
    # As if nothing else were switched until then.
    switched = Control.of(table(deployed).get(CONTROL), now=begins_at)
    rate = Pace(settings.request_rate, settings.request_burst).under(switched).rate
    return Forecast(
        begins_at=begins_at,
        planned=tuple(plan(people, now=begins_at, zone=zone, rate=rate)),
        came=arrivals(people, now=begins_at, zone=zone, days=range(1, WEEK + 1)),
    )


def coverage(*, rate: float) -> dict[int, dict[int, int]]:
    """
    Return how many people's tokens last for a shift (hours), by the refresh margin (minutes).

    The first token is generated so early that the last person's is there in time. It has to last
    until its owner leaves, and for the margin after that.
    """
    return {
        shift: {
            margin: int((AURORA_LIFE - shift * 3600 - margin * 60 - LEAD) / 60 * rate * SHARE)
            for margin in MARGINS
        }
        for shift in SHIFTS
    }
